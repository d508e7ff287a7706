"""The background probe."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from structlog.testing import capture_logs

from opuscine.errors import UpstreamError
from opuscine.guard.probe import CachedProbe
from opuscine.model import DegradedReason


class Server:
    """Something to probe."""

    def __init__(self) -> None:
        self.checks = 0
        self.error: Exception | None = None
        self.hangs = False
        self.progress = asyncio.Condition()

    async def check(self) -> dict[str, Any]:
        async with self.progress:
            self.checks += 1
            self.progress.notify_all()
        if self.hangs:
            await asyncio.get_running_loop().create_future()
        if self.error:
            raise self.error
        return {"status": 200}


async def checked(server: Server, times: int) -> None:
    """Wait until so many checks have begun."""
    async with asyncio.timeout(5), server.progress:
        await server.progress.wait_for(lambda: server.checks >= times)


async def test_before_the_first_check_nothing_is_known() -> None:
    probe = CachedProbe("llm", Server().check, interval_s=60, timeout_s=1)
    assert probe.outcome.up is None
    assert probe.outcome.checked_at is None
    async with CachedProbe("llm", Server().check, interval_s=60, timeout_s=1):
        pass


async def test_it_checks_at_once_and_again_at_intervals_and_follows_the_server() -> None:
    server = Server()
    async with CachedProbe("llm", server.check, interval_s=0.005, timeout_s=1) as probe:
        await checked(server, 2)
        assert probe.outcome.up is True
        assert probe.outcome.details == {"status": 200}
        assert probe.outcome.checked_at is not None
        assert datetime.now(UTC) - probe.outcome.checked_at < timedelta(seconds=5)
        server.error = UpstreamError("secret host", reason=DegradedReason.LLM_UNAVAILABLE)
        await checked(server, server.checks + 2)
        assert probe.outcome.up is False
        assert probe.outcome.details == {"error": "llm_unavailable"}
        server.error = None
        await checked(server, server.checks + 2)
        assert probe.outcome.up is True


async def test_what_an_unforeseen_error_says_is_not_shown() -> None:
    server = Server()
    server.error = RuntimeError("password=hunter2")
    outcome = await CachedProbe("llm", server.check, interval_s=60, timeout_s=1).check_now()
    assert (outcome.up, outcome.details) == (False, {"error": "unavailable"})


async def test_a_hanging_check_is_down_after_its_time() -> None:
    server = Server()
    server.hangs = True
    outcome = await CachedProbe("llm", server.check, interval_s=60, timeout_s=0.01).check_now()
    assert (outcome.up, outcome.details) == (False, {"error": "timeout"})


async def test_leaving_cancels_a_check_under_way() -> None:
    server = Server()
    server.hangs = True
    async with asyncio.timeout(5):
        async with CachedProbe("llm", server.check, interval_s=60, timeout_s=60):
            await checked(server, 1)
    assert len(asyncio.all_tasks()) == 1


async def test_only_changes_are_logged() -> None:
    server = Server()
    probe = CachedProbe("llm", server.check, interval_s=60, timeout_s=1)
    with capture_logs() as lines:
        await probe.check_now()
        await probe.check_now()
        server.error = ValueError("no")
        await probe.check_now()
        await probe.check_now()
    assert [(line["up"], line["log_level"]) for line in lines] == [(True, "info"), (False, "warning")]
