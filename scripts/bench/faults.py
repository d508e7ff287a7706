"""Trouble at full size: `scripts/bench.py faults [--only NAME ...] [--quick] [--json FILE]`.

On the real process, with real servers around it; one table of exact figures, each beside its bound. The scenarios lie where the tests
share them, which run them small (`--quick`) and judge them loosely.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import uvloop

from support.scenarios.figures import Figure
from support.scenarios.wall import SCENARIOS

Outcome = Mapping[str, Sequence[Figure]]


async def measure_faults(names: Sequence[str], *, quick: bool) -> tuple[dict[str, list[Figure]], dict[str, str]]:
    """Run scenarios one after the other; return their figures, and for those that broke off why."""
    measured: dict[str, list[Figure]] = {}
    failed: dict[str, str] = {}
    for name in names:
        print(f"… {name}: {SCENARIOS[name].what}", file=sys.stderr, flush=True)
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="opuscine-bench-") as folder:
            try:
                measured[name] = await SCENARIOS[name].measured(Path(folder), quick=quick)
            except Exception as error:
                failed[name] = f"{type(error).__name__}: {error}"
        print(f"  {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return measured, failed


def table(measured: Outcome, failed: Mapping[str, str]) -> str:
    """Write all figures as one table."""
    rows = [("scenario", "figure", "value", "bound", "")]
    for name, figures in measured.items():
        for figure in figures:
            shown = figure.shown()
            rows.append((name, figure.name, f"{shown['value']:,g} {figure.unit}".strip(), shown["bound"], "" if figure.holds else "BROKEN"))
    rows += [(name, "it broke off", why[:100], "", "BROKEN") for name, why in failed.items()]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)


def run(asked: argparse.Namespace) -> tuple[bool, dict[str, Any]]:
    """Run the scenarios; return whether every bound holds, and the figures."""
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # of the servers around it, whose callers leave as they are meant to
    names = asked.only or list(SCENARIOS)
    measured, failed = uvloop.run(measure_faults(names, quick=asked.quick))
    print(table(measured, failed))
    good = not failed and all(figure.holds for figures in measured.values() for figure in figures)
    print("every bound holds" if good else "a bound is broken")
    scenarios = {name: [figure.shown() for figure in figures] for name, figures in measured.items()}
    return good, {"scenarios": scenarios, "broke_off": failed}


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `faults` to the commands of `scripts/bench.py`."""
    parser = commands.add_parser("faults", help="trouble at full size, and whether its bounds hold", description=__doc__)
    parser.add_argument("--only", action="append", choices=list(SCENARIOS), metavar="NAME", help=f"one of {', '.join(SCENARIOS)}")
    parser.add_argument("--quick", action="store_true", help="each at the size of the tests")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.set_defaults(run=run)
