"""What keeps a call to another server from harming us or it. Knows nothing of films."""
