"""Several processes, each with its share of the rows: sums are all-reduced under torchrun."""
