"""Find out who calls, and let through only those who may. Whatever cannot be checked is refused."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Callable

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from multidict import CIMultiDictProxy, istr

from opuscine.contract import ProblemError
from opuscine.fast_path import Exchange, FastMiddleware
from opuscine.identity.attempts import Attempts
from opuscine.identity.authenticator import Authenticator
from opuscine.identity.caller import ANYBODY, NOBODY, Caller
from opuscine.identity.refusal import AuthenticationError, Reason
from opuscine.keys import CONTEXT
from opuscine.middlewares.plugin import BuiltInContext
from opuscine.operations import Operation

CHALLENGE = {"WWW-Authenticate": 'Bearer realm="opuscine"'}  # RFC 9110, section 11.6.1; says nothing of what was wrong
LONGEST_RETRY_AFTER_S = 2
CREDENTIAL_HEADERS = AUTHORIZATION, X_API_KEY = istr("Authorization"), istr("X-Api-Key")
VARY, BY_CREDENTIALS = istr("Vary"), ", ".join(CREDENTIAL_HEADERS)
WELCOME_S = 0.05  # health answers within 100 ms, whoever asks

log = structlog.get_logger("opuscine.auth")


def plugin(context: BuiltInContext) -> Middleware:
    """Make the middleware from the settings."""
    settings = context.settings
    if not settings.auth_on:
        return Everybody()
    attempts = Attempts(budget=settings.auth_failures, clock=context.clock)
    return Auth(
        authenticator=context.authenticator,
        attempts=attempts,
        operation_of=context.operation_of,
        refusals=context.measures.refused_callers,
    )


class Everybody(FastMiddleware):
    """A middleware that lets everyone do everything, for `AUTH=off`."""

    async def __call__(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer anybody."""
        request[CONTEXT].caller = ANYBODY
        return await handler(request)

    def enter(self, exchange: Exchange) -> bool:
        """Let anybody pass."""
        exchange.context.caller = ANYBODY
        return True


class Auth(FastMiddleware):
    """The middleware.

    An operation without a scope is open: credentials that happen to come along are used if they are good, and count as an attempt if
    not. What is no operation passes: addresses that lead nowhere, and preflights, which browsers send without credentials. An address
    whose attempts are used up gets 429, but known good credentials go on working.
    """

    def __init__(
        self,
        *,
        authenticator: Callable[[], Authenticator],
        attempts: Attempts,
        operation_of: Callable[[web.Request], Operation | None],
        refusals: Counter[str] | None = None,
    ) -> None:
        """Take the parts; `refusals` counts who was turned away, by reason."""
        self._authenticator = authenticator
        self._attempts = attempts
        self._operation_of = operation_of
        self._refusals = Counter[str]() if refusals is None else refusals

    async def __call__(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer a request of a caller that is known and may do what it wants."""
        operation = self._operation_of(request)
        if operation is None:
            return await handler(request)
        context = request[CONTEXT]
        with context.phases.phase("auth"):
            caller = context.caller = await self._caller_of(request, operation)
        if operation.scope is None:
            return await handler(request)
        context.notes["caller"] = caller.name
        if operation.scope not in caller.scopes:
            raise ProblemError("forbidden", f"This needs the scope {operation.scope}.")
        response = await handler(request)
        if not response.prepared:
            # A browser keeps an answer that may be kept: not for whoever uses it next with other credentials.
            response.headers.add(VARY, BY_CREDENTIALS)
        return response

    def enter(self, exchange: Exchange) -> bool:
        """Let a caller pass who is known at once and may do what it wants; who is refused, the ordinary way counts and tells."""
        context, scope = exchange.context, exchange.operation.scope
        phases = context.phases
        begun = phases.clock()
        caller = self._recognise(exchange.headers)
        phases.add("auth", phases.clock() - begun)
        if scope is None or caller is None or scope not in caller.scopes:
            return False
        context.caller = caller
        context.notes["caller"] = caller.name
        return True

    def leave(self, exchange: Exchange) -> None:
        """Say that the answer is for this caller."""
        exchange.lines.append(f"Vary: {BY_CREDENTIALS}\r\n")

    async def _caller_of(self, request: web.Request, operation: Operation) -> Caller:
        if operation.scope is None:
            return await self._welcome(request)
        return self._recognise(request.headers) or await self._identify(request)

    def _recognise(self, headers: CIMultiDictProxy[str]) -> Caller | None:
        """Return who calls if that can be said at once, as of nearly all who call."""
        return None if repeated(headers) else self._authenticator().recognise(headers)

    async def _identify(self, request: web.Request) -> Caller:
        context = request[CONTEXT]
        wait_s = self._attempts.allowed(context.client)
        if wait_s is not None:
            self._refusals["too_many_failures"] += 1
            retry_after = str(max(1, min(LONGEST_RETRY_AFTER_S, math.ceil(wait_s))))
            raise ProblemError("too_many_failures", "Too many failed attempts; try again later.", headers={"Retry-After": retry_after})
        try:
            if repeated(request.headers):
                raise AuthenticationError(Reason.AMBIGUOUS)
            return await self._authenticator().authenticate(request.headers)
        except AuthenticationError as error:
            if error.is_attempt:
                self._attempts.failed(context.client)
            self._refusals[error.reason.value] += 1
            context.notes["refused"] = error.reason.value
            log.debug("authentication refused", reason=error.reason.value, request_id=context.request_id)
            detail = "Send an API key as X-Api-Key, or a token as Authorization: Bearer."
            raise ProblemError("unauthenticated", detail, headers=CHALLENGE) from None

    async def _welcome(self, request: web.Request) -> Caller:
        """Return who comes to an open operation; nobody, where that can't be found out at once (the issuer's keys may be slow to come)."""
        if not any(name in request.headers for name in CREDENTIAL_HEADERS):
            return NOBODY
        try:
            async with asyncio.timeout(WELCOME_S):
                return self._recognise(request.headers) or await self._identify(request)
        except (ProblemError, TimeoutError):
            return NOBODY


def repeated(headers: CIMultiDictProxy[str]) -> bool:
    """Say whether a credential header stands there twice: which of them counts would be a guess."""
    return len(headers.getall(X_API_KEY, ())) > 1 or len(headers.getall(AUTHORIZATION, ())) > 1
