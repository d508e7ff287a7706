"""`opuscine plugins`."""

from __future__ import annotations

import argparse

from opuscine.codec import dumps
from opuscine.middlewares import registry
from opuscine.settings import load_settings


def run(arguments: argparse.Namespace) -> int:
    """List the middlewares in order, outermost first, then those that are installed and not named; none is imported."""
    settings = load_settings()
    planned = registry.plan(settings.middlewares, production=settings.production, in_use=registry.guards_in_use(settings))
    named = {plugin.name for plugin in planned}
    others = sorted((registry.describe(point) for point in registry.installed() if point.name not in named), key=lambda plugin: plugin.name)
    rows = [*enumerate(planned, start=1), *((None, plugin) for plugin in others)]
    if arguments.json:
        listed = [{"place": place, "name": plugin.name, "origin": plugin.origin, "version": plugin.version} for place, plugin in rows]
        print(dumps({"plugins": listed}).decode())
        return 0
    name_width, source_width = (max(map(len, column)) for column in zip(*((plugin.name, plugin.source) for _, plugin in rows), strict=True))
    for place, plugin in rows:
        remark = "" if place else "not named in MIDDLEWARES"
        print(f"{place or '-':>2}  {plugin.name:<{name_width}}  {plugin.source:<{source_width}}  {remark}".rstrip())
    return 0
