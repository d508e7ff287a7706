"""What size does: catalogues of a thousand to a million titles, and one to a thousand callers who wait.

Everything is measured in one run, since the machine's own pace changes: a compile is held against `ijson` alone on the same file, look-ups
in a large catalogue against those in the smallest, waiting callers against quiet. The JSON is all that `docs/performance.md` is made of.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bench import titles
from bench.load import Plan, Result, run
from bench.performance import OTT, RECOMMEND, production_settings
from bench.stage import HERE, ROOT, Memory, Stage, Started, free_port, staged
from bench.stage import end as end_process
from opuscine.catalogue.job import AT_ONCE, Job
from opuscine.catalogue.sources import SourceFile
from opuscine.model import Kind

SIZES = (1_000, 10_000, 100_000, 1_000_000)
CALLERS = (1, 100, 1_000)
DELAYS_S = (0.06, 5.0)
CALLERS_SIZE = 10_000
WAITING = (1_000, 5.0)  # the callers and the delay of the budget on waiting
LLM_CALLS = 8_000  # how many at first are tried is a share of it
SATURATING = 200
SHARE_OF_SATURATION = 0.3
COLD_LIMIT_S = 1_800.0
COLD_SIZE = 10 * AT_ONCE  # beyond, a cold start is a compile of minutes and little else
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is done."""

    rounds: int
    lookups: int
    searches: int
    per_caller: int
    open_s: float


FULL = Effort(rounds=7, lookups=3_000, searches=200, per_caller=5, open_s=20.0)
QUICK = Effort(rounds=3, lookups=300, searches=10, per_caller=1, open_s=3.0)


