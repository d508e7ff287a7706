"""Every error of ours, from one base. Their texts are for the log; what a caller reads is written where answers are made."""

from __future__ import annotations

from opuscine.model import DegradedReason


class OpusCineError(Exception):
    """The base of all errors that this package raises on purpose."""


class SettingsError(OpusCineError):
    """Say that the service cannot start as configured; the text names the setting, what was found and what is valid."""


class CatalogueError(OpusCineError):
    """Say that a source file or the compiled catalogue cannot be used; the text names the file and what is wrong."""


class CatalogueUnavailableError(OpusCineError):
    """Say that no catalogue is open, so that nothing can be grounded or looked up."""


class UpstreamError(OpusCineError):
    """Say that a server behind us failed. `slow` failures used up time and are not retried."""

    def __init__(self, text: str, *, reason: DegradedReason, slow: bool = False, retry_after_s: float | None = None) -> None:
        """Keep the cause as a word of the contract (`reason`), beside the text for the log."""
        super().__init__(text)
        self.reason = reason
        self.slow = slow
        self.retry_after_s = retry_after_s
