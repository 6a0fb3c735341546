"""`bedside doctor`."""
