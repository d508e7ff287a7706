"""Who is counted together, and what the answer is told."""

from __future__ import annotations

import time
from functools import partial

import pytest

from opuscine.context import RequestContext
from opuscine.contract import ProblemError
from opuscine.guard.deadline import Deadline
from opuscine.guard.rate_limiter import Rate, RateLimiter
from opuscine.identity.caller import ANYBODY, NOBODY, Caller, CallerKind
from opuscine.identity.scopes import ALL_SCOPES
from opuscine.limits import Limit
from opuscine.redis_gateway import RedisBudget
from support.manual_clock import ManualClock

KEY = Caller("backend", ALL_SCOPES, None, CallerKind.KEY)
ALICE = Caller("jwt", ALL_SCOPES, "alice", CallerKind.JWT)


@pytest.fixture
def limit() -> Limit:
    """Give a limit of one request each."""
    limiter = RateLimiter[RedisBudget](Rate(1, 3600, 1), None, name="read", clock=ManualClock())
    return Limit(lambda: limiter)


def request_of(caller: Caller, client: str = "192.0.2.1") -> RequestContext:
    return RequestContext("id", "", "", client, Deadline(1), partial(RedisBudget, 1.0, time.monotonic), caller=caller)


async def is_admitted(limit: Limit, caller: Caller, user: str | None = None, client: str = "192.0.2.1") -> bool:
    try:
        await limit.admit(request_of(caller, client), user)
    except ProblemError:
        return False
    return True


async def test_each_caller_and_each_user_of_a_caller_is_counted_alone(limit: Limit) -> None:
    for caller, user in ((KEY, None), (KEY, "alice"), (KEY, "bob"), (ALICE, None), (ALICE, "alice")):
        assert await is_admitted(limit, caller, user)
        assert not await is_admitted(limit, caller, user)
        assert not await is_admitted(limit, caller, user, client="198.51.100.7")  # wherever it calls from


async def test_names_do_not_run_into_each_other(limit: Limit) -> None:
    """Whatever users a server names, it names none of another's, and no caller."""
    assert await is_admitted(limit, Caller("a", ALL_SCOPES, None, CallerKind.KEY), "b\nc")
    assert await is_admitted(limit, Caller("a", ALL_SCOPES, None, CallerKind.KEY), "c")
    assert await is_admitted(limit, Caller("jwt", ALL_SCOPES, "a", CallerKind.JWT))
    assert await is_admitted(limit, Caller("jwt", ALL_SCOPES, "key:a", CallerKind.JWT))
    assert await is_admitted(limit, Caller("a", ALL_SCOPES, None, CallerKind.KEY))


@pytest.mark.parametrize("unknown", [NOBODY, ANYBODY])
async def test_the_unknown_are_counted_by_address_whatever_users_they_name(limit: Limit, unknown: Caller) -> None:
    assert await is_admitted(limit, unknown, "alice")
    assert not await is_admitted(limit, unknown, "bob")
    assert not await is_admitted(limit, unknown)
    assert await is_admitted(limit, unknown, client="192.0.2.2")


async def test_the_unknown_of_one_ipv6_network_are_one(limit: Limit) -> None:
    assert await is_admitted(limit, ANYBODY, client="2001:db8::1")
    assert not await is_admitted(limit, ANYBODY, client="2001:db8::ffff:1:2")
    assert await is_admitted(limit, ANYBODY, client="2001:db8:0:1::1")
    assert await is_admitted(limit, ANYBODY, client="::ffff:192.0.2.9")
    assert not await is_admitted(limit, ANYBODY, client="192.0.2.9")


async def test_the_answer_says_what_is_left_even_when_it_is_a_refusal(limit: Limit) -> None:
    context = request_of(KEY)
    await limit.admit(context)
    assert context.headers == {"RateLimit-Policy": '"read";q=1;w=3600', "RateLimit": '"read";r=0;t=3600'}
    context = request_of(KEY)
    with pytest.raises(ProblemError) as refused:
        await limit.admit(context)
    assert (refused.value.type.code, refused.value.headers) == ("rate_limited", {"Retry-After": "2"})
    assert context.headers["RateLimit"] == '"read";r=0;t=3600'
    assert set(context.phases.seconds) == {"limit"}


async def test_no_limit_is_no_limit() -> None:
    limit, context = Limit(lambda: None), request_of(KEY)
    for _ in range(100):
        await limit.admit(context)
    assert (context.headers, context.phases.seconds, limit.info) == ({}, {}, None)


async def test_what_was_counted_can_be_seen(limit: Limit) -> None:
    assert [await is_admitted(limit, KEY) for _ in range(3)] == [True, False, False]
    assert limit.info is not None
    assert (limit.info.allowed, limit.info.denied) == (1, 2)
