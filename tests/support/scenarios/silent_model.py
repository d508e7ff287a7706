"""The LLM server is silent for ever, and two hundred callers ask it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from support.llm_server import LlmServer, hang
from support.scenarios.figures import Figure, percentile
from support.scenarios.load import at_once, paced, recommend
from support.scenarios.served import served

DEADLINE_S = 3.0
THRESHOLD = 5


async def silent_model(folder: Path, *, callers: int = 200, rounds: int = 4, local_s: float = 5.0, rate: float = 50.0) -> list[Figure]:
    """Let all ask at once, wait out the breaker, and again; between the rounds ask at local speed while it is open.

    Local speed is that of the same service without a model.
    """
    async with served(folder / "alone") as alone:
        await paced(lambda n: recommend(alone, f"2019년 한국 스릴러 {n}"), a_second=rate, for_s=1)
        local = await paced(lambda n: recommend(alone, f"잔잔한 영화 {n}"), a_second=rate, for_s=local_s)
    waves, opened = [], []
    state, untouched = "", True
    async with (
        LlmServer(answer=hang()) as llm,
        served(folder / "silent", llm_server_url=llm.url, llm_breaker_failures=THRESHOLD, llm_breaker_open=local_s + 6) as service,
    ):
        rss: list[int] = []
        for _ in range(rounds):
            # The same sentences in each wave: what is kept of sentences that were read fills up to its bound, and is no leak.
            waves += await at_once(recommend(service, f"비 오는 날 {n}", deadline_s=DEADLINE_S) for n in range(callers))
            state = (await service.stats())["breakers"]["llm"]["state"]
            asked = len(llm.requests)
            opened += await paced(lambda n: recommend(service, f"잔잔한 영화 {n}"), a_second=rate, for_s=local_s)
            still_open = (await service.stats())["breakers"]["llm"]["state"] == "open"  # a busy machine may have taken too long
            untouched = untouched and (len(llm.requests) == asked or not still_open)
            rss.append(service.rss_kib())
            async with asyncio.timeout(120):  # until it lets a trial through, which belongs to the next wave
                while (await service.stats())["breakers"]["llm"]["open_for_s"] > 0:
                    await asyncio.sleep(0.1)
        complaints = service.complaints()
    marked = {"llm_timeout", "overloaded", "breaker_open"}
    growth = 100 * (rss[-1] / rss[min(1, rounds - 1)] - 1)  # the first wave leaves the heap in pieces that the next ones still fill
    return [
        Figure("callers answered 200", sum(reply.status == 200 for reply in waves), "", "=", callers * rounds),
        Figure("of them marked", sum(reply.reason in marked for reply in waves), "", "=", callers * rounds),
        Figure("slowest answer", max(reply.took_s for reply in waves), "s", "<=", DEADLINE_S, timed=True),
        Figure("breaker open after the wave", float(state == "open"), "", "=", 1),
        Figure("the model left alone while it is open", float(untouched), "", "=", 1),
        Figure("p95 with the breaker open", 1000 * percentile([r.took_s for r in opened], 0.95), "ms"),
        Figure("p95 without a model", 1000 * percentile([r.took_s for r in local], 0.95), "ms"),
        Figure(
            "median more than without a model",
            1000 * (percentile([r.took_s for r in opened], 0.5) - percentile([r.took_s for r in local], 0.5)),
            "ms",
            "<=",
            2,
            timed=True,
        ),
        Figure("memory after the second wave", rss[min(1, rounds - 1)] / 1024, "MiB"),
        Figure("memory more after the last", growth, "%", "<=", 5, timed=True),
        Figure("errors in the log", len(complaints), "", "=", 0),
    ]
