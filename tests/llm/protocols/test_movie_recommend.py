"""The movie-recommend protocol: what is sent, and what is made of replies, however odd."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opuscine.codec import dumps
from opuscine.llm.ask import LlmAsk, LlmReply
from opuscine.llm.fault import LlmError
from opuscine.llm.protocols.movie_recommend import (
    LARGEST_KEPT_ITEM_BYTES,
    MAX_ITEMS,
    MAX_METADATA_BYTES,
    ItemReader,
    MovieRecommend,
    request_body,
)
from opuscine.llm.protocols.movie_recommend import read_reply as read_with
from opuscine.model import DegradedReason, Kind, Suggestion

PARASITE = {
    "id": 496243,
    "title": "기생충",
    "original_title": "Gisaengchung",
    "overview": "두 가족.",
    "release_date": "2019-05-30",
    "poster_path": "/p.jpg",
    "backdrop_path": "https://image.tmdb.org/t/p/w780/b.jpg",
    "vote_average": 8.5,
    "vote_count": 18000,
    "popularity": 91.2,
    "genre_ids": [35, 53, 18],
    "media_type": "movie",
}


def read_reply(body: bytes) -> LlmReply:
    """Read a reply as the first one of a server."""
    return read_with(body, ItemReader())


def read(**reply: Any) -> LlmReply:
    """Read a successful reply with these members."""
    return read_reply(json.dumps({"success": True, "movies": [], **reply}).encode())


def read_one(**item: Any) -> Suggestion:
    """Read the one item of a reply."""
    [suggestion] = read(movies=[{"title": "기생충", **item}]).suggestions
    return suggestion


def fault_of(body: bytes) -> DegradedReason:
    """Return the reason why a reply cannot be used."""
    with pytest.raises(LlmError) as failed:
        read_reply(body)
    return failed.value.reason


def outcome_of(body: bytes) -> LlmReply | DegradedReason:
    """Return the reply, or the reason why it cannot be used."""
    try:
        return read_reply(body)
    except LlmError as error:
        return error.reason


# What is sent


def test_the_question_is_utf8_json_of_the_contract() -> None:
    body = request_body(LlmAsk("잔잔한 영화", user_id="u1", page=3, limit=7, given_titles=("기생충",)))
    assert body.decode() == '{"message":"잔잔한 영화","user_id":"u1","context":{"page":3,"limit":7}}'


@pytest.mark.parametrize("user_id", [None, ""])
def test_a_caller_without_a_name_is_anonymous(user_id: str | None) -> None:
    assert json.loads(request_body(LlmAsk("x", user_id=user_id)))["user_id"] == "anonymous"


@given(st.text(st.characters(exclude_categories=())), st.text(st.characters(exclude_categories=())))
def test_any_text_can_be_asked(message: str, user_id: str) -> None:
    asked = json.loads(request_body(LlmAsk(message, user_id=user_id)))
    assert asked["message"] == message.encode("utf-8", "replace").decode().replace("\x00", " ")


# Replies as they should be


def test_a_film_is_read_with_all_its_fields() -> None:
    reply = read(movies=[PARASITE], pagination={"total_results": 41, "total_pages": "3"})
    assert reply.suggestions == (
        Suggestion(
            title="기생충",
            original_title="Gisaengchung",
            year=2019,
            kind=Kind.MOVIE,
            id=496243,
            overview="두 가족.",
            release_date="2019-05-30",
            poster_path="/p.jpg",
            backdrop_path="https://image.tmdb.org/t/p/w780/b.jpg",
            vote_average=8.5,
            vote_count=18000,
            popularity=91.2,
            genre_ids=(35, 53, 18),
        ),
    )
    assert (reply.ids_trusted, reply.total_results, reply.total_pages) == (True, 41, 3)


def test_a_series_is_read_by_its_own_field_names() -> None:
    [suggestion] = read(
        movies=[{"tmdb_id": "93405", "name": "오징어 게임", "original_name": "Squid", "first_air_date": "2021-09-17"}]
    ).suggestions
    assert suggestion == Suggestion(
        title="오징어 게임", original_title="Squid", year=2021, kind=Kind.TV, id=93405, release_date="2021-09-17"
    )


@pytest.mark.parametrize(
    ("item", "kind"),
    [
        ({"media_type": "TV"}, Kind.TV),
        ({"media_type": " series "}, Kind.TV),
        ({"media_type": "film"}, Kind.MOVIE),
        ({"media_type": "person"}, None),
        ({"media_type": ["tv"]}, None),
        ({}, None),
        ({"first_air_date": "2021-01-01"}, None),
    ],
)
def test_the_kind_is_what_media_type_says(item: dict[str, Any], kind: Kind | None) -> None:
    assert read_one(**item).kind is kind


def test_metadata_and_conversation_are_handed_through() -> None:
    reply = read(query_metadata={"confidence": 0.9, "이유": ["비", None, {"a": True}]}, conversation={"turn": 2})
    assert reply.query_metadata == {"confidence": 0.9, "이유": ["비", None, {"a": True}]}
    assert reply.conversation == {"turn": 2}


# Odd fields, item by item


@pytest.mark.parametrize(
    ("given_id", "read_id"),
    [
        (1, 1),
        ("615", 615),
        (615.0, 615),
        (2**63 - 1, 2**63 - 1),
        (2**63, None),
        ("9223372036854775808", None),
        (0, None),
        (-5, None),
        (6.5, None),
        (1e300, None),
        (True, None),
        ("615abc", None),
        ("٦١٥", None),
        ([615], None),
        (None, None),
    ],
)
def test_an_id_is_a_whole_number_of_63_bits_or_none(given_id: Any, read_id: int | None) -> None:
    assert read_one(id=given_id).id == read_id


def test_tmdb_id_stands_in_for_an_id_that_is_none() -> None:
    assert read_one(id="tt6751668", tmdb_id=496243).id == 496243


@pytest.mark.parametrize(
    ("given_vote", "read_vote"),
    [
        (7, 7.0),
        ("7.6", 7.6),
        (" 7.6 / 10 ", 7.6),
        ("7.6/5", 0.0),
        (11, 0.0),
        (-1, 0.0),
        ("many", 0.0),
        (True, 0.0),
        (None, 0.0),
        ({}, 0.0),
        (10**400, 0.0),
    ],
)
def test_a_vote_is_a_number_from_0_to_10(given_vote: Any, read_vote: float) -> None:
    assert read_one(vote_average=given_vote).vote_average == read_vote


@pytest.mark.parametrize("literal", [b"NaN", b"Infinity", b"-Infinity", b"1e999", b'"NaN"', b'"inf"'])
def test_numbers_that_are_none_are_dropped(literal: bytes) -> None:
    body = b'{"success":true,"movies":[{"title":"x","popularity":%s,"vote_count":%s}],"query_metadata":{"n":%s}}'
    reply = outcome_of(body % (literal, literal, literal))
    if isinstance(reply, DegradedReason):  # a literal that the JSON reader itself refuses
        assert reply is DegradedReason.LLM_BAD_REPLY
        return
    assert (reply.suggestions[0].popularity, reply.suggestions[0].vote_count) == (0.0, 0)
    assert not isinstance(reply.query_metadata["n"], float)


@pytest.mark.parametrize(
    ("item", "year", "release_date"),
    [
        ({"release_date": "2019-05-30T00:00:00Z"}, 2019, "2019-05-30"),
        ({"release_date": "2019-05"}, 2019, "2019-05"),
        ({"release_date": "2019"}, 2019, "2019"),
        ({"release_date": "2019-13-45"}, 2019, "2019"),
        ({"release_date": "20190530"}, None, ""),
        ({"release_date": "May 2019"}, None, ""),
        ({"release_date": 2019}, None, ""),
        ({"release_date": None, "year": "2019"}, 2019, ""),
        ({"release_date": "2019-05-30", "year": 2020}, 2020, "2019-05-30"),
        ({"year": 99}, None, ""),
        ({"year": True}, None, ""),
    ],
)
def test_dates_and_years_are_read_as_far_as_they_make_sense(item: dict[str, Any], year: int | None, release_date: str) -> None:
    suggestion = read_one(**item)
    assert (suggestion.year, suggestion.release_date) == (year, release_date)


@pytest.mark.parametrize(
    "image", ["javascript:alert(1)", "/a b.jpg", "//evil.example/x.jpg", '/x"onerror=', "x.jpg", 5, None, "/" + "a" * 400]
)
def test_what_is_no_image_path_is_dropped(image: Any) -> None:
    suggestion = read_one(poster_path=image, backdrop_path=image)
    assert (suggestion.poster_path, suggestion.backdrop_path) == ("", "")


def test_genres_are_distinct_positive_numbers() -> None:
    assert read_one(genre_ids=["18", 35, 18, -1, None, "드라마", 2**40]).genre_ids == (18, 35)
    assert read_one(genre_ids={"id": 18}).genre_ids == ()


def test_a_film_named_by_a_number_keeps_its_name() -> None:
    assert read_one(title=1917).title == "1917"
    assert read_one(title=True, name="기생충").title == "기생충"
    assert read(movies=[{"title": 10**9}]).suggestions == ()


def test_items_without_title_and_id_and_things_that_are_no_items_are_left_out() -> None:
    reply = read(movies=[None, 5, "기생충", [], {}, {"title": "  "}, {"id": 0}, {"id": 7}, {"title": "옥자\n\t (2017)"}])
    assert [(suggestion.id, suggestion.title) for suggestion in reply.suggestions] == [(7, ""), (None, "옥자 (2017)")]


def test_texts_are_cut_and_can_be_written_again() -> None:
    [suggestion] = read_reply(b'{"movies":[{"title":"a\\ud800\\u0000b","overview":"%s"}]}' % (b"x" * 9_000)).suggestions
    assert suggestion.title == "a? b"
    assert len(suggestion.overview) == 2_000


def test_no_more_than_500_items_are_read() -> None:
    assert len(read(movies=[PARASITE] * 600).suggestions) == MAX_ITEMS == 500


@pytest.mark.parametrize("value", [None, [], "x", 5])
def test_metadata_and_pagination_of_another_type_are_nothing(value: Any) -> None:
    reply = read(query_metadata=value, conversation=value, pagination=value)
    assert (reply.query_metadata, reply.conversation, reply.total_results, reply.total_pages) == ({}, {}, None, None)


def test_metadata_is_bounded_in_size_and_depth() -> None:
    assert read(query_metadata={"x": "y" * MAX_METADATA_BYTES}).query_metadata == {}
    deep: dict[str, Any] = {}
    for _ in range(50):
        deep = {"deeper": deep}
    assert str(read(query_metadata=deep).query_metadata).count("deeper") == 8
    assert read(query_metadata={"big": 2**70, "list": [[[[[[[[[1]]]]]]]]]}).query_metadata["big"] is None


@pytest.mark.parametrize("totals", [-1, "many", 2**40, 1.5, None])
def test_totals_that_make_no_sense_are_unknown(totals: Any) -> None:
    assert read(pagination={"total_results": totals, "total_pages": totals}).total_results is None


# Replies that are none


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"ok"',
        b"<html></html>",
        b"{}",
        b'{"success": true}',
        b'{"movies": null}',
        b'{"movies": {"id": 1}}',
        b'{"detail": "Not Found"}',
        b'{"success": true, "movies": [{"title": "\xff"}]}',
        b'{"success": true, "movies": [',
        b"[" * 100_000,
        b'{"success": true, "movies": [' + b"9" * 6_000 + b"x",
    ],
)
def test_what_holds_no_list_of_films_is_a_bad_reply(body: bytes) -> None:
    assert fault_of(body) is DegradedReason.LLM_BAD_REPLY


@pytest.mark.parametrize("no", ["false", "0", '"False"'])
def test_success_false_is_an_error_whatever_else_is_there(no: str) -> None:
    assert fault_of(f'{{"success": {no}, "movies": [{{"id": 1}}], "error": "모델 없음"}}'.encode()) is DegradedReason.LLM_ERROR


@pytest.mark.parametrize("body", [b'{"success": true, "movies": null}', b'\xef\xbb\xbf{"success": true, "movies": []}', b'{"movies": []}'])
def test_an_empty_list_is_a_reply(body: bytes) -> None:
    assert read_reply(body).suggestions == ()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
ITEMS = st.lists(
    st.dictionaries(st.sampled_from([*PARASITE, "name", "tmdb_id", "year", "first_air_date"]), JSON | st.text("0123456789-./ :x")) | JSON
)
REPLIES = st.fixed_dictionaries(
    {}, optional={"success": JSON, "movies": ITEMS | JSON, "pagination": JSON, "query_metadata": JSON, "conversation": JSON}
)


@given(REPLIES.map(lambda reply: json.dumps(reply).encode()) | st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_every_reply_is_read_or_refused_and_what_is_read_can_be_written_again(body: bytes) -> None:
    reply = outcome_of(body)
    if isinstance(reply, DegradedReason):
        assert reply in {DegradedReason.LLM_BAD_REPLY, DegradedReason.LLM_ERROR}
        return
    for suggestion in reply.suggestions:
        assert suggestion.title or suggestion.id
        assert suggestion.id is None or 1 <= suggestion.id < 2**63
        assert suggestion.year is None or 1800 <= suggestion.year < 2200
        assert 0 <= suggestion.vote_average <= 10
        assert math.isfinite(suggestion.popularity)
        dumps([suggestion.title, suggestion.original_title, suggestion.overview, suggestion.poster_path, suggestion.popularity])
    assert json.loads(dumps([reply.query_metadata, reply.conversation])) == [reply.query_metadata, reply.conversation]


# Items that come again

EQUAL: list[list[Any]] = [
    [0, False, 0.0, -0.0],
    [1, True, 1.0],
    [28, 28.0],
    [1917, 1917.0],
    [2**53, 2.0**53],
    ["28"],
    ["movie"],
    ["2019-05-30"],
    [None],
    [{}],
]
EQUAL += [[[one] for one in values] for values in EQUAL]
FIELDS = [*(name for name in PARASITE if name != "id"), "name", "tmdb_id", "year", "first_air_date", "adult"]


@st.composite
def equal_items(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Make items that are equal to Python, though a number may be a float in one and a truth in another."""
    values = draw(st.dictionaries(st.sampled_from(FIELDS), st.sampled_from(EQUAL)))
    return [{"id": number} | {name: draw(st.sampled_from(equal)) for name, equal in values.items()} for number in (2, 2, 1, True, 2.0, 2)]


