"""What an address of the service does, in the one form that the router and the OpenAPI document are both made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aiohttp.typedefs import Handler
from pydantic import BaseModel


@dataclass(frozen=True, slots=True)
class Operation:
    """One method on one path: its handler, who may call it, what it reads, and every answer it gives."""

    method: str
    path: str
    handler: Handler
    operation_id: str
    summary: str
    tag: str
    answer: type[BaseModel] | None  # None: the body is described elsewhere (the OpenAPI document itself)
    scope: str | None = None  # None: open to everyone
    parameters: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    status: int = 200
    other_answers: tuple[int, ...] = ()  # further statuses that carry `answer`
    problems: tuple[int, ...] = ()  # statuses that carry a Problem, beside those that every operation may give
    streams: bool = False  # sends its answer as server-sent events to callers that accept them
    cached: bool = False  # may answer with what was made for an earlier request, and heeds a caller's Cache-Control
    conditional: bool = False  # answers 304 to a matching If-None-Match
    examples: tuple[tuple[str, str, Any], ...] = ()  # bodies to send: a name, what it shows, the body
    content: str = "application/json"  # the type of its answer
    other_content: tuple[str, ...] = ()  # further types that a caller may prefer
    sample: str = ""  # what an answer that is no JSON looks like
    shows_page: bool = False  # answers HTML to browsers where PAGE is on
    documented: bool = True  # False: a file that only the page's own HTML names, of no use to a program
