"""What a sentence claims, as far as words show it: content, quantities, drugs, negation."""
