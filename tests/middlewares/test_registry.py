"""Middlewares are found by entry points, and an order that would leave callers unguarded stops the start."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from opuscine.errors import SettingsError
from opuscine.middlewares import registry


def test_the_built_in_middlewares_are_registered_like_any_other() -> None:
    planned = registry.plan(None, production=True)
    assert tuple(item.name for item in planned) == registry.DEFAULT_ORDER
    assert {item.origin for item in planned} == {"opuscine"}


@pytest.mark.parametrize(
    ("order", "said"),
    [
        (("request_context", "errors", "body", "unheard"), "no middleware 'unheard'"),
        (("request_context", "errors", "body", "body"), "twice"),
        (("request_context", "timing", "body"), "errors must be named too"),
        (("request_context", "errors"), "body must be named too"),
        (("errors", "request_context", "body"), "request_context must be first"),
        (("request_context", "body", "errors"), "body must stand behind errors"),
    ],
)
def test_an_order_that_cannot_work_is_refused(order: tuple[str, ...], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        registry.plan(order, production=False)


def test_two_plugins_of_one_name_stop_the_start() -> None:
    twice = [*registry.installed(), EntryPoint("timing", "elsewhere:plugin", registry.GROUP)]
    with pytest.raises(SettingsError, match="two middleware plugins are called 'timing'"):
        registry.plan(None, production=False, found=twice)


def test_a_third_partys_plugin_runs_only_where_it_is_named() -> None:
    found = [*registry.installed(), EntryPoint("theirs", "elsewhere:plugin", registry.GROUP)]
    assert "theirs" not in [item.name for item in registry.plan(None, production=False, found=found)]
    named = registry.plan((*registry.DEFAULT_ORDER, "theirs"), production=False, found=found)
    assert named[-1].name == "theirs"
