"""One plugin a file, and the registry that finds and orders them."""
