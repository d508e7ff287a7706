"""The HTTP contract: golden bodies, what requests are read and refused, and answers that stay under their limit."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from opuscine import contract
from opuscine.contract import (
    ANSWER_LIMIT_BYTES,
    Asked,
    OttBatchQuery,
    OttQuery,
    PopularQuery,
    ProblemError,
    RecommendRequest,
    WishFields,
    fit,
    read_fields,
    read_wish,
    show_recommendation,
)
from opuscine.model import Film, Kind, Match, MatchMethod, OfferType, OttLink, Recommendation, RecommendedFilm, Source, TitleRef

GOLDEN = sorted((Path(__file__).parent / "contract").glob("*.json"))
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_each_golden_body_is_of_its_schema(path: Path) -> None:
    """The model takes the body, and gives back the very same: no field is missing in either."""
    model: type[BaseModel] = getattr(contract, path.stem)
    body = json.loads(path.read_text())
    assert model.model_validate(body).model_dump(mode="json", exclude_unset=True) == body


def test_there_is_a_golden_body_of_every_request_and_answer() -> None:
    named = {path.stem for path in GOLDEN}
    answers = {
        name
        for name, value in vars(contract).items()
        if isinstance(value, type) and name.endswith(("Answer", "Request")) and name[0] != "_"
    }
    assert answers - named == set()
    assert "Problem" in named


def refused(model: type[BaseModel], value: Any) -> ProblemError:
    """Return the problem by which a value is refused."""
    with pytest.raises(ProblemError) as problem:
        read_fields(model, value)
    return problem.value


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "message"),
        ({"message": ""}, "message"),
        ({"message": "  \t\n "}, "message"),
        ({"message": "x" * 2001}, "message"),
        ({"message": "\n" + "x" * 2000}, "message"),
        ({"message": 5}, "message"),
        ({"message": ["x"]}, "message"),
        ({"message": "x", "page": 0}, "page"),
        ({"message": "x", "page": 1001}, "page"),
        ({"message": "x", "page": 1.5}, "page"),
        ({"message": "x", "page": True}, "page"),
        ({"message": "x", "page": "one"}, "page"),
        ({"message": "x", "page": "-1"}, "page"),
        ({"message": "x", "limit": 0}, "limit"),
        ({"message": "x", "limit": 101}, "limit"),
        ({"message": "x", "limit": "９"}, "limit"),
        ({"message": "x", "region": "KOR"}, "region"),
        ({"message": "x", "user_id": "u" * 129}, "user_id"),
        ({"message": "x", "user_id": "u" * 128 + " "}, "user_id"),
        ({"message": "x", "user_id": {}}, "user_id"),
    ],
)
def test_a_wrong_field_is_named(body: dict[str, Any], field: str) -> None:
    problem = refused(RecommendRequest, json.dumps(body).encode())
    assert (problem.type.status, problem.type.code) == (422, "invalid_fields")
    assert [error.field for error in problem.errors] == [field]
    assert "http" not in problem.errors[0].message


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"nonsense", b'{"message": "x"', b'{"message": "\xff"}', b'{"message": "\\ud800"}', b"[" * 100_000, b"\x00"],
)
def test_what_is_no_json_is_malformed(body: bytes) -> None:
    assert refused(RecommendRequest, body).type.status == 400


@pytest.mark.parametrize("body", [b"[]", b"null", b"5", b'"x"'])
def test_json_that_is_no_object_is_invalid(body: bytes) -> None:
    assert refused(RecommendRequest, body).type.status == 422


def test_numbers_may_be_digits_nulls_are_absent_and_unknown_fields_ignored() -> None:
    read = read_fields(
        RecommendRequest, b'{"message":" \\u0000hi\\n", "page":"2", "limit":" 5", "user_id": 42, "region": "kr", "context": {"a": 1}}'
    )
    assert (read.message, read.page, read.limit, read.user_id, read.region) == ("hi", 2, 5, "42", "KR")
    read = read_fields(RecommendRequest, b'{"message":"hi", "page":null, "limit":null, "user_id": null, "region": null}')
    assert (read.page, read.limit, read.user_id, read.region) == (1, 20, None, None)
    assert read_fields(RecommendRequest, b'{"message":"hi", "user_id": " \\u0000 "}').user_id is None


@given(st.binary(max_size=200))
def test_no_body_whatever_raises_anything_but_a_problem(body: bytes) -> None:
    with suppress(ProblemError):
        read_fields(RecommendRequest, body)


@pytest.mark.parametrize("number", ["0", "-1", "abc", "1.5", "9223372036854775808", "1" * 30, "١", ""])
def test_an_id_outside_its_range_is_invalid(number: str) -> None:
    assert refused(OttQuery, {"id": number}).type.status == 422


def test_the_largest_id_is_read() -> None:
    assert read_fields(OttQuery, {"id": "9223372036854775807"}).id == 2**63 - 1
    assert read_fields(PopularQuery, {}).limit == 20


@pytest.mark.parametrize("ids", ["", "1,,2", "a", "1;2", ",1", "1" * 25])
def test_a_batch_is_a_list_of_numbers(ids: str) -> None:
    assert refused(OttBatchQuery, {"ids": ids}).type.status == 422


def test_the_largest_answer_possible_stays_under_the_limit_of_callers() -> None:
    """A hundred films, each with a long overview in Korean and eight long links, fit: first overviews give way, then links."""
    link = OttLink("Provider", 8, "/logo.png", 1, "https://example.org/" + "x" * 400, OfferType.FLATRATE, "KR")
    films = tuple(
        RecommendedFilm(
            Film(TitleRef(Kind.MOVIE, n), "제목" * 20, overview="가나다라마바사. " * 200), Match(MatchMethod.ID, 1.0), links=(link,) * 8
        )
        for n in range(100)
    )
    shown = show_recommendation(
        Recommendation(films=films, total=100, source=Source.LLM, method="llm"),
        Asked("질문" * 1000, 1, 100, "KR"),
        as_of=NOW,
        elapsed_s=0.1,
    )
    body = fit(shown)
    assert len(body) < ANSWER_LIMIT_BYTES
    shown = json.loads(body)
    assert len(shown["movies"]) == 100
    assert all(movie["ott_links"] for movie in shown["movies"])


def test_overviews_are_cut_at_a_sentences_end() -> None:
    film = Film(TitleRef(Kind.MOVIE, 1), "제목", overview="첫 문장입니다. " * 100)
    found = Recommendation((RecommendedFilm(film, Match(MatchMethod.ID, 1.0)),), 1, Source.LLM, "llm")
    shown = show_recommendation(found, Asked("x", 1, 20, "KR"), as_of=NOW, elapsed_s=0.0)["movies"][0]["overview"]
    assert len(shown) <= 500
    assert shown.endswith("니다.")


def test_a_region_is_two_letters_before_they_are_made_capital() -> None:
    assert OttQuery.model_validate({"id": 1, "region": " kr "}).region == "KR"
    for other in ("ß", "ŉ", "k", "krw", "ｋｒ", "\u00a0kr"):
        with pytest.raises(ValidationError):
            OttQuery.model_validate({"id": 1, "region": other})


PLAIN = st.text(alphabet="가나 a\t\u00a0\u200b\x7f", max_size=4)
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 2001), st.floats(allow_nan=False), PLAIN, st.just([]), st.just("KR"), st.just("ﾋＫ")
)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(("message", "user_id", "page", "limit", "region", "other"), VALUES)), st.booleans())
@example({"message": "가" * 2000, "user_id": "x" * 128, "page": 1000, "limit": 100, "region": "US"}, False)
@example({"message": "가" * 2001}, True)
@example({"message": "가", "user_id": "x" * 129}, False)
@example({"message": "가", "user_id": 12, "page": "2", "limit": 3.0, "region": " kr "}, True)
def test_a_wish_is_read_as_its_model_says(fields: dict[str, Any], escaped: bool) -> None:
    """However it is written: what is looked at without the model is what the model would make of it, and is refused alike."""
    body = json.dumps(fields, ensure_ascii=escaped).encode()

    def outcome(read: Callable[[], Any]) -> object:
        try:
            asked = read()
        except ProblemError as error:
            return error.type, error.errors
        return tuple(getattr(asked, name) for name in WishFields._fields)

    assert outcome(lambda: read_wish(body)) == outcome(lambda: read_fields(RecommendRequest, body))


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"nonsense", b'{"message": NaN}', b'\xef\xbb\xbf{"message": "x"}', b'{"message": "a", "message": "b"}']
)
def test_a_wish_in_an_odd_body_is_read_as_its_model_says(body: bytes) -> None:
    try:
        expected = tuple(read_fields(RecommendRequest, body).model_dump().values())
    except ProblemError as refusal:
        with pytest.raises(ProblemError, match=refusal.type.code):
            read_wish(body)
    else:
        assert tuple(read_wish(body)) == expected
