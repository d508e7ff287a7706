"""Why a caller is not believed."""

from __future__ import annotations

from enum import StrEnum

from opuscine.errors import OpusCineError


class Reason(StrEnum):
    """One word for the log. A caller is never told which it was: that would help to guess."""

    MISSING = "missing"  # no credentials at all
    MALFORMED = "malformed"
    TOO_LONG = "too_long"
    AMBIGUOUS = "ambiguous"  # two headers name two callers
    UNSUPPORTED = "unsupported"  # a scheme or a kind of credentials that is not set up
    UNKNOWN_KEY = "unknown_key"
    WRONG_SECRET = "wrong_secret"
    WRONG_ALGORITHM = "wrong_algorithm"
    BAD_SIGNATURE = "bad_signature"
    NOT_YET_VALID = "not_yet_valid"
    EXPIRED = "expired"
    WRONG_ISSUER = "wrong_issuer"
    WRONG_AUDIENCE = "wrong_audience"
    BAD_CLAIMS = "bad_claims"
    KEYS_UNAVAILABLE = "keys_unavailable"  # the issuer's keys could never be fetched, or too long ago


class AuthenticationError(OpusCineError):
    """Say that a request's credentials are not accepted; its text is the reason and holds nothing of what was sent."""

    def __init__(self, reason: Reason) -> None:
        """Keep the reason, for the log."""
        super().__init__(reason.value)
        self.reason = reason

    @property
    def is_attempt(self) -> bool:
        """Say whether it counts against the budget of its address: missing credentials are no guess, missing keys are our trouble."""
        return self.reason not in {Reason.MISSING, Reason.KEYS_UNAVAILABLE}
