"""The wall of faults: what can go wrong, what a caller gets then, and the page that is written from the tests in `tests/faults/`.

    @fault(
        "LLM",
        "The LLM server accepts the call and never answers",
        caller_gets="200 from the catalogue, `degraded_reason: llm_timeout`",
        within="the caller's deadline",
        told_by="`/admin/stats` ▸ `breakers.llm`; log `breaker`",
    )
    async def test_an_llm_that_is_silent(...) -> None:

A parametrised test gives each of its parameters a fault of its own: `pytest.param(hang(), id="silent", marks=fault(...))`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Literal, get_args

import pytest

Part = Literal["LLM", "Overload", "Cache", "Redis", "API server", "Catalogue", "Callers", "Connections", "Hostile input", "Process"]
PARTS: tuple[str, ...] = get_args(Part)  # in the order of the page

LEAST_WORDS = 2
HEAD = """\
# Faults

What can go wrong, what a caller gets then, within what time, and what tells the operator. Every row is a test in `tests/faults/` that
causes the fault with real parts and looks from the caller's side.

Written by `scripts/faults.py` from those tests; don't edit it here.
"""
COLUMNS = ("fault", "what the caller gets", "within", "what tells", "test")


class IncompleteFaultError(Exception):
    """Say what a fault's entry lacks."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One row: all but `part` are sentences or phrases in Markdown, without a full stop at their end."""

    part: Part
    what: str
    caller_gets: str
    within: str
    told_by: str

    def __post_init__(self) -> None:
        """Refuse an entry that would leave its reader alone. Raises IncompleteFaultError."""
        if self.part not in PARTS:
            raise IncompleteFaultError(f"{self.part!r} is no part; valid: {', '.join(PARTS)} (a new one is named in fault_wall.py)")
        for field in fields(self)[1:]:
            text = getattr(self, field.name)
            if len(text.split()) < LEAST_WORDS and not text.startswith("`"):
                raise IncompleteFaultError(f"{field.name} of the fault {self.what!r} is {text!r}; say it in at least {LEAST_WORDS} words")
            if "|" in text or "\n" in text or text.endswith("."):
                raise IncompleteFaultError(
                    f"{field.name} is {text!r}; it is a cell of a table: no '|', no line break, no full stop at the end"
                )


@dataclass(frozen=True, slots=True)
class Entry:
    """A fault and the test that shows it, named as pytest names it (`tests/faults/test_llm.py::test_faults[silent]`)."""

    fault: Fault
    test: str


def fault(part: Part, what: str, /, *, caller_gets: str, within: str, told_by: str) -> pytest.MarkDecorator:
    """Put the test of a fault on the wall: a decorator for tests and a mark for `pytest.param`. Raises IncompleteFaultError.

    `what` goes wrong; `caller_gets` is the status and what marks the answer; `within` is the bound in time; `told_by` are the log
    lines, the members of `/admin/stats` and `/health`, and the metrics that tell an operator.
    """
    return pytest.mark.fault(Fault(part, what, caller_gets, within, told_by))


def entries(items: Iterable[pytest.Item]) -> list[Entry]:
    """Return the entries of collected tests in their order. Raises IncompleteFaultError, naming every test without a fault."""
    found: list[Entry] = []
    bare: list[str] = []
    for item in items:
        mark = item.get_closest_marker("fault")
        if mark is None:
            bare.append(item.nodeid)
        else:
            found.append(Entry(mark.args[0], item.nodeid))
    if bare:
        raise IncompleteFaultError(f"these tests carry no fault; give them one (tests/support/fault_wall.py): {', '.join(bare)}")
    return found


def page(wall: Sequence[Entry]) -> str:
    """Write the page: one table a part. Raises IncompleteFaultError if two tests claim the same fault."""
    seen: dict[tuple[str, str], str] = {}
    for entry in wall:
        other = seen.setdefault((entry.fault.part, entry.fault.what), entry.test)
        if other != entry.test:
            raise IncompleteFaultError(f"{other} and {entry.test} are both said to show {entry.fault.what!r}; tell them apart or join them")
    sections = [HEAD]
    for part in PARTS:
        rows = [_row(entry) for entry in wall if entry.fault.part == part]
        if rows:
            sections.append("\n".join([f"## {part}", "", _cells(COLUMNS), _cells(["---"] * len(COLUMNS)), *rows, ""]))
    return "\n".join(sections)


def _row(entry: Entry) -> str:
    shown = entry.test.removeprefix("tests/faults/").replace("|", "\\|")
    return _cells([entry.fault.what, entry.fault.caller_gets, entry.fault.within, entry.fault.told_by, f"`{shown}`"])


def _cells(texts: Iterable[str]) -> str:
    return f"| {' | '.join(texts)} |"
