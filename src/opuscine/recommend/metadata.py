"""What a model says beside its films, read from an upstream's free-form objects. Pure; its text is never trusted as markup."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from opuscine.catalogue.plain_text import plain_text

SENTENCE_CHARS = 2_000
VALUE_CHARS = 300
ITEMS = 50
DEPTH = 4
NAME = re.compile(r"[A-Za-z0-9_.$-]{1,60}")


@dataclass(slots=True)
class Metadata:
    """The parts of a reply that the contract shows beside the films. Nobody changes it; as with a suggestion, that is not enforced."""

    parameters: dict[str, Any] = field(default_factory=dict)
    conversation: dict[str, Any] = field(default_factory=dict)
    confidence: float = 0.0
    method: str = "llm"
    reasoning: str = ""
    intent_analysis: str = ""
    explanation: str = ""
    follow_up: str = ""
    processing_ms: int = 0


def read_metadata(query: Mapping[str, Any], conversation: Mapping[str, Any]) -> Metadata:
    """Read `query_metadata` and `conversation`; a field that is missing or odd is empty. The sentences may stand in either."""
    parameters = query.get("tmdb_parameters")
    return Metadata(
        parameters=plain_value(parameters) if isinstance(parameters, Mapping) else {},
        conversation=plain_value(conversation) if conversation else {},
        confidence=_share(query.get("confidence")),
        method=_sentence(query.get("method"))[:60] or "llm",
        reasoning=_sentence(query.get("reasoning")),
        intent_analysis=_sentence(conversation.get("user_intent_analysis") or query.get("user_intent_analysis")),
        explanation=_sentence(conversation.get("recommendation_explanation") or query.get("recommendation_explanation")),
        follow_up=_sentence(conversation.get("follow_up_suggestions") or query.get("follow_up_suggestions")),
        processing_ms=_milliseconds(query.get("processing_time_ms")),
    )


def plain_value(value: Any, depth: int = DEPTH) -> Any:
    """Copy a JSON value with every text made plain, bounded in length, items and depth."""
    if isinstance(value, str):
        return plain_text(value, VALUE_CHARS)
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return value if abs(value) < 2**63 else 0
    if isinstance(value, float):
        return value if math.isfinite(value) else 0.0
    if depth == 0:
        return None
    if isinstance(value, Mapping):
        return {_name(str(key)): plain_value(item, depth - 1) for key, item in list(value.items())[:ITEMS]}
    if isinstance(value, list):
        return [plain_value(item, depth - 1) for item in value[:ITEMS]]
    return None


def _name(key: str) -> str:
    """Keep a name as it is; anything else is text."""
    return key if NAME.fullmatch(key) else plain_text(key, 60)


def _sentence(value: Any) -> str:
    """Read a text, or a list of texts as its lines."""
    if not value:
        return ""
    if isinstance(value, str) and value.isprintable():  # no line ends in it
        return plain_text(value, SENTENCE_CHARS)
    lines = value if isinstance(value, list) else str(value).splitlines() if isinstance(value, str) else []
    plain = (plain_text(line, SENTENCE_CHARS) for line in lines[:ITEMS] if isinstance(line, str))
    return "\n".join(plain)[:SENTENCE_CHARS]


def _share(value: Any) -> float:
    if type(value) is float and 0.0 < value <= 1.0:  # as nearly all are written
        return round(value, 4)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return 0.0
    return round(min(1.0, max(0.0, float(value))), 4)


def _milliseconds(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return 0
    return int(min(86_400_000, max(0, value)))
