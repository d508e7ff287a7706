"""Which middlewares run, and in which order.

Plugins are found by entry points of the group `opuscine.middlewares`; the built-in ones are registered the same way in our own
`pyproject.toml`. Third-party plugins run, and are imported, only where the setting `MIDDLEWARES` names them.
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

import structlog
from aiohttp.typedefs import Middleware

from opuscine.errors import SettingsError
from opuscine.middlewares.plugin import BuiltInContext
from opuscine.settings import Settings

GROUP = "opuscine.middlewares"
# Outermost first. request_context makes the id, trace and deadline that all others read; timing measures everything inside it,
# error answers too; errors turns what the guards raise into answers; rate_limit counts by the caller that auth has found; body
# reads only what the guards let pass.
DEFAULT_ORDER = ("request_context", "timing", "errors", "auth", "rate_limit", "body")
FIRST = "request_context"
NEEDED = ("request_context", "errors", "body")
GUARDS = ("auth", "rate_limit", "body")  # what stands between a caller and a handler: must be inside `errors`, and present in production
SWITCHES = {"auth": "AUTH", "rate_limit": "RATE_LIMIT_READ"}  # guards that a setting switches on
CAUSE_CHARS = 300

log = structlog.get_logger("opuscine.plugins")


@dataclass(frozen=True, slots=True)
class InstalledPlugin:
    """One middleware plugin and where it comes from."""

    name: str
    origin: str  # the distribution that brings it
    version: str  # of that distribution
    entry_point: EntryPoint

    @property
    def source(self) -> str:
        """Return the distribution with its version, for people."""
        return f"{self.origin} {self.version}".rstrip()


def installed() -> tuple[EntryPoint, ...]:
    """Return every plugin that an installed distribution brings."""
    return tuple(entry_points(group=GROUP))


def describe(point: EntryPoint) -> InstalledPlugin:
    """Say where a plugin comes from; it is not imported."""
    origin, version = (point.dist.name, point.dist.version) if point.dist else ("unknown", "")
    return InstalledPlugin(point.name, origin, version, point)


def guards_in_use(settings: Settings) -> tuple[str, ...]:
    """Return the guards that settings have switched on: an order without them would leave a door open that was meant to be shut."""
    in_use = {"auth": settings.auth_on, "rate_limit": settings.rates.read.strip().lower() != "off"}
    return tuple(name for name, on in in_use.items() if on)


def plan(
    names: Sequence[str] | None, *, production: bool, in_use: Collection[str] = (), found: Sequence[EntryPoint] | None = None
) -> tuple[InstalledPlugin, ...]:
    """Return the middlewares in order. `in_use` are guards that must be among them although this is not production.

    Raises:
        SettingsError: two plugins of one name, an unknown or repeated name, a missing part, or an order that leaves a guard
            outside `errors`.
    """
    plugins = [describe(point) for point in (installed() if found is None else found)]
    if twice := [name for name, count in Counter(plugin.name for plugin in plugins).items() if count > 1]:
        sources = ", ".join(sorted(plugin.source for plugin in plugins if plugin.name == twice[0]))
        raise SettingsError(f"two middleware plugins are called {twice[0]!r} ({sources}): uninstall one of them")
    by_name = {plugin.name: plugin for plugin in plugins}
    order = tuple(names) if names is not None else DEFAULT_ORDER
    check_order(order, known=by_name, production=production, in_use=in_use)
    return tuple(by_name[name] for name in order)


def check_order(order: Sequence[str], *, known: Collection[str], production: bool, in_use: Collection[str] = ()) -> None:
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
    if missing := [name for name in in_use if name not in order]:
        off = ", ".join(f"{SWITCHES[name]}=off" for name in missing)
        raise SettingsError(f"MIDDLEWARES: {', '.join(missing)} must be named too while switched on; name them, or write {off}")
    if order[0] != FIRST:
        raise SettingsError(f"MIDDLEWARES: {FIRST} must be first, since all others read what it makes")
    if {"auth", "rate_limit"} <= set(order) and order.index("rate_limit") < order.index("auth"):
        raise SettingsError("MIDDLEWARES: rate_limit must stand behind auth, by whose caller it counts")
    if outside := [name for name in GUARDS if name in order and order.index(name) < order.index("errors")]:
        raise SettingsError(f"MIDDLEWARES: {', '.join(outside)} must stand behind errors, which answers what they refuse")


def build(planned: Sequence[InstalledPlugin], context: BuiltInContext) -> list[Middleware]:
    """Make the middlewares, in order.

    Raises:
        SettingsError: see `make`.
    """
    return [make(plugin, context) for plugin in planned]


def make(plugin: InstalledPlugin, context: BuiltInContext) -> Middleware:
    """Import a plugin and have it make its middleware. At level debug the log shows the traceback of one that fails.

    Raises:
        SettingsError: it cannot be imported, fails, or makes something else; one line that names the plugin and its distribution.
    """
    who = f"MIDDLEWARES: the plugin {plugin.name!r} of {plugin.source}"
    try:
        factory = plugin.entry_point.load()
    except (Exception, SystemExit) as error:
        log.debug("plugin not imported", plugin=plugin.name, exc_info=True)
        raise SettingsError(f"{who} cannot be imported ({cause(error)}); mend it, or leave it out") from error
    try:
        made = factory(context)
    except SettingsError as error:
        raise SettingsError(f"{who} refuses its settings: {one_line(str(error))}") from error
    except (Exception, SystemExit) as error:
        log.debug("plugin failed", plugin=plugin.name, exc_info=True)
        raise SettingsError(f"{who} cannot make its middleware ({cause(error)}); mend it, or leave it out") from error
    # aiohttp still takes functions without this mark, for a protocol of old; none was written for us.
    if not callable(made) or getattr(made, "__middleware_version__", None) != 1:
        if inspect.iscoroutine(made):
            made.close()
        raise SettingsError(f"{who} made no middleware but a {type(made).__name__}; it must return what @web.middleware decorates")
    return made  # type: ignore[no-any-return]  # what an entry point brings has no static type


def cause(error: BaseException) -> str:
    """Return an exception's kind and text."""
    return one_line(f"{type(error).__name__}: {error}")


def one_line(text: str) -> str:
    """Fold a text that others wrote into one line of bounded length."""
    return " ".join(text.split())[:CAUSE_CHARS]
