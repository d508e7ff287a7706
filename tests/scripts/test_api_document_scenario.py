"""The scenario of the API document finds a lie, and reads for itself: streams, calls, and what is lenient."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from opuscine.app import OPERATIONS
from opuscine.contract import Problem, RecommendAnswer
from opuscine.openapi import document
from support.scenarios.api_document import api_document
from support.scenarios.calls import Call, digest, read_calls
from support.scenarios.figures import broken
from support.scenarios.leniency import is_lenient
from support.scenarios.streamed import read_stream

DOCUMENT = document(OPERATIONS)
CONTENT = DOCUMENT["paths"]["/api/movies/recommend"]["post"]["responses"]["200"]["content"]
STREAM: str = CONTENT["text/event-stream"]["example"]


def test_a_stream_is_read_as_the_answer_it_is() -> None:
    answer = read_stream(": waiting\n\n" + STREAM)
    assert isinstance(answer, RecommendAnswer)
    assert answer.model_dump(mode="json") == CONTENT["application/json"]["example"]


def test_a_stream_may_end_with_a_problem() -> None:
    problem = json.dumps(DOCUMENT["components"]["schemas"]["Problem"]["example"])
    movie = STREAM.partition("\n\n")[0]
    assert isinstance(read_stream(f"{movie}\n\nid: 1\nevent: error\ndata: {problem}\n\n"), Problem)


@pytest.mark.parametrize(
    "stream",
    [
        "",
        STREAM.rpartition("id: ")[0],
        STREAM.replace("event: movie", "event: film"),
        STREAM.replace("id: 1", "id: 2"),
        STREAM.replace('"title":"', '"name":"'),
        STREAM + STREAM,
    ],
    ids=["empty", "cut", "unknown event", "misnumbered", "misnamed field", "twice"],
)
def test_what_is_no_stream_of_ours_is_found_out(stream: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  each has words of its own
        read_stream(stream)


@pytest.mark.parametrize(
    ("body", "lenient"),
    [
        ({"page": "2"}, True),
        ({"limit": " 07 "}, True),
        ({"user_id": 5}, True),
        ({"user_id": True}, False),
        ({"page": "２"}, False),
        ({"page": "1" * 20}, False),
        ({"page": None, "limit": 5, "user_id": "5"}, False),
        (["5"], False),
    ],
)
def test_only_what_the_service_takes_is_lenient(body: Any, lenient: bool) -> None:
    assert is_lenient(body) is lenient


def test_calls_are_read_as_they_were_written(tmp_path: Path) -> None:
    calls = [Call("GET /", "positive", 200, digest("GET", "/", b"\x00")), Call("GET /", "", 405, digest("GET", "/", None))]
    path = tmp_path / "calls"
    path.write_text("".join(call.line() for call in calls))
    assert read_calls(path) == calls
    assert len({call.digest for call in calls}) == 2


@pytest.mark.timeout(300)
async def test_a_document_that_promises_too_much_is_found_out(tmp_path: Path) -> None:
    def promise(told: dict[str, Any]) -> None:
        limits = [parameter for parameter in told["paths"]["/api/movies/popular"]["get"]["parameters"] if parameter.get("name") == "limit"]
        limits[0]["schema"]["maximum"] = 200

    figures = await api_document(tmp_path, cases=100, examples=5, told=promise)
    assert [figure.name for figure in broken(figures, with_timed=False)] == ["kinds of failure"]
