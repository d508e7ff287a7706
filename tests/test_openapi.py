"""The API document is valid OpenAPI 3.0.3, is made from the route table, and describes what the service really answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from jsonschema import Draft4Validator
from openapi_spec_validator import validate
from openapi_spec_validator.validation import OpenAPIV30SpecValidator

from opuscine.app import OPERATIONS
from opuscine.codec import dumps
from opuscine.contract import Problem, ProblemError, RecommendRequest, read_fields
from opuscine.openapi import document
from support.scenarios.leniency import is_lenient
from support.service import Service

DOCUMENT: dict[str, Any] = json.loads(dumps(document(OPERATIONS)))
OPERATION_DESCRIPTIONS = [operation for methods in DOCUMENT["paths"].values() for operation in methods.values()]
CONTRACT = Path(__file__).parent / "contract"


def test_the_document_is_valid() -> None:
    validate(DOCUMENT, cls=OpenAPIV30SpecValidator)
    assert DOCUMENT["openapi"] == "3.0.3"


async def test_the_document_and_the_route_table_agree(service: Service) -> None:
    """Every route is in the document, but for the files that only the HTML of the page names."""
    served = await service.get("/openapi.json")
    documented = {(method.upper(), path) for path, methods in served["paths"].items() for method in methods}
    routed = {
        (route.method, route.resource.canonical) for route in service.app.router.routes() if route.resource and route.method != "HEAD"
    }
    assert documented == routed - {("GET", "/page/{file}")}


def test_every_operation_has_an_id_of_its_own_and_a_problem_for_what_can_go_wrong() -> None:
    operations = [operation for methods in DOCUMENT["paths"].values() for operation in methods.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(names) == len(set(names))
    for operation in operations:
        assert "application/problem+json" in operation["responses"]["500"]["content"]
        if "requestBody" in operation:
            assert {"400", "408", "413", "415", "422"} <= set(operation["responses"])


@pytest.mark.parametrize("operation", OPERATION_DESCRIPTIONS, ids=lambda operation: operation["operationId"])
def test_every_body_has_an_example_and_every_answer_its_headers(operation: dict[str, Any]) -> None:
    headers = set(DOCUMENT["components"]["headers"])
    bodies = [*operation.get("requestBody", {}).get("content", {}).values()]
    for answer in operation["responses"].values():
        assert {"X-Request-Id", "Server-Timing", "Cache-Control"} <= set(answer["headers"]) <= headers
        bodies += [content for kind, content in answer.get("content", {}).items() if kind != "text/html"]
    assert all("example" in body or "examples" in body for body in bodies)


@pytest.mark.parametrize("path", ["/", "/docs", "/openapi.json", "/health", "/api/movies/popular"])
async def test_an_answer_has_the_headers_that_are_described(service: Service, path: str) -> None:
    described = set(DOCUMENT["paths"][path]["get"]["responses"]["200"]["headers"])
    of_authentication_and_limits = {"Vary", "RateLimit", "RateLimit-Policy"}
    async with service.caller.get(service.url + path) as response:
        assert [name for name in described - of_authentication_and_limits if name not in response.headers] == []


BLANK = " \t\n\x00\x1c\x7f\x85\u00a0\u1680\u2028\u3000\ufeff"
TEXTS = st.one_of(
    st.text(alphabet=BLANK + "가aK", max_size=4),
    st.builds(
        lambda length, end: "x" * (length - len(end)) + end, st.sampled_from((128, 129, 2000, 2001)), st.sampled_from(("", " ", "\x00"))
    ),
)
OTHERS: st.SearchStrategy[Any] = st.one_of(st.none(), st.booleans(), st.just(1.5), st.just([]), st.just({}))
NUMBERS = st.sampled_from((-1, 0, 1, 100, 101, 1000, 1001, 2**63, "1", " 7", "x", ""))
FIELDS: Mapping[str, st.SearchStrategy[Any]] = {
    "message": TEXTS | OTHERS,
    "user_id": TEXTS | OTHERS | st.integers(-2, 2),
    "page": NUMBERS | OTHERS,
    "limit": NUMBERS | OTHERS,
    "region": st.text(alphabet=BLANK + "KkrRß", max_size=4) | OTHERS,
    "other": OTHERS,
}


@given(st.fixed_dictionaries({}, optional=dict(FIELDS)))
@example({"message": "\x00\x1f\x7f\x9f"})
@example({"message": "x", "page": None, "limit": None, "user_id": None, "region": None})
@example({"message": "x", "region": ""})
@example({"message": "x", "region": "\tkr "})
@example({"message": "x", "page": True})
@example({"message": "x", "page": "２"})
def test_a_body_is_taken_if_it_fits_the_document_and_only_then(body: dict[str, Any]) -> None:
    """But for what is lenient: digits as text and users named by a number are taken, though the document promises neither."""
    try:
        read_fields(RecommendRequest, json.dumps(body).encode())
        taken = True
    except ProblemError:
        taken = False
    assert taken is REQUESTS.is_valid(body) or (taken and is_lenient(body))


GETS = [(path, methods["get"]["parameters"]) for path, methods in DOCUMENT["paths"].items() if "get" in methods]
IN_QUERIES = [(path, one) for path, parameters in GETS for one in parameters if one.get("in") == "query"]


@pytest.mark.parametrize(("path", "name"), [(path, one["name"]) for path, one in IN_QUERIES if one.get("allowEmptyValue")])
async def test_a_parameter_without_a_value_is_as_if_it_were_not_there(service: Service, path: str, name: str) -> None:
    needed = "&".join(f"{one['name']}=496243" for where, one in IN_QUERIES if where == path and one["required"])
    bodies = []
    for query in (needed, f"{needed}&{name}="):
        async with service.caller.get(f"{service.url}{path.replace('{id}', '496243')}?{query}") as response:
            assert response.status == 200
            bodies.append({key: value for key, value in (await response.json()).items() if key != "timestamp"})
    assert bodies[0] == bodies[1]


def test_only_a_parameter_that_may_be_absent_may_be_without_a_value() -> None:
    for _, one in IN_QUERIES:
        assert one.get("allowEmptyValue", False) is not one["required"]


def test_examples_of_problems_are_what_the_service_would_say() -> None:
    for path, methods in DOCUMENT["paths"].items():
        for operation in methods.values():
            for status, answer in operation["responses"].items():
                if "application/problem+json" in answer.get("content", {}):
                    example = answer["content"]["application/problem+json"]["example"]
                    Problem.model_validate(example)
                    assert str(example["status"]) == status
                    assert example["instance"] == path.replace("{id}", "496243")


def test_examples_of_requests_are_requests() -> None:
    examples = DOCUMENT["paths"]["/api/movies/recommend"]["post"]["requestBody"]["content"]["application/json"]["examples"]
    assert len(examples) >= 3
    for shown in examples.values():
        RecommendRequest.model_validate(shown["value"])


def test_the_example_of_a_stream_is_read_like_a_stream() -> None:
    content = DOCUMENT["paths"]["/api/movies/recommend"]["post"]["responses"]["200"]["content"]
    blocks = content["text/event-stream"]["example"].removesuffix("\n\n").split("\n\n")
    events = [dict(line.split(": ", 1) for line in block.splitlines()) for block in blocks]
    assert [event["event"] for event in events] == ["movie", "message", "done"]
    movies = [json.loads(event["data"]) for event in events if event["event"] == "movie"]
    assert {**json.loads(events[-1]["data"]), "movies": movies} == content["application/json"]["example"]


def test_who_may_call_is_said_of_every_operation() -> None:
    schemes = DOCUMENT["components"]["securitySchemes"]
    for operation in OPERATIONS:
        if operation.documented:
            security = DOCUMENT["paths"][operation.path][operation.method.lower()]["security"]
            assert security == ([{name: []} for name in schemes] if operation.scope else [])


def test_no_word_of_newer_json_schema_is_left() -> None:
    text = json.dumps(DOCUMENT)
    assert '"const"' not in text
    assert '"$defs"' not in text
    assert '"type": "null"' not in text


def test_no_enumeration_holds_only_null_for_which_generators_write_code_that_no_compiler_takes() -> None:
    assert '"enum": [null]' not in json.dumps(DOCUMENT)
    assert DOCUMENT["components"]["schemas"]["RecommendAnswer"]["properties"]["error"]["nullable"] is True


def test_ids_are_of_64_bits_and_schemas_bear_the_contracts_names() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    assert schemas["Movie"]["properties"]["id"]["format"] == "int64"
    assert {"OttLink", "Match"} <= set(schemas)
    assert not [name for name in schemas if name.endswith("Model")]


@pytest.mark.parametrize("name", sorted(DOCUMENT["components"]["schemas"]))
def test_each_example_fits_its_schema(name: str) -> None:
    schema = DOCUMENT["components"]["schemas"][name]
    if "example" in schema:
        Draft4Validator({"$ref": f"#/components/schemas/{name}", "components": {"schemas": nullable_as_draft_4()}}).validate(
            schema["example"]
        )


def test_every_golden_body_is_an_example() -> None:
    for path in CONTRACT.glob("*.json"):
        assert DOCUMENT["components"]["schemas"][path.stem]["example"] == json.loads(path.read_text())


def nullable_as_draft_4() -> Any:
    """Rewrite `nullable` so that a plain JSON Schema validator understands it."""

    def rewrite(schema: Any) -> Any:
        if isinstance(schema, list):
            return [rewrite(item) for item in schema]
        if not isinstance(schema, dict):
            return schema
        rewritten = {key: rewrite(value) for key, value in schema.items() if key not in {"nullable", "example"}}
        return {"anyOf": [{"type": "null"}, rewritten]} if schema.get("nullable") else rewritten

    return rewrite(DOCUMENT["components"]["schemas"])


REQUESTS = Draft4Validator({"$ref": "#/components/schemas/RecommendRequest", "components": {"schemas": nullable_as_draft_4()}})


def test_only_recommendations_tell_their_age_and_heed_cache_control() -> None:
    cached = {
        operation["operationId"]
        for methods in DOCUMENT["paths"].values()
        for operation in methods.values()
        if "Age" in operation["responses"].get("200", {}).get("headers", {})
        and any(parameter.get("name") == "Cache-Control" for parameter in operation["parameters"])
    }
    assert cached == {"recommendMovies", "recommendMoviesLegacy"}
