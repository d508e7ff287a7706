"""The page for people, and the API document as people read it; both are there where `PAGE` is on."""

from __future__ import annotations

from aiohttp import web

from opuscine.contract import ProblemError
from opuscine.handlers.answers import holds
from opuscine.keys import STATIC_FILES
from opuscine.operations import Operation

# Nothing but our own files may run, load or be asked; posters and logos of TMDB's image host are the one exception.
# The viewer at /docs needs no more: its pictures are data, and it sets its styles by script.
POLICY = (
    *("default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data: https://image.tmdb.org", "connect-src 'self'"),
    *("base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"),
)
HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "; ".join(POLICY),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def send_file(request: web.Request, name: str) -> web.Response:
    """Send a file, or 304 to a browser that holds it; `no-cache` has it ask each time, so that files of two versions never mix.

    Raises:
        ProblemError: `not_found` for a name that is none, and for all where the page is off.
    """
    file = request.app[STATIC_FILES].get(name)
    if file is None:
        raise ProblemError("not_found", "There is no such file; PAGE=on shows the page, the extra opuscine[docs] has the viewer.")
    headers = {**HEADERS, "ETag": file.etag}
    if holds(request.headers.getall("If-None-Match", []), file.etag):
        return web.Response(status=304, headers=headers)
    return web.Response(body=file.body, headers={**headers, "Content-Type": file.content_type})


async def docs(request: web.Request) -> web.Response:
    """Show this document in a browser."""
    return send_file(request, "docs.html")


async def page_file(request: web.Request) -> web.Response:
    """Send a file that the page or the viewer is made of."""
    return send_file(request, request.match_info["file"])


OPERATIONS = (
    Operation("GET", "/docs", docs, "getDocs", "This document for people", "about", None, content="text/html", problems=(404,)),
    Operation("GET", "/page/{file}", page_file, "getPageFile", "A file of the page", "about", None, problems=(404,), documented=False),
)
