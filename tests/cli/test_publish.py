"""`opuscine catalogue publish`: as a process, to a real Redis."""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from opuscine.cli.publish import BAR_WIDTH, LINE_INTERVAL_S, ProgressLine, add_arguments, run
from opuscine.errors import SettingsError
from opuscine.ott.publisher import Progress
from support.manual_clock import ManualClock
from support.process import environment
from support.redis_gateways import eventually
from support.redis_server import RedisServer, free_port

COMMAND = """
import argparse, sys
from opuscine.cli import publish
from opuscine.telemetry.logs import configure_logs

configure_logs(level="warning", readable=True, stream=sys.stderr)
parser = argparse.ArgumentParser()
publish.add_arguments(parser)
sys.exit(publish.run(parser.parse_args()))
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "redis", password="p@ss:word") as running:
        yield running


@asynccontextmanager
async def publishing(home: Path, cache_dir: Path, server: RedisServer, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the command in an empty folder; it is killed if it still runs at the end."""
    settings = {"redis_host": "127.0.0.1", "redis_port": server.port, "redis_password": server.password, "cache_dir": cache_dir}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", COMMAND, *arguments),
        cwd=home,
        env=environment(home, settings),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def outcome(process: asyncio.subprocess.Process) -> tuple[int, str, str]:
    """Wait for the end; return the status and what was printed."""
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


def position(server: RedisServer) -> int:
    """Return how many rows an unfinished run has noted as written."""
    for key in server.command("KEYS", "opuscine:publish:*"):
        return int(json.loads(server.command("GET", key.decode()))["done"])
    return 0


async def test_a_run_that_is_killed_goes_on_where_it_stopped(tmp_path: Path, compiled: Path, server: RedisServer) -> None:
    async with publishing(tmp_path, compiled, server, "--rate", "30", "--batch", "5") as process:
        await eventually(lambda: position(server) >= 30, for_s=60)
        os.kill(process.pid, signal.SIGKILL)
        status, _, _ = await outcome(process)
        assert status == -signal.SIGKILL
    stopped_at, rows = position(server), int(server.command("DBSIZE"))
    assert stopped_at >= 30
    async with publishing(tmp_path, compiled, server, "--ttl", "3600") as process:
        status, out, err = await outcome(process)
    assert status == 0, err
    assert "goes on from an earlier run" in err
    assert out.startswith("published ")
    written = int(out.split()[1].replace(",", ""))
    total = int(server.command("DBSIZE"))
    assert (written + stopped_at, total > rows) == (total, True)
    ages = [int(server.command("TTL", key.decode())) for key in server.command("KEYS", "*:ott_links")]
    assert len([age for age in ages if age > 3600]) in range(stopped_at, stopped_at + 6)


async def test_a_finished_run_leaves_nothing_but_the_rows(tmp_path: Path, compiled: Path, server: RedisServer) -> None:
    async with publishing(tmp_path, compiled, server, "--rate", "100000") as process:
        status, out, err = await outcome(process)
    assert status == 0, err
    assert {key.rpartition(b":")[2] for key in server.command("KEYS", "*")} == {b"ott_links"}
    assert int(out.split()[1].replace(",", "")) == server.command("DBSIZE")


async def test_an_interrupted_run_says_how_far_it_came(tmp_path: Path, compiled: Path, server: RedisServer) -> None:
    async with publishing(tmp_path, compiled, server, "--rate", "30", "--batch", "5") as process:
        await eventually(lambda: position(server) >= 20, for_s=60)
        process.send_signal(signal.SIGINT)
        _, _, err = await outcome(process)
    assert "opuscine: interrupted; " in err
    assert "the same command goes on from there" in err


