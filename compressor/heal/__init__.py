"""Healing: low-rank training of a pruned model, merged."""