@dataclass(frozen=True, slots=True)
class Verdict:
    """One budget and what it came to; `at_size` is the catalogue it was measured with."""

    name: str
    found: float
    at_most: float
    unit: str
    at_size: int

    @property
    def kept(self) -> bool:
        """Say whether the budget holds."""
        return self.found <= self.at_most


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `growth` to the commands of `scripts/bench.py`."""
    parser = commands.add_parser("growth", help="large catalogues and many callers", description=__doc__)
    parser.add_argument("--sizes", type=sizes_of, default=SIZES, metavar="N,N,...", help="titles of the catalogues; default: 1 k to 1 M")
    parser.add_argument("--quick", action="store_true", help="few and short rounds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--page", type=Path, metavar="FOLDER", help="write performance.md and its plots into this folder")
    parser.add_argument("--figures", type=Path, metavar="FILE", help="measure nothing; make the page of figures that `--json` wrote")
    parser.set_defaults(run=growth)


def sizes_of(text: str) -> tuple[int, ...]:
    """Read the sizes. Raises ValueError."""
    sizes = tuple(sorted({int(part) for part in text.split(",")}))
    if sizes[0] < 100:
        raise ValueError("a catalogue has 100 titles at least")
    return sizes


def growth(asked: argparse.Namespace) -> tuple[bool, dict[str, Any]]:
    """Measure, print and write; return whether the budgets hold, and the figures."""
    from bench import growth_page  # noqa: PLC0415  it reads the names of this module

    if asked.figures:
        figures = json.loads(asked.figures.read_bytes())
    else:
        with staged(ready_s=COLD_LIMIT_S) as stage:
            figures = measure(stage, asked.sizes, QUICK if asked.quick else FULL)
    verdicts = judge(figures)
    table(figures, verdicts)
    if asked.page:
        growth_page.write(asked.page, figures, verdicts)
    figures["budgets"] = [asdict(verdict) | {"kept": verdict.kept} for verdict in verdicts]
    return all(verdict.kept for verdict in verdicts), figures


def measure(stage: Stage, sizes: Sequence[int], effort: Effort) -> dict[str, Any]:
    """Measure everything; seconds and bytes throughout."""
    catalogues = {size: Grown(stage, size) for size in sizes}
    found: dict[str, Any] = {"sizes": {}, "callers": [], "when": time.strftime("%Y-%m-%d", time.gmtime()), "cores": os.cpu_count()}
    for size, catalogue in catalogues.items():
        tell(f"{size:,} titles: read, compile, start, search")
        found["sizes"][str(size)] = catalogue.figures(effort)
    tell("look-ups, all sizes in turns")
    for size, rounds in looked_up(catalogues, effort).items():
        found["sizes"][str(size)]["lookup"] = rounds
    for size, catalogue in catalogues.items():
        found["sizes"][str(size)]["memory"] = asdict(catalogue.running.memory())
        catalogue.running.end()
        tell(f"{size:,} titles: replaced while in use")
        found["sizes"][str(size)]["swap"] = catalogue.swapped()
    nearest = min(sizes, key=lambda size: abs(size - CALLERS_SIZE))
    found["callers_size"] = nearest
    for delay_s in DELAYS_S:
        tell(f"callers of an LLM that takes {delay_s:g} s")
        found["callers"] += called(stage, catalogues[nearest], delay_s, effort)
    tell("open loop")
    found["open_loop"] = open_loop(stage, catalogues[nearest], effort)
    return found


def tell(what: str) -> None:
    """Say on standard error what is being done."""
    print(what, file=sys.stderr)


class Grown:
    """A catalogue of one size, and the service that serves it."""

    def __init__(self, stage: Stage, size: int) -> None:
        """Make up its titles."""
        self._stage = stage
        self.size = size
        self.folder = stage.folder / f"of-{size}"
        self.folder.mkdir()
        self.movies, self.series, self.cache = self.folder / "movies.json", self.folder / "series.json", self.folder / "cache"
        titles.write_films(self.movies, size)
        titles.write_series(self.series)
        self.settings = production_settings(stage, movies_data_file=self.movies, tv_data_file=self.series, cache_dir=self.cache)
        self.key = {"X-Api-Key": str(self.settings.pop("key"))}
        self.running: Running

    def figures(self, effort: Effort) -> dict[str, Any]:
        """Measure what one process does at a time; leaves the service running."""
        sources = (SourceFile(Kind.MOVIE, self.movies), SourceFile(Kind.TV, self.series))
        job = Job(sources, self.cache, "KR", at_once=min(AT_ONCE, self.size - 1))  # always in two steps, to compare like with like
        ijson, first = [], []
        for _ in range(effort.rounds if self.size <= AT_ONCE else min(2 if self.size <= COLD_SIZE else 1, effort.rounds)):
            remove(self.cache)
            ijson.append(child(["-m", "bench.reading", self.movies]))
            first.append(child(["-m", "opuscine.catalogue.compile"], job.to_json()))
        second = child(["-m", "opuscine.catalogue.compile"], Job(sources, self.cache, "KR", index=True).to_json())
        bytes_of = {path.suffix: path.stat().st_size for path in self.cache.iterdir()}
        searches = child(["-m", "bench.probe", "search", self.cache, self.movies, self.series, effort.searches])
        warm, warm_cpu = [], []
        for _ in range(3):
            self.running = Running(self._stage, f"warm-{self.size}", self.settings)
            warm.append(self.running.ready_s)
            warm_cpu.append(self.running.started.cpu_s())
            if len(warm) < 3:
                self.running.end()
        cold_s: float | None = None
        if self.size <= COLD_SIZE:
            cold = Running(self._stage, f"cold-{self.size}", self.settings | {"cache_dir": self.folder / "cold"})
            cold.end()
            cold_s = cold.ready_s
            remove(self.folder / "cold")
        return {
            "source_bytes": self.movies.stat().st_size,
            "compiled_bytes": bytes_of[".db"],
            "index_bytes": bytes_of[".index"],
            "ijson": [asdict(one.used) for one in ijson],
            "first_step": [asdict(one.used) for one in first],
            "second_step": asdict(second.used),
            "search": {
                name: {kind: [quantile(times, 0.5), quantile(times, 0.99)] for kind, times in one.items()}
                for name, one in searches.said.items()
            },
            "warm_start_s": warm,
            "warm_start_cpu_s": warm_cpu,
            "cold_start_s": cold_s,
        }

    def swapped(self) -> dict[str, Any]:
        """Replace the catalogue by one of a title more under the application; return the stalls of its loop."""
        titles.write_films(Path(f"{self.movies}.new"), self.size + 1)
        environment = {name.upper(): str(value) for name, value in self.settings.items()}
        said: dict[str, Any] = child(["-m", "bench.probe", "swap"], environment=environment).said
        return said


def looked_up(catalogues: Mapping[int, Grown], effort: Effort) -> dict[int, list[dict[str, float]]]:
    """Look links up in all catalogues in turns."""
    found: dict[int, list[dict[str, float]]] = {size: [] for size in catalogues}
    for number in range(effort.rounds + 1):
        for size, catalogue in catalogues.items():
            ids = range(titles.FIRST_ID, titles.FIRST_ID + size, max(1, size // 1_000))
            plan = Plan(
                url=catalogue.running.started.url,
                paths=[OTT.format(one) for one in ids],
                requests=effort.lookups,
                headers=catalogue.key,
                least_bytes=300,
                holds='"source":"local"',
            )
            before = catalogue.running.started.cpu_s()
            result = checked(plan, f"look-ups among {size:,}")
            cpu_s = (catalogue.running.started.cpu_s() - before) / effort.lookups
            if number:  # the first is a warm-up
                found[size].append({"cpu_s": cpu_s, "p50_s": result.quantile(0.5), "p99_s": result.quantile(0.99), "per_s": result.per_s})
    return found


def called(stage: Stage, catalogue: Grown, delay_s: float, effort: Effort) -> list[dict[str, Any]]:
    """Let more and more callers ask for recommendations at one time."""
    stub, service = waiting_service(stage, catalogue, delay_s)
    found = []
    for callers in CALLERS:
        requests = callers * (effort.per_caller if delay_s < 1 else 1)
        plan = Plan(
            url=service.started.url,
            paths=[RECOMMEND],
            bodies=wishes(requests),
            requests=requests,
            connections=callers,
            headers=catalogue.key,
            holds=str(titles.film(0)["title"]),
        )
        quiet = ott_beside(service.started, catalogue)
        memory: list[Memory] = []
        results: list[Result] = []
        asking = threading.Thread(target=lambda plan=plan, results=results: results.append(run(plan)))
        asking.start()
        time.sleep(delay_s / 2)  # by then all have asked and wait
        beside = ott_beside(service.started, catalogue)
        while asking.is_alive():
            memory.append(service.started.memory())
            asking.join(0.2)
        result = results[0]
        found.append(
            {
                "callers": callers,
                "delay_s": delay_s,
                "wrong": result.wrong,
                "requests": requests,
                "p50_s": result.quantile(0.5),
                "p99_s": result.quantile(0.99),
                "per_s": result.per_s,
                "private_bytes": max((one.private for one in memory), default=service.started.memory().private),
                "ott_quiet_p99_s": quiet.quantile(0.99),
                "ott_beside_p99_s": beside.quantile(0.99),
            }
        )
    service.end()
    stub.end()
    return found


def open_loop(stage: Stage, catalogue: Grown, effort: Effort) -> dict[str, float]:
    """Measure the saturation, and at a share of it what the service adds to the stub's own latency."""
    stub, service = waiting_service(stage, catalogue, DELAYS_S[0])
    bodies = wishes(1_000)
    title = str(titles.film(0)["title"])
    common: dict[str, Any] = {"bodies": bodies, "headers": catalogue.key, "holds": title}
    asked = {"url": service.started.url, "paths": [RECOMMEND], **common}
    warm = SATURATING * 2
    run(Plan(**asked, requests=warm, connections=SATURATING))
    saturation = run(Plan(**asked, requests=SATURATING * 3 * effort.per_caller, connections=SATURATING)).per_s
    rate = SHARE_OF_SATURATION * saturation
    requests = max(20, int(rate * effort.open_s))
    served = checked(Plan(**asked, requests=requests, connections=SATURATING, per_s=rate), "the open loop")
    straight = {"url": stub.started.url, "paths": ["/movie-recommend"], **common}
    alone = checked(Plan(**straight, requests=requests, connections=SATURATING, per_s=rate), "the stub in the open loop")
    service.end()
    stub.end()
    return {
        "saturation_per_s": saturation,
        "per_s": rate,
        "p50_s": served.quantile(0.5),
        "p99_s": served.quantile(0.99),
        "stub_p50_s": alone.quantile(0.5),
        "stub_p99_s": alone.quantile(0.99),
    }


