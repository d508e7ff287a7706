"""The limit that learns from answers' times, against simulated upstreams on a clock turned by hand: every run is the same."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from opuscine.guard.adaptive_limit import AdaptiveLimit, Slot
from support.manual_clock import ManualClock
from support.queueing import AnswerTime, Queueing, knee


def rig(answer_s: AnswerTime, *, maximum: int = 64, first: int | None = None, callers: int = 100, pause_s: float = 0.2) -> Queueing:
    """Set a fresh limit before an upstream."""
    clock = ManualClock()
    return Queueing(AdaptiveLimit(maximum, first=first, clock=clock), clock, answer_s, callers=callers, pause_s=pause_s)


def begun(limit: AdaptiveLimit) -> Slot:
    """Take a place that must be there."""
    slot = limit.begin()
    assert slot is not None
    return slot


def answer_together(limit: AdaptiveLimit, clock: ManualClock, times_s: Sequence[float]) -> None:
    """Make calls that begin in this order, all at once, and are answered after these times."""
    slots = [(took_s, begun(limit)) for took_s in times_s]
    began = clock.now
    for took_s, slot in sorted(slots, key=lambda made: made[0]):
        clock.now = began + took_s
        slot.answered()
        slot.end()


def warmed(clock: ManualClock, *, first: int = 20, maximum: int = 64, took_s: float = 0.1) -> AdaptiveLimit:
    """Return a limit that knows its base and has not yet judged anything."""
    limit = AdaptiveLimit(maximum, first=first, clock=clock)
    answer_together(limit, clock, [took_s] * 10)
    assert limit.info.base_s == pytest.approx(took_s)
    clock.advance(10 * took_s)  # its answers are no news any more
    return limit


def test_what_a_busy_loop_of_ours_adds_is_not_taken_for_a_slow_upstream() -> None:
    """An upstream that answers in a millisecond is often ten times as slow by our clock; one that takes longer than that is slow."""
    clock = ManualClock()
    limit = warmed(clock, took_s=0.001)
    for took_s, cut in ((0.015, False), (0.03, True)):
        for _ in range(4):
            answer_together(limit, clock, [took_s] * 10)
            clock.advance(1)
        assert (limit.info.cuts > 0) is cut


# Upstreams with and without a knee


@pytest.mark.parametrize(("maximum", "first"), [(64, None), (64, 4), (64, 8), (200, 16)])
def test_an_upstream_that_slows_beyond_16_is_held_near_16_and_works_nearly_as_with_a_fixed_16(maximum: int, first: int | None) -> None:
    fixed = rig(knee(16), maximum=16, first=16).run(30.0)
    adaptive = rig(knee(16), maximum=maximum, first=first)
    throughput = adaptive.run(30.0)
    assert throughput >= 0.7 * fixed
    assert all(12 <= limit <= 20 for limit in adaptive.limits[10:])
    assert 14 <= sorted(adaptive.limits[10:])[10] <= 17


def test_it_comes_down_to_the_knee_from_far_above() -> None:
    queueing = rig(knee(16), maximum=200)  # begins at 50
    queueing.run(30.0)
    assert all(12 <= limit <= 18 for limit in queueing.limits[15:])
    assert queueing.run(60.0) >= 0.7 * 260


def test_a_knee_far_below_the_start_is_found_even_when_nothing_is_known() -> None:
    queueing = rig(knee(4))
    queueing.run(40.0)
    assert all(3 <= limit <= 6 for limit in queueing.limits[25:])


def test_an_upstream_without_a_knee_gets_the_maximum_within_seconds() -> None:
    queueing = rig(knee(10**9))
    queueing.run(3.0)
    assert queueing.limit.limit == 64
    queueing.run(60.0)
    assert (min(queueing.limits[3:]), queueing.limit.info.cuts) == (64, 0)


def test_the_maximum_is_never_exceeded() -> None:
    queueing = rig(knee(10**9), maximum=5)
    queueing.run(5.0)
    assert set(queueing.limits) == {5}


def test_an_upstream_whose_answers_only_grow_longer_with_the_queue_is_held_before_the_maximum() -> None:
    """It serves 16 at once; the others wait inside of it, so that throughput is the same and only the wait grows."""
    queueing = rig(lambda _, running, chance: 0.06 * max(1.0, running / 16) * chance.uniform(0.9, 1.1), maximum=200)
    queueing.run(120.0)
    assert all(16 <= limit <= 64 for limit in queueing.limits[5:])


def test_what_was_too_high_is_tried_ever_more_rarely() -> None:
    queueing = rig(knee(16))
    cuts = []
    for _ in range(3):
        queueing.run(60.0)
        cuts.append(queueing.limit.info.cuts)
    assert cuts[0] <= 3
    assert cuts[2] - cuts[1] <= 1


@pytest.mark.parametrize("unseen", [(0, 0, 1, 2), (0, 1, 1, 2), (0, 1, 2, 3)])
@pytest.mark.parametrize("callers", [240, 270, 300, 400])
def test_trying_what_was_too_high_costs_little_more_than_the_slow_answers_of_one_try(callers: int, unseen: tuple[int, ...]) -> None:
    """The upstream sees a few calls fewer than the limit does, so that a limit that is too high looks good for a while."""
    queueing = rig(lambda at, running, chance: knee(16)(at, running - chance.choice(unseen), chance), callers=callers, pause_s=1.05)
    queueing.run(10.0)
    each = [queueing.run(10.0) for _ in range(12)]
    assert min(each) >= 0.4 * 260, "its slow answers take 2 s and more of the 10"
    assert sum(each) / len(each) >= 0.85 * 260


def test_an_upstream_that_recovers_gets_its_calls_back() -> None:
    """Between the 10th and the 30th second it takes only 4 at once."""
    queueing = rig(lambda at, running, chance: knee(64 if at < 10 or at > 30 else 4)(at, running, chance))
    queueing.run(10.0)
    assert queueing.limit.limit == 64
    queueing.run(20.0)
    assert queueing.limit.limit <= 20
    queueing.run(120.0)
    assert queueing.limit.limit == 64


def test_an_upstream_that_is_slower_for_good_is_not_held_down_for_ever() -> None:
    queueing = rig(lambda at, _, chance: (0.06 if at < 10 else 0.3) * chance.uniform(0.9, 1.1))
    queueing.run(120.0)
    assert queueing.limit.limit == 64


# What must not make it cut


def test_a_mixture_of_short_and_long_answers_is_no_queue() -> None:
    queueing = rig(lambda _, __, chance: 0.06 if chance.random() < 0.7 else 2.0)
    queueing.run(60.0)
    assert min(queueing.limits[10:]) >= 48


def test_times_that_spread_as_those_of_models_do_are_no_queue() -> None:
    queueing = rig(lambda _, __, chance: chance.lognormvariate(0.0, 0.8))  # one in ten takes eight times as long as another
    queueing.run(120.0)
    assert min(queueing.limits[20:]) >= 48


def test_even_where_half_of_the_answers_take_thirty_times_as_long_it_does_not_collapse() -> None:
    queueing = rig(lambda _, __, chance: 0.06 if chance.random() < 0.5 else 2.0)
    queueing.run(120.0)
    assert min(queueing.limits[10:]) >= 16


def test_one_slow_answer_changes_nothing() -> None:
    clock = ManualClock()
    limit = warmed(clock)
    answer_together(limit, clock, [0.1] * 19 + [30.0])
    assert limit.info.cuts == 0


def test_less_than_half_of_a_window_changes_nothing_and_more_goes_back_to_the_last_good_limit_at_first() -> None:
    clock = ManualClock()
    limit = warmed(clock)
    answer_together(limit, clock, [0.1, 0.3, 0.1, 0.3, 0.1] * 4)
    assert limit.limit == 40, "all places were taken and the window was not slow: doubled"
    answer_together(limit, clock, [0.3, 0.3, 0.1, 0.3, 0.3] * 4)
    assert limit.limit == 20


def test_later_cuts_are_by_a_fifth_and_raises_by_one() -> None:
    clock = ManualClock()
    limit = warmed(clock)

    def until_it_changes(took_s: float) -> int:
        before = limit.limit
        for _ in range(20):
            if limit.limit == before:
                answer_together(limit, clock, [took_s] * before)
        return limit.limit

    assert until_it_changes(0.3) == 10, "half of the first limit is taken for good"
    assert until_it_changes(0.3) == 8
    assert until_it_changes(0.3) == 6
    clock.advance(20.0)  # from then on what was too high may be tried again
    assert [until_it_changes(0.1) for _ in range(3)] == [7, 8, 9]


def test_slow_calls_count_as_soon_as_they_are_late_and_not_when_they_end() -> None:
    clock = ManualClock()
    limit = warmed(clock)
    slots = [begun(limit) for _ in range(20)]
    clock.advance(0.24)
    assert limit.begin() is None
    assert limit.info.cuts == 0
    clock.advance(0.02)
    assert limit.begin() is None
    assert limit.info.cuts == 1
    assert limit.in_flight == len(slots)


def test_calls_begun_under_an_earlier_limit_are_not_judged_again() -> None:
    clock = ManualClock()
    limit = warmed(clock)
    slots = [begun(limit) for _ in range(20)]
    clock.advance(1.0)
    assert limit.begin() is None
    cut_to = limit.limit
    for slot in slots:
        slot.answered()
        slot.end()
    assert (limit.limit, limit.info.cuts, limit.in_flight) == (cut_to, 1, 0)


def test_timeouts_are_slow_and_quick_failures_say_nothing() -> None:
    clock = ManualClock()
    limit = warmed(clock)
    for _ in range(100):
        slots = [begun(limit) for _ in range(20)]
        clock.advance(0.01)
        for slot in slots:
            slot.end()
    assert (limit.limit, limit.info.cuts) == (20, 0)
    assert limit.info.base_s == pytest.approx(0.1)
    slots = [begun(limit) for _ in range(20)]
    clock.advance(30.0)
    for slot in slots:
        slot.end()
    assert limit.info.cuts == 1


def test_slow_calls_that_ran_alone_move_the_base_and_not_the_limit() -> None:
    clock = ManualClock()
    limit = warmed(clock)
    for _ in range(40):
        answer_together(limit, clock, [0.5])
    assert (limit.limit, limit.info.cuts) == (20, 0)
    assert limit.info.base_s is not None
    assert limit.info.base_s > 0.15


def test_the_first_byte_is_what_counts() -> None:
    clock = ManualClock()
    limit = warmed(clock)
    for _ in range(3):
        slots = [begun(limit) for _ in range(20)]
        clock.advance(0.1)
        for slot in slots:
            slot.answered()
        clock.advance(20.0)
        for slot in slots:
            slot.answered()
            slot.end()
    assert limit.info.cuts == 0


def test_an_attempt_that_begins_anew_is_timed_anew() -> None:
    clock = ManualClock()
    limit = warmed(clock)
    for _ in range(3):
        slots = [begun(limit) for _ in range(limit.limit)]
        clock.advance(0.2)
        for slot in slots:
            slot.begin_again()
        clock.advance(0.2)
        for slot in slots:
            slot.answered()
            slot.end()
    assert limit.info.cuts == 0


def test_without_pressure_the_limit_does_not_grow() -> None:
    queueing = rig(knee(10**9), callers=3)
    queueing.run(20.0)
    assert queueing.limit.limit == 16


# Book-keeping


def test_a_full_limit_gives_no_place_until_one_ends() -> None:
    limit = AdaptiveLimit(2)
    first, second = begun(limit), begun(limit)
    assert (limit.begin(), limit.has_room, limit.in_flight) == (None, False, 2)
    first.end()
    first.end()
    assert (limit.has_room, limit.in_flight) == (True, 1)
    second.end()
    assert limit.info.in_flight == 0


@pytest.mark.parametrize(("maximum", "start"), [(1, 1), (16, 16), (64, 16), (200, 50), (10_000, 2500)])
def test_where_nothing_is_known_it_starts_at_a_quarter_or_at_16(maximum: int, start: int) -> None:
    assert AdaptiveLimit(maximum).limit == start


def test_a_limit_is_at_least_one() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        AdaptiveLimit(0)


def test_whatever_comes_it_stays_within_its_bounds_and_loses_no_place() -> None:
    chance, clock = random.Random(3), ManualClock()
    limit = AdaptiveLimit(24, clock=clock)
    held: list[Slot] = []
    for _ in range(50_000):
        clock.advance(chance.expovariate(50.0))
        if held and chance.random() < 0.5:
            slot = held.pop(chance.randrange(len(held)))
            if chance.random() < 0.8:
                slot.answered()
            slot.end()
        elif (slot_or_none := limit.begin()) is not None:
            held.append(slot_or_none)
        assert 1 <= limit.limit <= 24
        assert limit.in_flight == len(held)
