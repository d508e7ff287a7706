"""Streams of a recommendation, held to what the document says of them: their events, put together, are an answer."""

from __future__ import annotations

import json

from opuscine.contract import Movie, Problem, RecommendAnswer


def read_stream(text: str) -> RecommendAnswer | Problem:
    """Read a whole stream and return the answer that its caller would have had at once.

    Raises:
        ValueError: an event is not what the document says (pydantic's error is one), or the last is neither `done` nor `error`.
    """
    blocks = [block for block in text.removesuffix("\n\n").split("\n\n") if not block.startswith(":")]
    events = [dict(line.split(": ", 1) for line in block.split("\n")) for block in blocks]
    if [event.get("id") for event in events] != [str(number) for number in range(len(events))]:
        raise ValueError("events are not numbered from 0")
    *before, (last, rest) = [(event["event"], json.loads(event["data"])) for event in events]
    if {name for name, _ in before} - {"movie", "message"}:
        raise ValueError("something follows the last event")
    movies = [Movie.model_validate(data) for name, data in before if name == "movie"]
    if last == "error":
        return Problem.model_validate(rest)
    if last != "done":
        raise ValueError(f"the last event is {last}")
    return RecommendAnswer.model_validate({**rest, "movies": movies})
