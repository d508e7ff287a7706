"""What this process takes of its machine."""

from __future__ import annotations

import asyncio

from prometheus_client.process_collector import ProcessCollector

PREFIX = "process_"


async def process_figures() -> dict[str, float]:
    """Return the figures that stand on the metrics page as `process_…`, read from /proc in a thread; none where it can't be read."""
    return await asyncio.to_thread(_read)


def _read() -> dict[str, float]:
    families = ProcessCollector(registry=None).collect()
    return {sample.name.removeprefix(PREFIX): sample.value for family in families for sample in family.samples}
