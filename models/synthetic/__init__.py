"""Random-weight models of any shape, streamed to disk without torch: for tests, for speed and for memory.

Data flow: `shapes` (what to write) -> `weights` (seeded random tensors) -> `gguf` or `checkpoint` (the file formats),
with `vocabulary` giving GGUF files a small tokenizer of their own.
"""
