"""Trouble in numbers, on the real process: the scenarios of `scripts/bench.py faults`, small, and judged by what no load changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.fault_wall import Part, fault
from support.scenarios.figures import broken
from support.scenarios.wall import SCENARIOS

BREAKER = (
    "log `breaker changed state`; `/admin/stats` ▸ `breakers.llm`, `recommend.fallbacks`; "
    "metrics `opuscine_fallbacks_total`, `opuscine_breaker_state`"
)


def small(name: str, part: Part, what: str, *, caller_gets: str, within: str, told_by: str) -> Any:
    """Give a scenario by its name, as a parameter with its place on the wall."""
    return pytest.param(name, id=name, marks=fault(part, what, caller_gets=caller_gets, within=within, told_by=told_by))


SMALL = [
    small(
        "silent-model",
        "Overload",
        "The LLM server is silent for ever and 200 callers wait for it",
        caller_gets="200 from the catalogue, `degraded_reason: llm_timeout` or `overloaded`, then `breaker_open`",
        within="the caller's deadline; at the speed of the catalogue once the breaker is open",
        told_by=BREAKER,
    ),
    small(
        "paused-redis",
        "Redis",
        "It hangs (SIGSTOP) under 200 requests a second",
        caller_gets="its answer as ever, none of them 5xx",
        within="50 ms more than usual until its breaker opens, then nothing measurable",
        told_by="log `breaker changed state`; `/admin/stats` ▸ `redis.breaker`",
    ),
    small(
        "slowing-model",
        "Overload",
        "The LLM server answers in 60 ms, but in 2 s what comes beyond 16 calls at one time, and 300 callers ask every second",
        caller_gets="200: the model's films for about sixteen at one time, the others from the catalogue, `degraded_reason: overloaded`",
        within="200 ms from the catalogue",
        told_by="`/admin/stats` ▸ `llm.calls`: `limit`, `in_flight`, `waiting`, `refused`; `recommend.fallbacks.overloaded`",
    ),
    small(
        "identical",
        "Overload",
        "A thousand callers ask the very same at one time, and some of them leave",
        caller_gets="200 from the model, which is asked once",
        within="the time the model takes",
        told_by="`/admin/stats` ▸ `recommend.asking`",
    ),
    small(
        "soak",
        "Process",
        "Another part fails every second, for long, under requests of every kind",
        caller_gets="an answer each time, none of them 5xx",
        within="the caller's deadline",
        told_by="`/health` and `/admin/stats` of the moment; no line of level `error`",
    ),
    small(
        "api-document",
        "Hostile input",
        "Requests that no person would write, made from `/openapi.json`",
        caller_gets="an answer that the document describes, none of them 5xx",
        within="the time it always takes",
        told_by="log `request` with the status",
    ),
]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", SMALL)
async def test_in_numbers(tmp_path: Path, name: str) -> None:
    figures = await SCENARIOS[name].measured(tmp_path, quick=True)
    assert broken(figures, with_timed=False) == []
    assert len([figure for figure in figures if figure.comparison]) >= 4