class Running:
    """A process that is ended before the bench is over, and how long it took until it was ready."""

    def __init__(self, stage: Stage, name: str, settings: Mapping[str, object]) -> None:
        """Start the service."""
        began = time.perf_counter()
        self.started = stage.service(name, **settings)
        self.ready_s = time.perf_counter() - began

    def memory(self) -> Memory:
        """Return what it holds."""
        return self.started.memory()

    def end(self) -> None:
        """End it."""
        end_process(self.started.process)


@dataclass(frozen=True, slots=True)
class Ended:
    """A stub that can be ended."""

    started: Started

    def end(self) -> None:
        """End it."""
        end_process(self.started.process)


def waiting_service(stage: Stage, catalogue: Grown, delay_s: float) -> tuple[Ended, Running]:
    """Start an LLM that takes so long, and the service with limits that fit a thousand callers."""
    answer = stage.folder / "answer.json"
    answer.write_bytes(titles.llm_answer(catalogue.size))
    stub = stage.python(f"llm-{delay_s:g}", "llm_stub", answer, delay_s, port=free_port())
    settings = catalogue.settings | {"llm_server_url": stub.url, "llm_max_concurrent": LLM_CALLS, "cache_ttl": 0, "cache_stale_ttl": 0}
    return Ended(stub), Running(stage, f"called-{delay_s:g}", settings)


