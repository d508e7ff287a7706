"""How a chat-completions server behaves in the tests; `LlmServer` takes these like its own behaviours."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Sequence
from typing import Any

from aiohttp import web

from support.llm_server import Behaviour


def films(*titles: tuple[str, int] | str, explanation: str = "이런 작품을 골랐습니다.") -> str:
    """Write what a good model answers."""
    named = [(title, 0) if isinstance(title, str) else title for title in titles]
    movies = [{"title": title, "original_title": title, "year": year, "media_type": "movie"} for title, year in named]
    return json.dumps({"explanation": explanation, "movies": movies}, ensure_ascii=False)


def completion(content: str) -> Behaviour:
    """Answer with one choice; a question that asks for a stream gets one, in pieces of a few characters."""

    async def answer(request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        if asked.get("stream"):
            return await streamed([content[start : start + 7] for start in range(0, len(content), 7)])(request)
        choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
        return web.json_response({"id": "x", "object": "chat.completion", "choices": [choice], "usage": usage})

    return answer


def streamed(pieces: Sequence[str], *, interval_s: float = 0.0, then_cut: bool = False, gate: asyncio.Event | None = None) -> Behaviour:
    """Stream these pieces of text; wait for `gate` before the last one, or break the connection off after it."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for number, piece in enumerate(pieces):
            if gate is not None and number == len(pieces) - 1:
                await gate.wait()
            await response.write(_event({"choices": [{"index": 0, "delta": {"content": piece}}]}))
            await asyncio.sleep(interval_s)
        if then_cut:
            assert request.transport is not None
            request.transport.close()
            return response
        await response.write(_event({"choices": [], "usage": {"prompt_tokens": 100, "completion_tokens": 20}}))
        await response.write(b"data: [DONE]\n\n")
        return response

    return answer


def refusing_formats(refused: Iterable[str], then: Behaviour) -> Behaviour:
    """Answer 400 to a question that asks for one of these response formats, as servers do that do not know it."""
    unknown = set(refused)

    async def answer(request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        form = (asked.get("response_format") or {}).get("type", "")
        if form in unknown:
            return web.json_response({"error": {"message": f"response_format {form} is not supported"}}, status=400)
        return await then(request)

    return answer


def _event(data: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(data, ensure_ascii=False).encode() + b"\n\n"
