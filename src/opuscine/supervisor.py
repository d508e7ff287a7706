"""The parent of `opuscine serve --workers N`: it holds the sockets, and keeps N workers on them.

It is a small process of its own (`python -m opuscine.supervisor`) that loads nothing of the service, so that it has little to fail by and
little to be killed for. Its workers are `opuscine serve`, started afresh, which take the sockets and tell how they are by systemd's
protocols; whoever runs under systemd itself (`deploy/systemd/`) needs no parent.

SIGHUP goes to every worker. SIGUSR2 replaces them one after another, each once its successor is ready. SIGTERM and SIGINT let them finish;
a second one ends everything at once.
"""

from __future__ import annotations

import argparse
import ctypes
import fcntl
import os
import secrets
import selectors
import signal
import socket
import struct
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

import structlog

from opuscine.errors import OpusCineError
from opuscine.sockets import address_of, bind_sockets
from opuscine.systemd import FIRST_DESCRIPTOR, ServiceManager, sockets_handed_over, watchdog_interval_s
from opuscine.telemetry.logs import configure_logs

SOON_S = 10.0  # a worker that has served no longer than this counts as dying at once
FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 30.0
START_LIMIT_S = 600.0  # until a successor must be ready; it may have a catalogue to compile
WATCHDOG_S = 20.0  # how long a worker's event loop may be stuck
LAST_WORDS_S = 1.0  # from SIGABRT, at which a stuck worker says where it is stuck, to SIGKILL
STOP_MARGIN_S = 10.0  # what closing takes beyond the drain, and a little
TICK_S = 0.5  # between looks at times that nobody signals
CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid (unix(7))
PR_SET_PDEATHSIG = 1
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2, signal.SIGCHLD)

log = structlog.get_logger("opuscine.supervisor")


def pause_s(deaths: int) -> float:
    """Return how long a worker's successor waits after so many deaths in a row that came at once; the first is replaced without delay."""
    return 0.0 if deaths <= 0 else min(FIRST_PAUSE_S * 2.0 ** min(deaths - 1, 20), LONGEST_PAUSE_S)


@dataclass(slots=True)
class Worker:
    """One process that serves."""

    number: int
    pid: int
    started_at: float
    heard_at: float
    ready_at: float | None = None
    leaving: bool = False
    kill_at: float | None = None


@dataclass(slots=True)
class Place:
    """The place of one worker: how often it died at once, and when it is filled again."""

    deaths: int = 0
    fill_at: float | None = 0.0


