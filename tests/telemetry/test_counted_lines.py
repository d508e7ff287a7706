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
        lines.info("broken", "rubbish")
    assert logs[-1]["count"] == 1
        lines.info("broken", "rubbish")
        lines.info("broken", "rubbish")
        lines.flush()
        assert (logs[-1]["count"], len(logs)) == (2, 5)
        await asyncio.sleep(0.2)
        assert len(logs) == 5
        del logs[4]
    assert [line.get("request_id") for line in logs] == ["r", None, None, None]
