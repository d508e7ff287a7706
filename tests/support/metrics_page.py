"""A metrics page as Prometheus reads it."""

from __future__ import annotations

from dataclasses import dataclass

import aiohttp
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

OPENMETRICS = {"Accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"}


@dataclass(frozen=True, slots=True)
class Page:
    """Every sample of a page, by its name and labels."""

    samples: dict[tuple[str, frozenset[tuple[str, str]]], float]
    documented: dict[str, str]  # families and their types

    @classmethod
    def read(cls, text: str, *, openmetrics: bool = False) -> Page:
        """Read a page with prometheus_client's parser; a sample that stands there twice is a fault."""
        samples: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
        documented: dict[str, str] = {}
        for family in (read_openmetrics if openmetrics else read_text)(text):
            assert family.name not in documented, f"{family.name} stands in two places"
            documented[family.name] = family.type
            for sample in family.samples:
                key = (sample.name, frozenset(sample.labels.items()))
                assert key not in samples, f"{key} stands there twice"
                samples[key] = sample.value
        return cls(samples, documented)

    def value(self, name: str, **labels: str) -> float:
        """Return the sum of the samples with this name that bear these labels; fails where there are none."""
        found = [value for (known, borne), value in self.samples.items() if known == name and labels.items() <= dict(borne).items()]
        assert found, f"no sample {name} with {labels}"
        return sum(found)

    def labels(self, name: str) -> set[str]:
        """Return every value of the label."""
        return {value for _, borne in self.samples for label, value in borne if label == name}

    @property
    def names(self) -> set[str]:
        """Return the names of all samples."""
        return {name for name, _ in self.samples}


async def scrape(caller: aiohttp.ClientSession, url: str, headers: dict[str, str] | None = None) -> Page:
    """Ask for the page."""
    async with caller.get(f"{url}/metrics", headers=headers) as response:
        assert response.status == 200, await response.text()
        openmetrics = response.content_type == "application/openmetrics-text"
        return Page.read(await response.text(), openmetrics=openmetrics)
