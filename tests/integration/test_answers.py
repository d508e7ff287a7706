"""What callers get from the service on its embedded defaults, by address."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from opuscine import contract
from opuscine.app import OPERATIONS
from support.service import Service, real_catalogue, running


def check(name: str, body: dict[str, Any]) -> dict[str, Any]:
    """Hold a body to its schema and return it."""
    model: type[BaseModel] = getattr(contract, name)
    model.model_validate(body)
    return body


async def test_a_quiet_film_for_a_rainy_day(service: Service) -> None:
    answer = check("RecommendAnswer", await service.recommend("비 오는 날 볼만한 잔잔한 영화"))
    assert len(answer["movies"]) >= 5
    assert all(movie["match"]["method"] == "catalogue" and movie["media_type"] == "movie" for movie in answer["movies"])
    assert sum(bool(movie["ott_links"]) for movie in answer["movies"]) > len(answer["movies"]) / 2
    assert not {27, 28, 53} & {genre for movie in answer["movies"] for genre in movie["genre_ids"]}
    assert answer["data"]["degraded"] is False
    assert answer["query_info"]["pagination"]["total_results"] == answer["total_results"] >= len(answer["movies"])


async def test_year_country_and_genre_hold_for_every_film(service: Service) -> None:
    answer = await service.recommend("2019년 한국 스릴러")
    assert answer["movies"]
    assert 496243 in [movie["id"] for movie in answer["movies"]]
    for movie in answer["movies"]:
        assert movie["release_date"].startswith("2019")
        assert 53 in movie["genre_ids"]
    assert answer["query_info"]["tmdb_parameters"]["with_origin_country"] == "KR"


@pytest.mark.parametrize(
    "message",
    ["hello", "???", "넷플릭스", "2035년 몽골 서부 뮤지컬", '" OR 1=1 --', "title:* NEAR(", "ㅋㅋㅋ", "a" * 2000, "\x00\x01x", "🎬"],
)
async def test_no_message_leaves_the_caller_with_empty_hands(service: Service, message: str) -> None:
    answer = check("RecommendAnswer", await service.recommend(message))
    assert answer["movies"]


async def test_pages_follow_each_other_without_repeating(service: Service) -> None:
    seen: list[tuple[str, int]] = []
    for page in (1, 2, 3):
        answer = await service.recommend("재미있는 코미디 영화", page=page, limit=7)
        seen += [(movie["media_type"], movie["id"]) for movie in answer["movies"]]
    assert len(seen) == len(set(seen)) == 21
    beyond = check("RecommendAnswer", await service.recommend("2019년 한국 스릴러", page=50))
    assert beyond["movies"] == []
    assert beyond["total_results"] > 0


@pytest.mark.parametrize(("message", "first"), [("기생충", 496243), ("Parasite", 496243), ("센과 치히로의 행방불명 보고 싶어", 129)])
async def test_a_film_that_is_named_comes_first(service: Service, message: str, first: int) -> None:
    assert (await service.recommend(message))["movies"][0]["id"] == first


async def test_a_film_like_another_is_not_that_other(service: Service) -> None:
    answer = await service.recommend("기생충 같은 영화")
    assert 496243 not in [movie["id"] for movie in answer["movies"]]
    assert answer["movies"]


async def test_a_provider_that_is_named_offers_every_film(service: Service) -> None:
    answer = await service.recommend("넷플릭스에 있는 영화만")
    assert answer["movies"]
    for movie in answer["movies"]:
        assert "Netflix" in [link["provider_name"] for link in movie["ott_links"]]


async def test_where_a_film_streams(service: Service) -> None:
    best = (await service.recommend("넷플릭스 영화", limit=1))["movies"][0]["id"]
    answer = check("OttAnswer", await service.get(f"/api/movies/{best}/ott"))
    assert answer["source"] == "local"
    assert answer["error"] is None
    assert answer["ott_links"][0]["link"].startswith("https://")
    assert (await service.get(f"/api/movies/{best}/ott?region=kr"))["region"] == "KR"


async def test_an_unknown_film_is_answered_with_no_links_and_a_sentence(service: Service) -> None:
    answer = check("OttAnswer", await service.get("/api/movies/9223372036854775807/ott"))
    assert (answer["success"], answer["ott_links"], answer["source"], answer["media_type"]) == (True, [], "none", "movie")
    assert "OTT" in answer["error"]


async def test_an_id_that_is_only_a_series_is_answered_as_series(service: Service) -> None:
    series = (await service.recommend("한국 드라마"))["movies"][0]["id"]
    answer = check("OttAnswer", await service.get(f"/api/movies/{series}/ott"))
    assert (answer["media_type"], answer["movie_id"]) == ("tv", series)
    assert answer == await service.get(f"/api/tv/{series}/ott")


async def test_film_and_series_of_one_id_have_their_own_links(service: Service) -> None:
    film = await service.get("/api/movies/615/ott")
    series = await service.get("/api/tv/615/ott")
    assert (film["media_type"], series["media_type"]) == ("movie", "tv")
    assert not {link["link"] for link in film["ott_links"]} & {link["link"] for link in series["ott_links"]}
    assert film["ott_links"]
    assert series["ott_links"]


async def test_many_films_at_once_unknown_ones_included(service: Service) -> None:
    answer = check("OttBatchAnswer", await service.get("/api/movies/ott?ids=615, 496243,999999999,615"))
    assert list(answer["results"]) == ["615", "496243", "999999999"]
    assert answer["results"]["999999999"] == {"media_type": "movie", "ott_links": []}
    assert answer["results"]["615"]["ott_links"] == (await service.get("/api/movies/615/ott"))["ott_links"]


async def test_an_answer_that_the_caller_holds_is_not_sent_again(service: Service) -> None:
    url = f"{service.url}/api/movies/615/ott"
    async with service.caller.get(url) as first:
        tag = first.headers["ETag"]
        assert first.headers["Cache-Control"] == "private, max-age=300"
    for given, status in ((tag, 304), (f'"x", W/{tag}', 304), ("*", 304), ('"other"', 200)):
        async with service.caller.get(url, headers={"If-None-Match": given}) as second:
            assert second.status == status
            assert second.headers["ETag"] == tag
            assert bool(await second.read()) == (status == 200)


async def test_popular_films_are_paged(service: Service) -> None:
    first = check("PopularAnswer", await service.get("/api/movies/popular?limit=5"))
    second = await service.get("/api/movies/popular?limit=5&page=2")
    assert len(first["movies"]) == 5
    assert not {movie["id"] for movie in first["movies"]} & {movie["id"] for movie in second["movies"]}
    assert (second["page"], second["total_results"]) == (2, first["total_results"])


async def test_health_counts_what_there_is(service: Service) -> None:
    for path in ("/health", "/actuator/health"):
        health = check("HealthAnswer", await service.get(path))
        assert (health["status"], health["degraded"]) == ("UP", False)
        assert health["movie_count"] >= 120
        assert health["tv_count"] >= 30
    for path in ("/health/liveness", "/health/readiness", "/healthz"):
        assert check("StatusAnswer", await service.get(path)) == {"status": "UP"}


async def test_the_predecessors_addresses_answer_alike(service: Service) -> None:
    new = await service.recommend("2019년 한국 스릴러")
    old = check("RecommendAnswer", await service.post("/recommend", {"message": "2019년 한국 스릴러"}))
    assert old["movies"] == new["movies"]
    view = check("ViewAnswer", await service.get("/view?movieId=615"))
    assert view.pop("timestamp")
    assert view == await service.get("/api/movies/615/ott")


async def test_the_administrator_sees_and_reloads(service: Service) -> None:
    stats = check("StatsAnswer", await service.get("/admin/stats"))
    assert stats["catalogue"]["movie_count"] >= 120
    answer = check("ReloadAnswer", await service.post("/admin/data/reload", status=202))
    assert answer["generation"] == stats["catalogue"]["generation"]


async def test_head_is_answered_like_get_without_a_body(service: Service) -> None:
    async with service.caller.head(f"{service.url}/api/movies/615/ott") as response:
        assert response.status == 200
        assert response.headers["ETag"]
        assert await response.read() == b""


async def test_every_operation_is_routed_and_nothing_else(service: Service) -> None:
    routed = {
        (route.method, route.resource.canonical) for route in service.app.router.routes() if route.resource and route.method != "HEAD"
    }
    assert routed == {(operation.method, operation.path) for operation in OPERATIONS}


async def test_the_real_catalogue_is_served(compiled: Path, real_data: Path) -> None:
    """On the real half-catalogue: every film of the 2010s, each provider once and named, none of another region."""
    async with running(compiled, **real_catalogue(real_data)) as service:
        answer = check("RecommendAnswer", await service.recommend("2010년대 액션", limit=100))
        assert len(answer["movies"]) == 100
        for movie in answer["movies"]:
            assert "2010" <= movie["release_date"][:4] <= "2019"
            providers = [link["provider_id"] for link in movie["ott_links"]]
            assert len(providers) == len(set(providers)) <= 8
            assert all(link["region"] == "KR" and link["provider_name"] != "Unknown" for link in movie["ott_links"])
        assert len(json.dumps(answer)) > 1000
        film, series = await service.get("/api/movies/615/ott"), await service.get("/api/tv/615/ott")
        assert not {link["link"] for link in film["ott_links"]} & {link["link"] for link in series["ott_links"]}
