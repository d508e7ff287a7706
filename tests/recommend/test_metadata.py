"""What a model says beside its films is shown as plain text, bounded, whatever it sends."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opuscine.codec import dumps
from opuscine.recommend.metadata import plain_value, read_metadata

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
