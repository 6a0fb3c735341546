"""One question from the command line: find passages, generate, check, show."""
