"""Where films and series can be watched: the tiers that know it, asked in order."""
