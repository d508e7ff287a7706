"""`opuscine catalogue build|info`."""

from __future__ import annotations

import argparse
import asyncio
from dataclasses import asdict
from datetime import datetime
from typing import Any

from opuscine.catalogue.service import Catalogue
from opuscine.codec import dumps
from opuscine.contract import show_instant
from opuscine.settings import Settings, load_settings


def build(_arguments: argparse.Namespace) -> int:
    """Compile the sources where that has not been done, and describe the result."""
    print(table(asyncio.run(describe(load_settings(), complete=True))))
    return 0


def info(arguments: argparse.Namespace) -> int:
    """Describe the catalogue that the service would serve."""
    found = asyncio.run(describe(load_settings()))
    print(dumps(found).decode() if arguments.json else table(found))
    return 0


async def describe(settings: Settings, *, complete: bool = False) -> dict[str, Any]:
    """Open the catalogue, compiling it if need be, and return what it holds; `complete` has the whole index made first."""
    catalogue = await Catalogue.open(settings.catalogue)
    try:
        if complete:
            await catalogue.complete()
        return {
            name: show_instant(value) if isinstance(value, datetime) else list(value) if isinstance(value, tuple) else value
            for name, value in asdict(catalogue.info).items()
        }
    finally:
        await catalogue.close()


def table(found: dict[str, Any]) -> str:
    """Lay out names and values in two columns."""
    width = max(map(len, found))
    return "\n".join(f"{name:<{width}}  {', '.join(value) if isinstance(value, list) else value}" for name, value in found.items())
