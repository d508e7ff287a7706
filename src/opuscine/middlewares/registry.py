"""Which middlewares run, and in which order.

Plugins are found by entry points of the group `opuscine.middlewares`; the built-in ones are registered the same way in our own
`pyproject.toml`. Third-party plugins run only where the setting `MIDDLEWARES` names them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

from aiohttp.typedefs import Middleware

from opuscine.errors import SettingsError
from opuscine.middlewares.plugin import PluginContext

GROUP = "opuscine.middlewares"
# Outermost first. request_context makes the id, trace and deadline that all others read; timing measures everything inside it,
# error answers too; errors turns what the guards raise into answers; rate_limit counts by the caller that auth has found; body
# reads only what the guards let pass.
DEFAULT_ORDER = ("request_context", "timing", "errors", "auth", "rate_limit", "body")
FIRST = "request_context"
NEEDED = ("request_context", "errors", "body")
GUARDS = ("auth", "rate_limit", "body")  # what stands between a caller and a handler: must be inside `errors`, and present in production


@dataclass(frozen=True, slots=True)
class PlannedMiddleware:
    """One middleware of the order and where it comes from."""

    name: str
    origin: str  # the distribution that brings it
    entry_point: EntryPoint


def installed() -> tuple[EntryPoint, ...]:
    """Return every plugin that an installed distribution brings."""
    return tuple(entry_points(group=GROUP))


def plan(names: Sequence[str] | None, *, production: bool, found: Sequence[EntryPoint] | None = None) -> tuple[PlannedMiddleware, ...]:
    """Return the middlewares in order.

    Raises:
        SettingsError: two plugins of one name, an unknown or repeated name, a missing part, or an order that leaves a guard
            outside `errors`.
    """
    points = installed() if found is None else tuple(found)
    if twice := [name for name, count in Counter(point.name for point in points).items() if count > 1]:
        origins = ", ".join(sorted(origin_of(point) for point in points if point.name == twice[0]))
        raise SettingsError(f"two middleware plugins are called {twice[0]!r} ({origins}): uninstall one of them")
    by_name = {point.name: point for point in points}
    order = tuple(names) if names is not None else DEFAULT_ORDER
    check_order(order, known=by_name, production=production)
    return tuple(PlannedMiddleware(name, origin_of(by_name[name]), by_name[name]) for name in order)


def check_order(order: Sequence[str], *, known: Sequence[str] | dict[str, EntryPoint], production: bool) -> None:
    """Refuse an order that would leave callers unguarded or errors unanswered.

    Raises:
        SettingsError: says which name is at fault and what is valid.
    """
    for name in order:
        if name not in known:
            raise SettingsError(f"MIDDLEWARES: there is no middleware {name!r}; valid: {', '.join(sorted(known))}")
    if len(set(order)) != len(order):
        raise SettingsError("MIDDLEWARES: a name stands there twice; name each middleware once")
    required = NEEDED if not production else tuple(dict.fromkeys((*NEEDED, *GUARDS)))
    if missing := [name for name in required if name not in order]:
        raise SettingsError(f"MIDDLEWARES: {', '.join(missing)} must be named too; the default is {','.join(DEFAULT_ORDER)}")
    if order[0] != FIRST:
        raise SettingsError(f"MIDDLEWARES: {FIRST} must be first, since all others read what it makes")
    if {"auth", "rate_limit"} <= set(order) and order.index("rate_limit") < order.index("auth"):
        raise SettingsError("MIDDLEWARES: rate_limit must stand behind auth, by whose caller it counts")
    if outside := [name for name in GUARDS if name in order and order.index(name) < order.index("errors")]:
        raise SettingsError(f"MIDDLEWARES: {', '.join(outside)} must stand behind errors, which answers what they refuse")


def build(planned: Sequence[PlannedMiddleware], context: PluginContext) -> list[Middleware]:
    """Make the middlewares, in order."""
    return [item.entry_point.load()(context) for item in planned]


def origin_of(point: EntryPoint) -> str:
    """Name the distribution that brings a plugin."""
    return point.dist.name if point.dist else "unknown"
