"""The OpenAPI 3.0.3 document, made from the operations and the models of the contract.

3.0.3 and not 3.1, because openapi-generator's Java clients handle 3.0's `nullable` well and 3.1's type lists badly.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from opuscine import __version__
from opuscine.codec import dumps, loads
from opuscine.contract import ATTRIBUTION, PROBLEM_SUMMARIES, PROBLEMS, FieldError, Problem, ProblemError, show_problem
from opuscine.operations import Operation
from opuscine.packaged import packaged_file

COMMON_PROBLEMS = (400, 431, 500, 503)  # what any request may meet: it can't be read, we fail, or too many connections are open
SCHEMAS = "#/components/schemas/"
# 3.0.3 has no type for null. `enum: [null]` would say it, but of that generators make an enumeration without constants,
# which no compiler takes.
ONLY_NULL = {"type": "string", "nullable": True}
TAGS = {
    "recommend": "Films for a wish",
    "ott": "Where titles stream",
    "popular": "Popular films",
    "health": "State of the service",
    "admin": "For the operator",
    "about": "About this service",
    "legacy": "Addresses of the predecessor",
}
EVENTS = (
    "Server-sent events, each with JSON on one `data:` line: `movie` (a Movie) for each film as soon as it is known, `message` "
    "(`{text}`) with the explanation, and last `done` (the answer without `movies`), or `error` (a Problem) where the service had to stop "
    "first. Lines that begin with `:` keep the connection awake."
)
HEADERS: dict[str, dict[str, str]] = {
    "X-Request-Id": {"description": "The request's id: the caller's, or a new one.", "example": "3f0c2a9d5b7e4c1f"},
    "Server-Timing": {"description": "Phases of the work in milliseconds.", "example": "body;dur=0.1, catalogue;dur=3.2, total;dur=4.0"},
    "Cache-Control": {"description": "Who may keep the answer, and for how long.", "example": "no-store"},
    "Keep-Alive": {"description": "How many seconds an idle connection is kept.", "example": "timeout=1200"},
    "Vary": {"description": "The request headers that the answer depends on.", "example": "Authorization, X-Api-Key"},
    "Age": {
        "description": "Seconds since the answer was made (RFC 9111); absent from one that was made for this request.",
        "example": "12",
    },
    "ETag": {"description": "Entity tag for If-None-Match.", "example": '"5f2b9c0d1e3a4b6c7d8e9f00"'},
    "RateLimit": {"description": "What is left of the limit, and when it is whole again (IETF draft).", "example": '"read";r=1199;t=1'},
    "RateLimit-Policy": {"description": "The limit itself.", "example": '"read";q=1200;w=60'},
    "Retry-After": {"description": "Seconds to wait, at most 2.", "example": "1"},
    "WWW-Authenticate": {"description": "How to authenticate.", "example": 'Bearer realm="opuscine"'},
}
COMMON_HEADERS = ("X-Request-Id", "Server-Timing", "Cache-Control", "Keep-Alive")
RATE_HEADERS = ("RateLimit", "RateLimit-Policy")
PROBLEM_HEADERS: dict[int, tuple[str, ...]] = {401: ("WWW-Authenticate",), 429: ("Retry-After", *RATE_HEADERS), 503: ("Retry-After",)}
SECURITY_SCHEMES = {
    "ApiKey": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Api-Key",
        "description": "A key made with `opuscine keys new`; its scopes say what it may do.",
    },
    "Bearer": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A token of the configured issuer with the scopes in `scope`, or an API key.",
    },
}
CACHE_CONTROL = {
    "name": "Cache-Control",
    "in": "header",
    "required": False,
    "description": "`no-cache`: an answer made anew, which replaces the one that is kept; `no-store`: made anew, and not kept (RFC 9111).",
    "schema": {"type": "string"},
}
REQUEST_HEADERS: dict[str, dict[str, Any]] = {
    "RequestId": {
        "name": "X-Request-Id",
        "in": "header",
        "required": False,
        "description": "An id that the answer and the log repeat; one that does not fit the pattern is replaced.",
        "schema": {"type": "string"},
    },
    "RequestTimeout": {
        "name": "X-Request-Timeout-Ms",
        "in": "header",
        "required": False,
        "description": "How long the caller waits; the answer leaves before that, from the catalogue if need be.",
        "schema": {"type": "string"},
    },
}


def document(operations: Sequence[Operation]) -> dict[str, Any]:
    """Make the whole document."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        if operation.documented:
            paths.setdefault(operation.path, {})[operation.method.lower()] = describe(operation)
    used = {operation.tag for operation in operations}
    return {
        "openapi": "3.0.3",
        "info": {
            "title": "OpusCine",
            "version": __version__,
            "description": "Recommends films for a sentence and says where each can be watched. Data: " + ", ".join(ATTRIBUTION) + ".",
            "contact": {"name": "Whoever runs this service"},
            "license": {"name": "MIT", "url": "https://opensource.org/license/mit"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": text} for name, text in TAGS.items() if name in used],
        "paths": paths,
        "components": {
            "schemas": schemas(operations),
            "parameters": REQUEST_HEADERS,
            "headers": {name: {**header, "schema": {"type": "string"}} for name, header in HEADERS.items()},
            "securitySchemes": SECURITY_SCHEMES,
        },
    }


def describe(operation: Operation) -> dict[str, Any]:
    """Describe one operation with every answer it gives."""
    described: dict[str, Any] = {
        "operationId": operation.operation_id,
        "summary": operation.summary,
        "description": (operation.handler.__doc__ or operation.summary).strip(),
        "tags": [operation.tag],
        "parameters": [
            *parameters(operation),
            *([CACHE_CONTROL] if operation.cached else []),
            *({"$ref": f"#/components/parameters/{name}"} for name in REQUEST_HEADERS),
        ],
        "responses": dict(sorted(responses(operation).items())),
        "security": [],
    }
    if operation.scope is not None:
        described["description"] += f" Needs the scope `{operation.scope}` where authentication is on."
        described["security"] = [{name: []} for name in SECURITY_SCHEMES]
    if operation.body is not None:
        content: dict[str, Any] = {"schema": ref(operation.body)}
        if operation.examples:
            content["examples"] = {name: {"summary": summary, "value": value} for name, summary, value in operation.examples}
        described["requestBody"] = {"required": True, "content": {"application/json": content}}
    return described


def parameters(operation: Operation) -> list[dict[str, Any]]:
    """Describe what is read from the path and the query."""
    if operation.parameters is None:
        return []
    schema = to_3_0(operation.parameters.model_json_schema(ref_template=SCHEMAS + "{model}"))
    in_path = set(re.findall(r"\{(\w+)\}", operation.path))
    found = []
    for name, property_schema in schema["properties"].items():
        described = {key: value for key, value in property_schema.items() if key not in {"title", "description", "nullable"}}
        required = name in in_path or name in schema.get("required", [])
        found.append(
            {
                "name": name,
                "in": "path" if name in in_path else "query",
                "required": required,
                "description": property_schema.get("description", name),
                "schema": described,
                **({} if required else {"allowEmptyValue": True}),  # `?region=` is as if it were not there
                **({"style": "form", "explode": False} if described.get("type") == "array" else {}),  # `1,2,3`
            }
        )
    return found


def responses(operation: Operation) -> dict[str, Any]:
    """Describe every answer: the body, its variants by status, and each problem."""
    names = [*COMMON_HEADERS]
    if operation.scope is not None:
        names.append("Vary")
    if operation.scope in {"read", "recommend"}:
        names += RATE_HEADERS
    if operation.cached:
        names.append("Age")
    if operation.conditional:
        names.append("ETag")
    answers: dict[str, Any] = {
        str(status): {"description": operation.summary, "headers": headers(names), "content": contents(operation)}
        for status in (operation.status, *operation.other_answers)
    }
    if operation.conditional:
        answers["304"] = {"description": "The caller's copy is still right", "headers": headers(names)}
    guarded = (401, 403, 429) if operation.scope else ()
    for status in (*operation.problems, *guarded, *COMMON_PROBLEMS):
        if str(status) not in answers:
            answers[str(status)] = {
                "description": PROBLEM_SUMMARIES[status],
                "headers": headers((*COMMON_HEADERS, *PROBLEM_HEADERS.get(status, ()))),
                "content": {"application/problem+json": {"schema": ref(Problem), "example": problem_example(status, operation)}},
            }
    return answers


def contents(operation: Operation) -> dict[str, Any]:
    """Describe the body of an answer in each form that it comes in."""
    if operation.content != "application/json":
        sample = {"example": operation.sample} if operation.sample else {}
        return {name: {"schema": {"type": "string"}, **sample} for name in (operation.content, *operation.other_content)}
    if operation.answer is None:
        return {"application/json": {"schema": {"type": "object"}, "example": {"openapi": "3.0.3", "info": {"title": "OpusCine"}}}}
    example = example_of(shown_name(operation.answer.__name__))
    forms: dict[str, Any] = {"application/json": {"schema": ref(operation.answer), "example": example}}
    if operation.streams:
        forms["text/event-stream"] = {"schema": {"type": "string", "description": EVENTS}, "example": events_example(example)}
    if operation.shows_page:
        forms["text/html"] = {"schema": {"type": "string", "description": "The page, for browsers, where `PAGE` is on."}}
    return forms


def events_example(answer: Mapping[str, Any]) -> str:
    """Write an answer as the events that it is sent as."""
    rest = {name: value for name, value in answer.items() if name != "movies"}
    events = [
        *(("movie", movie) for movie in answer["movies"]),
        ("message", {"text": answer["query_info"]["recommendation_explanation"]}),
        ("done", rest),
    ]
    return "".join(f"id: {number}\nevent: {name}\ndata: {dumps(data).decode()}\n\n" for number, (name, data) in enumerate(events))


def problem_example(status: int, operation: Operation) -> dict[str, Any]:
    """Show what the first kind of problem of a status looks like."""
    kind = next(kind for kind in PROBLEMS.values() if kind.status == status)
    errors = [FieldError(field="message", message="must not be empty")] if status == 422 else []
    problem = ProblemError(kind.code, f"{PROBLEM_SUMMARIES[status]}.", errors=errors)
    return show_problem(problem, instance=operation.path.replace("{id}", "496243"), request_id=HEADERS["X-Request-Id"]["example"])


def headers(names: Iterable[str]) -> dict[str, Any]:
    """Point to the descriptions of headers."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def schemas(operations: Iterable[Operation]) -> dict[str, Any]:
    """Make a named schema of every body, each with the example that the tests hold the service to."""
    bodies = dict.fromkeys(
        [
            *((operation.body, "validation") for operation in operations if operation.body),
            *((operation.answer, "serialization") for operation in operations if operation.answer),
            (Problem, "serialization"),
        ]
    )
    _, definitions = models_json_schema(list(bodies), ref_template=SCHEMAS + "{model}")  # type: ignore[arg-type]  # a list of pairs
    found: dict[str, Any] = {}
    for name, schema in sorted(definitions["$defs"].items()):
        shown = shown_name(name)
        found[shown] = {**to_3_0(schema), "title": shown}
        example = example_of(shown)
        if example is not None:
            found[shown]["example"] = example
    return found


@cache
def example_of(name: str) -> Any:
    """Return the golden body of a schema, if it has one."""
    path = packaged_file(f"contract/{name}.json")
    return loads(path.read_bytes()) if path.exists() else None


def ref(model: type[BaseModel]) -> dict[str, str]:
    """Point to a named schema."""
    return {"$ref": SCHEMAS + shown_name(model.__name__)}


def shown_name(name: str) -> str:
    """Return a schema's public name: the domain has classes of the same names, from which the contract's are told by a suffix."""
    return name.removesuffix("Model")


def to_3_0(schema: Any) -> Any:
    """Rewrite a schema of JSON Schema 2020-12, as pydantic makes it, in the words of OpenAPI 3.0.3."""
    if isinstance(schema, list):
        return [to_3_0(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    rewritten = {key: to_3_0(value) for key, value in schema.items() if key not in {"$defs", "examples"}}
    if isinstance(rewritten.get("$ref"), str):
        rewritten["$ref"] = shown_name(rewritten["$ref"])
    if isinstance(examples := schema.get("examples"), list) and examples:
        rewritten["example"] = examples[0]
    if "const" in rewritten:
        rewritten["enum"] = [rewritten.pop("const")]
    if rewritten.get("type") == "null":
        rewritten |= ONLY_NULL
    if "anyOf" in rewritten:
        rewritten = without_null(rewritten)
    if rewritten.get("default", "") is None:
        del rewritten["default"]
    return rewritten


def without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Rewrite "this or null" as `nullable`."""
    choices = [choice for choice in schema["anyOf"] if choice != ONLY_NULL]
    rest = {key: value for key, value in schema.items() if key != "anyOf"}
    if len(choices) == len(schema["anyOf"]):
        return schema
    if len(choices) == 1 and "$ref" not in choices[0]:
        merged = {**choices[0], **rest, "nullable": True}
        if "enum" in merged:
            merged["enum"] = [*merged["enum"], None]
        return merged
    return {**rest, "allOf" if len(choices) == 1 else "anyOf": choices, "nullable": True}