async def test_redis_that_goes_away_ends_it_with_how_far_it_came(tmp_path: Path, compiled: Path, server: RedisServer) -> None:
    async with publishing(tmp_path, compiled, server, "--rate", "30", "--batch", "5") as process:
        await eventually(lambda: position(server) >= 20, for_s=60)
        server.kill()
        status, out, err = await outcome(process)
    assert (status, out) == (1, "")
    last = err.splitlines()[-1]
    assert last.startswith("opuscine: Redis at redis://127.0.0.1:")
    assert "titles are published; the same command goes on from there" in last
    assert server.password not in err


async def test_without_redis_there_is_nothing_to_publish_to(tmp_path: Path, compiled: Path, server: RedisServer) -> None:
    server.kill()
    server.port = free_port()
    async with publishing(tmp_path, compiled, server) as process:
        status, out, err = await outcome(process)
    assert (status, out) == (1, "")
    assert err.endswith("nothing is published\n")


def arguments(*given: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(given)


def test_no_redis_set_is_an_error_that_names_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REDIS_HOST", raising=False)
    monkeypatch.delenv("REDIS_URL", raising=False)
    with pytest.raises(SettingsError, match="REDIS_URL"):
        run(arguments())


def test_two_thousand_rows_a_second_for_a_day_on_from_where_it_stopped_are_the_defaults() -> None:
    assert vars(arguments()) == {"rate": 2000.0, "batch": 200, "ttl": 86_400.0, "resume": True}
    assert arguments("--no-resume").resume is False


@pytest.mark.parametrize(
    "given", [("--rate", "0"), ("--rate", "nan"), ("--rate", "inf"), ("--batch", "-1"), ("--batch", "x"), ("--ttl", "0")]
)
def test_a_number_that_makes_no_sense_is_refused(given: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        arguments(*given)
    assert "number above 0" in capsys.readouterr().err


class Terminal(io.StringIO):
    """A stream that says it is one."""

    def isatty(self) -> bool:
        return True


def test_on_a_terminal_a_bar_moves() -> None:
    terminal, clock = Terminal(), ManualClock()
    line = ProgressLine(terminal, clock)
    for done in (0, 2000, 2100, 4000):
        line.show(Progress("g", done, 4000))
        clock.advance(1.0 if done != 2000 else 0.05)
    line.end()
    shown = terminal.getvalue().split("\r")[1:]
    assert len(shown) == 4 - 1  # one came too soon after the one before
    assert shown[1].startswith(f"[{'#' * (BAR_WIDTH // 2)}{'.' * (BAR_WIDTH // 2)}]  50%  2,000 of 4,000 titles  2,000/s  1 s left")
    assert shown[2].startswith(f"[{'#' * BAR_WIDTH}] 100%")
    assert shown[2].endswith("\n")


def test_elsewhere_there_is_a_line_every_few_seconds() -> None:
    stream, clock = io.StringIO(), ManualClock()
    line = ProgressLine(stream, clock)
    for number in range(101):
        line.show(Progress("g", number * 10, 1000))
        clock.advance(LINE_INTERVAL_S / 20)
    line.end()
    lines = stream.getvalue().splitlines()
    assert len(lines) == 6
    assert lines[0] == "  0%  0 of 1,000 titles"
    assert "\r" not in stream.getvalue()


def test_a_run_that_goes_on_says_so_and_counts_its_own_rows_only() -> None:
    stream, clock = io.StringIO(), ManualClock()
    line = ProgressLine(stream, clock)
    line.show(Progress("g", 500, 1000, resumed_at=500))
    clock.advance(10)
    line.show(Progress("g", 600, 1000, resumed_at=500))
    assert stream.getvalue().splitlines() == [
        " 50%  500 of 1,000 titles  (goes on from an earlier run)",
        " 60%  600 of 1,000 titles  10/s  40 s left",
    ]


def test_a_catalogue_without_links_is_done_at_once() -> None:
    terminal = Terminal()
    line = ProgressLine(terminal)
    line.show(Progress("g", 0, 0))
    assert "100%" in terminal.getvalue()
    assert line.summary == "nothing is published"
