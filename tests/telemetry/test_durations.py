"""Durations fall into the right buckets, and no caller can make the page grow."""

from __future__ import annotations

from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram

from opuscine.telemetry.durations import BOUNDS_S, OTHER, Durations


@given(st.lists(st.one_of(st.floats(0, 60), st.sampled_from(BOUNDS_S))))
def test_it_counts_as_prometheus_own_histogram_does(seconds: list[float]) -> None:
    ours = Durations("x_seconds", "X.")
    theirs = Histogram("x_seconds", "X.", buckets=BOUNDS_S, registry=CollectorRegistry())
    for value in seconds:
        ours.observe(value)
        theirs.observe(value)
    told = {(sample.name, sample.labels.get("le")): sample.value for family in theirs.collect() for sample in family.samples}
    for sample in ours.family().samples:
        assert sample.value == pytest.approx(told[sample.name, sample.labels.get("le")])
    assert len(list(ours.family().samples)) == (len(BOUNDS_S) + 3 if seconds else 0)


def test_a_bound_belongs_to_its_bucket() -> None:
    durations = Durations("x_seconds", "X.", bounds_s=(0.1, 1.0))
    durations.observe(0.1)
    assert bisect_left((0.1, 1.0), 0.1) == 0
    assert [sample.value for sample in durations.family().samples] == [1, 1, 1, 1, 0.1]


def test_beyond_the_bound_on_series_labels_are_folded_and_nothing_is_lost() -> None:
    durations = Durations("x_seconds", "X.", ("uri", "status"), max_series=10, fold=("uri",))
    for number in range(1000):
        durations.observe(1.0, (f"/{number}", "200" if number % 2 else "404"))
    assert len(durations) == 12
    counts = {
        (sample.labels["uri"], sample.labels["status"]): sample.value
        for sample in durations.family().samples
        if sample.name == "x_seconds_count"
    }
    assert sum(counts.values()) == 1000
    assert counts[OTHER, "200"] == counts[OTHER, "404"] == 495


def test_a_family_is_of_the_moment_at_which_it_was_asked_for() -> None:
    durations = Durations("x_seconds", "X.")
    durations.observe(1.0)
    family = durations.family()
    durations.observe(1.0)
    assert {sample.value for sample in family.samples} == {0.0, 1.0}
