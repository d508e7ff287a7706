"""Keys are changed under load: the old and the new one work side by side, a revoked one ends soon, and nobody else notices."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Mapping, Set
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from opuscine.identity.keys_editor import list_keys, new_key, revoke_key
from support.door import OTT, Answer, Keys, ask, eventually
from support.process import ServiceProcess, serving

REQUESTS_A_SECOND = 150
WORKS = {200}
REFUSED = {401, 429}  # all callers share one address, whose budget of failures the revoked key uses up; good keys go on


@dataclass
class Traffic:
    """Requests at a steady rate, each of the callers in turn, and what each was answered; callers may join while it runs."""

    service: ServiceProcess
    callers: dict[str, Mapping[str, str]]
    answers: dict[str, list[Answer]] = field(default_factory=dict)

    @asynccontextmanager
    async def flowing(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            source = group.create_task(self._flow(group))
            try:
                yield
            finally:
                source.cancel()

    async def _flow(self, group: asyncio.TaskGroup) -> None:
        began, number = time.monotonic(), 0
        while True:
            name = list(self.callers)[number % len(self.callers)]
            group.create_task(self._ask(name))
            number += 1
            await asyncio.sleep(max(0.0, began + number / REQUESTS_A_SECOND - time.monotonic()))

    async def _ask(self, name: str) -> None:
        answer = await ask(self.service.caller, self.service.url + OTT, self.callers[name])
        self.answers.setdefault(name, []).append(answer)

    async def answered(self, name: str, statuses: Set[int], *, after: float, within_s: float = 2.0) -> Answer:
        """Wait for an answer of one of these statuses to what was asked soon after a moment."""

        async def found() -> Answer | None:
            return next((it for it in self.answers.get(name, []) if it.at >= after and it.status in statuses), None)

        await eventually(found, for_s=within_s + 1, what=f"one of {statuses} for {name}")
        answer = await found()
        assert answer is not None
        assert answer.at - after <= within_s
        return answer


async def test_a_key_is_rotated_under_load(tmp_path: Path) -> None:
    keys = Keys.of(tmp_path, steady="read", backend="read", other="read recommend")
    old_id = next(entry.id for entry in list_keys(keys.path) if entry.name == "backend")
    async with serving(tmp_path, **keys.settings) as service:
        traffic = Traffic(service, {name: keys[name] for name in ("steady", "backend", "other")})
        async with traffic.flowing():
            await traffic.answered("backend", WORKS, after=time.monotonic())

            new = new_key(keys.path, "backend", ["read"])
            made = time.monotonic()
            traffic.callers["new"] = {"Authorization": f"Bearer {new.key}"}
            began_to_work = await traffic.answered("new", WORKS, after=made)
            await asyncio.sleep(0.5)

            revoke_key(keys.path, old_id)
            revoked = time.monotonic()
            ended = await traffic.answered("backend", REFUSED, after=revoked)
            await asyncio.sleep(0.5)

            revoke_key(keys.path, new.id)
            service.process.send_signal(signal.SIGHUP)
            told = time.monotonic()
            await traffic.answered("new", REFUSED, after=told)
            done = time.monotonic()

    for name in ("steady", "other"):
        assert {answer.status for answer in traffic.answers[name]} == WORKS
    assert {answer.status for answer in traffic.answers["backend"] if answer.at < revoked} == WORKS
    # Old and new were believed side by side, and the new one did not blink when the old one went.
    assert any(began_to_work.at < answer.at < revoked and answer.status == 200 for answer in traffic.answers["backend"])
    assert {answer.status for answer in traffic.answers["new"] if began_to_work.at <= answer.at < told} == WORKS
    assert {answer.status for answer in traffic.answers["backend"] if answer.at > ended.at} <= REFUSED
    total = sum(map(len, traffic.answers.values()))
    assert total > 0.8 * REQUESTS_A_SECOND * (done - min(answer.at for answer in traffic.answers["steady"]))
    assert not [line for line in service.log if line.get("level") in {"warning", "error", "critical"}]
