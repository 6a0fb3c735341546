"""What is found: our search and plain full-text search over MedQuAD, with questions that were worded anew."""
