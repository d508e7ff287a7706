"""Several processes that share one cache folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from support.catalogues import FILMS, Worker, compile_here, write_list, write_sources


def events(lines: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [line for line in lines if line.get("event") == name]


def test_processes_that_start_at_once_compile_once(tmp_path: Path) -> None:
    settings = write_sources(tmp_path)
    workers = [Worker.start(settings) for _ in range(3)]
    lines = [worker.read_until("ready") for worker in workers]
    for worker in workers:
        worker.stop()
    assert len({found[-1]["ready"] for found in lines}) == 1
    assert sum(len(events(found, "catalogue_compiled")) for found in lines) == 1
    assert all(len(events(found, "catalogue_served")) == 1 for found in lines)


def test_a_restarted_process_compiles_nothing_and_another_one_notices_a_new_generation(tmp_path: Path) -> None:
    settings = write_sources(tmp_path)
    first = compile_here(settings).manifest
    worker = Worker.start(settings)
    lines = worker.read_until("ready")
    assert lines[-1]["ready"] == first.generation
    assert not events(lines, "catalogue_compiled")
    write_list(tmp_path / "films.json", "movies", FILMS[:3])
    second = compile_here(settings).manifest
    noticed = worker.read_until("event", "catalogue_served")
    assert noticed[-1]["generation"] == second.generation
    assert not events(worker.stop(), "catalogue_compiled")


def test_skipped_records_are_named_in_the_log_and_those_beyond_are_counted(tmp_path: Path) -> None:
    settings = write_sources(tmp_path, films=[*FILMS, *({"tmdb_id": -1, "title": f"나쁜 {number}"} for number in range(60))])
    worker = Worker.start(settings)
    lines = worker.read_until("ready")
    worker.stop()
    named = events(lines, "catalogue_record_skipped")
    assert len(named) == 50
    assert named[0] == {
        "event": "catalogue_record_skipped",
        "level": "warning",
        "source": "films.json",
        "position": 8,
        "record": "id -1 «나쁜 0»",
        "reason": "has an id that is no whole number from 1 to 2^63-1",
    }
    assert [line["count"] for line in events(lines, "catalogue_more_records_skipped")] == [10]
    assert events(lines, "catalogue_compiled")[0]["skipped"] == 60


def test_a_broken_source_ends_a_process_with_one_line(tmp_path: Path) -> None:
    settings = write_sources(tmp_path)
    (tmp_path / "series.json").write_text("[]", encoding="utf-8")
    worker = Worker.start(settings)
    lines = worker.read_until("failed")
    worker.stop()
    assert lines[-1]["failed"].startswith(f"TV_DATA_FILE: {tmp_path / 'series.json'} holds a list at its top level")
