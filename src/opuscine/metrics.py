"""What `/metrics` shows: a table of figures, each read from the part that counts it at the moment of a scrape.

Names follow Prometheus' conventions (base units, `_total` for counters) and Micrometer's where Spring has the same figure. No label has
a value that a caller chooses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

from aiohttp import web
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from opuscine import __version__
from opuscine.catalogue.service import CatalogueInfo
from opuscine.connections.open_connections import ConnectionsInfo
from opuscine.guard.adaptive_limit import AdaptiveLimitInfo
from opuscine.guard.breaker import BreakerInfo
from opuscine.guard.probe import CachedProbe, ProbeOutcome
from opuscine.guard.rate_limiter import RateLimiterInfo
from opuscine.keys import (
    API_SERVER_BREAKER,
    API_SERVER_PROBE,
    API_SERVER_TIER,
    CATALOGUE,
    CONNECTIONS,
    LIFECYCLE,
    LLM,
    LLM_PROBES,
    MEASURES,
    OTT,
    READ_LIMIT,
    RECOMMEND_LIMIT,
    RECOMMENDER,
    REDIS,
    REDIS_PROBE,
)
from opuscine.model import MatchMethod, Source
from opuscine.recommend.answer_cache import TierCounts
from opuscine.redis_gateway import RedisInfo
from opuscine.telemetry.measures import Measures

BREAKER_STATES = ("closed", "half_open", "open")
PROBES = {"redis": REDIS_PROBE, "api_server": API_SERVER_PROBE}
# Counters that begin at 0: Prometheus takes no increase from a series that was not there.
ALL_METHODS = dict.fromkeys((method.value for method in MatchMethod), 0)
ALL_SOURCES = dict.fromkeys((source.value for source in Source), 0)
T = TypeVar("T")
Values = Mapping[tuple[str, ...], float]
Reader = Callable[[web.Application], Values]


@dataclass(frozen=True, slots=True)
class Figure:
    """One metric: its name, what it says, its labels, and how it is read. What there is nothing to say of has no values."""

    name: str
    kind: Literal["counter", "gauge"]
    text: str
    read: Reader
    labels: tuple[str, ...] = ()

    def family(self, app: web.Application) -> Metric:
        """Read it now."""
        made = CounterMetricFamily if self.kind == "counter" else GaugeMetricFamily
        family: CounterMetricFamily | GaugeMetricFamily = made(self.name, self.text, labels=self.labels)
        for labels, value in self.read(app).items():
            family.add_metric(labels, value)
        return family


def one(value: float) -> Values:
    """Give the value of a figure without labels."""
    return {(): value}


def by_label(counts: Mapping[str, float]) -> Values:
    """Give the values of a figure with one label."""
    return {(label,): value for label, value in counts.items()}


def breakers(app: web.Application) -> dict[str, BreakerInfo]:
    """Return the breaker of every server behind us."""
    found = {server.name: server.breaker.info for server in app[LLM].servers} if LLM in app else {}
    if API_SERVER_BREAKER in app:
        found["api_server"] = app[API_SERVER_BREAKER].info
    if REDIS in app:
        found["redis"] = app[REDIS].breaker
    return found


def states(app: web.Application) -> Values:
    """Return 1 for the state that each breaker is in, 0 for the others."""
    return {(name, state): float(state == info.state) for name, info in breakers(app).items() for state in BREAKER_STATES}


def of_breakers(read: Callable[[BreakerInfo], float]) -> Reader:
    """Read from every breaker."""
    return lambda app: by_label({name: read(info) for name, info in breakers(app).items()})


def of_llm_servers(read: Callable[[AdaptiveLimitInfo], float]) -> Reader:
    """Read from the limit of every LLM server."""
    return of(LLM, lambda llm: by_label({server.name: read(server.limit.info) for server in llm.servers}))


def found_by_probes(app: web.Application) -> dict[str, ProbeOutcome]:
    """Return what the last probe of every server behind us found."""
    probes: dict[str, CachedProbe] = {}
    if LLM_PROBES in app:
        probes.update(app[LLM_PROBES].items())
    probes.update((name, app[key]) for name, key in PROBES.items() if key in app)
    return {name: probe.outcome for name, probe in probes.items()}


def up(app: web.Application) -> Values:
    """Return whether the last probe found each upstream up; nothing before the first has ended."""
    return by_label({name: float(outcome.up) for name, outcome in found_by_probes(app).items() if outcome.up is not None})


def saved_calls(app: web.Application) -> Values:
    """Return how many calls single flight has saved each upstream."""
    found = {"llm": app[RECOMMENDER].calls_saved} if LLM in app and RECOMMENDER in app else {}
    if API_SERVER_TIER in app:
        found["api_server"] = app[API_SERVER_TIER].calls_saved
    return by_label(found)


def of(key: web.AppKey[T], read: Callable[[T], Values]) -> Reader:
    """Read from a part, where the application has it."""
    return lambda app: read(app[key]) if key in app else {}


def catalogue(read: Callable[[CatalogueInfo], Values]) -> Reader:
    """Read from the description of what is served."""
    return of(CATALOGUE, lambda part: read(part.info))


def connections(read: Callable[[ConnectionsInfo], Values]) -> Reader:
    """Read from the connections' counters."""
    return of(CONNECTIONS, lambda part: read(part.info))


