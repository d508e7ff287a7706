"""The metrics page of this process, and of all workers of the machine."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from pathlib import Path

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from opuscine.telemetry.exposition import Form, join_pages, write_page
from opuscine.telemetry.workers import Workers


class MetricsPage:
    """Write the page when somebody scrapes; scrapes that come at the same time share one page, so that no number of them is a load.

    Families are read on the loop, at one moment; what is slower (the process's figures from /proc) and the writing itself are left to
    a thread.
    """

    def __init__(
        self, families: Callable[[], Sequence[Metric]], collectors: Sequence[Collector], *, folder: Path | None, number: int | None = None
    ) -> None:
        """Take what reads the figures, collectors that may be asked in a thread, the workers' folder and this one's number, if any."""
        self._families = families
        self._collectors = tuple(collectors)
        self._workers = Workers(folder, self.own, number=number)
        self._writing: dict[Hashable, asyncio.Task[str]] = {}

    @property
    def worker(self) -> str:
        """Return this process's value of the label `worker`."""
        return self._workers.name

    def joined(self) -> Workers:
        """Return what joins the other workers while entered (`async with`), which may raise SettingsError for the folder's sake."""
        return self._workers

    async def own(self, form: Form) -> str:
        """Write this process's page."""
        return await self._shared(("own", form), lambda: write_page(self._families(), self._collectors, form, worker=self._workers.name))

    async def all(self, form: Form) -> str:
        """Write the page of all workers; one that gives none is named by `opuscine_worker_up`."""
        return await self._shared(("all", form), lambda: self._write_all(form))

    async def _write_all(self, form: Form) -> str:
        own, others = await asyncio.gather(self.own(form), self._workers.pages_of_others(form))
        up = GaugeMetricFamily("opuscine_worker_up", "1 for each worker of this machine that gave its page, 0 for one that should have.")
        up.add_metric((), 1.0)
        pages = [own, await write_page([up], (), form, worker=self._workers.name)]
        for name, page in others.items():
            up.samples.clear()
            up.add_metric((), float(page is not None))
            pages += [page or "", await write_page([up], (), form, worker=name)]
        return await asyncio.to_thread(join_pages, pages, form)

    async def _shared(self, key: Hashable, write: Callable[[], Awaitable[str]]) -> str:
        task = self._writing.get(key)
        if task is None:
            task = self._writing[key] = asyncio.ensure_future(_awaited(write))
            task.add_done_callback(lambda _: self._writing.pop(key, None))
        return await asyncio.shield(task)


async def _awaited(write: Callable[[], Awaitable[str]]) -> str:
    return await write()
