"""The predecessor's way, rebuilt: FastAPI, an HTTP client for each call, a linear scan for each film.

`python -m bench.predecessor PORT FILE LLM_URL`. Runs in the bench's own environment (`scripts/bench/requirements.txt`), since the service
needs none of these packages. FILE is a catalogue of films in the form that both services read.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel


class Wish(BaseModel):
    """What is asked for."""

    message: str
    user_id: str | None = None
    page: int = 1
    limit: int = 20


def predecessor(films: list[dict[str, Any]], llm_url: str) -> FastAPI:
    """Build the application."""
    app = FastAPI()

    def links_of(number: int) -> list[Any]:
        for film in films:
            if film.get("tmdb_id", film.get("id")) == number:
                return list(film.get("ott_links") or [])
        return []

    @app.get("/api/movies/{number}/ott")
    async def ott(number: int) -> dict[str, Any]:
        return {"success": True, "movie_id": number, "ott_links": links_of(number), "error": None}

    @app.post("/api/movies/recommend")
    async def recommend(wish: Wish) -> dict[str, Any]:
        asked = {"message": wish.message, "user_id": wish.user_id, "context": {"page": wish.page, "limit": wish.limit}}
        async with httpx.AsyncClient(timeout=30) as client:
            answer = (await client.post(llm_url, json=asked)).json()
        movies = [{**film, "ott_links": links_of(film["id"])} for film in answer["movies"]]
        return {"success": True, "movies": movies, "total_results": len(movies), "error": None}

    return app


if __name__ == "__main__":
    catalogue = json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))["movies"]
    uvicorn.run(
        predecessor(catalogue, f"{sys.argv[3]}/movie-recommend"),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        log_level="warning",
        access_log=False,
    )
