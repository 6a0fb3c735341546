"""Masks: scores and budget to kept neurons."""
