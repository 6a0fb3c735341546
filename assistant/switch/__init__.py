"""`bedside switch`: another model in a running server, or the one before it."""
