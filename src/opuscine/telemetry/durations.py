"""How long things took, counted by labels in fixed buckets: the one part of the metrics that every request pays for."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client.core import Metric
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

BOUNDS_S = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 10.0, 30.0)
OTHER = "OTHER"

Labels = tuple[str, ...]


class Durations:
    """A histogram for one thread: counting costs under 1 µs (prometheus_client's own, made for many threads, 1.4 µs and more).

    At most `max_series` sets of labels are told apart. Of later ones those labels that `fold` names become OTHER, so that a page stays
    small whatever callers send.
    """

    def __init__(
        self,
        name: str,
        documentation: str,
        labels: Sequence[str] = (),
        *,
        bounds_s: Sequence[float] = BOUNDS_S,
        max_series: int = 80,
        fold: Sequence[str] = (),
    ) -> None:
        """Start with nothing counted; `bounds_s` are the buckets' upper bounds in seconds, inclusive, rising."""
        self._name = name
        self._documentation = documentation
        self._labels = tuple(labels)
        self._bounds_s = tuple(bounds_s)
        self._max_series = max_series
        self._fold = frozenset(fold)
        self._series: dict[Labels, list[float]] = {}  # a count for each bucket and one for what is beyond, and the sum last

    def __len__(self) -> int:
        """Return how many sets of labels are told apart."""
        return len(self._series)

    def described(self) -> tuple[str, str, Labels, str]:
        """Return name, type, labels and documentation."""
        return self._name, "histogram", self._labels, self._documentation

    def observe(self, seconds: float, labels: Labels = ()) -> None:
        """Count one duration; `labels` are in the order of the names."""
        counts = self._series.get(labels)
        if counts is None:
            counts = self._begin(labels)
        counts[bisect_left(self._bounds_s, seconds)] += 1
        counts[-1] += seconds

    def family(self) -> Metric:
        """Return what has been counted so far; its samples are made one by one as they are read, in whatever thread."""
        family = Metric(self._name, self._documentation, "histogram")
        family.samples = _samples(self._name, self._labels, self._bounds_s, {key: list(counts) for key, counts in self._series.items()})  # type: ignore[assignment]  # read once, in order
        return family

    def _begin(self, labels: Labels) -> list[float]:
        if len(self._series) >= self._max_series and self._fold:
            labels = tuple(OTHER if name in self._fold else value for name, value in zip(self._labels, labels, strict=True))
        return self._series.setdefault(labels, [0.0] * (len(self._bounds_s) + 2))


def _samples(name: str, names: Labels, bounds_s: Sequence[float], series: dict[Labels, list[float]]) -> Iterator[Sample]:
    bounds = [*map(floatToGoString, bounds_s), "+Inf"]
    for values, counts in series.items():
        labels = dict(zip(names, values, strict=True))
        below = list(accumulate(counts[:-1]))
        for bound, count in zip(bounds, below, strict=True):
            yield Sample(f"{name}_bucket", {**labels, "le": bound}, count)
        yield Sample(f"{name}_count", labels, below[-1])
        yield Sample(f"{name}_sum", labels, counts[-1])
