"""Turn every error into an answer: `application/problem+json` (RFC 9457), written by us and never holding an exception's text."""

from __future__ import annotations

import structlog
from aiohttp import web
from aiohttp.http_exceptions import BadHttpMessage, PayloadEncodingError, TransferEncodingError
from aiohttp.typedefs import Handler, Middleware

from opuscine.codec import dumps
from opuscine.contract import ProblemError, show_problem
from opuscine.errors import CatalogueUnavailableError, UpstreamError
from opuscine.fast_path import FastMiddleware
from opuscine.keys import CONTEXT
from opuscine.middlewares.plugin import PluginContext
from opuscine.model import DegradedReason

INSTANCE_CHARS = 200
RETRY_AFTER = {"Retry-After": "1"}  # HttpClient5 sleeps that long and repeats by itself: short, since a repeated POST is cheap
UPSTREAM_PROBLEMS = {
    DegradedReason.LLM_TIMEOUT: ("upstream_timeout", "The model did not answer in time."),
    DegradedReason.BREAKER_OPEN: ("upstream_unavailable", "The model failed repeatedly and is not asked for a moment."),
    DegradedReason.OVERLOADED: ("upstream_unavailable", "The model is asked as often at once as is allowed."),
}
log = structlog.get_logger("opuscine.errors")
BAD_REPLY = ("upstream_bad_reply", "The model could not be reached or its reply could not be used.")


def plugin(context: PluginContext) -> Middleware:  # noqa: ARG001  a plugin is given its context whether it needs it or not
    """Make the middleware."""
    return Errors()


class Errors(FastMiddleware):
    """The middleware that everything which may fail stands inside of."""

    async def __call__(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer a request, whatever happens inside."""
        try:
            return await handler(request)
        except ProblemError as error:
            return problem_response(request, error)
        except web.HTTPException as error:
            if error.status < 400:
                raise
            return problem_response(request, from_http(error))
        except CatalogueUnavailableError:
            return problem_response(request, ProblemError("unavailable", "There is no catalogue at present.", headers=RETRY_AFTER))
        except UpstreamError as error:
            code, detail = UPSTREAM_PROBLEMS.get(error.reason, BAD_REPLY)
            headers = RETRY_AFTER if code == "upstream_unavailable" else {}
            return problem_response(request, ProblemError(code, detail, headers=headers))
        except (web.RequestPayloadError, BadHttpMessage, PayloadEncodingError, TransferEncodingError):
            return problem_response(request, ProblemError("malformed_request", "The body could not be read as it was sent.", close=True))
        except Exception:
            log.exception("unexpected error", request_id=request[CONTEXT].request_id)
            return problem_response(request, ProblemError("internal_error", "The request failed here; its id helps to find out why."))


def from_http(error: web.HTTPException) -> ProblemError:
    """Turn aiohttp's own refusals into ours."""
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        return ProblemError("method_not_allowed", f"Allowed here: {allowed}.", headers={"Allow": allowed})
    if error.status == 404:
        return ProblemError("not_found", "No such address; /openapi.json lists them all.")
    if error.status == 403:
        return ProblemError("forbidden", "This page's origin, or what it wants to send, is not allowed here.")
    if error.status == 413:
        return ProblemError("body_too_large", "Send a smaller body.", close=True)
    return (
        ProblemError("malformed_request", "The request could not be read.")
        if error.status < 500
        else ProblemError("internal_error", "The request failed here.")
    )


def problem_response(request: web.Request, problem: ProblemError) -> web.Response:
    """Write a problem as an answer that no cache keeps."""
    body = show_problem(problem, instance=request.rel_url.raw_path[:INSTANCE_CHARS], request_id=request[CONTEXT].request_id)
    response = web.Response(
        status=problem.type.status,
        body=dumps(body),
        content_type="application/problem+json",
        headers={"Cache-Control": "no-store", **problem.headers},
    )
    if problem.close:
        response.headers["Connection"] = "close"
        response.force_close()
    return response
