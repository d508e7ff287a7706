"""What is measured as it happens; everything else is read from the parts when somebody scrapes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from opuscine.telemetry.durations import Durations
from opuscine.telemetry.upstream_calls import call_durations

LAG_BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)


@dataclass(slots=True)
class Measures:
    """The histograms of a process, and counts that belong to no part of it."""

    requests: Durations = field(
        default_factory=lambda: Durations(
            "http_server_requests_seconds",
            "Duration of requests, by the template of their address.",
            ("method", "uri", "status", "outcome"),
            fold=("method", "uri"),
        )
    )
    calls: Durations = field(default_factory=call_durations)
    loop_lag: Durations = field(
        default_factory=lambda: Durations(
            "opuscine_event_loop_lag_seconds", "How late the event loop was, looked at ten times a second.", bounds_s=LAG_BOUNDS_S
        )
    )
    refused_callers: Counter[str] = field(default_factory=Counter)  # by reason: credentials that were not believed
    answered: Counter[str] = field(default_factory=Counter)  # pages of films, by where they come from
    in_flight: int = 0  # requests that are being answered
    lines_left_out: int = 0  # lines of the request log

    @property
    def durations(self) -> tuple[Durations, ...]:
        """Return the histograms, in the order of the page."""
        return self.requests, self.calls, self.loop_lag
