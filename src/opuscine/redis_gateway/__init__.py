"""The one door to Redis: a pool, a budget per request, a breaker, and one error that says "do without it"."""

from __future__ import annotations

from opuscine.redis_gateway.address import RedisAddress
from opuscine.redis_gateway.away import RedisAwayError
from opuscine.redis_gateway.budget import RedisBudget
from opuscine.redis_gateway.gateway import RedisGateway, RedisInfo, RedisSettings

__all__ = ["RedisAddress", "RedisAwayError", "RedisBudget", "RedisGateway", "RedisInfo", "RedisSettings"]
