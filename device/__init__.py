"""What an answer costs: the board, its power meters, energy, and what they say about a model's speed."""
