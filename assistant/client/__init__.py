"""How the terminal programs reach a server: find one or start a private one, ask, and read the answer as it comes."""
