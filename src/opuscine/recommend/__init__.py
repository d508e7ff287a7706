"""The use case: a wish in plain language in, an ordered page of grounded films with their links out."""
