"""What a request costs, held against the yardsticks in the same run.

CPU per request is the process's own accounting, not the clock's: rounds of all contestants are interleaved, and the ratio of each round's
pair is what counts, so that a machine that slows down slows both.
"""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from bench import titles
from bench.load import Plan, Result, run
from bench.stage import ROOT, Stage, Started, free_port

CATALOGUE_SIZE = 10_000
CONNECTIONS = 8
REGION = "KR"
REQUIREMENTS = Path(__file__).resolve().parent / "requirements.txt"
OTHER_ENVIRONMENT = ROOT / ".bench"
UNMEASURED = "request_context,errors,auth,rate_limit,body"  # the built-in order without `timing`
OTT, RECOMMEND = "/api/movies/{}/ott", "/api/movies/recommend"


@dataclass(frozen=True, slots=True)
class TimedPath:
    """One path of the service as it is timed: what is sent to whom, and how much of it in each round."""

    name: str
    contestant: Started
    plan: Plan


@dataclass(frozen=True, slots=True)
class Budget:
    """What one path may cost in terms of another."""

    name: str
    ours: str
    other: str
    at_most: float


@dataclass(slots=True)
class Measured:
    """What the rounds of one path came to."""

    cpu_s: list[float] = field(default_factory=list)  # per request
    per_s: list[float] = field(default_factory=list)
    p50_s: list[float] = field(default_factory=list)
    p99_s: list[float] = field(default_factory=list)
    private_bytes: int = 0

    def add(self, cpu_s: float, result: Result) -> None:
        """Take one round."""
        self.cpu_s.append(cpu_s / len(result.latencies))
        self.per_s.append(result.per_s)
        self.p50_s.append(result.quantile(0.5))
        self.p99_s.append(result.quantile(0.99))


BUDGETS = (
    Budget("ott, against bare aiohttp", "ott", "bare get", 1.5),
    Budget("recommend, against bare pass-through", "recommend", "bare pass-through", 1.6),
    Budget("recommend from the cache, against a bare GET", "recommend cached", "bare get", 2.0),
    Budget("ott with log, metrics and timing, against without", "ott", "ott unmeasured", 4 / 3),  # a quarter of it
    Budget("ott, against the predecessor's way", "ott", "predecessor ott", 1 / 8),
    Budget("recommend, against the predecessor's way", "recommend", "predecessor recommend", 1 / 80),
)


class Wrong(Exception):  # noqa: N818  a verdict on a contestant
    """Say that a contestant did not answer what it was timed for."""


def measure(stage: Stage, *, rounds: int, requests: int) -> dict[str, Measured]:
    """Start everyone, and time every path in interleaved rounds. Raises Wrong."""
    paths = contestants(stage, requests)
    found = {path.name: Measured() for path in paths}
    for path in paths:  # a warm-up that does not count: everything that is asked for has been asked for once
        timed(path, share=max(0.2, max(len(path.plan.paths), len(path.plan.bodies)) / path.plan.requests))
    for _ in range(rounds):
        for path in paths:
            found[path.name].add(*timed(path))
    for path in paths:
        found[path.name].private_bytes = path.contestant.memory().private
    return found


def timed(path: TimedPath, share: float = 1.0) -> tuple[float, Result]:
    """Carry out one round and return the CPU that it took. Raises Wrong."""
    plan = path.plan
    plan = Plan(**{**{name: getattr(plan, name) for name in plan.__slots__}, "requests": max(10, int(plan.requests * share))})
    before = path.contestant.cpu_s()
    result = run(plan)
    cpu_s = path.contestant.cpu_s() - before
    if result.wrong:
        raise Wrong(f"{path.name}: {result.wrong} of {len(result.latencies)} answers were not as they should be ({dict(result.statuses)})")
    return cpu_s, result


