"""What a model says beside its films is shown as plain text, bounded, whatever it sends."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opuscine.catalogue.plain_text import plain_text
from opuscine.codec import dumps
from opuscine.recommend.metadata import ITEMS, SENTENCE_CHARS, plain_value, read_metadata

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def test_the_fields_that_callers_read_may_stand_in_either_object() -> None:
    said = read_metadata(
        {
            "user_intent_analysis": "잔잔한 영화를 찾습니다.",
            "confidence": 0.87,
            "tmdb_parameters": {"with_genres": "18"},
            "processing_time_ms": 1234.5,
        },
        {"recommendation_explanation": "비 오는 날에 어울립니다.", "follow_up_suggestions": ["더 밝은 영화", "더 긴 영화"]},
    )
    assert said.intent_analysis == "잔잔한 영화를 찾습니다."
    assert said.explanation == "비 오는 날에 어울립니다."
    assert said.follow_up == "더 밝은 영화\n더 긴 영화"
    assert (said.confidence, said.processing_ms, said.parameters) == (0.87, 1234, {"with_genres": "18"})


@pytest.mark.parametrize(("given_confidence", "shown"), [(True, 0.0), ("0.9", 0.0), (-1, 0.0), (7, 1.0), (float("nan"), 0.0), (0.5, 0.5)])
def test_confidence_is_a_share(given_confidence: Any, shown: float) -> None:
    assert read_metadata({"confidence": given_confidence}, {}).confidence == shown


def test_addresses_and_markup_do_not_pass() -> None:
    said = read_metadata({"reasoning": "<b>보기</b> https://evil.example/x"}, {"note": "[여기](http://evil.example)"})
    assert "evil" not in said.reasoning
    assert "<b>" not in said.reasoning
    assert "evil" not in str(said.conversation)


@given(st.dictionaries(st.text(), JSON, max_size=5), st.dictionaries(st.text(), JSON, max_size=5))
def test_no_reply_whatever_breaks_the_reading(query: dict[str, Any], conversation: dict[str, Any]) -> None:
    said = read_metadata(query, conversation)
    assert 0 <= said.confidence <= 1
    assert len(said.explanation) <= 2000


def test_depth_and_items_are_bounded() -> None:
    deep: Any = "x"
    for _ in range(50):
        deep = [deep]
    assert len(dumps(plain_value(deep))) < 40
    assert len(plain_value(list(range(1000)))) == 50
    assert plain_value(2**80) == 0


TEXTS = (
    st.text() | st.text("가나다 .<>*_/:\n\r\x85\u2028\x1c").map(lambda text: text * 40) | st.just("가" * 3_000 + ". http://evil.example")
)


@given(TEXTS | st.lists(TEXTS | st.none(), max_size=60), TEXTS | st.none())
def test_a_sentence_is_its_lines_made_plain_and_the_conversation_has_the_first_word(one: Any, other: Any) -> None:
    lines = one.splitlines() if isinstance(one, str) else [line for line in one[:ITEMS] if isinstance(line, str)]
    shown = "\n".join(plain_text(line, SENTENCE_CHARS) for line in lines[:ITEMS])[:SENTENCE_CHARS]
    assert read_metadata({"reasoning": one}, {}).reasoning == shown
    assert read_metadata({"follow_up_suggestions": other}, {"follow_up_suggestions": one}).follow_up == (
        shown if one else read_metadata({"reasoning": other}, {}).reasoning
    )


@given(st.floats() | st.integers() | st.just(-0.0))
def test_every_confidence_is_rounded_within_its_bounds(confidence: float) -> None:
    expected = round(min(1.0, max(0.0, float(confidence))), 4) if math.isfinite(confidence) else 0.0
    assert repr(read_metadata({"confidence": confidence}, {}).confidence) == repr(expected)
