"""`docs/performance.md` and its plots, from the figures of `scripts/bench.py growth`. Pure, but for `write`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from bench.growth import LLM_CALLS, MIB, Verdict
from bench.plot import plot
from opuscine.catalogue.job import AT_ONCE

PLOTS = "performance"
COMMAND = "scripts/bench.py growth --json growth.json --page docs"
AGAIN = "scripts/bench.py growth --figures growth.json --page docs"


def write(folder: Path, figures: Mapping[str, Any], verdicts: Sequence[Verdict]) -> None:
    """Write the page into a folder, and the plots into one below it."""
    (folder / PLOTS).mkdir(parents=True, exist_ok=True)
    for name, drawn in plots(figures).items():
        (folder / PLOTS / name).write_text(drawn, encoding="utf-8")
    (folder / "performance.md").write_text(page(figures, verdicts), encoding="utf-8")


def plots(figures: Mapping[str, Any]) -> dict[str, str]:
    """Draw every plot, by its file name."""
    sizes = {int(size): one for size, one in figures["sizes"].items()}
    compile_s = {
        "ijson alone": [(size, middle(one["ijson"], "cpu_s")) for size, one in sizes.items()],
        "first step": [(size, middle(one["first_step"], "cpu_s")) for size, one in sizes.items()],
        "second step": [(size, one["second_step"]["cpu_s"]) for size, one in sizes.items()],
    }
    memory = {
        "first step, peak": [(size, peak(one["first_step"])) for size, one in sizes.items()],
        "second step, peak": [(size, one["second_step"]["peak_bytes"] / MIB) for size, one in sizes.items()],
        "worker, private": [(size, one["memory"]["private"] / MIB) for size, one in sizes.items()],
    }
    starts = {
        "warm": [(size, median(one["warm_start_s"])) for size, one in sizes.items()],
        "cold": [(size, one["cold_start_s"] or 0.0) for size, one in sizes.items()],
    }
    kinds = list(next(iter(sizes.values()))["search"])
    searches = {kind: [(size, one["search"][kind]["clock_s"][1] * 1e3) for size, one in sizes.items()] for kind in kinds}
    lookups = {"CPU": [(size, middle(one["lookup"], "cpu_s") * 1e6) for size, one in sizes.items()]}
    drawn = {
        "compile.svg": plot("Compile", compile_s, x="titles", y="CPU seconds"),
        "memory.svg": plot("Memory", memory, x="titles", y="MiB", bound=250),
        "start.svg": plot("Start until ready", starts, x="titles", y="seconds"),
        "search.svg": plot("Search, p99", searches, x="titles", y="ms", bound=50),
        "lookup.svg": plot("Look-up of links", lookups, x="titles", y="µs of CPU a request"),
    }
    if figures["callers"]:
        delays = sorted({row["delay_s"] for row in figures["callers"]})
        waits = {
            f"LLM of {delay:g} s, p99": [(row["callers"], row["p99_s"] * 1e3) for row in figures["callers"] if row["delay_s"] == delay]
            for delay in delays
        }
        drawn["callers.svg"] = plot("Recommendations, callers at one time", waits, x="callers", y="ms")
    return drawn


def page(figures: Mapping[str, Any], verdicts: Sequence[Verdict]) -> str:
    """Write the page."""
    sizes = {int(size): one for size, one in figures["sizes"].items()}
    kinds = list(next(iter(sizes.values()))["search"])
    lines = [
        "# Performance by size",
        "",
        f"Measured on {figures['when']} in one run, on a machine of {figures['cores']} cores that others used too: hence in CPU where",
        "a clock would measure the others, and times by the clock are upper bounds. The catalogues are made up",
        "(`scripts/bench/titles.py`).",
        "",
        f"    {COMMAND}",
        "",
        f"measures anew and writes this page; `{AGAIN}` only writes it.",
        *(["", figures["note"]] if "note" in figures else []),
        "",
        "## Budgets",
        "",
        *rows(("what", "titles", "found", "at most", "kept"), map(verdict_row, verdicts), first="---"),
        "",
        "## Compile",
        "",
        "The first step makes all that is looked up: ids, titles, genres, what records say of links; it serves at once. The second makes",
        f"what is searched by, and files links. Catalogues of up to {AT_ONCE:,} titles are compiled in one step;",
        "here in two, for comparison. Seconds of CPU, interpreter and imports included; a peak is at least that of the bench itself, since",
        "the kernel lets a child begin with its parent's.",
        "",
        *rows(
            ("titles", "source MB", "ijson s", "first step s", "peak MiB", "second step s", "peak MiB", "compiled MB", "index MB"),
            (compile_row(size, one) for size, one in sizes.items()),
        ),
        "",
        f"![compile]({PLOTS}/compile.svg) ![memory]({PLOTS}/memory.svg)",
        "",
        "## Start, memory, look-ups, reload",
        "",
        "Private is what a worker has for itself alone, shared what is mapped from files, the catalogue above all.",
        "The stall is the longest time between two turns of the loop while the catalogue is replaced under the application, in CPU of its",
        "thread and by the clock; in brackets the same before, with nothing to do.",
        "",
        *rows(
            (
                *("titles", "warm s (CPU)", "cold s", "private MiB", "shared MiB"),
                *("look-up µs CPU", "stall ms CPU", "stall ms by the clock"),
            ),
            (serving_row(size, one) for size, one in sizes.items()),
        ),
        "",
        f"![start]({PLOTS}/start.svg) ![look-up]({PLOTS}/lookup.svg)",
        "",
        "## Search",
        "",
        "p50 / p99 in ms by the clock, in brackets the p99 in CPU.",
        "",
        *rows(("titles", *kinds), ([f"{size:,}", *(search_cell(one["search"][kind]) for kind in kinds)] for size, one in sizes.items())),
        "",
        f"![search]({PLOTS}/search.svg)",
        "",
    ]
    if figures["callers"]:
        lines += [
            "## Callers at one time",
            "",
            f"Recommendations with a catalogue of {figures['callers_size']:,} titles, nothing kept, `LLM_MAX_CONCURRENT={LLM_CALLS}`.",
            "Fallback counts answers that did not hold the model's films. Look-ups go on beside, one at a time.",
            "",
            *rows(
                ("LLM s", "callers", "p50 ms", "p99 ms", "fallback", "private MiB", "look-up p99 ms, quiet", "beside"),
                map(callers_row, figures["callers"]),
            ),
            "",
            f"![callers]({PLOTS}/callers.svg)",
            "",
        ]
    if loop := figures.get("open_loop"):
        lines += [
            "## Open loop",
            "",
            f"With an LLM of 60 ms the service answered {loop['saturation_per_s']:.0f} a second at most.",
            f"At {loop['per_s']:.0f} a second, sent at their own times, p50 was {loop['p50_s'] * 1e3:.1f} ms",
            f"and p99 {loop['p99_s'] * 1e3:.1f} ms; the LLM's own were {loop['stub_p50_s'] * 1e3:.1f} ms",
            f"and {loop['stub_p99_s'] * 1e3:.1f} ms.",
            "",
        ]
    return "\n".join(lines)


def rows(head: Sequence[str], cells: Iterable[Sequence[str]], *, first: str = "---:") -> list[str]:
    """Write a table: numbers stand to the right."""
    ruler = [first, *("---:" for _ in head[1:])]
    return [f"| {' | '.join(row)} |" for row in (head, ruler, *cells)]


def verdict_row(one: Verdict) -> list[str]:
    """Write one budget."""
    kept = "yes" if one.kept else "**no**"
    return [one.name, f"{one.at_size:,}", f"{one.found:.2f} {one.unit}", f"{one.at_most:g} {one.unit}", kept]


def compile_row(size: int, one: Mapping[str, Any]) -> list[str]:
    """Write what the two steps of one size took."""
    second = one["second_step"]
    return [
        f"{size:,}",
        f"{one['source_bytes'] / 1e6:.1f}",
        f"{middle(one['ijson'], 'cpu_s'):.2f}",
        f"{middle(one['first_step'], 'cpu_s'):.2f}",
        f"{peak(one['first_step']):.0f}",
        f"{second['cpu_s']:.2f}",
        f"{second['peak_bytes'] / MIB:.0f}",
        f"{one['compiled_bytes'] / 1e6:.1f}",
        f"{one['index_bytes'] / 1e6:.1f}",
    ]


def serving_row(size: int, one: Mapping[str, Any]) -> list[str]:
    """Write how one size is served."""
    return [
        f"{size:,}",
        f"{median(one['warm_start_s']):.2f} ({median(one['warm_start_cpu_s']):.2f})",
        f"{one['cold_start_s']:.1f}" if one["cold_start_s"] else "not measured",
        f"{one['memory']['private'] / MIB:.0f}",
        f"{one['memory']['shared'] / MIB:.0f}",
        f"{middle(one['lookup'], 'cpu_s') * 1e6:.0f}",
        stall(one, "cpu_s"),
        stall(one, "clock_s"),
    ]


def callers_row(row: Mapping[str, Any]) -> list[str]:
    """Write what so many callers met."""
    return [
        f"{row['delay_s']:g}",
        f"{row['callers']:,}",
        f"{row['p50_s'] * 1e3:.0f}",
        f"{row['p99_s'] * 1e3:.0f}",
        f"{row['wrong']} of {row['requests']}",
        f"{row['private_bytes'] / MIB:.0f}",
        f"{row['ott_quiet_p99_s'] * 1e3:.1f}",
        f"{row['ott_beside_p99_s'] * 1e3:.1f}",
    ]


def middle(rounds: Sequence[Mapping[str, float]], name: str) -> float:
    """Return the median of one figure over the rounds."""
    return median(one[name] for one in rounds)


def peak(rounds: Sequence[Mapping[str, float]]) -> float:
    """Return the highest peak, in MiB."""
    return max(one["peak_bytes"] for one in rounds) / MIB


def stall(one: Mapping[str, Any], kind: str) -> str:
    """Write a stall with that of a quiet loop."""
    return f"{one['swap']['stall'][kind] * 1e3:.1f} ({one['swap']['quiet'][kind] * 1e3:.1f})"


def search_cell(found: Mapping[str, Sequence[float]]) -> str:
    """Write one kind of search."""
    return f"{found['clock_s'][0] * 1e3:.1f} / {found['clock_s'][1] * 1e3:.1f} ({found['cpu_s'][1] * 1e3:.1f})"
