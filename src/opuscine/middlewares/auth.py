"""Find out who calls, and let through only those who may. Whatever cannot be checked is refused."""

from __future__ import annotations

import math
from collections.abc import Callable

import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from opuscine.contract import ProblemError
from opuscine.identity.attempts import Attempts
from opuscine.identity.authenticator import Authenticator
from opuscine.identity.caller import ANYBODY, Caller
from opuscine.identity.refusal import AuthenticationError
from opuscine.identity.scopes import Scope
from opuscine.keys import CONTEXT
from opuscine.middlewares.plugin import PluginContext
from opuscine.operations import Operation

CHALLENGE = {"WWW-Authenticate": 'Bearer realm="opuscine"'}  # RFC 9110, section 11.6.1; says nothing of what was wrong
LONGEST_RETRY_AFTER_S = 2
CREDENTIAL_HEADERS = ("Authorization", "X-Api-Key")


def plugin(context: PluginContext) -> Middleware:
    """Make the middleware from the settings."""
    settings = context.settings
    if not settings.auth_on:
        return everybody()
    attempts = Attempts(budget=settings.auth_failures, clock=context.clock)
    return auth(authenticator=context.authenticator, attempts=attempts, operation_of=context.operation_of)


def everybody() -> Middleware:
    """Make a middleware that lets everyone do everything, for `AUTH=off`."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        request[CONTEXT].caller = ANYBODY
        return await handler(request)

    return middleware


def auth(
    *, authenticator: Callable[[], Authenticator], attempts: Attempts, operation_of: Callable[[web.Request], Operation | None]
) -> Middleware:
    """Make the middleware.

    An operation without a scope is open: credentials that happen to come along are used if they are good. A genuine preflight passes,
    since browsers send it without credentials. An address whose attempts are used up gets 429, but known good credentials go on working.
    """
    log = structlog.get_logger("opuscine.auth")

    async def identify(request: web.Request) -> Caller:
        context = request[CONTEXT]
        known = authenticator().recognise(request.headers)
        if known is not None and not repeated(request):
            return known
        wait_s = attempts.allowed(context.client)
        if wait_s is not None:
            retry_after = str(max(1, min(LONGEST_RETRY_AFTER_S, math.ceil(wait_s))))
            raise ProblemError("too_many_failures", "Too many failed attempts; try again later.", headers={"Retry-After": retry_after})
        try:
            if repeated(request):
                raise ProblemError("unauthenticated", "Send one credential.", headers=CHALLENGE)
            return await authenticator().authenticate(request.headers)
        except AuthenticationError as error:
            if error.is_attempt:
                attempts.failed(context.client)
            log.info("authentication refused", reason=error.reason.value, request_id=context.request_id)
            detail = "Send an API key as X-Api-Key, or a token as Authorization: Bearer."
            raise ProblemError("unauthenticated", detail, headers=CHALLENGE) from None

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        operation = operation_of(request)
        context = request[CONTEXT]
        if operation is not None and operation.scope is None:
            context.caller = authenticator().recognise(request.headers) or context.caller
        elif operation is not None and not is_preflight(request):
            with context.phases.phase("auth"):
                context.caller = await identify(request)
            context.notes["caller"] = context.caller.name
            scope = Scope(operation.scope or "")
            if not context.caller.has(scope):
                raise ProblemError("forbidden", f"This needs the scope {scope}.", headers={})
        return await handler(request)

    return middleware


def repeated(request: web.Request) -> bool:
    """Say whether a credential header stands there twice: which of them counts would be a guess."""
    return any(len(request.headers.getall(name, [])) > 1 for name in CREDENTIAL_HEADERS)


def is_preflight(request: web.Request) -> bool:
    """Say whether a browser asks beforehand what a page may send (Fetch standard, CORS-preflight request)."""
    return request.method == hdrs.METH_OPTIONS and "Origin" in request.headers and "Access-Control-Request-Method" in request.headers
