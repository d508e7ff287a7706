"""Answers of look-ups as they were sent lately."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from multidict import CIMultiDict

from opuscine.byte_lru import ByteLru

KEPT_BYTES = 8 * 1024 * 1024
LONGEST_TARGET = 64  # of what a caller may write in many ways, only the short ones are kept
OVERHEAD_BYTES = 400  # about what a kept answer costs beside its body


class PreparedAnswer(NamedTuple):
    """A body, its entity tag, and the headers that go with it."""

    body: bytes
    tag: str
    headers: CIMultiDict[str]  # to be copied for each answer
    head: bytes  # the lines of these and of the body's length, as they are sent
    operation_id: str  # of the operation that it answers


class PreparedAnswers:
    """Keep answers that are made of the catalogue alone, by the target that was asked for, until the catalogue changes.

    Making the answer to a look-up takes 90 µs, finding it again 0.4 (measured).
    """

    def __init__(self, edition: Callable[[], object], max_bytes: int = KEPT_BYTES) -> None:
        """Take who names what the catalogue serves: by an object that is another one whenever that changes."""
        self._edition = edition
        self._of: object = None  # the edition that the kept answers were made of
        self._kept: ByteLru[str, PreparedAnswer] = ByteLru(max_bytes, lambda answer: len(answer.body) + OVERHEAD_BYTES)

    def __len__(self) -> int:
        """Return how many answers are kept."""
        return len(self._kept)

    @property
    def edition(self) -> object:
        """Name what the catalogue serves now; an answer is kept under what it was when its making began."""
        return self._edition()

    def get(self, target: str) -> PreparedAnswer | None:
        """Return the answer to a target (path and query as they were sent), if it is kept and still right."""
        if self._edition() is not self._of:
            return None
        return self._kept.get(target)

    def keep(self, target: str, answer: PreparedAnswer, *, edition: object) -> None:
        """Keep an answer that was made of an edition, unless that is past."""
        if edition is not self._edition() or len(target) > LONGEST_TARGET:
            return
        if edition is not self._of:
            self._kept.clear()
            self._of = edition
        self._kept.put(target, answer)
