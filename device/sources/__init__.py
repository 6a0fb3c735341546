"""One power source each."""
