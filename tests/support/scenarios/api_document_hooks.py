"""Hooks for schemathesis, and read by it alone (`SCHEMATHESIS_HOOKS`).

They say what is left out, in which form answers are wanted and how streams are read, and write down what was sent.
"""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from typing import Any

import schemathesis
from schemathesis.core.failures import Failure

from support.scenarios.calls import CALLS_FILE, Call, digest
from support.scenarios.leniency import is_lenient
from support.scenarios.streamed import read_stream

EVENT_STREAM = "text/event-stream"
OF_THE_TOOL = {"x-schemathesis-testcaseid", "user-agent"}
OUTSIDE_THE_DOCUMENT = "image/png, */*;q=0.1"
EVENT = {
    "type": "object",
    "required": ["id", "event", "data"],
    "properties": {"event": {"enum": ["movie", "message", "done", "error"]}, "id": {"type": "string"}, "data": {"type": "string"}},
}


class StreamError(Failure):
    """A stream that the document does not describe."""


@schemathesis.hook
def before_load_schema(_context: Any, raw_schema: dict[str, Any]) -> None:
    """Describe an event where the document describes a stream: as one text, which is all that 3.0.3 knows.

    Schemathesis would hold each event to that, and fail all of them; what events hold, `stream_conformance` looks at.
    """
    for methods in raw_schema["paths"].values():
        for operation in methods.values():
            for answer in operation["responses"].values():
                if EVENT_STREAM in answer.get("content", {}):
                    answer["content"][EVENT_STREAM] = {"schema": EVENT}


@schemathesis.check
def stream_conformance(_context: Any, response: Any, case: Any) -> None:
    """Hold the events of a stream to what the document says of them."""
    if not response.headers.get("content-type", [""])[0].startswith(EVENT_STREAM):
        return
    try:
        read_stream(response.content.decode())
    except (ValueError, KeyError) as error:
        raise StreamError(operation=case.operation.label, title="Stream is no answer in pieces", message=str(error)) from None


@schemathesis.hook
def filter_case(_context: Any, case: Any) -> bool:
    """Leave out what the service takes though the document does not say so."""
    return not is_lenient(case.body)


@schemathesis.hook
def map_case(_context: Any, case: Any) -> Any:
    """Want the answer in a form that the document names, or in none of them, or none where it is held already; the same case always so."""
    if "Accept" not in case.headers:
        answers = case.operation.definition.raw["responses"]
        wanted = ["*/*", OUTSIDE_THE_DOCUMENT, *sorted({form for answer in answers.values() for form in answer.get("content", ())})]
        same = repr((case.path_parameters, case.query, sorted(case.headers.items()), case.body)).encode(errors="replace")
        lot = zlib.crc32(same)
        case.headers["Accept"] = wanted[lot % len(wanted)]
        if "304" in answers and lot % 5 == 0:
            case.headers["If-None-Match"] = "*"
    return case


@schemathesis.hook
def before_call(context: Any, case: Any, _kwargs: dict[str, Any]) -> None:
    """Do the same for cases of the phases that know no `map_case`."""
    map_case(context, case)


@schemathesis.hook
def after_call(_context: Any, case: Any, response: Any) -> None:
    """Write down what was sent and how it was answered."""
    request = response.request
    headers = sorted((name.lower(), value) for name, value in request.headers.items() if name.lower() not in OF_THE_TOOL)
    mode = case.meta.generation.mode.value if case.meta else ""
    call = Call(case.operation.label, mode, response.status_code, digest(request.method, request.url, headers, request.body))
    with Path(os.environ[CALLS_FILE]).open("a", encoding="utf-8") as file:
        file.write(call.line())
