"""Comparison: criteria, masks and reconstructions side by side on one calibration tensor, every cell a small file."""
