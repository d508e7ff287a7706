"""The pages of all workers of a machine, gathered by whichever of them is scraped.

Each worker holds a numbered slot of one folder by a file lock, and gives its page to the others through a Unix socket. Nothing is
shared but that: a worker that dies, hangs or restarts changes only figures of its own, and the one that takes its slot goes on under
its number, so that the number of series stays bounded.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog

from opuscine.errors import SettingsError
from opuscine.telemetry.exposition import CONTENT_TYPES, Form

MOST_WORKERS = 512  # twice as many as WORKERS may be: a rolling restart has a worker and its successor
PAGE_BYTES = 4 * 1024 * 1024  # of one worker; a page has some 200 kB
ANSWER_S = 0.5  # a worker that takes longer is left out, and said to be
QUESTION_BYTES = 32
SOCKET_NAME = re.compile(r"worker-([0-9]{1,3})\.sock")

PageWriter = Callable[[Form], Awaitable[str]]

log = structlog.get_logger("opuscine.metrics")


class Workers:
    """Be one of the workers of a folder while entered (`async with`); without a folder, the only one."""

    def __init__(self, folder: Path | None, write_page: PageWriter, *, number: int | None = None, answer_s: float = ANSWER_S) -> None:
        """Take the folder, which is made if need be, what writes this worker's page, and the slot wished for: its number in the log."""
        self._folder = folder
        self._write_page = write_page
        self._answer_s = answer_s
        self._number = number
        self._slot = 0
        self._lock: int | None = None
        self._directory: int | None = None
        self._server: asyncio.Server | None = None

    @property
    def name(self) -> str:
        """Return this worker's value of the label `worker`."""
        return str(self._slot)

    async def __aenter__(self) -> Self:
        """Take a slot and listen.

        Raises:
            SettingsError: the folder can't be used, or has no slot left.
        """
        if self._folder is None:
            return self
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._slot, self._lock = self._take_slot(self._folder)
            self._directory = os.open(self._folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            path = self._socket_of(self._slot)
            path.unlink(missing_ok=True)  # left by the one that had the slot
            self._remove_what_the_dead_left(self._folder)
            self._server = await asyncio.start_unix_server(self._answer, sock=_listening(path), limit=QUESTION_BYTES)
        except OSError as error:
            await self.__aexit__(None, None, None)
            reason = error.strerror or str(error)
            raise SettingsError(f"METRICS_DIR: {self._folder} cannot be used ({reason}); valid: path of a writable folder") from None
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        """Leave: the socket goes first, so that nobody who finds it waits."""
        if self._server is not None:
            with suppress(OSError):
                self._socket_of(self._slot).unlink(missing_ok=True)
            self._server.close()
            self._server = None
        for held in (self._lock, self._directory):
            if held is not None:
                os.close(held)
        self._lock = self._directory = None

    async def pages_of_others(self, form: Form) -> Mapping[str, str | None]:
        """Ask every other worker for its page; None for one that is dead and not yet back, hangs, or answers nonsense."""
        if self._folder is None or self._server is None:
            return {}
        others = [slot for slot in _slots_with_a_socket(self._folder) if slot != self._slot]
        pages = await asyncio.gather(*(self._ask(slot, form) for slot in others))
        return {str(slot): page for slot, page in zip(others, pages, strict=True)}

    async def _ask(self, slot: int, form: Form) -> str | None:
        writer = None
        try:
            async with asyncio.timeout(self._answer_s):
                reader, writer = await asyncio.open_unix_connection(self._socket_of(slot))
                writer.write(f"{form}\n".encode())
                page = bytearray()
                while chunk := await reader.read(64 * 1024):
                    page += chunk
                    if len(page) > PAGE_BYTES:
                        raise ValueError("its page is too large")
                text = page.decode()
                if not text.startswith("# ") or not text.endswith("\n"):
                    raise ValueError("it broke off")
                return text
        except (OSError, TimeoutError, ValueError) as error:
            log.info("worker gives no page", missing=slot, cause=type(error).__name__)
            return None
        finally:
            if writer is not None:
                writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Give the page to another worker; what asks for anything else is hung up on."""
        try:
            async with asyncio.timeout(self._answer_s):
                asked = (await reader.readline()).decode().strip()
                form: Form | None = next((known for known in CONTENT_TYPES if known == asked), None)
                if form is not None:
                    writer.write((await self._write_page(form)).encode())
                    await writer.drain()
        except (OSError, TimeoutError, ValueError):
            return
        finally:
            writer.close()

    def _socket_of(self, slot: int) -> Path:
        """Return where a socket lies, by way of the open folder: an address may have 107 bytes only (unix(7)), a folder's path more."""
        return Path(f"/proc/self/fd/{self._directory}/worker-{slot}.sock")

    def _take_slot(self, folder: Path) -> tuple[int, int]:
        wished = [self._number] if self._number is not None and self._number < MOST_WORKERS else []
        for slot in [*wished, *range(MOST_WORKERS)]:
            lock = _locked(folder, slot)
            if lock is not None:
                return slot, lock
        raise SettingsError(f"METRICS_DIR: all {MOST_WORKERS} slots of {folder} are taken; give each service a folder of its own")

    def _remove_what_the_dead_left(self, folder: Path) -> None:
        """Remove sockets of slots that nobody holds: those of fewer workers than there were."""
        for slot in _slots_with_a_socket(folder):
            if slot != self._slot and (lock := _locked(folder, slot)) is not None:
                with suppress(OSError):
                    self._socket_of(slot).unlink(missing_ok=True)
                os.close(lock)


def _locked(folder: Path, slot: int) -> int | None:
    """Lock a slot, which the kernel frees when the process ends, however it ends; None where another process has it."""
    lock = os.open(folder / f"worker-{slot}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    except BaseException:
        os.close(lock)
        raise
    return lock


def _listening(path: Path) -> socket.socket:
    """Listen where only this user may come: the socket is closed to others from the moment that it exists."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.fchmod(listening.fileno(), 0o600)
        listening.bind(os.fspath(path))
        path.chmod(0o600)
        listening.listen(16)
        listening.setblocking(False)
    except BaseException:
        listening.close()
        raise
    return listening


def _slots_with_a_socket(folder: Path) -> list[int]:
    found = (SOCKET_NAME.fullmatch(path.name) for path in folder.iterdir())
    return sorted(int(match[1]) for match in found if match)
