"""All scenarios by name, at the size of the bench and at that of the tests."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.scenarios.api_document import api_document
from support.scenarios.figures import Figure
from support.scenarios.gzip_bombs import gzip_bombs
from support.scenarios.identical import identical
from support.scenarios.no_requests import no_requests
from support.scenarios.paused_redis import paused_redis
from support.scenarios.silent_model import silent_model
from support.scenarios.slow_senders import slow_senders
from support.scenarios.slowing_model import slowing_model
from support.scenarios.soak import soak


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario, what it is in a sentence, and its size when it must be quick."""

    what: str
    run: Callable[..., Awaitable[list[Figure]]]
    quick: Mapping[str, Any] = field(default_factory=dict)

    async def measured(self, folder: Path, *, quick: bool) -> list[Figure]:
        """Run it in an empty folder."""
        return await self.run(folder, **(self.quick if quick else {}))


SCENARIOS: dict[str, Scenario] = {
    "silent-model": Scenario(
        "The LLM server is silent for ever; 200 callers ask it, four times",
        silent_model,
        {"callers": 60, "rounds": 3, "local_s": 1.5, "rate": 30.0},
    ),
    "paused-redis": Scenario(
        "Redis hangs (SIGSTOP) under 200 requests a second",
        paused_redis,
        {"rate": 60.0, "quiet_s": 1.0, "paused_s": 3.0},
    ),
    "identical": Scenario("1,000 callers ask the very same at once; then 50 of them leave", identical, {"callers": 200, "leavers": 10}),
    "slow-senders": Scenario(
        "500 connections with slow headers and 500 with slow bodies",
        slow_senders,
        {"attackers": 100, "bound_s": 2.0, "rate": 20.0},
    ),
    "gzip-bombs": Scenario("Four gzip bombs of 2 MB at one time", gzip_bombs, {"waves": 1, "rate": 30.0, "quiet_s": 1.0}),
    "no-requests": Scenario("The corpus of malformed requests over raw sockets", no_requests, {"rounds": 2}),
    "slowing-model": Scenario(
        "An LLM server that slows from 60 ms to 2 s beyond 16 calls at one time, 300 callers",
        slowing_model,
        {"for_s": 6.0, "settle_s": 3.0},
    ),
    "api-document": Scenario(
        "20,000 different requests made from /openapi.json by schemathesis, all its checks",
        api_document,
        {"cases": 1_000, "examples": 40},
    ),
    "soak": Scenario(
        "200,000 mixed requests while another part fails every second",
        soak,
        {"requests": 5_000, "callers": 16, "switch_s": 0.5},
    ),
}
