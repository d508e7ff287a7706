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
from opuscine.codec import loads
from opuscine.contract import ATTRIBUTION, PROBLEM_SUMMARIES, Problem
from opuscine.operations import Operation
from opuscine.packaged import packaged_file

COMMON_PROBLEMS = (500,)
SCHEMAS = "#/components/schemas/"
TAGS = {
    "recommend": "Films for a wish",
    "ott": "Where titles stream",
    "popular": "Popular films",
    "health": "State of the service",
    "admin": "For the operator",
    "about": "About this service",
    "legacy": "Addresses of the predecessor",
}
ANSWER_HEADERS = {
    "X-Request-Id": {"description": "The request's id: the caller's, or a new one.", "schema": {"type": "string"}},
    "Server-Timing": {"description": "Phases of the work in milliseconds.", "schema": {"type": "string"}},
}
EVENTS = "Events: `movie` (a Movie) for each film, `message` (`{text}`) for the explanation, `done` (the answer without movies)."
SECURITY_SCHEMES = {
    "ApiKey": {"type": "apiKey", "in": "header", "name": "X-Api-Key", "description": "A key made with `opuscine keys new`."},
    "Bearer": {"type": "http", "scheme": "bearer", "description": "A token of the configured issuer, or an API key."},
}
RATE_HEADERS = {
    "RateLimit": {"description": "What is left of the limit, and when it is whole again (IETF draft).", "schema": {"type": "string"}},
    "RateLimit-Policy": {"description": "The limit itself.", "schema": {"type": "string"}},
}
AGE = {
    "description": "Seconds since the answer was made (RFC 9111); absent from one that was made for this request.",
    "schema": {"type": "string"},
}
CACHE_CONTROL = {
    "name": "Cache-Control",
    "in": "header",
    "required": False,
    "description": "`no-cache`: an answer made anew, which replaces the one that is kept; `no-store`: made anew, and not kept (RFC 9111).",
    "schema": {"type": "string"},
}
RETRY_AFTER = {"Retry-After": {"description": "Seconds to wait, at most 2.", "schema": {"type": "string"}}}
PROBLEM_HEADERS: dict[int, dict[str, Any]] = {
    401: {"WWW-Authenticate": {"description": "How to authenticate.", "schema": {"type": "string"}}},
    429: {**RETRY_AFTER, **RATE_HEADERS},
    503: RETRY_AFTER,
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
        paths.setdefault(operation.path, {})[operation.method.lower()] = describe(operation)
    used = {operation.tag for operation in operations}
    return {
        "openapi": "3.0.3",
        "info": {
            "title": "OpusCine",
            "version": __version__,
            "description": "Recommends films for a sentence and says where each can be watched. Data: " + ", ".join(ATTRIBUTION) + ".",
            "license": {"name": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": text} for name, text in TAGS.items() if name in used],
        "paths": paths,
        "components": {"schemas": schemas(operations), "parameters": REQUEST_HEADERS, "securitySchemes": SECURITY_SCHEMES},
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
    }
    if operation.scope is not None:
        described["description"] += f" Needs the scope `{operation.scope}` where authentication is on."
        described["security"] = [{name: []} for name in SECURITY_SCHEMES]
    if operation.body is not None:
        described["requestBody"] = {"required": True, "content": {"application/json": {"schema": ref(operation.body)}}}
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
        found.append(
            {
                "name": name,
                "in": "path" if name in in_path else "query",
                "required": name in in_path or name in schema.get("required", []),
                "description": property_schema.get("description", name),
                "schema": described,
            }
        )
    return found


def responses(operation: Operation) -> dict[str, Any]:
    """Describe every answer: the body, its variants by status, and each problem."""
    body = {"schema": ref(operation.answer) if operation.answer else {"type": "object"}}
    headers = dict(ANSWER_HEADERS)
    if operation.scope in {"read", "recommend"}:
        headers |= RATE_HEADERS
    if operation.cached:
        headers["Age"] = AGE
    if operation.conditional:
        headers["ETag"] = {"description": "Entity tag for If-None-Match.", "schema": {"type": "string"}}
    answers: dict[str, Any] = {
        str(status): {"description": operation.summary, "headers": headers, "content": {"application/json": body}}
        for status in (operation.status, *operation.other_answers)
    }
    if operation.streams:
        answers[str(operation.status)]["content"]["text/event-stream"] = {"schema": {"type": "string", "description": EVENTS}}
    if operation.conditional:
        answers["304"] = {"description": "The caller's copy is still right", "headers": headers}
    guarded = (401, 403, 429) if operation.scope else ()
    for status in (*operation.problems, *guarded, *COMMON_PROBLEMS):
        if str(status) not in answers:
            answers[str(status)] = {
                "description": PROBLEM_SUMMARIES[status],
                "headers": {**ANSWER_HEADERS, **PROBLEM_HEADERS.get(status, {})},
                "content": {"application/problem+json": {"schema": ref(Problem)}},
            }
    return answers


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
        rewritten |= {"type": "string", "nullable": True, "enum": [None]}
    if "anyOf" in rewritten:
        rewritten = without_null(rewritten)
    if rewritten.get("default", "") is None:
        del rewritten["default"]
    return rewritten


def without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Rewrite "this or null" as `nullable`."""
    choices = [choice for choice in schema["anyOf"] if choice.get("enum") != [None]]
    rest = {key: value for key, value in schema.items() if key != "anyOf"}
    if len(choices) == len(schema["anyOf"]):
        return schema
    if len(choices) == 1 and "$ref" not in choices[0]:
        merged = {**choices[0], **rest, "nullable": True}
        if "enum" in merged:
            merged["enum"] = [*merged["enum"], None]
        return merged
    return {**rest, "allOf" if len(choices) == 1 else "anyOf": choices, "nullable": True}
