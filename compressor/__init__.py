"""The offline pipeline that turns a checkpoint into a pruned 4-bit GGUF file; the only package that imports torch."""
