"""Workers of one folder find each other, and what is wrong with one is not the others' trouble."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest

from opuscine.errors import SettingsError
from opuscine.telemetry.exposition import Form
from opuscine.telemetry.workers import MOST_WORKERS, Workers


@pytest.fixture
def folder() -> Iterator[Path]:
    """Give a folder with a short path: a socket's may have 107 bytes, and pytest's folders are long."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name) / "metrics"


def worker(folder: Path | None, name: str = "x", *, number: int | None = None, answer_s: float = 10.0) -> Workers:
    async def page(form: Form) -> str:
        return f"# HELP {name} of {form}\n"

    return Workers(folder, page, number=number, answer_s=answer_s)


async def test_each_sees_the_pages_of_the_others_in_the_form_asked_for(folder: Path) -> None:
    async with worker(folder, "a") as a, worker(folder, "b") as b, worker(folder, "c") as c:
        assert [part.name for part in (a, b, c)] == ["0", "1", "2"]
        assert await b.pages_of_others("text") == {"0": "# HELP a of text\n", "2": "# HELP c of text\n"}
        assert await c.pages_of_others("openmetrics") == {"0": "# HELP a of openmetrics\n", "1": "# HELP b of openmetrics\n"}


async def test_a_worker_has_the_number_that_its_log_lines_have_unless_another_holds_it(folder: Path) -> None:
    async with worker(folder, number=2) as second, worker(folder, number=1) as first:
        assert [part.name for part in (first, second)] == ["1", "2"]
        async with worker(folder, number=2) as successor, worker(folder, number=9999) as far:
            assert [part.name for part in (successor, far)] == ["0", "3"]


def test_there_is_room_for_as_many_workers_as_may_be_and_their_successors() -> None:
    assert MOST_WORKERS >= 2 * 256


async def test_without_a_folder_a_process_is_alone() -> None:
    async with worker(None) as alone:
        assert alone.name == "0"
        assert await alone.pages_of_others("text") == {}


async def test_only_its_user_may_come_near(folder: Path) -> None:
    async with worker(folder):
        assert (mode(folder), mode(folder / "worker-0.sock")) == (0o700, 0o600)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


async def test_a_worker_that_leaves_is_gone_and_its_number_is_given_again(folder: Path) -> None:
    async with worker(folder, "a") as a:
        async with worker(folder, "b"):
            pass
        assert await a.pages_of_others("text") == {}
        async with worker(folder, "new") as new:
            assert new.name == "1"
            assert await a.pages_of_others("text") == {"1": "# HELP new of text\n"}


DYING = """
import asyncio, sys
from pathlib import Path
from opuscine.telemetry.workers import Workers

async def main():
    async def page(form):
        return "# HELP dying\\n"
    async with Workers(Path(sys.argv[1]), page) as workers:
        print(workers.name, flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


async def started(folder: Path) -> tuple[asyncio.subprocess.Process, str]:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", DYING, os.fspath(folder), stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    async with asyncio.timeout(30):
        return process, (await process.stdout.readline()).decode().strip()


async def killed(process: asyncio.subprocess.Process) -> None:
    process.send_signal(signal.SIGKILL)
    await process.wait()


async def test_one_that_was_killed_is_missed_until_another_takes_its_number(folder: Path) -> None:
    async with worker(folder, "a") as a:
        process, name = await started(folder)
        assert name == "1"
        assert await a.pages_of_others("text") == {"1": "# HELP dying\n"}
        await killed(process)
        assert await a.pages_of_others("text") == {"1": None}
        again, name = await started(folder)
        assert name == "1"
        assert await a.pages_of_others("text") == {"1": "# HELP dying\n"}
        await killed(again)
    async with worker(folder) as next_generation:
        assert next_generation.name == "0"
        assert await next_generation.pages_of_others("text") == {}
        assert not (folder / "worker-1.sock").exists()


async def test_one_that_hangs_is_left_out_in_time(folder: Path) -> None:
    async with worker(folder, "a", answer_s=0.1) as a:
        process, _ = await started(folder)
        process.send_signal(signal.SIGSTOP)
        try:
            async with asyncio.timeout(5):
                assert await a.pages_of_others("text") == {"1": None}
        finally:
            await killed(process)


@pytest.mark.parametrize("answer", [b"", b"nonsense", b"# HELP broken of", b"# HELP \xff\n", b"# x\n" + b"# HELP too_large x\n" * 300_000])
async def test_nonsense_is_no_page(folder: Path, answer: bytes) -> None:
    async with worker(folder, "a") as a:

        async def lie(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(answer)
            writer.close()

        async with await asyncio.start_unix_server(lie, folder / "worker-7.sock"):
            assert await a.pages_of_others("text") == {"7": None}


@pytest.mark.parametrize("question", [b"\n", b"nonsense\n", b"x" * 1000, b"\xff\n", b"text"])
async def test_who_asks_for_nothing_sensible_is_hung_up_on(folder: Path, question: bytes) -> None:
    async with worker(folder, "a", answer_s=0.2):
        reader, writer = await asyncio.open_unix_connection(folder / "worker-0.sock")
        writer.write(question)
        async with asyncio.timeout(5):
            told = b""
            with suppress(ConnectionResetError):
                told = await reader.read()
        assert told == b""
        writer.close()


async def test_a_folder_that_cannot_be_used_is_named(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(SettingsError, match=r"METRICS_DIR: .*below cannot be used \(Not a directory|File exists\)"):
        await worker(file / "below").__aenter__()


async def test_a_folder_may_have_a_longer_path_than_a_sockets_address(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 30)
    async with worker(folder, "a") as a, worker(folder, "b"):
        assert await a.pages_of_others("text") == {"1": "# HELP b of text\n"}


async def test_there_are_no_more_than_so_many_workers(folder: Path) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(MOST_WORKERS):
            await stack.enter_async_context(worker(folder))
        with pytest.raises(SettingsError, match=f"all {MOST_WORKERS} slots"):
            await worker(folder).__aenter__()