def kept(read: Callable[[TierCounts], float]) -> Reader:
    """Read from each tier of the answers that are kept."""
    return of(RECOMMENDER, lambda part: by_label({"process": read(part.cache.process), "redis": read(part.cache.redis)}))


def redis(read: Callable[[RedisInfo], Values]) -> Reader:
    """Read from the gateway's counters."""
    return of(REDIS, lambda part: read(part.info))


def limits(read: Callable[[RateLimiterInfo], float]) -> Reader:
    """Read from each limit that is set."""
    keys = {"read": READ_LIMIT, "recommend": RECOMMEND_LIMIT}
    return lambda app: by_label({name: read(info) for name, key in keys.items() if (info := app[key].info) is not None})


FIGURES: tuple[Figure, ...] = (
    Figure("opuscine_build_info", "gauge", "Always 1; the version stands in the label.", lambda _: {(__version__,): 1}, ("version",)),
    Figure(
        "opuscine_ready",
        "gauge",
        "1 while requests should be sent here.",
        lambda app: one(float(CATALOGUE in app and not app[LIFECYCLE].draining)),
    ),
    Figure("opuscine_requests_in_flight", "gauge", "Requests that are being answered.", lambda app: one(app[MEASURES].in_flight)),
    Figure(
        "opuscine_request_log_lines_left_out_total",
        "counter",
        "Lines of the request log that were left out under load.",
        lambda app: one(app[MEASURES].lines_left_out),
    ),
    Figure("opuscine_connections_open", "gauge", "Connections of callers.", connections(lambda info: one(info.open))),
    Figure("opuscine_connections_idle", "gauge", "Connections between two requests.", connections(lambda info: one(info.idle))),
    Figure("opuscine_connections_limit", "gauge", "Connections that there may be.", connections(lambda info: one(info.limit))),
    Figure(
        "opuscine_connections_refused_total",
        "counter",
        "Connections for which there was no room.",
        connections(lambda info: one(info.refused)),
    ),
    Figure(
        "opuscine_connections_closed_total",
        "counter",
        "Connections that ended, by cause.",
        connections(lambda info: by_label(info.closed)),
        ("cause",),
    ),
    Figure(
        "opuscine_network_receive_bytes_total", "counter", "Bytes that callers sent.", connections(lambda info: one(info.received_bytes))
    ),
    Figure(
        "opuscine_network_transmit_bytes_total", "counter", "Bytes of answers to callers.", connections(lambda info: one(info.sent_bytes))
    ),
    Figure(
        "opuscine_recommendations_total",
        "counter",
        "Pages of films answered, by where they come from.",
        lambda app: by_label({**ALL_SOURCES, **app[MEASURES].answered}),
        ("source",),
    ),
    Figure(
        "opuscine_fallbacks_total",
        "counter",
        "Answers from the catalogue in the model's place, by reason.",
        of(RECOMMENDER, lambda part: by_label({reason.value: count for reason, count in part.fallbacks.items()})),
        ("reason",),
    ),
    Figure(
        "opuscine_grounded_total",
        "counter",
        "Suggestions tied to the catalogue, by the method.",
        of(RECOMMENDER, lambda part: by_label({**ALL_METHODS, **part.sifter.grounded})),
        ("method",),
    ),
    Figure(
        "opuscine_rejected_total",
        "counter",
        "Suggestions that name no title of the catalogue.",
        of(RECOMMENDER, lambda part: one(part.sifter.rejected)),
    ),
    Figure(
        "opuscine_earlier_answers_total",
        "counter",
        "Expired answers given in the model's place, by reason.",
        of(RECOMMENDER, lambda part: by_label({reason.value: count for reason, count in part.earlier.items()})),
        ("reason",),
    ),
    Figure("opuscine_cache_hits_total", "counter", "Answers that were kept and given again.", kept(lambda tier: tier.hits), ("tier",)),
    Figure("opuscine_cache_misses_total", "counter", "Answers that were not kept.", kept(lambda tier: tier.misses), ("tier",)),
    Figure("opuscine_cache_stored_total", "counter", "Answers that were kept.", kept(lambda tier: tier.stored), ("tier",)),
    Figure(
        "opuscine_cache_size_bytes", "gauge", "Answers that the process holds.", of(RECOMMENDER, lambda part: one(part.cache.bytes_held))
    ),
    Figure(
        "opuscine_calls_saved_total",
        "counter",
        "Calls that were not made, since another request waited for the same answer.",
        saved_calls,
        ("upstream",),
    ),
    Figure(
        "opuscine_ott_titles_total",
        "counter",
        "Titles looked up, by the tier that had their links.",
        of(OTT, lambda ott: by_label(ott.answered)),
        ("tier",),
    ),
    Figure(
        "opuscine_ott_failures_total",
        "counter",
        "Times that a tier of links was asked in vain.",
        of(OTT, lambda ott: by_label(ott.failed)),
        ("tier",),
    ),
    Figure("opuscine_upstream_up", "gauge", "1 where the last probe found the server up, else 0.", up, ("upstream",)),
    Figure("opuscine_breaker_state", "gauge", "1 for the state that the server's breaker is in.", states, ("upstream", "state")),
    Figure(
        "opuscine_breaker_opened_total",
        "counter",
        "Times that the server's breaker has opened.",
        of_breakers(lambda info: info.opened),
        ("upstream",),
    ),
    Figure(
        "opuscine_breaker_refused_total",
        "counter",
        "Calls that the breaker refused.",
        of_breakers(lambda info: info.refused),
        ("upstream",),
    ),
    Figure(
        "opuscine_llm_in_flight", "gauge", "Calls to the LLM server under way.", of_llm_servers(lambda info: info.in_flight), ("upstream",)
    ),
    Figure(
        "opuscine_llm_limit",
        "gauge",
        "Calls to the LLM server that may be under way at once, as learnt from its answers.",
        of_llm_servers(lambda info: info.limit),
        ("upstream",),
    ),
    Figure(
        "opuscine_llm_limit_cuts_total",
        "counter",
        "Times that the limit was cut, as answers had become slow.",
        of_llm_servers(lambda info: info.cuts),
        ("upstream",),
    ),
    Figure("opuscine_llm_waiting", "gauge", "Requests that wait for a place at an LLM server.", of(LLM, lambda llm: one(llm.waiting))),
    Figure(
        "opuscine_llm_refused_total", "counter", "Requests that found no place at an LLM server.", of(LLM, lambda llm: one(llm.refused))
    ),
    Figure(
        "opuscine_llm_retries_total",
        "counter",
        "Calls that were made again at the same LLM server.",
        of(LLM, lambda llm: by_label({server.name: server.retries for server in llm.servers})),
        ("upstream",),
    ),
    Figure(
        "opuscine_llm_failovers_total",
        "counter",
        "Calls that were made again at another LLM server.",
        of(LLM, lambda llm: one(llm.failovers)),
    ),
    Figure(
        "opuscine_llm_retries_denied_total",
        "counter",
        "Calls that were not made again, as too many had been.",
        of(LLM, lambda llm: one(llm.budget.info.denied)),
    ),
    Figure(
        "opuscine_llm_tokens_total",
        "counter",
        "Tokens as the LLM server counted them.",
        of(LLM, lambda llm: by_label({"prompt": llm.usage.prompt, "completion": llm.usage.completion})),
        ("kind",),
    ),
    Figure("opuscine_redis_uses_total", "counter", "Uses of Redis.", redis(lambda info: one(info.uses))),
    Figure(
        "opuscine_redis_failures_total",
        "counter",
        "Uses of Redis that failed, by reason.",
        redis(lambda info: by_label(info.failures)),
        ("reason",),
    ),
    Figure("opuscine_redis_in_use", "gauge", "Uses of Redis under way.", redis(lambda info: one(info.in_use))),
    Figure("opuscine_redis_pending_writes", "gauge", "Values that wait to be written.", redis(lambda info: one(info.pending_writes))),
    Figure("opuscine_redis_written_total", "counter", "Values written in the background.", redis(lambda info: one(info.written))),
    Figure(
        "opuscine_redis_dropped_writes_total",
        "counter",
        "Values that were to be written and were dropped.",
        redis(lambda info: one(info.dropped_writes)),
    ),
    Figure(
        "opuscine_rate_limit_allowed_total", "counter", "Requests that a limit let pass.", limits(lambda info: info.allowed), ("limit",)
    ),
    Figure("opuscine_rate_limited_total", "counter", "Requests that a limit refused.", limits(lambda info: info.denied), ("limit",)),
    Figure(
        "opuscine_rate_limit_local_total",
        "counter",
        "Requests counted in the process alone, as Redis was away.",
        limits(lambda info: info.counted_locally),
        ("limit",),
    ),
    Figure(
        "opuscine_authentication_failures_total",
        "counter",
        "Credentials that were not believed, by reason.",
        lambda app: by_label(app[MEASURES].refused_callers),
        ("reason",),
    ),
    Figure(
        "opuscine_catalogue_titles",
        "gauge",
        "Titles of the catalogue.",
        catalogue(lambda info: by_label({"movie": info.movie_count, "tv": info.tv_count})),
        ("kind",),
    ),
    Figure(
        "opuscine_catalogue_skipped_records",
        "gauge",
        "Records of the sources that could not be used.",
        catalogue(lambda info: one(info.skipped)),
    ),
    Figure("opuscine_catalogue_size_bytes", "gauge", "Size of the compiled catalogue.", catalogue(lambda info: one(info.size_bytes))),
    Figure(
        "opuscine_catalogue_as_of_timestamp_seconds",
        "gauge",
        "When a source of the catalogue was last changed; its age is time() less this.",
        catalogue(lambda info: one(info.as_of.timestamp())),
    ),
    Figure(
        "opuscine_catalogue_compiled_timestamp_seconds",
        "gauge",
        "When the catalogue was compiled.",
        catalogue(lambda info: one(info.compiled_at.timestamp())),
    ),
    Figure(
        "opuscine_catalogue_reload_failed",
        "gauge",
        "1 if the newest reload failed, so that older data are served.",
        catalogue(lambda info: one(float(bool(info.last_error)))),
    ),
    Figure(
        "opuscine_catalogue_info",
        "gauge",
        "Always 1; the generation served stands in the label.",
        catalogue(lambda info: {(info.generation,): 1}),
        ("generation",),
    ),
)


def families(app: web.Application) -> list[Metric]:
    """Read every figure of the application, in the order of the page."""
    return [*(durations.family() for durations in app[MEASURES].durations), *(figure.family(app) for figure in FIGURES)]


def metrics_table() -> str:
    """Render every metric of ours as a Markdown table, for docs/observability.md."""
    lines = ["| metric | type | labels | what it says |", "| --- | --- | --- | --- |"]
    lines += [
        f"| `{name}` | {kind} | {', '.join(f'`{label}`' for label in labels)} | {text} |"
        for name, kind, labels, text in (
            *(durations.described() for durations in Measures().durations),
            *((figure.name, figure.kind, figure.labels, figure.text) for figure in FIGURES),
        )
    ]
    return "\n".join(lines) + "\n"
