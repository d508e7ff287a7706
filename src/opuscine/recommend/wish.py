"""What a caller wishes for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wish:
    """One request for films; `caller` and `user` keep what is remembered of it apart from everyone else's."""

    message: str
    page: int
    limit: int
    region: str
    caller: str = ""
    user: str | None = None
    fresh: bool = False  # the caller wants nothing that is remembered (`Cache-Control: no-cache`)
