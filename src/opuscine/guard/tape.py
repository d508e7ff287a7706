"""What a call has given so far, for all who follow it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Tape(Generic[T]):
    """Record items as they come; whoever follows gets all of them from the first on, at its own pace. All of one event loop."""

    def __init__(self) -> None:
        """Start with nothing recorded."""
        self.items: list[T] = []
        self.followed = False  # whether somebody wants single items, for the call to look at
        self._more = asyncio.Event()

    def add(self, item: T) -> None:
        """Record an item and wake those who follow."""
        self.items.append(item)
        self._more.set()
        self._more = asyncio.Event()

    async def follow(self, call: asyncio.Future[Any]) -> AsyncGenerator[T, None]:
        """Yield every item until the call that records them is done, however it ends."""
        position = 0
        while True:
            while position < len(self.items):
                yield self.items[position]
                position += 1
            if call.done():
                return
            more = asyncio.create_task(self._more.wait())
            waited_for: set[asyncio.Future[Any]] = {call, more}
            try:
                await asyncio.wait(waited_for, return_when=asyncio.FIRST_COMPLETED)
            finally:
                more.cancel()
