"""Recipes: what `bedside compress` does to a model."""
