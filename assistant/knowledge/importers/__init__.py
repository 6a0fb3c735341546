"""One file at a time into manuscripts: each module reads one format, and raises DocumentError where it cannot."""
