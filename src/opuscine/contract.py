"""The HTTP contract: what is read, what is answered, and how the domain model is shown in it. No I/O.

The models of answers exist for the OpenAPI document and the tests; answers themselves are built by the `show_…` functions as
plain dicts, which costs a tenth of building and dumping the models.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema, model_validator
from pydantic.config import JsonDict
from pydantic_core import from_json

from opuscine.catalogue.plain_text import cut_at_sentence
from opuscine.codec import dumps
from opuscine.errors import OpusCineError
from opuscine.model import DegradedReason, Film, Match, OttLink, Recommendation, RecommendedFilm, Source, TitleRef

ANSWER_LIMIT_BYTES = 262_144  # WebClient's default buffer: a larger answer fails there
OVERVIEW_CHARS = 500
LARGEST_ID = 2**63 - 1
BATCH_IDS = 100
SERVER = "OpusCine"  # the header of that name; aiohttp's own names its version and Python's
ATTRIBUTION = ["TMDB (https://www.themoviedb.org)", "JustWatch (https://www.justwatch.com)"]
NO_LINKS = "현재 이 작품을 시청할 수 있는 OTT 정보를 찾지 못했습니다."

M = TypeVar("M", bound=BaseModel)


# --- problems -------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ProblemType:
    """One kind of error answer: its `code` is ours and stable, its title is for people."""

    status: int
    code: str
    title: str


PROBLEMS: Mapping[str, ProblemType] = {
    kind.code: kind
    for kind in (
        ProblemType(400, "malformed_request", "The request could not be read"),
        ProblemType(400, "malformed_json", "The body is not valid JSON"),
        ProblemType(401, "unauthenticated", "It is not known who calls"),
        ProblemType(403, "forbidden", "The caller may not do this"),
        ProblemType(404, "not_found", "There is nothing at this address"),
        ProblemType(405, "method_not_allowed", "This address does not take this method"),
        ProblemType(408, "body_timeout", "The body did not arrive in time"),
        ProblemType(408, "header_timeout", "The headers did not arrive in time"),
        ProblemType(413, "body_too_large", "The body is too large"),
        ProblemType(415, "unsupported_media_type", "The body is of a kind that is not read here"),
        ProblemType(422, "invalid_fields", "Some fields are not valid"),
        ProblemType(429, "rate_limited", "Too many requests"),
        ProblemType(429, "too_many_failures", "Too many failed attempts"),
        ProblemType(431, "headers_too_large", "The address or the headers are too long"),
        ProblemType(500, "internal_error", "Something went wrong here"),
        ProblemType(502, "upstream_bad_reply", "The model gave no usable answer"),
        ProblemType(503, "upstream_unavailable", "The model can't be asked at present"),
        ProblemType(503, "unavailable", "The service can't answer at present"),
        ProblemType(504, "upstream_timeout", "The model was too slow"),
    )
}
PROBLEM_SUMMARIES: Mapping[int, str] = {
    400: "Malformed request or JSON",
    401: "No credentials, or none that are accepted",
    403: "The caller lacks the scope",
    404: "No such address",
    405: "Method not allowed; `Allow` names those that are",
    408: "Headers or body arrived too slowly",
    413: "Body too large",
    415: "Not `application/json`, or a content encoding",
    422: "Invalid fields, listed in `errors`",
    429: "Too many requests; `Retry-After` says when to come back",
    431: "Address or headers too long",
    500: "A fault of ours",
    502: "Only with `FALLBACK=off`: the model's reply was unusable",
    503: "No catalogue, draining, no room for a connection, or (only with `FALLBACK=off`) the model can't be asked",
    504: "Only with `FALLBACK=off`: the model was too slow",
}


class ProblemError(OpusCineError):
    """Carry an error answer to the middleware that writes it; `detail` is read by the caller and therefore written by us."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        close: bool = False,
    ) -> None:
        """Choose the problem by its code; `close` ends the connection, since what is left of the request on it is not read."""
        super().__init__(f"{code}: {detail}")
        self.type = PROBLEMS[code]
        self.detail = detail
        self.errors = list(errors)
        self.headers = dict(headers or {})
        self.close = close


# --- requests -------------------------------------------------------------------------------------------------------------------


