"""The criteria side by side on the same tokens."""
