"""Reconstruction: the kept columns of down refitted in closed form."""
