"""How the terminal programs reach a server: find one or start a private one, ask, read the answer, and put it in words."""
