"""What a model is: catalogue, store, download, GGUF header, runtime, and the text formats every half of Bedside shares."""
