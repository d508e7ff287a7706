"""Trouble at full size, on the real process: `scripts/bench.py faults` measures it exactly, the tests run it small and judge it loosely."""
