"""The one reader of the environment: every setting, its default, what is valid, and the slices that the parts are given.

Sources, strongest first: environment variables, `.env` in the working directory, systemd credentials
(`$CREDENTIALS_DIRECTORY`, one file a setting), the defaults below.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from yarl import URL

from opuscine.errors import SettingsError

Environment = Literal["development", "staging", "production"]
OnOff = Literal["on", "off"]
Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]

SECONDS = "seconds above 0, at most 86400"
RATE = "a number per second, minute, hour or day such as 60/minute, or off"
# A variable that begins so is meant for us even when its rest is misspelt.
OUR_PREFIXES = (
    "LLM_",
    "API_SERVER_",
    "AUTH_FAIL",
    "AUTH_JWT_",
    "AUTH_KEYS",
    "BODY_",
    "CATALOGUE_",
    "CORS_",
    "HEADER_",
    "MAX_CONN",
    "MOVIES_DATA_",
    "RATE_LIMIT_",
    "TRUSTED_PROX",
    "TV_DATA_",
)
# Names near to ours that belong to systemd, to shells and to the tests.
OF_KUBERNETES = re.compile(r"_SERVICE_(HOST|PORT)|_PORT_\d+_")  # what a cluster sets for a service called llm-server or redis
CREDENTIALS = re.compile(r"(?<=://)[^/@,\s]*@")
NOT_OURS = frozenset({"CACHE_DIRECTORY", "HOSTNAME", "HOSTTYPE", "HOSTS"})
OF_OPENTELEMETRY = "OTEL_"  # its SDK reads them itself


def setting(default: Any, description: str, valid: str, group: str) -> Any:
    """Describe a setting for the error messages and for the table in the README."""
    return Field(default=default, description=description, json_schema_extra={"valid": valid, "group": group})


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Where to listen, what connections are bounded by, and how to stop."""

    host: str
    port: int
    drain_delay_s: float
    drain_timeout_s: float
    header_timeout_s: float
    body_timeout_s: float
    max_connections: int


@dataclass(frozen=True, slots=True)
class CatalogueSettings:
    """Which titles there are; a file that is None was not named by a setting."""

    movies_file: Path | None
    tv_file: Path | None
    cache_dir: Path
    ttl_s: float
    region: str


@dataclass(frozen=True, slots=True)
class LlmSettings:
    """The LLM servers, all of one protocol; without any the embedded recommender answers."""

    urls: tuple[str, ...]
    protocol: str
    timeout_s: float
    max_concurrent: int  # at each
    breaker_failures: int
    breaker_open_s: float
    max_reply_bytes: int
    slow_s: float | None = None
    model: str = ""
    api_key: str = field(default="", repr=False)
    temperature: float = 0.2
    max_tokens: int = 2_000


@dataclass(frozen=True, slots=True)
class RecommendSettings:
    """How answers are made."""

    fallback: bool
    region: str
    cache_ttl_s: float
    request_timeout_s: float


@dataclass(frozen=True, slots=True)
class CacheSettings:
    """How answers are kept; 0 seconds keep none, 0 bytes none in the process."""

    ttl_s: float
    stale_ttl_s: float
    max_bytes: int


@dataclass(frozen=True, slots=True)
class RequestSettings:
    """What bounds one request."""

    timeout_s: float
    body_limit_bytes: int


@dataclass(frozen=True, slots=True)
class TracingSettings:
    """Where spans are sent; an empty address sends none."""

    endpoint: str


@dataclass(frozen=True, slots=True)
class RateSettings:
    """How often callers may call: a rate as text, or `off`."""

    recommend: str
    read: str


