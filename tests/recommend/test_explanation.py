"""What is told of the catalogue's films claims nothing that is not so."""

from __future__ import annotations

import pytest

from opuscine.model import DegradedReason
from opuscine.recommend.explanation import Course, Explained, explain, particle
from opuscine.recommend.intent import Intent

STATED = Intent(said=("스릴러", "좀비"))


def told(intent: Intent, *, found: bool = True, reason: DegradedReason | None = None, **course: object) -> Explained:
    """Tell of a page that was come by so."""
    return explain(intent, Course(**course), found=found, reason=reason)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("explained", "text", "confidence"),
    [
        (told(Intent()), "많은 사람이 좋아한 작품을 카탈로그에서 골랐습니다.", 0.3),
        (told(STATED), "‘스릴러, 좀비’에 맞는 작품을 카탈로그에서 골랐습니다.", 0.6),
        (
            told(STATED, unknown=("국가", "연도")),
            "‘스릴러, 좀비’에 맞는 작품을 카탈로그에서 골랐습니다. 국가·연도 정보가 없는 작품이 포함되어 있습니다.",
            0.4,
        ),
        (told(STATED, sought=("좀비",), hits=3), "‘스릴러’에 맞는 작품 가운데 ‘좀비’에 대한 작품을 먼저 보여 드립니다.", 0.6),
        (
            told(Intent(terms=("지브리",)), sought=("지브리",)),
            "‘지브리’에 대한 작품을 카탈로그에서 찾지 못해 많은 사람이 좋아한 작품을 대신 보여 드립니다.",
            0.3,
        ),
        (
            told(Intent(terms=("어벤져스",)), sought=("어벤져스",), hits=1, alike=True),
            "‘어벤져스’에 대한 작품을 먼저, 이어서 장르가 가까운 작품을 보여 드립니다.",
            0.6,
        ),
        (told(Intent(said=("고전",)), named="클래식"), "‘클래식’을 먼저, 이어서 ‘고전’에 맞는 작품을 카탈로그에서 보여 드립니다.", 0.6),
        (told(Intent(similar=True), named="듄", alike=True), "‘듄’과 장르가 가까운 작품을 카탈로그에서 골랐습니다.", 0.6),
        (told(Intent(similar=True, said=("시리즈",)), named="듄"), "‘시리즈’에 맞는 작품을 카탈로그에서 골랐습니다.", 0.6),
        (told(STATED, hurried=True), "‘스릴러, 좀비’에 맞는 작품을 카탈로그에서 골랐습니다.", 0.3),
        (told(STATED, found=False), "카탈로그에서 더 보여 드릴 작품을 찾지 못했습니다.", 0.3),
    ],
)
def test_the_course_is_told(explained: Explained, text: str, confidence: float) -> None:
    assert (explained.text, explained.confidence) == (text, confidence)


def test_a_fault_of_the_model_is_told_first() -> None:
    explained = told(STATED, given_up=("장르", "OTT"), reason=DegradedReason.BREAKER_OPEN)
    assert explained.text == (
        "지금은 추천 모델의 답을 받을 수 없어 카탈로그에서 골랐습니다. "
        "말씀하신 조건에 모두 맞는 작품이 없어 장르·OTT 조건을 빼고 가까운 작품을 골랐습니다."
    )
    assert "constraints given up" in explained.reasoning


def test_the_reasoning_names_what_was_not_done() -> None:
    assert "too little time" in told(STATED, hurried=True).reasoning
    assert "not known were kept" in told(STATED, unknown=("국가",)).reasoning


@pytest.mark.parametrize(
    ("word", "form"), [("기생충", "을"), ("듄", "을"), ("매트릭스", "를"), ("2049", "을(를)"), ("her", "을(를)"), ("", "을(를)")]
)
def test_a_particle_fits_its_word(word: str, form: str) -> None:
    assert particle(word, "을", "를") == form
