"""The proof that nothing leaves: a network of its own, with a way out -> a counter -> a control -> the whole service at work."""
