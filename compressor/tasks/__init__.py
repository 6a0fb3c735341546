"""Benchmarks: multiple-choice tasks with exact prompts, scored on a GGUF file or a checkpoint."""
