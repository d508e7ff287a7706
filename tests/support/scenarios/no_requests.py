"""The corpus of what is no request, over raw sockets."""

from __future__ import annotations

from pathlib import Path

from support.malformed_requests import CORPUS, attempt_all
from support.scenarios.figures import Figure
from support.scenarios.load import FILM_LINKS, ask
from support.scenarios.served import served


async def no_requests(folder: Path, *, rounds: int = 5) -> list[Figure]:
    """Send the whole corpus some times over; look for what was answered wrongly, for what stays open, and for memory that stays."""
    complaints: list[str] = []
    async with served(folder / "service", header_timeout=0.7, body_timeout=0.7) as service:
        complaints += await attempt_all(service.port)
        before = service.rss_kib()
        for _ in range(rounds - 1):
            complaints += await attempt_all(service.port)
        after = service.rss_kib()
        served_still = (await ask(service, FILM_LINKS)).status
        still_open = (await service.stats())["connections"]["open"] - 1  # the asker's own
        logged = service.complaints()
    return [
        Figure("forms of what is no request", len(CORPUS), "", ">=", 60),
        Figure("sent", len(CORPUS) * rounds),
        Figure("answered wrongly, or not at all", len(complaints), "", "=", 0),
        Figure("connections left open", still_open, "", "=", 0),
        Figure("memory more after the first round", (after - before) / 1024, "MiB", "<=", 8),
        Figure("the next caller is served", served_still, "", "=", 200),
        Figure("errors in the log", len(logged), "", "=", 0),
    ]
