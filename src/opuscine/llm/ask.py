"""What a model is asked and what it answers, whatever the protocol."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from opuscine.model import Suggestion


@dataclass(slots=True)
class LlmAsk:
    """One question to the model. Nobody changes it; as with a suggestion, that is not enforced."""

    message: str
    user_id: str | None = None
    page: int = 1
    limit: int = 20
    given_titles: tuple[str, ...] = ()  # already in earlier pages


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Tokens that the server counted; 0 where it counts none."""

    prompt: int = 0
    completion: int = 0

    def plus(self, other: TokenUsage) -> TokenUsage:
        """Return the sum."""
        return TokenUsage(self.prompt + other.prompt, self.completion + other.completion)


@dataclass(slots=True)
class LlmReply:
    """A reply as read and not yet believed. Nobody changes it; as with a suggestion, that is not enforced."""

    suggestions: tuple[Suggestion, ...]
    ids_trusted: bool
    total_results: int | None = None
    total_pages: int | None = None
    query_metadata: dict[str, Any] = field(default_factory=dict)  # plain JSON values, bounded in size
    conversation: dict[str, Any] = field(default_factory=dict)  # the same
    usage: TokenUsage = TokenUsage()
    asks_back: bool = False  # it names no film, but puts a question to the viewer
