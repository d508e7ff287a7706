"""The page that Prometheus reads: written in a thread that never holds up the loop, and joined from the pages of several workers."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import structlog
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.core import Metric
from prometheus_client.exposition import generate_latest as write_text
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST as CONTENT_TYPE_OPENMETRICS
from prometheus_client.openmetrics.exposition import generate_latest as write_openmetrics
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

Form = Literal["text", "openmetrics"]

CONTENT_TYPES: dict[Form, str] = {"text": CONTENT_TYPE_PLAIN_0_0_4, "openmetrics": CONTENT_TYPE_OPENMETRICS}
BEGINNING = "\n# HELP "  # of a family
END = "# EOF\n"  # of OpenMetrics
# A thread keeps the interpreter for 5 ms where another wants it, each time anew. Letting go after so many samples (some 0.2 ms of
# work) is what keeps the loop going.
SAMPLES_AT_ONCE = 32
PAUSE_S = 0.0002
log = structlog.get_logger("opuscine.metrics")

_QUALITY = re.compile(r"q=([0-9.]+)")


def wanted_form(accept: str) -> Form:
    """Choose what a scraper likes best (RFC 9110, section 12.5.1); whoever says nothing of it gets the plain text format 0.0.4."""
    best: tuple[float, Form] = (0.0, "text")
    for part in accept.split(","):
        name, _, parameters = part.partition(";")
        quality = _QUALITY.search(parameters)
        try:
            weight = float(quality[1]) if quality else 1.0
        except ValueError:
            continue
        kind = name.strip().lower()
        form: Form | None = "openmetrics" if kind == "application/openmetrics-text" else "text" if kind in {"text/plain", "*/*"} else None
        if form is not None and weight > best[0]:
            best = (weight, form)
    return best[1]


async def write_page(families: Sequence[Metric], collectors: Sequence[Collector], form: Form, *, worker: str) -> str:
    """Write what was counted, each sample with the label `worker`; `collectors` are asked in the thread."""
    return await asyncio.to_thread(_write, families, collectors, form, worker)


def _write(families: Sequence[Metric], collectors: Sequence[Collector], form: Form, worker: str) -> str:
    source = _Unhurried(families, collectors, worker)
    return (write_openmetrics(source) if form == "openmetrics" else write_text(source)).decode()  # type: ignore[no-untyped-call]


class _Unhurried(Collector):
    """Give families to a writer, letting go of the interpreter again and again."""

    def __init__(self, families: Sequence[Metric], collectors: Sequence[Collector], worker: str) -> None:
        self._families = families
        self._collectors = collectors
        self._worker = {"worker": worker}
        self._given = 0

    def collect(self) -> Iterator[Metric]:
        for family in (*self._families, *(family for collector in self._collectors for family in _asked(collector))):
            written = Metric(family.name, family.documentation, family.type, family.unit)
            written.samples = self._let_go(family.samples)  # type: ignore[assignment]  # read once, in order
            yield written

    def _let_go(self, samples: Iterable[Sample]) -> Iterator[Sample]:
        for sample in samples:
            self._given += 1
            if self._given % SAMPLES_AT_ONCE == 0:
                time.sleep(PAUSE_S)
            yield sample._replace(labels={**sample.labels, **self._worker})


def _asked(collector: Collector) -> list[Metric]:
    """Ask a collector, which may be a plugin's: one that fails is left out, and the page goes on."""
    try:
        return list(collector.collect())
    except Exception:
        log.exception("collector failed", collector=type(collector).__name__)
        return []


def join_pages(pages: Iterable[str], form: Form) -> str:
    """Join pages of one form: the samples of a family stand together, as the formats ask, under the description that came first."""
    described: dict[str, str] = {}
    samples: dict[str, list[str]] = {}
    for page in pages:
        for rest in f"\n{page.removesuffix(END).rstrip()}".split(BEGINNING)[1:]:
            block = f"{rest}\n"  # which the next one's beginning took
            name = block[: block.index(" ")]
            end = block.index("\n") + 1
            while block.startswith("#", end):
                end = block.index("\n", end) + 1
            described.setdefault(name, block[:end])
            samples.setdefault(name, []).append(block[end:])
    joined = "".join(f"{BEGINNING[1:]}{description}{''.join(samples[name])}" for name, description in described.items())
    return joined + END if form == "openmetrics" else joined
