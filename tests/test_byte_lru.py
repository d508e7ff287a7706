"""Values in memory are bounded by their bytes; what was not used for longest goes first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from opuscine.byte_lru import ByteLru


def test_what_was_not_used_for_longest_makes_room() -> None:
    kept: ByteLru[str, bytes] = ByteLru(10, len)
    kept.put("a", b"1234")
    kept.put("b", b"1234")
    assert kept.get("a") == b"1234"
    kept.put("c", b"1234")
    assert (kept.get("a"), kept.get("b"), kept.get("c")) == (b"1234", None, b"1234")
    assert (len(kept), kept.bytes_held, kept.evicted) == (2, 8, 1)


def test_a_value_in_the_place_of_another_is_counted_once() -> None:
    kept: ByteLru[str, bytes] = ByteLru(10, len)
    kept.put("a", b"12345678")
    kept.put("a", b"123456789")
    assert (len(kept), kept.bytes_held, kept.evicted) == (1, 9, 0)


def test_what_has_no_room_at_all_is_not_kept_and_takes_the_old_value_along() -> None:
    kept: ByteLru[str, bytes] = ByteLru(3, len)
    assert kept.put("a", b"123")
    assert not kept.put("a", b"1234")
    assert (kept.get("a"), kept.bytes_held) == (None, 0)


def test_no_bytes_keep_nothing() -> None:
    assert not ByteLru[str, bytes](0, len).put("a", b"1")


@given(st.lists(st.tuples(st.integers(0, 5), st.binary(max_size=12))))
def test_it_never_holds_more_than_it_may_and_knows_what_it_holds(values: list[tuple[int, bytes]]) -> None:
    kept: ByteLru[int, bytes] = ByteLru(20, len)
    for key, value in values:
        kept.put(key, value)
        held = [found for number in range(6) if (found := kept.get(number)) is not None]
        assert kept.bytes_held == sum(map(len, held)) <= 20
        assert len(kept) == len(held)
