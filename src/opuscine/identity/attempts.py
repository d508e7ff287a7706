"""How often an address may fail to say who it is."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable

_LONGEST_NAME = 64


class Attempts:
    """Budget failed authentications per client address: `budget` at once, and as many again over each `window_s`.

    It is a GCRA: per address one number, the time at which its budget will be whole again. An IPv6 caller owns at least a /64
    and is counted by it. At most `limit` addresses are remembered; of more, the one that failed longest ago is forgotten, so that
    memory stays bounded under a flood (each process counts for itself).
    """

    def __init__(
        self, *, budget: int = 20, window_s: float = 60.0, clock: Callable[[], float] = time.monotonic, limit: int = 10_000
    ) -> None:
        """Start with every budget whole. `clock` is monotonic, in seconds."""
        self._window_s = window_s
        self._cost_s = window_s / budget
        self._clock = clock
        self._limit = limit
        self._whole_at: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        """Return how many addresses are remembered."""
        return len(self._whole_at)

    def allowed(self, address: str) -> float | None:
        """Return None if the address may fail once more, else the seconds after which it may."""
        if not self._whole_at:
            return None
        key = network_of(address)
        whole_at = self._whole_at.get(key)
        if whole_at is None:
            return None
        now = self._clock()
        if whole_at <= now:
            del self._whole_at[key]
            return None
        wait_s = whole_at + self._cost_s - self._window_s - now
        # A billionth of the window is rounding, not a failure too many.
        return wait_s if wait_s > self._window_s * 1e-9 else None

    def failed(self, address: str) -> None:
        """Count a failure. Further ones while the budget is used up prolong nothing beyond a whole window."""
        key, now = network_of(address), self._clock()
        whole_at = max(self._whole_at.get(key, now), now) + self._cost_s
        self._whole_at[key] = min(whole_at, now + self._window_s)
        self._whole_at.move_to_end(key)
        if len(self._whole_at) > self._limit:
            self._whole_at.popitem(last=False)


def network_of(address: str) -> str:
    """Return what an address is counted by: IPv4 itself, IPv6 its /64, anything else (a Unix socket's peer) its first 64 characters."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:_LONGEST_NAME]
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.IPv6Address(int(parsed) >> 64 << 64)) + "/64"
    return str(parsed)
