#!/usr/bin/env python3
"""Measure what the service costs, in one run and against yardsticks: scripts/bench.py [--quick] [--json FILE]
Or what trouble does to it: scripts/bench.py faults [--only NAME] [--quick] [--json FILE]
Or what size does to it: scripts/bench.py growth [--sizes N,N,...] [--quick] [--json FILE] [--page FOLDER]

Starts everything itself on free ports of the loopback and ends it again: an LLM stub, the service in production settings, bare aiohttp, the
predecessor's way, and nginx where it is installed. Exit status: 0 all budgets are kept, 1 one is broken.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench import faults, growth, performance
from bench.stage import staged

ROUNDS, REQUESTS = 9, 12_000
QUICK_ROUNDS, QUICK_REQUESTS = 3, 12_000  # about a second of look-ups, as the request log's budget is for one


def cost(asked: argparse.Namespace) -> tuple[bool, dict[str, Any]]:
    """Measure the cost of a request on every path; return whether the budgets hold, and the figures."""
    rounds, requests = (QUICK_ROUNDS, QUICK_REQUESTS) if asked.quick else (ROUNDS, REQUESTS)
    with staged() as stage:
        found = performance.measure(stage, rounds=rounds, requests=requests)
    verdicts = performance.judge(found)
    performance.table(found, verdicts)
    figures = {
        "paths": {name: asdict(measured) for name, measured in found.items()},
        "budgets": [{"name": one.budget.name, "ratio": one.ratio, "at_most": one.budget.at_most, "kept": one.kept} for one in verdicts],
    }
    return all(verdict.kept for verdict in verdicts), figures


def main(arguments: Sequence[str]) -> int:
    """Run the command line and return its exit status."""
    parser = argparse.ArgumentParser(prog="scripts/bench.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds, in under a minute")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.set_defaults(run=cost)
    commands = parser.add_subparsers(metavar="faults|growth", help="trouble at full size; large catalogues and many callers")
    faults.add_command(commands)
    growth.add_command(commands)
    asked = parser.parse_args(arguments)
    kept, figures = asked.run(asked)
    if asked.json:
        write(asked.json, figures)
    return 0 if kept else 1


def write(path: Path, figures: Mapping[str, Any]) -> None:
    """Write the figures with what they were measured on."""
    machine = {"python": platform.python_version(), "machine": platform.machine(), "system": platform.release()}
    path.write_text(json.dumps({"machine": machine, **figures}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
