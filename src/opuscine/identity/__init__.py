"""Who calls: API keys, JWTs, and what a caller may do."""
