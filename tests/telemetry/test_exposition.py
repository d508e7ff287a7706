"""Pages are in the form that was asked for, and several join into one that is valid."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from opuscine.telemetry.durations import Durations
from opuscine.telemetry.exposition import Form, join_pages, wanted_form, write_page
from support.metrics_page import Page
from support.redis_gateways import LoopWatch

PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", "text"),
        ("*/*", "text"),
        ("text/html, */*;q=0.8", "text"),
        ("text/plain;version=0.0.4", "text"),
        (PROMETHEUS_2, "openmetrics"),
        ("text/plain;version=0.0.4;q=0.9,application/openmetrics-text;version=1.0.0;q=0.2", "text"),
        ("application/openmetrics-text;q=0,text/plain;q=0.1", "text"),
        ("application/openmetrics-text;q=nonsense", "openmetrics"),
        ("application/openmetrics-text;q=1.2.3, text/plain", "text"),
        ("nonsense;;;,,,q=", "text"),
    ],
)
def test_the_form_is_the_one_that_the_scraper_likes_best(accept: str, form: Form) -> None:
    assert wanted_form(accept) == form


def families() -> list[Metric]:
    counter = CounterMetricFamily("a_total", 'Of "a"\nand \\b.', labels=["kind"])
    counter.add_metric(['with "quotes"\n\\'], 3)
    durations = Durations("took_seconds", "How long.", ("uri",))
    durations.observe(0.2, ("/a",))
    return [counter, durations.family(), GaugeMetricFamily("empty", "Nothing.", labels=["x"])]


class Failing(Collector):
    """A plugin's collector that is broken."""

    def collect(self) -> list[Metric]:
        raise RuntimeError("broken")


@pytest.mark.parametrize("form", ["text", "openmetrics"])
async def test_pages_of_three_workers_join_into_one_that_a_strict_parser_reads(form: Form) -> None:
    pages = [await write_page(families(), [Failing()], form, worker=str(number)) for number in range(3)]
    page = Page.read(join_pages(pages, form), openmetrics=form == "openmetrics")
    assert page.documented["a"] == "counter"
    assert page.documented["took_seconds"] == "histogram"
    for number in range(3):
        assert page.value("a_total", kind='with "quotes"\n\\', worker=str(number)) == 3
    assert page.value("took_seconds_bucket", le="0.1") == 0
    assert page.value("took_seconds_bucket", le="0.5") == 3
    assert page.value("took_seconds_count", uri="/a") == 3


async def test_families_that_only_one_worker_has_are_joined_too() -> None:
    first = await write_page([GaugeMetricFamily("a", "A.", value=1)], (), "text", worker="0")
    second = await write_page([GaugeMetricFamily("b", "B.", value=2), GaugeMetricFamily("a", "A.", value=3)], (), "text", worker="1")
    page = Page.read(join_pages([first, second, ""], "text"))
    assert (page.value("a"), page.value("b", worker="1")) == (4, 2)


async def test_writing_a_large_page_does_not_hold_up_the_loop() -> None:
    """The measured figure is in docs/observability.md; here only that it is far from the 100 ms and more that writing takes in one go."""
    durations = Durations("took_seconds", "How long.", ("uri",), max_series=1000)
    for number in range(1000):
        durations.observe(0.2, (f"/{number}",))
    stalls, page = [], ""
    for _ in range(5):
        async with LoopWatch() as watch:
            page = await write_page([durations.family()], (), "text", worker="0")
            await asyncio.sleep(0)
        stalls.append(watch.longest_stall_s)
    assert page.count("\n") > 10_000
    assert min(stalls) < 0.05
