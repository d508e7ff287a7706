"""The language model behind us: one guarded client, and the protocols it speaks."""