class Settings(BaseSettings):
    """All settings, by the names of the environment variables in lower case."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True, validate_default=False)

    environment: Environment = setting(
        "development", "Sets the defaults of other settings.", "development, staging or production", "Service"
    )
    host: str | None = setting(
        None, "Address to listen on. Default: `127.0.0.1` in development, else `0.0.0.0`.", "an address or host name", "Service"
    )
    port: Annotated[int, Field(ge=0, le=65535)] = setting(8000, "Port to listen on; 0 takes a free one.", "0 to 65535", "Service")
    log_level: Literal["debug", "info", "warning", "error", "critical"] = setting(
        "info", "Least level that is logged.", "debug, info, warning, error or critical", "Service"
    )
    region: Annotated[str, Field(pattern=r"^[A-Z]{2}$")] = setting(
        "KR", "Region of links when a request names none.", "two capital letters (ISO 3166-1)", "Service"
    )
    fallback: OnOff = setting(
        "on", "Answer from the catalogue when the model can't; `off` shows its faults as 502, 503 and 504.", "on or off", "Service"
    )
    page: OnOff | None = setting(
        None, "The page at `/` for browsers, and `/docs`. Default: `off` in production, else `on`.", "on or off", "Service"
    )
    middlewares: Annotated[tuple[str, ...] | None, NoDecode] = setting(
        None,
        "Middlewares in order, outermost first. Default: the built-in order (`opuscine plugins`).",
        "names, separated by commas",
        "Service",
    )
    workers: Annotated[int, Field(ge=1, le=256)] | None = setting(
        None,
        "Worker processes behind a parent that replaces those that die (`--workers`); `auto`: one a core. Default: one process, no parent.",
        "1 to 256, or auto",
        "Service",
    )
    worker: Annotated[int, Field(ge=0, le=9999)] | None = setting(
        None, "Number of this process in its log lines; the parent and the systemd units set it.", "0 to 9999", "Service"
    )
    drain_delay: Annotated[float, Field(ge=0, le=3600)] = setting(
        0.0,
        "How long after SIGTERM readiness fails before new connections are refused: what a load balancer needs to notice, in seconds.",
        "0 to 3600",
        "Service",
    )
    drain_timeout: Seconds = setting(20.0, "How long requests in flight may take to finish after SIGTERM.", SECONDS, "Service")

    max_connections: Annotated[int, Field(ge=1, le=1_000_000)] = setting(
        10_000,
        "Connections at one time; beyond, the longest idle one is closed. As many files must be allowed to be open, and 512 more.",
        "1 to 1000000",
        "Service",
    )

    log_requests: Annotated[int, Field(ge=0, le=100_000)] = setting(
        100,
        "Request lines a second that are logged of good answers, and as many of refusals (4xx); beyond, one of 100. "
        "Failures and what takes over a second are always logged; 0 logs all.",
        "0 to 100000",
        "Observability",
    )
    metrics_dir: Path | None = setting(
        None,
        "Folder in which the processes behind one port find each other, so that `/metrics` of any shows all. "
        "Default: `metrics` in `$RUNTIME_DIRECTORY`, with `WORKERS` else one in `CACHE_DIR`, else none: each shows itself.",
        "path of a writable folder",
        "Observability",
    )
    otel_exporter_otlp_endpoint: str = setting(
        "",
        "OpenTelemetry collector (OTLP over HTTP) that spans are sent to, with `opuscine[otel]` installed; empty: none. "
        "OpenTelemetry's other variables (`OTEL_…`) count too.",
        "an http or https address",
        "Observability",
    )

    header_timeout: Seconds = setting(
        10.0, "Longest time until a connection's first request, and for the headers of each later one.", SECONDS, "Requests"
    )
    request_timeout: Seconds = setting(30.0, "Longest time for one request; a caller may ask for less, not for more.", SECONDS, "Requests")
    body_timeout: Seconds = setting(10.0, "Longest time for a request body to arrive.", SECONDS, "Requests")
    body_limit: Annotated[int, Field(ge=1024, le=10_485_760)] = setting(
        65_536, "Largest request body in bytes.", "1024 to 10485760", "Requests"
    )

    llm_server_url: Annotated[tuple[str, ...], NoDecode] = setting(
        (),
        "Address of the LLM server, or of several that share the calls; empty: the embedded recommender answers.",
        "an http or https address, or several different ones separated by commas",
        "LLM",
    )
    llm_protocol: Literal["movie-recommend", "openai"] = setting(
        "movie-recommend",
        "How the LLM server is spoken to: the predecessor's way, or chat completions as vLLM, llama.cpp, Ollama and gateways offer them.",
        "movie-recommend or openai",
        "LLM",
    )
    llm_model: str = setting("", "Model to ask for; needed with `openai`.", "the model's name at the server", "LLM")
    llm_api_key: SecretStr = setting(SecretStr(""), "Key for the LLM server, sent as a bearer token with `openai`.", "text", "LLM")
    llm_temperature: Annotated[float, Field(ge=0, le=2)] = setting(0.2, "Sampling temperature, with `openai`.", "0 to 2", "LLM")
    llm_max_tokens: Annotated[int, Field(ge=64, le=100_000)] = setting(
        2_000, "Longest answer in tokens, with `openai`.", "64 to 100000", "LLM"
    )
    llm_timeout: Seconds = setting(30.0, "Longest time for the LLM's whole answer, all attempts together.", SECONDS, "LLM")
    llm_max_concurrent: Annotated[int, Field(ge=1, le=10_000)] = setting(
        64,
        "Most calls at one time at each LLM server; how many it takes without becoming slow is learnt. Beyond, the fallback answers.",
        "1 to 10000",
        "LLM",
    )
    llm_slow: Seconds | None = setting(
        None,
        "From when an answer is so slow that it counts as a failure where half of 30 s are such. Default: four fifths of `LLM_TIMEOUT`.",
        SECONDS,
        "LLM",
    )
    llm_breaker_failures: Annotated[int, Field(ge=1, le=1000)] = setting(5, "Failures in a row that open the breaker.", "1 to 1000", "LLM")
    llm_breaker_open: Seconds = setting(10.0, "How long an open breaker waits before its one trial call.", SECONDS, "LLM")
    llm_max_reply_bytes: Annotated[int, Field(ge=1024, le=16_777_216)] = setting(
        4_194_304, "Largest reply of the LLM server that is read.", "1024 to 16777216", "LLM"
    )

    api_server_url: str = setting(
        "", "Address of the API server (popular films, links); empty: none.", "an http or https address", "API server"
    )
    api_server_timeout: Seconds = setting(2.0, "Longest time that one request spends on the API server.", SECONDS, "API server")

    redis_url: SecretStr = setting(
        SecretStr(""),
        "Redis as one address; wins over `REDIS_HOST` and its companions. Special characters of a password are percent-encoded.",
        "redis://, rediss://, unix://, redis+cluster:// or redis+sentinel:// with user, password, hosts and database",
        "Redis",
    )
    redis_host: str = setting("", "Redis host; empty (and no `REDIS_URL`): no Redis.", "a host name or address", "Redis")
    redis_port: Annotated[int, Field(ge=1, le=65535)] = setting(6379, "Redis port.", "1 to 65535", "Redis")
    redis_password: SecretStr = setting(SecretStr(""), "Redis password.", "text", "Redis")
    redis_db: Annotated[int, Field(ge=0, le=1023)] = setting(0, "Redis database number.", "0 to 1023", "Redis")

    movies_data_file: Path | None = setting(
        None,
        "Films as JSON. Default: `data/movie/tmdb_movies_hybrid_final.json` below the working directory, else the packaged films.",
        "path of a readable JSON file",
        "Data",
    )
    tv_data_file: Path | None = setting(
        None,
        "Series as JSON. Default: `data/tv series/tmdb_tv_series_final.json` below the working directory, else the packaged series.",
        "path of a readable JSON file",
        "Data",
    )
    cache_dir: Path | None = setting(
        None,
        "Folder of compiled catalogues. Default: `$CACHE_DIRECTORY`, else `$XDG_CACHE_HOME/opuscine`.",
        "path of a writable folder",
        "Data",
    )
    cache_ttl: Annotated[float, Field(ge=0, le=86_400)] = setting(
        300.0, "How long an answer of the model is kept and given again, in seconds; 0 is off.", "0 to 86400", "Data"
    )
    cache_stale_ttl: Annotated[float, Field(ge=0, le=86_400)] = setting(
        3_600.0, "How long beyond `CACHE_TTL` it is kept for when the model fails, in seconds; 0 is off.", "0 to 86400", "Data"
    )
    cache_max_bytes: Annotated[int, Field(ge=0, le=4_294_967_296)] = setting(
        33_554_432, "Memory for answers in each process, in bytes; 0 keeps them in Redis only.", "0 to 4294967296", "Data"
    )
    cache_miss_ttl: Annotated[float, Field(ge=0, le=86_400)] = setting(
        300.0, "How long it is remembered that nobody knows where a title streams, in seconds; 0 is off.", "0 to 86400", "Data"
    )
    catalogue_ttl: Seconds = setting(86_400.0, "Age at which the catalogue's sources are looked at again.", SECONDS, "Data")

    auth: OnOff | None = setting(
        None,
        "Whether callers must say who they are. Default: `on`, in development only with keys or an issuer set.",
        "on or off",
        "Callers",
    )
    auth_keys_file: Path | None = setting(
        None,
        "API keys, one a line (`opuscine keys new`); read again when it changes.",
        "path of a file that only its owner may write",
        "Callers",
    )
    auth_jwt_issuer: str = setting(
        "", "Issuer of the tokens that are believed (`iss`); empty: none are.", "the issuer's name, as its tokens have it", "Callers"
    )
    auth_jwt_audience: str = setting("", "Audience that a token must name (`aud`).", "our name at the issuer", "Callers")
    auth_jwt_algorithm: Literal["", "HS256", "RS256", "ES256"] = setting(
        "", "Algorithm of the key; empty with a JWKS address: RS256 and ES256.", "HS256, RS256 or ES256", "Callers"
    )
    auth_jwt_key: SecretStr | None = setting(None, "Key of the issuer: the secret of HS256, else a public key as PEM.", "text", "Callers")
    auth_jwt_key_file: Path | None = setting(None, "The same, in a file.", "path of a readable file", "Callers")
    auth_jwt_jwks_url: str = setting("", "Where the issuer publishes its keys.", "an http or https address", "Callers")
    auth_failures: Annotated[int, Field(ge=1, le=100_000)] = setting(
        20, "Failed attempts that a client address has in a minute.", "1 to 100000", "Callers"
    )
    rate_limit_recommend: str | None = setting(
        None, "Recommendations per user. Default: `off` in development, else `60/minute`.", RATE, "Callers"
    )
    rate_limit_read: str | None = setting(
        None, "Other calls per API key, user or address. Default: `off` in development, else `1200/minute`.", RATE, "Callers"
    )
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = setting(
        (),
        "Networks of proxies whose `X-Forwarded-For` is believed.",
        "addresses or networks such as 10.0.0.0/8, separated by commas",
        "Callers",
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = setting(
        (),
        "Origins whose pages may call; `*`, not in production: all.",
        "origins such as https://example.org, separated by commas",
        "Callers",
    )

    @field_validator("api_server_url", "auth_jwt_jwks_url", "otel_exporter_otlp_endpoint")
    @classmethod
    def _http_address(cls, value: str) -> str:
        if not value:
            return value
        url = URL(value)
        if url.scheme not in {"http", "https"} or not url.host or url.query_string or url.fragment:
            raise ValueError
        return value.rstrip("/")

    @field_validator("llm_server_url")
    @classmethod
    def _different_http_addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """Check each address; the same one twice would be one server with two breakers."""
        addresses = tuple(cls._http_address(address) for address in value)
        urls = (URL(address) for address in addresses)
        if len({(url.scheme, url.host, url.port, url.path.rstrip("/")) for url in urls}) < len(addresses):
            raise ValueError
        return addresses

    @field_validator("environment", "log_level", "fallback", "llm_protocol", "region", "auth", "page", mode="before")
    @classmethod
    def _word(cls, value: object, info: ValidationInfo) -> object:
        if not isinstance(value, str):
            return value
        return value.strip().upper() if info.field_name == "region" else value.strip().lower()

    @field_validator("llm_server_url", "middlewares", "cors_origins", "trusted_proxies", mode="before")
    @classmethod
    def _names(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("workers", mode="before")
    @classmethod
    def _one_a_core(cls, value: object) -> object:
        return len(os.sched_getaffinity(0)) if isinstance(value, str) and value.strip().lower() == "auto" else value

    @field_validator("redis_port", mode="before")
    @classmethod
    def _port_of_a_cluster(cls, value: object) -> object:
        """Pass over what Kubernetes sets for a service that is called redis."""
        return 6379 if isinstance(value, str) and value.startswith("tcp://") else value

    @field_validator("redis_host")
    @classmethod
    def _host(cls, value: str) -> str:
        if any(sign in value for sign in "/@ ") or value.count(":") == 1:
            raise ValueError
        return value

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            url = URL(origin) if origin != "*" else None
            if url is not None and (url.scheme not in {"http", "https"} or str(url.origin()) != origin):
                raise ValueError
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            ip_network(network, strict=False)
        return value

    @property
    def production(self) -> bool:
        """Say whether this is production, where a guard may not be missing."""
        return self.environment == "production"

    @property
    def page_on(self) -> bool:
        """Say whether browsers are shown the page and the viewer of the API document."""
        return self.page == "on" or (self.page is None and not self.production)

    @property
    def auth_on(self) -> bool:
        """Say whether callers must say who they are."""
        if self.auth is not None:
            return self.auth == "on"
        return self.environment != "development" or self.auth_keys_file is not None or bool(self.auth_jwt_issuer)

    @property
    def rates(self) -> RateSettings:
        """Slice for the limits, as text."""
        open_door = self.environment == "development"
        return RateSettings(
            recommend=self.rate_limit_recommend or ("off" if open_door else "60/minute"),
            read=self.rate_limit_read or ("off" if open_door else "1200/minute"),
        )

    @property
    def redis_address(self) -> str:
        """Return the one address of Redis with its credentials, or `""` where no setting names one."""
        if url := self.redis_url.get_secret_value():
            return url
        if not self.redis_host:
            return ""
        password = quote(self.redis_password.get_secret_value(), safe="")
        host = f"[{self.redis_host}]" if ":" in self.redis_host else self.redis_host
        return f"redis://{f':{password}@' if password else ''}{host}:{self.redis_port}/{self.redis_db}"

    @property
    def server(self) -> ServerSettings:
        """Slice for the sockets."""
        host = self.host or ("127.0.0.1" if self.environment == "development" else "0.0.0.0")  # noqa: S104  containers and proxies reach it there
        return ServerSettings(
            host=host,
            port=self.port,
            drain_delay_s=self.drain_delay,
            drain_timeout_s=self.drain_timeout,
            header_timeout_s=self.header_timeout,
            body_timeout_s=self.body_timeout,
            max_connections=self.max_connections,
        )

    @property
    def catalogue(self) -> CatalogueSettings:
        """Slice for the catalogue."""
        return CatalogueSettings(
            movies_file=self.movies_data_file,
            tv_file=self.tv_data_file,
            cache_dir=self.cache_dir or default_cache_dir(os.environ),
            ttl_s=self.catalogue_ttl,
            region=self.region,
        )

    @property
    def llm(self) -> LlmSettings:
        """Slice for the LLM client."""
        return LlmSettings(
            urls=self.llm_server_url,
            protocol=self.llm_protocol,
            timeout_s=self.llm_timeout,
            max_concurrent=self.llm_max_concurrent,
            breaker_failures=self.llm_breaker_failures,
            breaker_open_s=self.llm_breaker_open,
            max_reply_bytes=self.llm_max_reply_bytes,
            slow_s=self.llm_slow,
            model=self.llm_model,
            api_key=self.llm_api_key.get_secret_value(),
            temperature=self.llm_temperature,
            max_tokens=self.llm_max_tokens,
        )

    @property
    def recommend(self) -> RecommendSettings:
        """Slice for the use case."""
        return RecommendSettings(
            fallback=self.fallback == "on",
            region=self.region,
            cache_ttl_s=self.cache_ttl,
            request_timeout_s=self.request_timeout,
        )

    @property
    def cache(self) -> CacheSettings:
        """Slice for the answers that are kept."""
        return CacheSettings(ttl_s=self.cache_ttl, stale_ttl_s=self.cache_stale_ttl, max_bytes=self.cache_max_bytes)

    @property
    def tracing(self) -> TracingSettings:
        """Slice for the spans."""
        return TracingSettings(endpoint=self.otel_exporter_otlp_endpoint)

    @property
    def metrics_folder(self) -> Path | None:
        """Return the folder in which the workers of a machine find each other; None: this process is alone."""
        if self.metrics_dir is not None:
            return self.metrics_dir
        if given := os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0]:
            return Path(given) / "metrics"
        if self.worker is None:
            return None
        return (self.cache_dir or default_cache_dir(os.environ)) / f"metrics-{self.port}"

    @property
    def requests(self) -> RequestSettings:
        """Slice for the middlewares that bound a request."""
        return RequestSettings(timeout_s=self.request_timeout, body_limit_bytes=self.body_limit)


def default_cache_dir(environ: Mapping[str, str]) -> Path:
    """Choose the folder of compiled catalogues: systemd's, else the user's cache (XDG Base Directory), never one under /tmp."""
    if given := environ.get("CACHE_DIRECTORY", ""):
        return Path(given.split(":")[0])
    base = environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".cache") / "opuscine"


def load_settings(*, env_file: Path | None = Path(".env")) -> Settings:
    """Read all settings.

    Raises:
        SettingsError: one line that names each wrong or misspelt variable, what was found and what is valid. Secrets are not printed.
    """
    if problems := misspelt(set(os.environ) | (set(dotenv_values(env_file)) if env_file else set())):
        raise SettingsError("; ".join(problems))
    try:
        return Settings(_env_file=env_file, _secrets_dir=os.environ.get("CREDENTIALS_DIRECTORY") or None)
    except ValidationError as error:
        raise SettingsError("; ".join(explain(detail) for detail in error.errors(include_url=False, include_context=False))) from None


def explain(detail: Mapping[str, Any]) -> str:
    """Turn one of pydantic's findings into a sentence that names the variable, what was found and what is valid."""
    name = str(detail["loc"][0]) if detail["loc"] else ""
    field = Settings.model_fields.get(name)
    if field is None:
        return str(detail["msg"])
    found = detail["input"]
    text = repr(",".join(map(str, found)) if isinstance(found, tuple) else found)
    shown = "a value" if "Secret" in str(field.annotation) else without_credentials(text)
    return f"{name.upper()}: found {shown}; valid: {field_extra(field)['valid']}"