def ott_beside(service: Started, catalogue: Grown) -> Result:
    """Look up a few links, one after the other."""
    path = OTT.format(titles.FIRST_ID)
    return checked(Plan(url=service.url, paths=[path], requests=300, connections=1, headers=catalogue.key, least_bytes=300), "look-ups")


def wishes(count: int) -> list[str]:
    """Make that many different requests."""
    return [json.dumps({"message": text, "user_id": f"u{number}", "limit": 10}) for number, text in enumerate(titles.sentences(count))]


def checked(plan: Plan, what: str) -> Result:
    """Carry out a plan. Raises RuntimeError if answers were wrong."""
    result = run(plan)
    if result.wrong:
        raise RuntimeError(f"{what}: {result.wrong} of {len(result.latencies)} answers were wrong ({dict(result.statuses)})")
    return result


@dataclass(frozen=True, slots=True)
class Used:
    """What a process used, start and end of the interpreter included, as the kernel accounts it."""

    cpu_s: float
    clock_s: float
    peak_bytes: int


@dataclass(frozen=True, slots=True)
class Child:
    """A process that has ended."""

    used: Used
    said: dict[str, Any]


def child(arguments: Sequence[object], told: bytes = b"", environment: Mapping[str, str] | None = None) -> Child:
    """Run Python with these arguments to its end. Raises RuntimeError if it fails."""
    began = time.perf_counter()
    complaints: list[bytes] = []
    with subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"PATH": os.environ.get("PATH", ""), "PYTHONPATH": f"{HERE.parent}:{ROOT / 'src'}", **(environment or {})},
    ) as process:
        assert process.stdin and process.stdout and process.stderr  # noqa: S101, PT018  asked for above
        complain = process.stderr.read
        listening = threading.Thread(target=lambda: complaints.append(complain()))
        listening.start()
        process.stdin.write(told)
        process.stdin.close()
        said = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        listening.join()
    if process.returncode:
        raise RuntimeError(f"{arguments} failed: {said.decode()[-500:]} {b''.join(complaints).decode(errors='replace')[-2000:]}")
    return Child(Used(used.ru_utime + used.ru_stime, time.perf_counter() - began, used.ru_maxrss * 1024), json.loads(said.splitlines()[-1]))


