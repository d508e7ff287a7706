"""How the parameters of an address are read."""

from __future__ import annotations

from typing import TypeVar

from aiohttp import web
from pydantic import BaseModel

from opuscine.contract import read_fields

M = TypeVar("M", bound=BaseModel)


def read_parameters(request: web.Request, model: type[M]) -> M:
    """Read a model from the path and the query; of a repeated parameter the first counts, an empty one is absent.

    Raises:
        ProblemError: `invalid_fields`.
    """
    given: dict[str, str] = {}
    for name, value in request.query.items():
        if value != "":
            given.setdefault(name, value)
    return read_fields(model, {**given, **request.match_info})