@given(st.lists(equal_items(), max_size=3).map(lambda lists: [item for items in lists for item in items]), st.randoms())
def test_an_item_that_comes_again_is_read_as_if_it_came_first(items: list[dict[str, Any]], order: random.Random) -> None:
    reader = ItemReader()
    for _ in range(3):
        order.shuffle(items)
        for item in items:
            assert repr(reader.read([item])) == repr(ItemReader().read([item]))


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ({"title": 1917}, {"title": 1917.0}),
        ({"name": 0}, {"name": False}),
        ({"title": "코코", "vote_count": 1}, {"title": "코코", "vote_count": True}),
        ({"title": "코코", "genre_ids": [28, 1]}, {"title": "코코", "genre_ids": [28, True]}),
        ({"title": "코코", "vote_average": 1.0}, {"title": "코코", "vote_average": True}),
    ],
)
def test_what_only_seems_to_come_again_is_read_for_itself(first: dict[str, Any], then: dict[str, Any]) -> None:
    reader = ItemReader()
    [read_first], [read_then] = reader.read([{"id": 7, **first}]), reader.read([{"id": 7, **then}])
    assert first == then
    assert read_first != read_then


def test_a_film_that_a_server_names_again_is_the_same_suggestion_until_anything_is_said_differently() -> None:
    call = MovieRecommend().begin(LlmAsk("영화"))
    said: list[dict[str, Any]] = [{}, {}, {"why": "신납니다", "links": [{"to": [1]}]}, {"overview": "다른 줄거리."}, {"year": 2018}, {}]
    bodies = [json.dumps({"movies": [{**PARASITE, **more}]}).encode() for more in said]
    [first], [again], [with_more], [other], [dated], [back] = (call.read(body).suggestions for body in bodies)
    assert again is first
    assert with_more is first  # it says nothing more of what is read
    assert dated.year == 2018
    assert other.overview == "다른 줄거리."
    assert back == first


def test_what_is_kept_of_items_is_bounded() -> None:
    reader = ItemReader(max_bytes=50_000)
    for number in range(1, 500):
        reader.read([{**PARASITE, "id": number, "overview": "줄거리 " * (number % 50)}])
        assert reader.bytes_held <= 50_000
    held = reader.bytes_held
    assert held > 40_000
    deep: Any = "x"
    for _ in range(900):
        deep = [deep]
    reader.read([{"id": 1, "title": "코코", "overview": "x" * LARGEST_KEPT_ITEM_BYTES}, {"id": 2, "title": "코코", "genre_ids": deep}])
    reader.read([{"id": "3", "title": "코코"}, {"title": "코코"}])
    assert reader.bytes_held == held
