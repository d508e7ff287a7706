"""Say what a whole run of the tests came to: the coverage of each room against its floor, and the tests counted.

Run by `scripts/test` with coverage's JSON report and pytest's JUnit XML. Exit status 1 if a room is below its floor or
nothing was measured. The last line is "N passed, N failed, N skipped".
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePath
from typing import Any
from xml.etree import ElementTree

FLOOR_PERCENT = 90.0
ROOMS = ("catalogue", "llm", "ott", "providers", "recommend", "guard")


@dataclass(frozen=True, slots=True)
class Coverage:
    """Hold what was measured of a room: branches apart, since many covered lines can hide a branch never taken."""

    lines: int = 0
    covered_lines: int = 0
    branches: int = 0
    covered_branches: int = 0

    def plus(self, summary: Mapping[str, Any]) -> Coverage:
        """Return the sum with one file's `summary` of coverage's JSON report."""
        return Coverage(
            self.lines + summary["num_statements"],
            self.covered_lines + summary["covered_lines"],
            self.branches + summary["num_branches"],
            self.covered_branches + summary["covered_branches"],
        )

    @property
    def of_both(self) -> float:
        """Return the percentage of lines and branches together, the number that coverage's own reports show."""
        return _percent(self.covered_lines + self.covered_branches, self.lines + self.branches)

    @property
    def of_branches(self) -> float:
        """Return the percentage of branches alone."""
        return _percent(self.covered_branches, self.branches)

    @property
    def suffices(self) -> bool:
        """Tell whether both percentages reach the floor; a room of which nothing was measured never does."""
        return self.lines > 0 and min(self.of_both, self.of_branches) >= FLOOR_PERCENT


def _percent(part: int, whole: int) -> float:
    return 100.0 * part / whole if whole else 100.0


def coverage_of_rooms(report: Mapping[str, Any], rooms: Iterable[str] = ROOMS) -> dict[str, Coverage]:
    """Return the coverage of each room, a package below `opuscine`, out of coverage's JSON report."""
    found = dict.fromkeys(rooms, Coverage())
    for name, file in report["files"].items():
        folders = PurePath(name).parts
        room = next((inner for outer, inner in pairwise(folders) if outer == "opuscine"), "")
        if room in found:
            found[room] = found[room].plus(file["summary"])
    return found


def count_of_tests(junit: ElementTree.Element) -> str:
    """Return the closing line for the suites of a JUnit XML; an error of a test or of its collection is a failure."""
    total = failed = skipped = 0
    for suite in junit.iter("testsuite"):
        total += int(suite.get("tests", 0))
        failed += int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skipped += int(suite.get("skipped", 0))
    return f"{max(total - failed - skipped, 0)} passed, {failed} failed, {skipped} skipped"


def main(arguments: Sequence[str]) -> int:
    """Print the verdict and return the exit status."""
    coverage_json, tests_xml = (Path(argument) for argument in arguments)
    measured = coverage_of_rooms(json.loads(coverage_json.read_bytes()) if coverage_json.exists() else {"files": {}})
    for room, coverage in measured.items():
        verdict = "" if coverage.suffices else f"  below the floor of {FLOOR_PERCENT:g} %"
        if coverage.lines == 0:
            verdict = "  nothing was measured"
        print(f"{room:<10} {coverage.of_branches:6.2f} % of branches, {coverage.of_both:6.2f} % with lines{verdict}")
    short = [room for room, coverage in measured.items() if not coverage.suffices]
    if short:
        print(f"Missing lines: .venv/bin/coverage report -m --include='src/opuscine/{short[0]}/*'")
    if tests_xml.exists():
        print(count_of_tests(ElementTree.parse(tests_xml).getroot()))  # noqa: S314  # pytest wrote it a moment ago
    else:
        print("0 passed, 1 failed, 0 skipped")
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
