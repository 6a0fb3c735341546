"""Criteria: statistics and weights to one score per neuron; one file each."""
