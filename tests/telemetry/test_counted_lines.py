"""What others cause at will is logged once a second for each cause, and counted in full."""

from __future__ import annotations

import asyncio

from structlog.testing import capture_logs

from opuscine.telemetry.counted_lines import CountedLines


async def test_a_burst_is_one_line_at_once_and_one_with_the_count_of_the_rest() -> None:
    lines = CountedLines("test", window_s=0.1)
    with capture_logs() as logs:
        for _ in range(1000):
            lines.info("broken", "rubbish", request_id="r")
        lines.info("broken", "silence")
        assert [(line["cause"], line["count"]) for line in logs] == [("rubbish", 1), ("silence", 1)]
        await asyncio.sleep(0.3)
        assert [(line["cause"], line["count"]) for line in logs] == [("rubbish", 1), ("silence", 1), ("rubbish", 999)]
        lines.info("broken", "rubbish", request_id="s")
    assert (len(logs), logs[-1]["count"]) == (4, 1)
    assert [line.get("request_id") for line in logs] == ["r", None, None, "s"]


async def test_what_is_held_back_is_logged_before_the_end_and_only_once() -> None:
    lines = CountedLines("test", window_s=0.1)
    with capture_logs() as logs:
        for _ in range(3):
            lines.info("broken", "rubbish")
        lines.flush()
        assert [line["count"] for line in logs] == [1, 2]
        await asyncio.sleep(0.3)
    assert len(logs) == 2
