"""The protocols that an LLM server may speak, by the names that `LLM_PROTOCOL` takes. All are pure."""

from __future__ import annotations

from typing import Protocol

from opuscine.errors import SettingsError
from opuscine.llm.ask import LlmAsk, LlmReply
from opuscine.llm.protocols import movie_recommend


class LlmProtocol(Protocol):
    """What a module of this folder offers the client."""

    @property
    def PATH(self) -> str:  # noqa: N802 - a module's constant
        """Where questions go, below `LLM_SERVER_URL`."""
        ...

    @property
    def PROBE_PATH(self) -> str:  # noqa: N802 - a module's constant
        """What answers 2xx to a GET when the server is up."""
        ...

    def request_body(self, ask: LlmAsk) -> bytes:
        """Write the question as JSON."""
        ...

    def read_reply(self, body: bytes) -> LlmReply:
        """Read the body of a 2xx answer.

        Raises:
            LlmError: it says that it failed, or nothing could be read. Never anything else.
        """
        ...


PROTOCOLS: dict[str, LlmProtocol] = {"movie-recommend": movie_recommend}


def protocol_named(name: str) -> LlmProtocol:
    """Return a protocol.

    Raises:
        SettingsError: there is none of this name.
    """
    try:
        return PROTOCOLS[name]
    except KeyError:
        raise SettingsError(f"LLM_PROTOCOL is {name!r}; valid are: {', '.join(sorted(PROTOCOLS))}") from None
