"""The parts of `scripts/bench.py`: what is started, what loads it, what it is compared with, and the tables that come of it."""
