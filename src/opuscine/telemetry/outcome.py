"""What came of a request, in Micrometer's words, so that dashboards made for Spring fit."""

from __future__ import annotations

_OUTCOMES = {1: "INFORMATIONAL", 2: "SUCCESS", 3: "REDIRECTION", 4: "CLIENT_ERROR", 5: "SERVER_ERROR"}


def outcome_of(status: int) -> str:
    """Return the word for a status."""
    return _OUTCOMES.get(status // 100, "UNKNOWN")
