"""Ids, traces and deadlines are taken from the caller only where they are valid."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opuscine.middlewares.request_context import REQUEST_ID, continue_trace, read_request_id

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
VALID = f"00-{TRACE}-00f067aa0ba902b7-01"


def test_a_harmless_id_is_kept() -> None:
    assert read_request_id("order-42.A_b") == "order-42.A_b"
    assert read_request_id("x" * 128) == "x" * 128


@given(st.text())
def test_whatever_is_sent_as_id_the_id_is_harmless(given_id: str) -> None:
    assert REQUEST_ID.fullmatch(read_request_id(given_id))


def test_a_trace_is_continued_with_a_span_of_our_own() -> None:
    continued = continue_trace(VALID)
    assert continued.startswith(f"00-{TRACE}-")
    assert continued.endswith("-01")
    assert continued != VALID


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "00",
        VALID.upper(),
        f"ff-{TRACE}-00f067aa0ba902b7-01",
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-{TRACE}-{'0' * 16}-01",
        VALID + "\n",
    ],
)
def test_an_invalid_trace_is_replaced(wrong: str) -> None:
    replaced = continue_trace(wrong)
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-00", replaced)
    assert TRACE not in replaced
