"""Finding and starting servers, and reading their answers."""
