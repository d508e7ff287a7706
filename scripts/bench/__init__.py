"""The parts of `scripts/bench.py`: what is started, what loads it, what it is compared with, and the tables that come of it."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))  # for `support`, which the tests share with the bench
