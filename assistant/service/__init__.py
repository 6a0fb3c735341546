"""The system service: what it consists of, how it is put there, seen and taken away."""