@dataclass(slots=True)
class Supervisor:
    """Keep `count` workers on the sockets; `run` returns the exit status."""

    count: int
    sockets: list[socket.socket]
    manager: ServiceManager
    command: list[str]
    stop_limit_s: float
    watchdog_s: float = 0.0  # how often the parent itself must be heard of
    patience_s: float = WATCHDOG_S
    clock: Callable[[], float] = time.monotonic
    workers: dict[int, Worker] = field(default_factory=dict)  # by process id
    places: dict[int, Place] = field(default_factory=dict)
    rolling: deque[int] = field(default_factory=deque)  # numbers whose workers are still to be replaced
    outgoing: Worker | None = None
    successor: Worker | None = None
    reloading: set[int] = field(default_factory=set)  # processes that have not said yet that they are done
    ever_ready: bool = False
    all_were_ready: bool = False
    stopping: bool = False
    status: int = 0
    _address: str = ""
    _hearing: socket.socket = field(default_factory=lambda: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))

    def run(self) -> int:
        """Serve until told to stop."""
        self._address = f"opuscine-{os.getpid()}-{secrets.token_hex(8)}"
        self._hearing.bind(f"\0{self._address}")
        self._hearing.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)  # only our workers are believed
        self._hearing.setblocking(False)
        signals, wake = socket.socketpair()
        for end in (signals, wake):
            end.setblocking(False)
        for awaited in SIGNALS:
            signal.signal(awaited, lambda *_: None)
        signal.set_wakeup_fd(wake.fileno())
        self.places = {number: Place() for number in range(1, self.count + 1)}
        self.manager.starting(f"Starting {self.count} workers")
        with selectors.DefaultSelector() as waiting:
            waiting.register(signals, selectors.EVENT_READ)
            waiting.register(self._hearing, selectors.EVENT_READ)
            while not (self.stopping and not self.workers):
                self._fill()
                if self.watchdog_s:
                    self.manager.alive()
                waiting.select(min(TICK_S, self.watchdog_s / 2) if self.watchdog_s else TICK_S)
                self._hear()
                for number in self._arrived(signals):
                    self._take_signal(number)
                self._bury()
                self._look_at_times()
        log.info("stopped")
        return self.status

    @staticmethod
    def _arrived(signals: socket.socket) -> Iterator[int]:
        try:
            yield from signals.recv(4096)
        except BlockingIOError:
            return

    # What comes from outside

    def _take_signal(self, number: int) -> None:
        if number in {signal.SIGTERM, signal.SIGINT}:
            if self.stopping:
                self._end_at_once(number)
            self._stop()
        elif self.stopping:
            return
        elif number == signal.SIGHUP:
            self.reloading = {worker.pid for worker in self.workers.values() if worker.ready_at is not None and not worker.leaving}
            if self.reloading:
                self.manager.reloading("Reading the data again")
            for pid in self.reloading:
                os.kill(pid, signal.SIGHUP)
        elif number == signal.SIGUSR2:
            log.info("rolling restart begun", workers=self.count)
            self.rolling.extend(number for number in self.places if number not in self.rolling)
            self._roll()

    def _hear(self) -> None:
        """Read what workers tell; the kernel says which process it was."""
        while True:
            try:
                data, ancillary, _, _ = self._hearing.recvmsg(4096, socket.CMSG_SPACE(CREDENTIALS.size))
            except BlockingIOError:
                return
            pids = [
                CREDENTIALS.unpack(raw)[0] for level, kind, raw in ancillary if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS)
            ]
            worker = self.workers.get(pids[0]) if pids else None
            if worker is not None:
                worker.heard_at = self.clock()
                if "READY=1" in data.decode(errors="replace").splitlines():
                    self._ready(worker)

    def _ready(self, worker: Worker) -> None:
        self.reloading.discard(worker.pid)
        if worker.ready_at is None:
            worker.ready_at = self.clock()
            self.ever_ready = True
            log.info("worker ready", number=worker.number, process=worker.pid)
        if worker is self.successor and self.outgoing is not None:
            self._let_go(self.outgoing)
        serving = sum(other.ready_at is not None for other in self.workers.values())
        self.all_were_ready |= serving >= self.count
        if self.all_were_ready and not self.reloading and not self.stopping:
            self.manager.ready(f"{self.count} workers serving on {address_of(self.sockets[0])}")

    # Workers come and go

    def _fill(self) -> None:
        """Start a worker in each place that is to be filled by now."""
        for number, place in self.places.items():
            if place.fill_at is not None and place.fill_at <= self.clock() and not self.stopping:
                place.fill_at = None
                self._start(number)

    def _start(self, number: int) -> Worker:
        pid = os.fork()  # one thread, no event loop: what follows in the child is a handful of system calls and `exec`
        if pid == 0:
            self._become_worker(number)
        now = self.clock()
        self.workers[pid] = worker = Worker(number, pid, started_at=now, heard_at=now)
        log.info("worker started", number=number, process=pid)
        return worker

    def _become_worker(self, number: int) -> NoReturn:
        try:
            os.setsid()  # the terminal's Ctrl-C is for the parent
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)  # no worker outlives a parent that was killed
            # First out of the way of where they go, since those places may be theirs.
            above = FIRST_DESCRIPTOR + len(self.sockets)
            copies = [fcntl.fcntl(listening.fileno(), fcntl.F_DUPFD_CLOEXEC, above) for listening in self.sockets]
            for place, copy in enumerate(copies):
                os.dup2(copy, FIRST_DESCRIPTOR + place)
            pid = str(os.getpid())
            environment = {
                "LISTEN_FDS": str(len(copies)),
                "LISTEN_FDNAMES": ":".join(["opuscine"] * len(copies)),
                "LISTEN_PID": pid,
                "NOTIFY_SOCKET": f"@{self._address}",
                "WATCHDOG_USEC": str(round(self.patience_s * 1_000_000)),
                "WATCHDOG_PID": pid,
                "WORKER": str(number),
            }
            os.execve(self.command[0], self.command, {**os.environ, **environment})  # noqa: S606  our own command
        finally:
            os._exit(127)

    def _bury(self) -> None:
        """Take note of every worker that has ended."""
        for pid, worker in list(self.workers.items()):
            try:
                gone, how = os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                gone, how = pid, 0
            if gone:
                del self.workers[pid]
                self._ended(worker, os.waitstatus_to_exitcode(how))

    def _ended(self, worker: Worker, status: int) -> None:
        self.reloading.discard(worker.pid)
        if worker.leaving or self.stopping:
            log.info("worker ended", number=worker.number, process=worker.pid, status=status)
        else:
            log.error("worker died", number=worker.number, process=worker.pid, status=status)
        if not self.ever_ready and status > 0 and not self.stopping:  # it has said why, and the next one would say the same
            self.status = status
            self._stop()
        if worker is self.successor:
            self._successor_died()
        elif worker is self.outgoing:
            self.outgoing = None
        if not self.stopping and not any(other.number == worker.number for other in self.workers.values()):
            place = self.places[worker.number]
            lived_s = self.clock() - worker.ready_at if worker.ready_at is not None else 0.0
            place.deaths = 0 if worker.leaving or lived_s > SOON_S else place.deaths + 1
            wait_s = pause_s(place.deaths - 1)
            place.fill_at = self.clock() + wait_s
            if wait_s:
                log.warning("worker waited with", number=worker.number, deaths_at_once=place.deaths, pause_s=wait_s)
        self._roll()

    def _look_at_times(self) -> None:
        """End who is stuck, who is not ready in time, and who does not stop."""
        now = self.clock()
        for worker in self.workers.values():
            stuck = worker.ready_at is not None and now - worker.heard_at > self.patience_s
            late = worker is self.successor and worker.ready_at is None and now - worker.started_at > START_LIMIT_S
            if worker.kill_at is not None and now >= worker.kill_at:
                os.kill(worker.pid, signal.SIGKILL)
            elif (stuck or late) and (worker.kill_at is None or worker.kill_at > now + LAST_WORDS_S):
                log.error("worker stuck", number=worker.number, process=worker.pid, silent_s=round(now - worker.heard_at, 1))
                os.kill(worker.pid, signal.SIGABRT)
                worker.kill_at = now + LAST_WORDS_S

    # Rolling restart, and the end

    def _roll(self) -> None:
        """Begin with the next worker to be replaced, unless one is being replaced."""
        if self.stopping or self.outgoing is not None or not self.rolling:
            return
        if self.successor is not None and self.successor.ready_at is None:
            return
        number = self.rolling.popleft()
        self.outgoing = next((worker for worker in self.workers.values() if worker.number == number and not worker.leaving), None)
        if self.outgoing is None:  # it has just died, so that a fresh one comes anyway
            self._roll()
            return
        self.successor = self._start(number)

    def _successor_died(self) -> None:
        if self.successor is not None and self.successor.ready_at is None and self.outgoing is not None:
            log.error("rolling restart given up", number=self.successor.number, consequence="the workers before it go on")
            self.rolling.clear()
            self.outgoing = None
        self.successor = None

    def _let_go(self, worker: Worker) -> None:
        """Tell a worker to finish, once: a second signal would end it."""
        if not worker.leaving:
            worker.leaving = True
            worker.kill_at = self.clock() + self.stop_limit_s
            os.kill(worker.pid, signal.SIGTERM)

    def _stop(self) -> None:
        log.info("stopping", workers=len(self.workers))
        self.manager.stopping("Finishing the answers under way")
        self.stopping = True
        for listening in self.sockets:  # a caller that comes later is refused as soon as the last worker has stopped to accept
            listening.close()
        for worker in self.workers.values():
            self._let_go(worker)

    def _end_at_once(self, number: int) -> NoReturn:
        for pid in self.workers:
            os.kill(pid, signal.SIGKILL)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        os._exit(1)


def main(arguments: Sequence[str]) -> int:
    """Run the command line that `opuscine serve` hands over; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m opuscine.supervisor", description=__doc__)
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--drain", type=float, required=True, help="longest time that a worker may take to finish its answers")
    parser.add_argument("--log-level", required=True)
    parser.add_argument("--readable", action="store_true")
    given = parser.parse_args(arguments)
    configure_logs(level=given.log_level, readable=given.readable, worker=0)
    try:
        manager = ServiceManager(os.environ.pop("NOTIFY_SOCKET", ""))
        watchdog_s = watchdog_interval_s(os.environ)
        sockets = sockets_handed_over(os.environ) or bind_sockets(given.host, given.port)
    except OpusCineError as error:
        print(f"opuscine: {error}", file=sys.stderr)
        return 1
    log.info("listening", address=address_of(sockets[0]), workers=given.workers)
    command = [sys.executable, "-m", "opuscine", "serve"]
    stop_limit_s = given.drain + STOP_MARGIN_S
    return Supervisor(given.workers, sockets, manager, command, stop_limit_s=stop_limit_s, watchdog_s=watchdog_s).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