def _whole_number(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("must be a whole number")  # noqa: TRY004  pydantic turns only ValueError into a finding
    if isinstance(value, str):
        if not re.fullmatch(r"[0-9]{1,19}", value.strip()):
            raise ValueError("must be a whole number")
        return int(value)
    return value


UTF8_BOM = b"\xef\xbb\xbf"  # .NET writes one
# What `_visible_text` leaves something of. Blanks are named one by one: `\s` is another set in Python, in ECMA 262 and in Java.
VISIBLE: JsonDict = {
    "pattern": r"^[\s\S]*[^\u0000-\u0020\u007F-\u00A0\u1680\u2000-\u200A\u2028\u2029\u202F\u205F\u3000][\s\S]*$",
}
CONTROLS = dict.fromkeys((*range(32), *range(0x7F, 0xA0)), " ")


def _visible_text(value: str) -> str:
    return value.translate(CONTROLS).strip()


def _wish(value: str) -> str:
    text = _visible_text(value)
    if not text:
        raise ValueError("must not be empty")
    return text


def _number_as_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _user(value: str | None) -> str | None:
    return (value and _visible_text(value)) or None


BLANKS = " \t\r\n"


def _region_code(value: object) -> object:
    code = value.strip(BLANKS) if isinstance(value, str) else value
    return code.upper() if isinstance(code, str) and code.isascii() else code  # "ß" would become "SS"


WholeNumber = BeforeValidator(_whole_number)
# Lengths are those of what was sent, before blanks are taken off: so the schema says it.
# The bounds stand inside the validators that come before them, so that both count and the schema shows the bounds.
# null is absent (`_null_is_absent`); a type `int | None` would say so too, and hand None on to who reads the model.
NULLABLE: JsonDict = {"nullable": True}
Page = Annotated[int, Field(ge=1, le=1000, description="Page, from 1.", json_schema_extra=NULLABLE), WholeNumber]
Limit = Annotated[int, Field(ge=1, le=100, description="Films per page.", json_schema_extra=NULLABLE), WholeNumber]
INT64: JsonDict = {"format": "int64"}  # generated clients take a plain integer for 32 bits
TitleId = Annotated[
    int,
    Field(ge=1, le=LARGEST_ID, description="TMDB's number of the film or series.", examples=[496243], json_schema_extra=INT64),
    WholeNumber,
]
Region = Annotated[
    str,
    Field(
        pattern=r"^[A-Z]{2}$",
        description="ISO 3166-1 alpha-2; default: the service's region.",
        examples=["KR"],
        json_schema_extra={"pattern": r"^[ \t\r\n]*[A-Za-z]{2}[ \t\r\n]*$"},  # what `_region_code` makes one of
    ),
    BeforeValidator(_region_code),
]


class _Request(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, value: object) -> object:
        """Take null for absent: Java's mappers write every empty field as null."""
        return {key: item for key, item in value.items() if item is not None} if isinstance(value, dict) else value


class RecommendRequest(_Request):
    """Ask for films in plain language."""

    message: Annotated[
        str,
        Field(
            min_length=1,
            max_length=2000,
            description="The wish, in any language.",
            examples=["비 오는 날 볼만한 잔잔한 영화"],
            json_schema_extra=VISIBLE,
        ),
        AfterValidator(_wish),
    ]
    user_id: Annotated[
        Annotated[str, Field(max_length=128)] | None,
        Field(description="Who asks, as the caller names its users."),
        BeforeValidator(_number_as_text),
        AfterValidator(_user),
    ] = None
    page: Page = 1
    limit: Limit = 20
    region: Region | None = None


class OttQuery(_Request):
    """Ask where one title streams."""

    id: TitleId
    region: Region | None = None


class OttBatchQuery(_Request):
    """Ask where several films stream."""

    ids: Annotated[
        str,
        Field(pattern=r"^\s*[0-9]{1,19}\s*(,\s*[0-9]{1,19}\s*)*$", max_length=4000),
        WithJsonSchema(
            {
                "type": "array",
                "items": {"type": "integer", "format": "int64", "minimum": 1, "maximum": LARGEST_ID},
                "minItems": 1,
                "maxItems": BATCH_IDS,
                "description": "Up to 100 numbers, separated by commas.",
                "example": [496243, 129],
            }
        ),
    ]
    region: Region | None = None


class PopularQuery(_Request):
    """Ask for popular films."""

    page: Page = 1
    limit: Limit = 20
    region: Region | None = None


class ViewQuery(_Request):
    """Ask where one title streams, as the predecessor's callers do."""

    movieId: TitleId  # noqa: N815  the predecessor's name
    region: Region | None = None


def read_fields(model: type[M], value: Mapping[str, Any] | bytes) -> M:
    """Read a request model from a body or from the parameters of a query.

    Raises:
        ProblemError: `malformed_json` for a body that is no JSON, `invalid_fields` with one entry a field otherwise.
    """
    try:
        return model.model_validate_json(value.removeprefix(UTF8_BOM)) if isinstance(value, bytes) else model.model_validate(value)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        if found[0]["type"] == "json_invalid":
            raise ProblemError("malformed_json", "Send one JSON object in UTF-8.") from None
        errors = [FieldError(field=".".join(map(str, item["loc"])) or "body", message=_sentence(item["msg"])) for item in found]
        raise ProblemError("invalid_fields", f"Not valid: {', '.join(error.field for error in errors)}.", errors=errors) from None


class WishFields(NamedTuple):
    """What a `RecommendRequest` holds."""

    message: str
    user_id: str | None
    page: int
    limit: int
    region: str | None


def read_wish(body: bytes) -> WishFields:
    """Read a `RecommendRequest`.

    One that is written as plainly as nearly all are is looked at here, in 2 µs instead of pydantic's 5 (measured).

    Raises:
        ProblemError: as `read_fields`.
    """
    try:
        value = from_json(body, allow_inf_nan=False)
    except ValueError:
        value = None
    if type(value) is dict:
        fields: list[Any] = [value.get(name) for name in WishFields._fields]
        message, user_id, page, limit, region = fields
        page, limit = 1 if page is None else page, 20 if limit is None else limit
        if (
            _is_plain(message, 2000)
            and (user_id is None or _is_plain(user_id, 128))
            and type(page) is int
            and 1 <= page <= 1000
            and type(limit) is int
            and 1 <= limit <= 100
            and (
                region is None or (type(region) is str and len(region) == 2 and region.isascii() and region.isalpha() and region.isupper())
            )
        ):
            return WishFields(message, user_id, page, limit, region)
    asked = read_fields(RecommendRequest, body)
    return WishFields(asked.message, asked.user_id, asked.page, asked.limit, asked.region)


def _is_plain(text: object, longest: int) -> bool:
    """Say whether a text is one that would be taken as it is: without controls, and nothing to strip."""
    return type(text) is str and 0 < len(text) <= longest and text.isprintable() and text[0] != " " != text[-1]


def _sentence(message: str) -> str:
    return message.removeprefix("Value error, ").removeprefix("Input ").strip()


# --- answers --------------------------------------------------------------------------------------------------------------------


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


MediaType = Literal["movie", "tv"]


class OttLinkModel(_Answer):
    """One address at which a title can be watched."""

    provider_name: str
    provider_id: int = Field(description="TMDB's number of the provider; 0: not known.")
    logo_path: str
    display_priority: int = Field(ge=1)
    link: str = Field(pattern=r"^https?://")
    type: Literal["flatrate", "free", "ads", "rent", "buy"]
    region: str = Field(pattern=r"^[A-Z]{2}$")


class MatchModel(_Answer):
    """How a film was tied to the catalogue."""

    method: Literal[
        "id+title", "id", "title+year", "original_title+year", "variant+year", "fuzzy+year", "title", "variant", "catalogue", "unverified"
    ]
    score: float = Field(ge=0, le=1)


class Movie(_Answer):
    """A film or series with where it streams. Absent text is empty, absent numbers are 0."""

    id: int = Field(json_schema_extra=INT64)
    title: str
    original_title: str
    overview: str
    release_date: str
    poster_path: str
    backdrop_path: str
    vote_average: float
    vote_count: int
    popularity: float
    genre_ids: list[int]
    media_type: MediaType
    match: MatchModel
    ott_links: list[OttLinkModel]


class Pagination(_Answer):
    """Where this page stands."""

    page: int
    limit: int
    total_results: int
    total_pages: int


class QueryInfo(_Answer):
    """How the wish was understood."""

    original_message: str
    tmdb_parameters: dict[str, Any]
    confidence: float = Field(ge=0, le=1)
    method: str
    reasoning: str
    processing_time_ms: int
    proxy_processing_time_seconds: float
    pagination: Pagination
    conversation: dict[str, Any]
    user_intent_analysis: str
    recommendation_explanation: str
    follow_up_suggestions: str


class RecommendData(_Answer):
    """Where the films come from, and whether the model chose them."""

    source: Literal["llm", "cache", "catalogue"]
    degraded: bool
    degraded_reason: (
        Literal["llm_timeout", "llm_unavailable", "llm_error", "llm_bad_reply", "llm_empty", "breaker_open", "overloaded"] | None
    )
    region: str
    as_of: str = Field(description="ISO 8601 instant of the catalogue's data.")
    attribution: list[str]
    rejected: int


class RecommendAnswer(_Answer):
    """Films for a wish."""

    success: Literal[True]
    data: RecommendData
    movies: list[Movie]
    total_results: int = Field(description="Films known over all pages.")
    error: None = Field(description="Always null.")
    query_info: QueryInfo


class OttAnswer(_Answer):
    """Where one title streams."""

    success: Literal[True]
    movie_id: int = Field(json_schema_extra=INT64)
    media_type: MediaType
    region: str
    ott_links: list[OttLinkModel]
    source: Literal["local", "redis", "api", "none"]
    as_of: str
    attribution: list[str]
    error: str | None = Field(description="A sentence for the viewer when nothing is known.")


class ViewAnswer(OttAnswer):
    """The predecessor's answer: the same, with the time of asking."""

    timestamp: str


class OttBatchEntry(_Answer):
    """Where one of several titles streams."""

    media_type: MediaType
    ott_links: list[OttLinkModel]


class OttBatchAnswer(_Answer):
    """Where several titles stream, by id."""

    success: Literal[True]
    region: str
    results: dict[str, OttBatchEntry]


class PopularAnswer(_Answer):
    """Popular films."""

    success: Literal[True]
    movies: list[Movie]
    total_results: int
    page: int


class Component(_Answer):
    """The state of one part."""

    status: Literal["UP", "DOWN", "UNKNOWN"]
    details: dict[str, Any]


class Components(_Answer):
    """The state of every part."""

    llm: Component
    redis: Component
    catalogue: Component
    api_server: Component


class HealthAnswer(_Answer):
    """The state of the service, in the shape of Spring's actuator."""

    status: Literal["UP", "DOWN"]
    degraded: bool
    components: Components
    movie_count: int
    tv_count: int
    version: str


class StatusAnswer(_Answer):
    """UP or DOWN."""

    status: Literal["UP", "DOWN"]


class IndexAnswer(_Answer):
    """What this service is."""

    name: str
    version: str
    description: str
    links: dict[str, str]
    attribution: list[str]


class ReloadAnswer(_Answer):
    """A reload was begun."""

    success: Literal[True]
    generation: str = Field(
        description="The generation aimed at: served once its sources have been compiled, or never where they turn out broken."
    )


class StatsAnswer(_Answer):
    """The inner state, one object a part."""

    success: Literal[True]
    version: str
    uptime_seconds: float
    catalogue: dict[str, Any]
    tiers: dict[str, dict[str, int]] = Field(description="Titles looked up by the tier that had their links, and tiers asked in vain.")
    llm: dict[str, Any]
    breakers: dict[str, dict[str, Any]]
    redis: dict[str, Any]
    connections: dict[str, Any]
    upstreams: dict[str, dict[str, Any]] = Field(description="What the last probe of each server found.")
    limits: dict[str, dict[str, Any] | None]
    callers: dict[str, dict[str, int]] = Field(description="Credentials that were not believed, by reason.")
    recommend: dict[str, Any]
    process: dict[str, Any] = Field(description="This process: of several, the one that answered.")


class FieldError(_Answer):
    """One field that is not valid."""

    field: str
    message: str


class Problem(_Answer):
    """An error answer (RFC 9457) with our members."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    request_id: str
    success: Literal[False]
    error: str
    errors: list[FieldError] | None = None


# --- the domain model, shown ----------------------------------------------------------------------------------------------------


def show_instant(instant: datetime) -> str:
    """Write an instant as ISO 8601 in UTC with whole seconds."""
    return instant.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def show_link(link: OttLink) -> dict[str, Any]:
    """Show one link."""
    return {
        "provider_name": link.provider_name,
        "provider_id": link.provider_id,
        "logo_path": link.logo_path,
        "display_priority": link.display_priority,
        "link": link.link,
        "type": link.type.value,
        "region": link.region,
    }


def show_film(film: Film, match: Match, links: Sequence[OttLink]) -> dict[str, Any]:
    """Show one film; no number or list is ever null (Jackson throws on null for primitives)."""
    return {
        "id": film.ref.id,
        "title": film.title,
        "original_title": film.original_title,
        "overview": cut_at_sentence(film.overview, OVERVIEW_CHARS),
        "release_date": film.release_date,
        "poster_path": film.poster_path,
        "backdrop_path": film.backdrop_path,
        "vote_average": film.vote_average,
        "vote_count": film.vote_count,
        "popularity": film.popularity,
        "genre_ids": list(film.genre_ids),
        "media_type": film.ref.kind.value,
        "match": {"method": match.method.value, "score": match.score},
        "ott_links": [show_link(link) for link in links],
    }


def show_films(films: Sequence[RecommendedFilm]) -> list[dict[str, Any]]:
    """Show films with the links that were joined to them."""
    return [show_film(item.film, item.match, item.links) for item in films]


@dataclass(slots=True)
class Asked:
    """What of a request is shown in its answer. Nobody changes it; as with a suggestion, that is not enforced."""

    message: str
    page: int
    limit: int
    region: str


def show_recommendation(found: Recommendation, asked: Asked, *, as_of: datetime, elapsed_s: float) -> dict[str, Any]:
    """Show the answer to a wish; `fit` brings it under its limit."""
    return {
        **show_origin(found.source, found.degraded_reason, asked.region, as_of=show_instant(as_of), rejected=found.rejected),
        "movies": show_films(found.films),
        **show_course(found, asked, elapsed_s=elapsed_s),
    }


def show_origin(source: Source, degraded_reason: DegradedReason | None, region: str, *, as_of: str, rejected: int) -> dict[str, Any]:
    """Show what stands before the films: where they come from."""
    return {
        "success": True,
        "data": {
            "source": source.value,
            "degraded": degraded_reason is not None,
            "degraded_reason": degraded_reason.value if degraded_reason else None,
            "region": region,
            "as_of": as_of,
            "attribution": ATTRIBUTION,
            "rejected": rejected,
        },
    }


def show_course(found: Recommendation, asked: Asked, *, elapsed_s: float) -> dict[str, Any]:
    """Show what stands behind the films: how they were come by."""
    return {
        "total_results": found.total,
        "error": None,
        "query_info": {
            "original_message": asked.message,
            "tmdb_parameters": found.parameters,
            "confidence": found.confidence,
            "method": found.method,
            "reasoning": found.reasoning,
            "processing_time_ms": found.processing_ms,
            "proxy_processing_time_seconds": round(elapsed_s, 4),
            "pagination": {
                "page": asked.page,
                "limit": asked.limit,
                "total_results": found.total,
                "total_pages": -(-found.total // asked.limit),
            },
            "conversation": found.conversation,
            "user_intent_analysis": found.intent_analysis,
            "recommendation_explanation": found.explanation,
            "follow_up_suggestions": found.follow_up,
        },
    }


def fit(body: dict[str, Any], limit_bytes: int = ANSWER_LIMIT_BYTES) -> bytes:
    """Encode an answer with `movies`, shortening it until it is under the limit: overviews first, the longest first, then links.

    Overviews are cut at a sentence's end to the largest common length that fits; only when none are left does each film keep
    fewer of its links, best first.
    """
    encoded = dumps(body)
    movies: list[dict[str, Any]] = body["movies"]
    for chars in (300, 200, 120, 60, 0):
        if len(encoded) < limit_bytes:
            return encoded
        for movie in movies:
            movie["overview"] = cut_at_sentence(movie["overview"], chars)
        encoded = dumps(body)
    for links in (5, 3, 2, 1, 0):
        if len(encoded) < limit_bytes:
            return encoded
        for movie in movies:
            del movie["ott_links"][links:]
        encoded = dumps(body)
    return encoded


def show_ott(ref: TitleRef, region: str, links: Sequence[OttLink], *, source: str, as_of: datetime) -> dict[str, Any]:
    """Show where one title streams."""
    return {
        "success": True,
        "movie_id": ref.id,
        "media_type": ref.kind.value,
        "region": region,
        "ott_links": [show_link(link) for link in links],
        "source": source,
        "as_of": show_instant(as_of),
        "attribution": ATTRIBUTION,
        "error": None if links else NO_LINKS,
    }


def show_problem(problem: ProblemError, *, instance: str, request_id: str) -> dict[str, Any]:
    """Show an error answer (RFC 9457, section 3) with our members."""
    body: dict[str, Any] = {
        "type": f"urn:opuscine:problem:{problem.type.code.replace('_', '-')}",
        "title": problem.type.title,
        "status": problem.type.status,
        "detail": problem.detail,
        "instance": instance,
        "code": problem.type.code,
        "request_id": request_id,
        "success": False,
        "error": problem.detail,
    }
    if problem.errors:
        body["errors"] = [{"field": error.field, "message": error.message} for error in problem.errors]
    return body