def remove(folder: Path) -> None:
    """Remove a cache folder, which has no folders in it."""
    if folder.exists():
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return the value that so many did not exceed."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def ratio_to_ijson(figures: Mapping[str, Any]) -> float:
    """Return what the first step costs in terms of `ijson` alone: the median over pairs of rounds, in CPU."""
    pairs = zip(figures["first_step"], figures["ijson"], strict=True)
    return float(median(ours["cpu_s"] / its["cpu_s"] for ours, its in pairs))


def judge(figures: Mapping[str, Any]) -> list[Verdict]:
    """Hold what was measured against the budgets, which are those of the largest catalogue."""
    largest, smallest = (choose(figures["sizes"], key=int) for choose in (max, min))
    size, one = int(largest), figures["sizes"][largest]
    rounds = zip(one["lookup"], figures["sizes"][smallest]["lookup"], strict=True)
    slowest = max(times["clock_s"][1] for times in one["search"].values())
    verdicts = [
        Verdict("first step of the compile, against ijson alone (CPU)", ratio_to_ijson(one), 3.0, "×", size),
        Verdict("peak memory of the first step", max(step["peak_bytes"] for step in one["first_step"]) / MIB, 250, "MiB", size),
        Verdict("warm start", median(one["warm_start_s"]), 2.0, "s", size),
        Verdict("private memory of a worker", one["memory"]["private"] / MIB, 120, "MiB", size),
        Verdict("search, p99 of the slowest kind", slowest * 1e3, 50, "ms", size),
        Verdict("reload, longest time on the loop (CPU)", one["swap"]["stall"]["cpu_s"] * 1e3, 10, "ms", size),
        Verdict(
            f"look-up, against one among {int(smallest):,} titles (CPU)",
            median(mine["cpu_s"] / its["cpu_s"] for mine, its in rounds),
            1.15,
            "×",
            size,
        ),
    ]
    waiting = next((row for row in figures["callers"] if (row["callers"], row["delay_s"]) == WAITING), None)
    if waiting is not None:
        at = figures["callers_size"]
        calm = waiting["ott_quiet_p99_s"]
        verdicts += [
            Verdict("1,000 callers waiting 5 s: private memory", waiting["private_bytes"] / MIB, 200, "MiB", at),
            Verdict("1,000 callers waiting 5 s: p99 of look-ups beside, against quiet", waiting["ott_beside_p99_s"] / calm, 3.0, "×", at),
        ]
    if loop := figures.get("open_loop"):
        at = figures["callers_size"]
        verdicts += [
            Verdict("open loop at 30 %: added, p50", (loop["p50_s"] - loop["stub_p50_s"]) * 1e3, 3.0, "ms", at),
            Verdict("open loop at 30 %: added, p99", (loop["p99_s"] - loop["stub_p99_s"]) * 1e3, 15.0, "ms", at),
        ]
    return verdicts


def table(figures: Mapping[str, Any], verdicts: Sequence[Verdict], say: Callable[[str], None] = print) -> None:
    """Print what was measured, and how the budgets fare."""
    say(f"{'titles':>10}{'ijson s':>9}{'1st step s':>12}{'MiB':>6}{'2nd step s':>12}{'warm s':>8}{'private MiB':>13}{'look-up µs':>12}")
    for size, one in figures["sizes"].items():
        ijson, first = (median(step["cpu_s"] for step in one[name]) for name in ("ijson", "first_step"))
        peak, private = max(step["peak_bytes"] for step in one["first_step"]) / MIB, one["memory"]["private"] / MIB
        look_up = median(row["cpu_s"] for row in one["lookup"]) * 1e6
        second, warm = one["second_step"]["cpu_s"], median(one["warm_start_s"])
        say(f"{int(size):>10,}{ijson:>9.2f}{first:>12.2f}{peak:>6.0f}{second:>12.2f}{warm:>8.2f}{private:>13.0f}{look_up:>12.0f}")
    say("")
    say(f"{'budget':<68}{'titles':>10}{'found':>10}{'at most':>9}")
    for verdict in verdicts:
        mark = "" if verdict.kept else "   BROKEN"
        say(f"{verdict.name:<68}{verdict.at_size:>10,}{verdict.found:>10.2f}{verdict.at_most:>9.2f} {verdict.unit}{mark}")


resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
