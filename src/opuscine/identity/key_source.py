"""Where the keys come from that verify tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from opuscine.identity.verification_key import VerificationKey


class KeySource(Protocol):
    """Give the keys that a token may have been signed with."""

    @property
    def algorithms(self) -> frozenset[str]:
        """Return the algorithms that tokens may use at all."""
        ...

    def generation(self) -> int | None:
        """Return a number that changes whenever keys come or go, and begin to renew them if it is time.

        None: they must be waited for (`find`) before anything is believed.
        """
        ...

    async def find(self, kid: str | None, algorithm: str) -> Sequence[VerificationKey]:
        """Return the keys of this algorithm that `kid` may mean; none for an unknown one.

        Raises:
            AuthenticationError: there are no keys at present.
        """
        ...

    async def refresh(self) -> None:
        """Get the keys anew now; failure is logged and keeps the old ones."""
        ...

    async def close(self) -> None:
        """Stop what is done in the background."""
        ...


class StaticKeys:
    """Keys from the configuration. They have no ids, so what a token says of them is passed over."""

    def __init__(self, keys: Sequence[VerificationKey]) -> None:
        """Take keys that are all for one algorithm."""
        self._keys = tuple(keys)
        self.algorithms = frozenset(key.algorithm for key in keys)

    def generation(self) -> int:
        """Return 0: these keys live as long as the process."""
        return 0

    async def find(self, kid: str | None, algorithm: str) -> Sequence[VerificationKey]:  # noqa: ARG002  the protocol's arguments
        """Return every key of this algorithm."""
        return [key for key in self._keys if key.algorithm == algorithm]

    async def refresh(self) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Do nothing."""
