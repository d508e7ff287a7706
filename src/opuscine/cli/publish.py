"""`opuscine catalogue publish`."""

from __future__ import annotations

import argparse
import asyncio
import math
import sys
import time
from collections.abc import Callable
from typing import TextIO

from opuscine.catalogue.service import Catalogue
from opuscine.errors import CatalogueUnavailableError, SettingsError
from opuscine.guard.breaker import Breaker
from opuscine.ott.publisher import Progress, Publisher, PublishError, PublishSettings
from opuscine.redis_gateway import RedisAwayError, RedisGateway, RedisSettings
from opuscine.settings import Settings, load_settings

BAR_WIDTH = 30
LINE_INTERVAL_S = 5.0  # between lines where there is no terminal
CONNECT_TIMEOUT_S = 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of `run`."""
    defaults = PublishSettings()
    parser.add_argument("--rate", type=_positive(float), default=defaults.rate, metavar="N", help="rows a second (%(default)g)")
    parser.add_argument("--batch", type=_positive(int), default=defaults.batch, metavar="N", help="rows in one write (%(default)d)")
    parser.add_argument(
        "--ttl", type=_positive(float), default=defaults.ttl_s, metavar="SECONDS", help="how long rows live in Redis (%(default)g)"
    )
    parser.add_argument(
        "--resume", action=argparse.BooleanOptionalAction, default=defaults.resume, help="go on where an interrupted run stopped"
    )


def run(arguments: argparse.Namespace) -> int:
    """Write the links of the whole catalogue to Redis.

    Raises:
        SettingsError: no Redis is set.
    """
    settings = load_settings()
    if not settings.redis_address:
        raise SettingsError("catalogue publish writes to Redis, and none is set: set REDIS_URL, or REDIS_HOST")
    wanted = PublishSettings(rate=arguments.rate, batch=arguments.batch, ttl_s=arguments.ttl, resume=arguments.resume)
    return asyncio.run(publish(settings, wanted))


async def publish(settings: Settings, wanted: PublishSettings) -> int:
    """Publish, showing how far it is on stderr; the exit status is 1 when Redis is away, and then a sentence says how far it came."""
    # The publisher tries again by itself; a breaker would only make it wait.
    breaker = Breaker("redis", fail_max=sys.maxsize, open_s=1.0)
    gateway = RedisGateway(RedisSettings(settings.redis_address, connect_timeout_s=CONNECT_TIMEOUT_S, max_connections=2), breaker=breaker)
    line = ProgressLine(sys.stderr)
    try:
        await gateway.probe()
        catalogue = await Catalogue.open(settings.catalogue)
        try:
            began = time.monotonic()
            done = await Publisher(catalogue, gateway, wanted).run(line.show)
        finally:
            await catalogue.close()
    except (RedisAwayError, CatalogueUnavailableError, PublishError) as error:
        line.end()
        print(f"opuscine: {str(error).rstrip('.')}; {line.summary}", file=sys.stderr)
        return 1
    except asyncio.CancelledError:
        line.end()
        print(f"opuscine: interrupted; {line.summary}", file=sys.stderr)
        raise
    finally:
        await gateway.close()
    line.end()
    written = done.done - done.resumed_at
    print(f"published {written:,} titles of generation {done.generation} in {time.monotonic() - began:.1f} s")
    return 0


class ProgressLine:
    """Show how far a run is: a bar that moves on a terminal, else a line every few seconds."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        """Write to `stream`."""
        self._stream = stream
        self._clock = clock
        self._terminal = stream.isatty()
        self._first: tuple[float, int] | None = None  # when the run began, and how many rows there were then
        self._last: Progress | None = None
        self._shown_at = -math.inf

    @property
    def summary(self) -> str:
        """Say in a sentence how far the run came, and how to go on."""
        if self._last is None or not self._last.done:
            return "nothing is published"
        return f"{self._last.done:,} of {self._last.total:,} titles are published; the same command goes on from there"

    def show(self, progress: Progress) -> None:
        """Show it, unless a line was shown a moment ago."""
        now = self._clock()
        if self._first is None or (self._last and self._last.generation != progress.generation):
            self._first = now, progress.done
        self._last = progress
        finished = progress.done >= progress.total
        if now - self._shown_at < (0.1 if self._terminal else LINE_INTERVAL_S) and not (finished and self._terminal):
            return
        self._shown_at = now
        text = self._text(progress, now, *self._first)
        self._stream.write(f"\r{_bar(progress)} {text}\x1b[K" if self._terminal else f"{text}\n")
        self._stream.flush()

    def end(self) -> None:
        """Leave the line, so that what comes next begins a new one."""
        if self._terminal and self._last is not None:
            self._stream.write("\n")
            self._stream.flush()

    @staticmethod
    def _text(progress: Progress, now: float, began: float, done_before: int) -> str:
        share = progress.done / progress.total if progress.total else 1.0
        text = f"{share:4.0%}  {progress.done:,} of {progress.total:,} titles"
        if progress.done > done_before and now > began:
            rate = (progress.done - done_before) / (now - began)
            text += f"  {rate:,.0f}/s  {max(0, progress.total - progress.done) / rate:,.0f} s left"
        elif done_before:
            text += "  (goes on from an earlier run)"
        return text


def _bar(progress: Progress) -> str:
    full = BAR_WIDTH if not progress.total else min(BAR_WIDTH, BAR_WIDTH * progress.done // progress.total)
    return f"[{'#' * full}{'.' * (BAR_WIDTH - full)}]"


def _positive(read: Callable[[str], float]) -> Callable[[str], float]:
    def number(text: str) -> float:
        value = read(text)
        if not 0 < value < math.inf:
            raise ValueError
        return value

    number.__name__ = "number above 0"  # argparse names it when it refuses a value
    return number
