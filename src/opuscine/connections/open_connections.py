"""All connections of a process: how many there may be, what phase each is in, and how they ended."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from opuscine.connections.phase import Bounded, Phase
from opuscine.connections.refusal import Refusal, raw_answer
from opuscine.contract import ProblemError
from opuscine.telemetry.counted_lines import CountedLines

ANSWER_TAKEN_S = 30.0  # how long an answer may lie unread by its caller, and how long a closed connection may take to be gone
REFUSALS = 64  # callers at one time that are told why there is no room; beyond, they are cut off
IN_ORDER = "in_order"


@dataclass(frozen=True, slots=True)
class ConnectionsInfo:
    """What there is to know about the connections of a process; all but `open` and `idle` are since its start."""

    limit: int
    open: int
    idle: int
    refused: int
    closed: Mapping[str, int]  # by cause
    received_bytes: int
    sent_bytes: int  # of answers: each is counted when the next one of its connection begins, or the connection ends


class OpenConnections:
    """Keep the bounds of all connections of a process.

    At the bound the connection that has been idle longest makes room for a new one. Only where none is idle is the new one refused: callers
    who are being served come first.
    """

    def __init__(self, *, limit: int, header_s: float, body_s: float, idle_s: float) -> None:
        """Set the bounds; `limit` may be lowered later, when it is known how many files may be open."""
        self.limit = limit
        self.opening = Phase("opening", header_s)  # accepted, its first request not read
        self.head = Phase("head", header_s)  # inside of the headers of a later request
        self.body = Phase("body", body_s)
        self.idle = Phase("idle", idle_s)  # between two requests
        self.sending = Phase("sending", ANSWER_TAKEN_S)  # its caller does not take what is sent
        self.closing = Phase("closing", ANSWER_TAKEN_S)  # closed by us, with something still to be taken
        self._phases = (self.opening, self.head, self.body, self.idle, self.sending, self.closing)
        self.open = 0
        self.refused = 0
        self.closed: Counter[str] = Counter()
        self.received_bytes = self.sent_bytes = 0
        self.lines = CountedLines("opuscine.connections")
        self._refusals: set[Refusal] = set()

    @property
    def info(self) -> ConnectionsInfo:
        """Return a picture of now."""
        return ConnectionsInfo(
            limit=self.limit,
            open=self.open,
            idle=len(self.idle),
            refused=self.refused,
            closed=dict(self.closed),
            received_bytes=self.received_bytes,
            sent_bytes=self.sent_bytes,
        )

    def admit(self) -> bool:
        """Say whether one more connection may come; at the bound the longest idle one is closed for it."""
        if self.open < self.limit:
            return True
        return any(connection.evict() for connection in self.idle)

    def refuse(self, transport: asyncio.Transport) -> None:
        """Tell a new connection that there is no room for it."""
        self.refused += 1
        self.lines.info("connection refused", "no_room", limit=self.limit)
        problem = ProblemError("unavailable", "There are as many connections as are allowed.", headers={"Retry-After": "1"})
        answer = raw_answer(problem, secrets.token_hex(16))
        if len(self._refusals) < REFUSALS:
            self._refusals.add(Refusal(transport, answer, on_end=self._refusals.discard))
        else:
            transport.abort()

    def left(self, connection: Bounded, cause: str) -> None:
        """Count a connection that has ended."""
        for phase in self._phases:
            phase.leave(connection)
        self.open -= 1
        self.closed[cause or IN_ORDER] += 1

    def close(self) -> None:
        """Stop all timers and log what was only counted; the connections themselves are closed by their server."""
        for phase in self._phases:
            phase.close()
        for refusal in list(self._refusals):
            refusal.abort()
        self.lines.flush()
