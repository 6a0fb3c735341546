"""Passages that answers are bound to: the library, its index, the search, and the check of an answer against them."""
