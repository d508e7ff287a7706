"""The processes of a bench: started on free ports, asked for their CPU and memory, and ended by id."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
READY_S = 60.0
END_S = 20.0
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
HERE = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class Memory:
    """What a process holds, in bytes (`/proc/PID/smaps_rollup`): private is its own, shared is mapped by others or from files."""

    private: int
    shared: int


@dataclass(frozen=True, slots=True)
class Started:
    """A running process and where it listens."""

    name: str
    process: subprocess.Popen[bytes]
    url: str

    def cpu_s(self) -> float:
        """Return the seconds of CPU that the process and the children it has waited for have used (`/proc/PID/stat`)."""
        return sum(cpu_of(pid) for pid in family(self.process.pid))

    def memory(self) -> Memory:
        """Return the memory of the process and its children."""
        found = [memory_of(pid) for pid in family(self.process.pid)]
        return Memory(sum(memory.private for memory in found), sum(memory.shared for memory in found))


class Stage:
    """Start processes and end every one of them with the block."""

    def __init__(self, folder: Path, *, ready_s: float = READY_S) -> None:
        """Keep logs and homes below `folder`; a process has `ready_s` to answer for the first time."""
        self.folder = folder
        self._ready_s = ready_s
        self._stack = ExitStack()

    def start(
        self, name: str, command: Sequence[str], *, port: int, ready: str = "/", settings: Mapping[str, object] | None = None
    ) -> Started:
        """Start a command, which must listen on `port` of the loopback, and wait until `ready` answers below 500.

        Raises:
            RuntimeError: it ended, or did not answer in time; its last lines are in the text.
        """
        home = self.folder / name
        home.mkdir(exist_ok=True)
        log = home / "log"
        kept = {key: os.environ[key] for key in ("PATH", "LANG") if key in os.environ}
        environment = {**kept, "HOME": str(home), **{key.upper(): str(value) for key, value in (settings or {}).items()}}
        with log.open("wb") as sink:
            process = subprocess.Popen(command, cwd=home, env=environment, stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT)
        self._stack.callback(end, process)
        started = Started(name, process, f"http://127.0.0.1:{port}")
        wait_until_ready(started, ready, log, self._ready_s)
        return started

    def python(
        self, name: str, module: str, *arguments: object, port: int, ready: str = "/", settings: Mapping[str, object] | None = None
    ) -> Started:
        """Start one of the bench's own programs, which takes its port as its first argument."""
        command = [sys.executable, "-m", f"bench.{module}", str(port), *map(str, arguments)]
        return self.start(name, command, port=port, ready=ready, settings={"pythonpath": HERE.parent, **(settings or {})})

    def service(self, name: str, **settings: object) -> Started:
        """Start `opuscine serve` on a free port, with an empty home and these settings by their names in lower case."""
        port = free_port()
        given = {"host": "127.0.0.1", "port": port, **settings}
        return self.start(name, [sys.executable, "-m", "opuscine", "serve"], port=port, ready="/health/readiness", settings=given)

    def close(self) -> None:
        """End what still runs."""
        self._stack.close()


@contextmanager
def staged(*, ready_s: float = READY_S) -> Iterator[Stage]:
    """Give a stage in a temporary folder, which is gone with it."""
    with tempfile.TemporaryDirectory(prefix="opuscine-bench-") as folder:
        stage = Stage(Path(folder), ready_s=ready_s)
        try:
            yield stage
        finally:
            stage.close()


def free_port() -> int:
    """Return a port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_ready(started: Started, path: str, log: Path, within_s: float) -> None:
    """Wait until the process answers. Raises RuntimeError, with the end of its log."""
    until = time.monotonic() + within_s
    while time.monotonic() < until and started.process.poll() is None:
        try:
            with urllib.request.urlopen(started.url + path, timeout=2):
                return
        except urllib.error.HTTPError as error:
            if error.code < 500:
                return
        except OSError:
            pass
        time.sleep(0.05)
    tail = log.read_text(encoding="utf-8", errors="replace")[-2000:]
    raise RuntimeError(f"{started.name} did not come up:\n{tail}")


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process that was started here; one that does not go when told to is killed."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(END_S)


def family(pid: int) -> list[int]:
    """Return a process and its descendants."""
    found = [pid]
    for parent in found:
        try:
            children = Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="ascii").split()
        except OSError:
            continue
        found.extend(map(int, children))
    return found


def cpu_of(pid: int) -> float:
    """Return the seconds of CPU of one process, all threads together; by the scheduler's own nanoseconds where the kernel keeps them."""
    nanoseconds = 0
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            nanoseconds += int((task / "schedstat").read_text(encoding="ascii").split()[0])
    except (OSError, IndexError, ValueError):
        nanoseconds = 0
    if nanoseconds:
        return nanoseconds / 1e9
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def memory_of(pid: int) -> Memory:
    """Return what one process holds."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return Memory(0, 0)
    sizes = {name: int(size) * 1024 for name, size in re.findall(r"^(\w+):\s+(\d+) kB", text, re.MULTILINE)}
    # Not `Private_Clean`: pages of the mapped catalogue stand there as long as no second process has it open, and cost nothing twice.
    private = sizes.get("Anonymous", 0)
    return Memory(private, sizes.get("Rss", 0) - private)
