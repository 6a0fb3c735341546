"""A thin typed layer over llama.cpp: the only place that imports `llama_cpp`.

Data flow: `library` (the shared library, its log) -> `model` (weights, vocabulary) -> `chat` (messages to token ids) ->
`batch`, `context` (decoding several sequences, pooling them) -> `sampler` -> `generate`. Beside it: `quantize`, `speed`, `trial`.
"""
