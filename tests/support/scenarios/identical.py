"""A thousand callers ask the very same at one time, and some of them leave."""

from __future__ import annotations

import asyncio
from pathlib import Path

from support.llm_server import LlmServer, reply, slow
from support.scenarios.figures import Figure
from support.scenarios.load import Reply, at_once, recommend
from support.scenarios.served import served

MODEL_S = 3.0  # so long that all have arrived before its answer


async def identical(folder: Path, *, callers: int = 1_000, leavers: int = 50) -> list[Figure]:
    """Let all ask at once; then again for something else, and the first of them leave while the model thinks."""
    async with LlmServer(answer=slow(MODEL_S, reply())) as llm, served(folder / "service", llm_server_url=llm.url) as service:
        together = await at_once(recommend(service, "모두가 찾는 영화") for _ in range(callers))
        calls = len(llm.requests)

        tasks = [asyncio.create_task(recommend(service, "몇은 떠나는 영화")) for _ in range(callers)]
        while len(llm.requests) == calls:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.5)
        for task in tasks[:leavers]:  # the one whose call it was is among them
            task.cancel()
        stayed = [outcome for outcome in await asyncio.gather(*tasks, return_exceptions=True) if isinstance(outcome, Reply)]
        more_calls = len(llm.requests) - calls
        complaints = service.complaints()
    return [
        Figure("identical callers", callers),
        Figure("answered by the model", sum(r.status == 200 and not r.reason for r in together), "", "=", callers),
        Figure("calls to the model", calls, "", "=", 1),
        Figure("callers of whom some leave", callers),
        Figure("that leave", leavers),
        Figure("others answered by the model", sum(r.status == 200 and not r.reason for r in stayed), "", "=", callers - leavers),
        Figure("calls to the model for them", more_calls, "", "=", 1),
        Figure("errors in the log", len(complaints), "", "=", 0),
    ]
