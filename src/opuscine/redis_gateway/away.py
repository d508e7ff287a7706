"""What counts as Redis being away."""

from __future__ import annotations

from redis import exceptions as redis_errors
from redis.exceptions import RedisError, ResponseError

from opuscine.errors import OpusCineError


class RedisAwayError(OpusCineError):
    """Say that Redis did not do what was asked, for whatever reason: the caller goes on without it."""


# The errors of redis-py's cluster client are no RedisErrors, and it meets a slot that nobody serves with a KeyError. A connection whose
# peer is gone shows itself as RuntimeError (uvloop) or AttributeError (asyncio from 3.12) too, and a reply of an unexpected shape as
# TypeError or ValueError. TimeoutError is an OSError.
AWAY = (RedisError, redis_errors.RedisClusterException, OSError, RuntimeError, AttributeError, TypeError, LookupError, ValueError)

_UNUSABLE = (redis_errors.ClusterDownError, redis_errors.MasterDownError)


def is_refusal(error: BaseException) -> bool:
    """Tell whether a working Redis answered and said no (wrong type, no permission, out of memory): no reason to stay away from it."""
    return isinstance(error, ResponseError) and not isinstance(error, _UNUSABLE)


def is_lost_connection(error: BaseException) -> bool:
    """Tell whether a connection broke, so that another one may do better at once. Subclasses name other causes (login, loading)."""
    if type(error) is redis_errors.ConnectionError:
        return True
    return isinstance(error, OSError | RuntimeError | AttributeError) and not isinstance(error, TimeoutError)


def reason_of(error: BaseException) -> str:
    """Return one word for the counters: "timeout", "refused" or "unreachable"."""
    if isinstance(error, TimeoutError | redis_errors.TimeoutError):
        return "timeout"
    return "refused" if is_refusal(error) else "unreachable"
