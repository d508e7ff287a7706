"""What the client asks of a protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from opuscine.llm.ask import LlmAsk, LlmReply
from opuscine.model import Suggestion


class StreamReader(Protocol):
    """Read an answer that comes piece by piece."""

    def feed(self, chunk: bytes) -> Sequence[Suggestion]:
        """Take the next bytes; return the suggestions that they complete."""

    def finish(self) -> LlmReply:
        """Return the rest once the answer has ended: suggestions not returned before, and what was said of them.

        Raises:
            LlmError: nothing could be read in all of it.
        """


class LlmCall(Protocol):
    """One question: what is sent, and how what comes back is read. It may change between attempts."""

    @property
    def body(self) -> bytes:
        """Return what the next attempt sends."""

    def adapt(self, status: int, explanation: bytes) -> bool:
        """Change the question after a refusal that it may be at fault for; say whether it is worth asking again at once."""

    def correct(self, body: bytes) -> bool:
        """Change the question after an answer that could not be read; say whether there is a better one to ask."""

    def read(self, body: bytes) -> LlmReply:
        """Read the body of a 2xx answer.

        Raises:
            LlmError: it says that it failed, or nothing could be read. Never anything else.
        """

    def reader(self) -> StreamReader:
        """Return what reads a streamed answer."""


class LlmProtocol(Protocol):
    """One way of speaking to an LLM server."""

    @property
    def path(self) -> str:
        """Return where questions go, below `LLM_SERVER_URL`."""

    @property
    def probe_path(self) -> str:
        """Return what answers 2xx to a GET when the server is up."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Return what every request carries, such as a key."""

    @property
    def streams(self) -> bool:
        """Say whether answers can come piece by piece."""

    def begin(self, ask: LlmAsk, *, stream: bool = False) -> LlmCall:
        """Write a question."""