def without_credentials(text: str) -> str:
    """Return text with the user and password of addresses left out."""
    return CREDENTIALS.sub("", text)


def misspelt(names: Iterable[str]) -> list[str]:
    """Find variables that are meant for us and that we do not know: they begin as ours do, or are a slip away from one."""
    known = {name.upper() for name in Settings.model_fields}
    problems = []
    for name in sorted(set(names) - known - NOT_OURS):
        if OF_KUBERNETES.search(name) or name.startswith(OF_OPENTELEMETRY):
            continue
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.86) if len(name) >= 6 else []
        if close or name.startswith(OUR_PREFIXES):
            close = close or difflib.get_close_matches(name, known, n=1, cutoff=0.0)
            problems.append(f"{name}: there is no such setting; did you mean {close[0]}?")
    return problems


def field_extra(field: FieldInfo) -> dict[str, str]:
    """Return what `setting` noted beside a field."""
    extra = field.json_schema_extra
    return {key: str(value) for key, value in extra.items()} if isinstance(extra, dict) else {}


def settings_table() -> str:
    """Render every setting as a Markdown table, for the README."""
    lines = ["| setting | default | valid | what it does |", "| --- | --- | --- | --- |"]
    for name, described in Settings.model_fields.items():
        extra = field_extra(described)
        default = described.default.get_secret_value() if isinstance(described.default, SecretStr) else described.default
        shown = "" if default in (None, "", ()) else f"`{default:g}`" if isinstance(default, float) else f"`{default}`"
        lines.append(f"| `{name.upper()}` | {shown} | {extra['valid']} | {described.description} |")
    return "\n".join(lines) + "\n"
