"""Values in memory, as many as fit: what was not used for longest goes first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

KeyT = TypeVar("KeyT", bound=Hashable)
T = TypeVar("T")


class ByteLru(Generic[KeyT, T]):
    """Keep values bounded by their bytes together; one that is larger than all the room is not kept."""

    def __init__(self, max_bytes: int, size_of: Callable[[T], int]) -> None:
        """Start empty; `size_of` says how much a value takes."""
        self._max_bytes = max_bytes
        self._size_of = size_of
        self._values: OrderedDict[KeyT, tuple[int, T]] = OrderedDict()
        self.bytes_held = 0
        self.evicted = 0  # values that had to make room

    def __len__(self) -> int:
        """Return how many values are kept."""
        return len(self._values)

    def get(self, key: KeyT) -> T | None:
        """Return a value, which thereby counts as used."""
        kept = self._values.get(key)
        if kept is None:
            return None
        self._values.move_to_end(key)
        return kept[1]

    def put(self, key: KeyT, value: T) -> bool:
        """Keep a value in place of the one before, and say whether there was room."""
        self.drop(key)
        size = self._size_of(value)
        if size > self._max_bytes:
            return False
        self._values[key] = (size, value)
        self.bytes_held += size
        while self.bytes_held > self._max_bytes:
            self.drop(next(iter(self._values)))
            self.evicted += 1
        return True

    def drop(self, key: KeyT) -> None:
        """Forget a value, if it is there."""
        size, _ = self._values.pop(key, (0, None))
        self.bytes_held -= size

    def clear(self) -> None:
        """Forget all values."""
        self._values.clear()
        self.bytes_held = 0
