"""Trains the built-in reference model: corpora → tokenizer → examples → batches → loop → evaluation → package."""