def contestants(stage: Stage, requests: int) -> list[TimedPath]:
    """Start the service as in production, the yardsticks and the predecessor, and plan what each is sent."""
    movies, series = stage.folder / "movies.json", stage.folder / "series.json"
    titles.write_films(movies, CATALOGUE_SIZE)
    titles.write_series(series)
    answer = stage.folder / "answer.json"
    answer.write_bytes(titles.llm_answer(CATALOGUE_SIZE))
    stub = stage.python("llm", "llm_stub", answer, 0, port=free_port())
    production = production_settings(stage, llm_server_url=stub.url, movies_data_file=movies, tv_data_file=series)
    key = {"X-Api-Key": str(production.pop("key"))}
    service = stage.service("service", **production, cache_ttl=0)
    unmeasured = stage.service("service-unmeasured", **production, cache_ttl=0, middlewares=UNMEASURED)
    caching = stage.service("service-cache", **production, cache_ttl=3600)
    ids = [titles.FIRST_ID + number for number in range(0, CATALOGUE_SIZE, CATALOGUE_SIZE // 500)]
    looked_up = [OTT.format(number) for number in ids]
    prepared = stage.folder / "prepared.json"
    prepared.write_bytes(one_answer(service, looked_up[0], key))
    bare = stage.python("bare", "bare", prepared, stub.url, port=free_port(), ready=looked_up[0])
    wishes = [json.dumps({"message": text, "user_id": f"u{number}", "limit": 10}) for number, text in enumerate(titles.sentences(500))]
    title = str(titles.film(0)["title"])

    def planned(name: str, contestant: Started, share: float, **options: Any) -> TimedPath:
        plan = Plan(url=contestant.url, requests=max(50, int(requests * share)), connections=CONNECTIONS, **options)
        return TimedPath(name, contestant, plan)

    found = [
        planned("bare get", bare, 1.0, paths=looked_up, least_bytes=300),
        planned("ott", service, 1.0, paths=looked_up, headers=key, least_bytes=300, holds='"source":"local"'),
        planned("ott unmeasured", unmeasured, 1.0, paths=looked_up, headers=key, least_bytes=300, holds='"source":"local"'),
        planned("bare pass-through", bare, 0.1, paths=[RECOMMEND], bodies=wishes, holds=title),
        planned("recommend", service, 0.1, paths=[RECOMMEND], bodies=wishes, headers=key, holds='"source":"llm"'),
        planned("recommend cached", caching, 0.3, paths=[RECOMMEND], bodies=wishes[:1], headers=key, holds=title),
    ]
    old = predecessor(stage, movies, stub)
    found += [
        planned("predecessor ott", old, 0.1, paths=looked_up, holds='"ott_links"'),
        planned("predecessor recommend", old, 0.005, paths=[RECOMMEND], bodies=wishes, holds=title),
    ]
    if (proxy := nginx(stage, bare)) is not None:
        found.append(planned("nginx proxy_pass", proxy, 1.0, paths=looked_up, least_bytes=300))
    return found


def production_settings(stage: Stage, **more: object) -> dict[str, object]:
    """Make an API key, and return the settings of production with all guards on and limits that nobody reaches, and the key as `key`."""
    keys = stage.folder / "keys"
    told = subprocess.run(
        [sys.executable, "-m", "opuscine", "keys", "new", "bench", "--scopes", "read,recommend,act_as,admin", "--file", str(keys)],
        check=True,
        capture_output=True,
        text=True,
        env={"HOME": str(stage.folder), "PATH": ""},
    )
    return {
        "environment": "production",
        "auth_keys_file": keys,
        "rate_limit_read": "100000/second",
        "rate_limit_recommend": "100000/second",
        "key": told.stdout.split()[0],
        **more,
    }


def one_answer(contestant: Started, path: str, headers: Mapping[str, str]) -> bytes:
    """Ask once and return the body."""
    import urllib.request  # noqa: PLC0415  only here

    with urllib.request.urlopen(urllib.request.Request(contestant.url + path, headers=dict(headers)), timeout=10) as answer:
        body: bytes = answer.read()
    return body


def predecessor(stage: Stage, movies: Path, stub: Started) -> Started:
    """Start the predecessor's way in an environment of its own, which is made the first time."""
    python = OTHER_ENVIRONMENT / "bin" / "python"
    stamp = OTHER_ENVIRONMENT / "requirements.txt"
    if not stamp.exists() or stamp.read_bytes() != REQUIREMENTS.read_bytes():
        print("making .bench for the predecessor's packages", file=sys.stderr)
        venv.create(OTHER_ENVIRONMENT, clear=True, with_pip=True)
        subprocess.run(
            [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes", "-r", REQUIREMENTS],
            check=True,
        )
        stamp.write_bytes(REQUIREMENTS.read_bytes())
    port = free_port()
    command = [str(python), "-m", "bench.predecessor", str(port), str(movies), stub.url]
    settings = {"pythonpath": Path(__file__).resolve().parents[1]}
    return stage.start("predecessor", command, port=port, ready="/openapi.json", settings=settings)


def nginx(stage: Stage, upstream: Started) -> Started | None:
    """Start nginx in front of the bare application; None where there is none."""
    import shutil  # noqa: PLC0415  only here

    binary = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
    if binary is None:
        return None
    home, port = stage.folder / "nginx", free_port()
    home.mkdir()
    (home / "nginx.conf").write_text(
        f"daemon off; worker_processes 1; pid {home}/pid; error_log {home}/error.log;\n"
        "events { worker_connections 1024; }\n"
        f"http {{ access_log off; client_body_temp_path {home}/b; proxy_temp_path {home}/p; fastcgi_temp_path {home}/f;\n"
        f"uwsgi_temp_path {home}/u; scgi_temp_path {home}/s; keepalive_requests 1000000;\n"
        f"upstream bare {{ server {upstream.url.removeprefix('http://')}; keepalive 32; }}\n"
        f"server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://bare; proxy_http_version 1.1;\n"
        'proxy_set_header Connection ""; } } }\n',
        encoding="utf-8",
    )
    return stage.start(
        "nginx", [binary, "-c", str(home / "nginx.conf"), "-e", str(home / "error.log")], port=port, ready="/api/movies/100/ott"
    )


@dataclass(frozen=True, slots=True)
class Verdict:
    """One budget and what it came to."""

    budget: Budget
    ratios: Sequence[float]  # of each round's pair

    @property
    def ratio(self) -> float:
        """Return the median."""
        return median(self.ratios)

    @property
    def kept(self) -> bool:
        """Say whether the budget holds."""
        return self.ratio <= self.budget.at_most


def judge(found: Mapping[str, Measured], budgets: Sequence[Budget] = BUDGETS) -> list[Verdict]:
    """Hold what was measured against the budgets."""
    verdicts = []
    for budget in budgets:
        ours, other = found[budget.ours], found[budget.other]
        verdicts.append(Verdict(budget, [mine / its for mine, its in zip(ours.cpu_s, other.cpu_s, strict=True)]))
    return verdicts


def table(found: Mapping[str, Measured], verdicts: Sequence[Verdict], say: Callable[[str], None] = print) -> None:
    """Print what was measured, and how the budgets fare."""
    say(f"{'path':<24}{'CPU µs':>9}{'spread':>16}{'per s':>9}{'p50 ms':>9}{'p99 ms':>9}{'private MB':>12}")
    for name, measured in found.items():
        cpu = sorted(seconds * 1e6 for seconds in measured.cpu_s)
        spread = f"{cpu[0]:.0f}..{cpu[-1]:.0f}"
        say(
            f"{name:<24}{median(cpu):>9.0f}{spread:>16}{median(measured.per_s):>9.0f}{median(measured.p50_s) * 1e3:>9.2f}"
            f"{median(measured.p99_s) * 1e3:>9.2f}{measured.private_bytes / 1e6:>12.0f}"
        )
    say("")
    say(f"{'budget (CPU per request)':<48}{'ratio':>9}{'spread':>18}{'at most':>9}")
    for verdict in verdicts:
        low, high = min(verdict.ratios), max(verdict.ratios)
        mark = "" if verdict.kept else "   BROKEN"
        say(f"{verdict.budget.name:<48}{verdict.ratio:>9.3f}{f'{low:.3f}..{high:.3f}':>18}{verdict.budget.at_most:>9.3f}{mark}")
