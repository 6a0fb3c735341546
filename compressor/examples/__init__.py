"""Examples from corpora: cleaned sections, grounded questions on them, and how answers to those are scored."""
