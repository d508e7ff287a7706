"""Find out who calls, and let through only those who may. Whatever cannot be checked is refused."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Callable

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from multidict import istr

from opuscine.contract import ProblemError
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


def plugin(context: BuiltInContext) -> Middleware:
    """Make the middleware from the settings."""
    settings = context.settings
    if not settings.auth_on:
        return everybody()
    attempts = Attempts(budget=settings.auth_failures, clock=context.clock)
    return auth(
        authenticator=context.authenticator,
        attempts=attempts,
        operation_of=context.operation_of,
        refusals=context.measures.refused_callers,
    )


def everybody() -> Middleware:
    """Make a middleware that lets everyone do everything, for `AUTH=off`."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        request[CONTEXT].caller = ANYBODY
        return await handler(request)

    return middleware


def auth(
    *,
    authenticator: Callable[[], Authenticator],
    attempts: Attempts,
    operation_of: Callable[[web.Request], Operation | None],
    refusals: Counter[str] | None = None,
) -> Middleware:
    """Make the middleware.

    An operation without a scope is open: credentials that happen to come along are used if they are good, and count as an attempt if
    not. What is no operation passes: addresses that lead nowhere, and preflights, which browsers send without credentials. An address
    whose attempts are used up gets 429, but known good credentials go on working. `refusals` counts who was turned away, by reason.
    """
    counted = Counter[str]() if refusals is None else refusals
    log = structlog.get_logger("opuscine.auth")

    def recognise(request: web.Request) -> Caller | None:
        """Return who calls if that can be said at once, as of nearly all who call."""
        return None if repeated(request) else authenticator().recognise(request.headers)

    async def identify(request: web.Request) -> Caller:
        context = request[CONTEXT]
        wait_s = attempts.allowed(context.client)
        if wait_s is not None:
            counted["too_many_failures"] += 1
            retry_after = str(max(1, min(LONGEST_RETRY_AFTER_S, math.ceil(wait_s))))
            raise ProblemError("too_many_failures", "Too many failed attempts; try again later.", headers={"Retry-After": retry_after})
        try:
            if repeated(request):
                raise AuthenticationError(Reason.AMBIGUOUS)
            return await authenticator().authenticate(request.headers)
        except AuthenticationError as error:
            if error.is_attempt:
                attempts.failed(context.client)
            counted[error.reason.value] += 1
            context.notes["refused"] = error.reason.value
            log.debug("authentication refused", reason=error.reason.value, request_id=context.request_id)
            detail = "Send an API key as X-Api-Key, or a token as Authorization: Bearer."
            raise ProblemError("unauthenticated", detail, headers=CHALLENGE) from None

    async def welcome(request: web.Request) -> Caller:
        """Return who comes to an open operation; nobody, where that can't be found out at once (the issuer's keys may be slow to come)."""
        if not any(name in request.headers for name in CREDENTIAL_HEADERS):
            return NOBODY
        try:
            async with asyncio.timeout(WELCOME_S):
                return recognise(request) or await identify(request)
        except (ProblemError, TimeoutError):
            return NOBODY

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        operation = operation_of(request)
        if operation is None:
            return await handler(request)
        context = request[CONTEXT]
        with context.phases.phase("auth"):
            caller = context.caller = await welcome(request) if operation.scope is None else recognise(request) or await identify(request)
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

    return middleware


def repeated(request: web.Request) -> bool:
    """Say whether a credential header stands there twice: which of them counts would be a guess."""
    headers = request.headers
    return (X_API_KEY in headers and len(headers.getall(X_API_KEY)) > 1) or (
        AUTHORIZATION in headers and len(headers.getall(AUTHORIZATION)) > 1
    )
