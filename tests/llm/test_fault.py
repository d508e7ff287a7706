"""What a failed attempt means."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opuscine.llm.fault import LlmError, counts_against, fault_of_status, retry_after_s
from opuscine.model import DegradedReason

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "counts", "retryable"),
    [
        (302, True, False),
        (400, False, False),
        (401, False, False),
        (404, False, False),
        (408, True, True),
        (422, False, False),
        (429, True, True),
        (500, True, True),
        (501, True, False),
        (503, True, True),
        (504, True, True),
        (199, True, False),
    ],
)
def test_a_status_tells_whose_fault_it_is_and_whether_another_attempt_may_help(status: int, counts: bool, retryable: bool) -> None:
    fault = fault_of_status(status)
    assert (fault.counts, fault.retryable, fault.reason) == (counts, retryable, DegradedReason.LLM_ERROR)
    assert str(status) in str(fault)


def test_what_was_not_foreseen_counts_against_the_server() -> None:
    assert counts_against(ZeroDivisionError()) is True
    assert counts_against(LlmError("", reason=DegradedReason.LLM_TIMEOUT, counts=None)) is None


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0.0),
        (" 120 ", 120.0),
        ("Fri, 02 Jan 2026 03:04:15 GMT", 10.0),
        ("Fri, 02 Jan 2026 03:04:15 -0000", 10.0),
        ("Fri, 02 Jan 2026 03:00:00 GMT", 0.0),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("9" * 400, None),
        ("²", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_a_date(header: str, seconds: float | None) -> None:
    assert retry_after_s(header, NOW) == seconds


@given(st.text())
def test_no_retry_after_header_is_too_odd(header: str) -> None:
    seconds = retry_after_s(header, NOW)
    assert seconds is None or seconds >= 0
