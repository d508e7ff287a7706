"""The bench of growth: its verdicts and pictures, and a small run of what it starts."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from bench import growth, growth_page, titles
from bench.plot import plot, short

SVG = "{http://www.w3.org/2000/svg}"


def size_figures(scale: float) -> dict[str, Any]:
    step = {"cpu_s": 0.2 * scale, "clock_s": 0.3 * scale, "peak_bytes": 40 << 20}
    return {
        "source_bytes": 1_000,
        "compiled_bytes": 900,
        "index_bytes": 500,
        "ijson": [{"cpu_s": 0.1 * scale, "clock_s": 0.1, "peak_bytes": 20 << 20}],
        "first_step": [step],
        "second_step": step,
        "search": {"broad": {"clock_s": [0.004, 0.009], "cpu_s": [0.004, 0.008]}},
        "warm_start_s": [0.7],
        "warm_start_cpu_s": [0.6],
        "cold_start_s": 1.5,
        "lookup": [{"cpu_s": 1e-4, "p50_s": 1e-4, "p99_s": 2e-4, "per_s": 900.0}],
        "memory": {"private": 60 << 20, "shared": 30 << 20},
        "swap": {"took_s": 1.0, "quiet": {"clock_s": 0.001, "cpu_s": 0.001}, "stall": {"clock_s": 0.02, "cpu_s": 0.003}},
    }


FIGURES: Mapping[str, Any] = {
    "when": "2026-11-25",
    "cores": 2,
    "sizes": {"1000": size_figures(1.0), "10000": size_figures(10.0)},
    "callers_size": 1000,
    "callers": [
        {
            "callers": 1000,
            "delay_s": 5.0,
            "wrong": 0,
            "requests": 1000,
            "p50_s": 5.1,
            "p99_s": 5.3,
            "per_s": 190.0,
            "private_bytes": 100 << 20,
            "ott_quiet_p99_s": 0.001,
            "ott_beside_p99_s": 0.002,
        }
    ],
    "open_loop": {"saturation_per_s": 500.0, "per_s": 150.0, "p50_s": 0.062, "p99_s": 0.07, "stub_p50_s": 0.061, "stub_p99_s": 0.063},
}


def changed(*path: str, value: Any) -> dict[str, Any]:
    figures = copy.deepcopy(dict(FIGURES))
    inner: Any = figures
    for name in path[:-1]:
        inner = inner[int(name)] if isinstance(inner, list) else inner[name]
    inner[path[-1]] = value
    return figures


def test_budgets_that_hold_are_all_kept() -> None:
    verdicts = growth.judge(FIGURES)
    assert len(verdicts) == 11
    assert all(verdict.kept for verdict in verdicts)


@pytest.mark.parametrize(
    ("figures", "broken"),
    [
        (changed("sizes", "10000", "first_step", value=[{"cpu_s": 3.1, "peak_bytes": 1 << 20}]), "against ijson alone"),
        (changed("sizes", "10000", "first_step", value=[{"cpu_s": 2.0, "peak_bytes": 251 << 20}]), "peak memory"),
        (changed("sizes", "10000", "warm_start_s", value=[2.1]), "warm start"),
        (changed("sizes", "10000", "memory", "private", value=121 << 20), "private memory of a worker"),
        (changed("sizes", "10000", "search", "broad", "clock_s", value=[0.01, 0.051]), "search"),
        (changed("sizes", "10000", "swap", "stall", "cpu_s", value=0.011), "reload"),
        (changed("sizes", "10000", "lookup", value=[{"cpu_s": 1.2e-4}]), "look-up, against"),
        (changed("callers", "0", "private_bytes", value=201 << 20), "5 s: private memory"),
        (changed("callers", "0", "ott_beside_p99_s", value=0.0031), "look-ups beside"),
        (changed("open_loop", "p50_s", value=0.0641), "added, p50"),
        (changed("open_loop", "p99_s", value=0.079), "added, p99"),
    ],
)
def test_a_budget_that_is_broken_is_named(figures: dict[str, Any], broken: str) -> None:
    (verdict,) = (verdict for verdict in growth.judge(figures) if not verdict.kept)
    assert broken in verdict.name


def test_the_budgets_are_those_of_the_largest_catalogue() -> None:
    small = changed("sizes", "1000", "memory", "private", value=500 << 20)
    assert all(verdict.kept for verdict in growth.judge(small))
    assert {verdict.at_size for verdict in growth.judge(FIGURES)} == {1_000, 10_000}


def test_the_table_marks_what_is_broken() -> None:
    said: list[str] = []
    figures = changed("sizes", "10000", "warm_start_s", value=[9.0])
    growth.table(figures, growth.judge(figures), said.append)
    assert [line for line in said if line.endswith("BROKEN")] == [line for line in said if line.startswith("warm start")]


def test_sizes_are_read_in_order_and_once() -> None:
    assert growth.sizes_of("10000,1000,1000") == (1_000, 10_000)
    with pytest.raises(ValueError, match="100 titles at least"):
        growth.sizes_of("5")


def test_a_plot_places_points_by_their_powers_of_ten() -> None:
    root = ElementTree.fromstring(plot("Time & <size>", {"one": [(1_000, 1.0), (10_000, 10.0), (100_000, 100.0)]}, x="titles", y="ms"))  # noqa: S314
    points = [(float(circle.attrib["cx"]), float(circle.attrib["cy"])) for circle in root.iter(f"{SVG}circle")]
    assert len(points) == 3
    assert points[1][0] == pytest.approx((points[0][0] + points[2][0]) / 2, abs=0.1)
    assert points[0][1] > points[1][1] > points[2][1]
    assert root.findtext(f"{SVG}title") == "Time & <size>"


def test_a_plot_leaves_out_what_a_logarithm_cannot_show_and_draws_the_budget() -> None:
    root = ElementTree.fromstring(plot("t", {"one": [(10, 0.0), (100, 5.0)]}, x="x", y="y", bound=50))  # noqa: S314
    assert len(list(root.iter(f"{SVG}circle"))) == 1
    assert [line for line in root.iter(f"{SVG}line") if "stroke-dasharray" in line.attrib]
    with pytest.raises(ValueError, match="nothing to draw"):
        plot("t", {"one": [(10, 0.0)]}, x="x", y="y")


@pytest.mark.parametrize(("number", "text"), [(1_000_000, "1 M"), (10_000, "10 k"), (1.0, "1"), (0.01, "0.01")])
def test_the_numbers_of_an_axis_are_short(number: float, text: str) -> None:
    assert short(number) == text


def test_the_page_shows_every_figure_and_every_plot(tmp_path: Path) -> None:
    growth_page.write(tmp_path, FIGURES, growth.judge(FIGURES))
    text = (tmp_path / "performance.md").read_text(encoding="utf-8")
    drawn = {path.name for path in (tmp_path / "performance").iterdir()}
    assert drawn == {"compile.svg", "memory.svg", "start.svg", "search.svg", "lookup.svg", "callers.svg"}
    assert all(f"(performance/{name})" in text for name in drawn)
    assert "| 10,000 | 0.0 | 1.00 | 2.00 | 40 | 2.00 | 40 | 0.0 | 0.0 |" in text
    for name in drawn:
        ElementTree.parse(tmp_path / "performance" / name)  # noqa: S314


def test_the_page_is_made_again_without_measuring(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figures = tmp_path / "growth.json"
    figures.write_text(json.dumps(FIGURES), encoding="utf-8")
    parser_of_bench(["growth", "--figures", str(figures), "--page", str(tmp_path)])
    assert (tmp_path / "performance.md").exists()
    assert "against ijson alone" in capsys.readouterr().out


def parser_of_bench(arguments: list[str]) -> None:
    import argparse

    parser = argparse.ArgumentParser()
    growth.add_command(parser.add_subparsers())
    asked = parser.parse_args(arguments)
    kept, _ = asked.run(asked)
    assert kept


def test_children_are_measured_and_failures_told(tmp_path: Path) -> None:
    titles.write_films(tmp_path / "films.json", 100)
    read = growth.child(["-m", "bench.reading", tmp_path / "films.json"])
    assert read.said == 100  # type: ignore[comparison-overlap]
    assert read.used.cpu_s > 0
    assert read.used.peak_bytes > 1 << 20
    with pytest.raises(RuntimeError, match="no such thing"):
        growth.child(["-c", "raise SystemExit('no such thing')"])


def test_a_small_catalogue_is_compiled_in_two_steps_searched_and_replaced(tmp_path: Path) -> None:
    """The whole of what one size goes through, but for the service's own process."""
    from bench.stage import Stage

    stage = Stage(tmp_path)
    try:
        grown = growth.Grown(stage, 120)
        found = grown.figures(growth.Effort(rounds=1, lookups=5, searches=2, per_caller=1, open_s=0.1))
        assert found["index_bytes"] > 0
        assert found["first_step"][0]["cpu_s"] > 0
        assert set(found["search"]) >= {"broad Korean", "narrow English"}
        grown.running.end()
        assert grown.swapped()["stall"]["clock_s"] > 0
    finally:
        stage.close()
