"""`opuscine plugins`."""

from __future__ import annotations

import argparse

from opuscine.middlewares import registry
from opuscine.settings import load_settings


def run(_arguments: argparse.Namespace) -> int:
    """List the middlewares in order, outermost first, then those that are installed and not named."""
    settings = load_settings()
    planned = registry.plan(settings.middlewares, production=settings.environment == "production")
    rows = [(str(place), item.name, item.origin) for place, item in enumerate(planned, start=1)]
    used = {item.name for item in planned}
    rows += [("-", point.name, registry.origin_of(point)) for point in sorted(registry.installed()) if point.name not in used]
    width = max(len(name) for _, name, _ in rows)
    for place, name, origin in rows:
        print(f"{place:>2}  {name:<{width}}  {origin}")
    return 0
