"""What is looked at before a model is asked: red flags in the text, and requests that are refused. No model takes part."""
