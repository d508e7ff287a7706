"""Catalogues of any size, made up: the same ones for the same size."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

SEED = 20_261
FIRST_ID = 100
GENRES = (28, 12, 16, 35, 80, 18, 10751, 14, 36, 27, 9648, 10749, 878, 53)
COUNTRIES = ("KR", "US", "JP", "FR", "GB")
HOSTS = ("https://www.netflix.com/title/{}", "https://www.wavve.com/player/movie?movieid=MV_CP01_{}", "https://watcha.com/contents/m{}")
HANGUL = "가나다라마바사아자차카타파하고노도로모보소오조초코토포호구누두루무부수우주추쿠투푸후"
WORDS = "바다 도시 밤 새벽 여름 겨울 사랑 전쟁 기억 그림자 노래 비밀 약속 여행 집 소년 소녀 형사 왕 늑대 고래 나비 별 달".split()


def film(number: int) -> dict[str, Any]:
    """Make the film of a number: its fields follow from the number alone."""
    rng = random.Random(SEED * 1_000_003 + number)
    name = "".join(rng.choices(HANGUL, k=3))
    title = f"{rng.choice(WORDS)} {name} {number}"
    plot = " ".join("".join(rng.choices(HANGUL, k=rng.randint(2, 4))) for _ in range(24))
    return {
        "id": FIRST_ID + number,
        "title": title,
        "original_title": f"Film {number}",
        "genre_ids": rng.sample(GENRES, 2),
        "origin_country": [rng.choice(COUNTRIES)],
        "release_date": f"{rng.randint(1950, 2025)}-0{rng.randint(1, 9)}-1{rng.randint(0, 9)}",
        "vote_average": round(rng.uniform(4, 9), 1),
        "vote_count": rng.randint(10, 20_000),
        "popularity": round(rng.uniform(1, 100), 3),
        "overview": f"{plot}. {rng.choice(WORDS)}에 대한 이야기.",
        "poster_path": f"/{number:07d}.jpg",
        "ott_links": [host.format(8_000_000 + number) for host in rng.sample(HOSTS, 2)],
    }


def films(size: int) -> Iterator[dict[str, Any]]:
    """Make that many films."""
    return map(film, range(size))


def write_films(path: Path, size: int) -> None:
    """Write a source file of so many films, one after the other."""
    with path.open("w", encoding="utf-8") as sink:
        sink.write('{"movies": [\n')
        for number, made in enumerate(films(size)):
            sink.write((",\n" if number else "") + json.dumps(made, ensure_ascii=False))
        sink.write("\n]}\n")


def write_series(path: Path) -> None:
    """Write a source file of one series, far from the films' numbers."""
    one = {"id": 99_000_000, "name": "하나뿐인 시리즈", "first_air_date": "2020-01-01"}
    path.write_text(json.dumps({"tv_series": [one]}, ensure_ascii=False), encoding="utf-8")


def llm_answer(size: int, *, count: int = 10) -> bytes:
    """Write what an LLM server of the `movie-recommend` protocol answers: some films of a catalogue of that size."""
    chosen = [film(number) for number in range(0, size, max(1, size // count))][:count]
    movies = [{name: made[name] for name in ("id", "title", "release_date", "vote_average")} for made in chosen]
    pagination = {"page": 1, "limit": count, "total_results": count, "total_pages": 1}
    metadata = {"confidence": 0.9, "method": "llm", "reasoning": "분위기가 맞는 작품"}
    return json.dumps(
        {"success": True, "movies": movies, "pagination": pagination, "query_metadata": metadata, "conversation": {}}, ensure_ascii=False
    ).encode()


def sentences(count: int) -> Sequence[str]:
    """Make so many different wishes; none states what the films of `llm_answer` would contradict."""
    moods = "잔잔한 따뜻한 신나는 긴장감 있는 감동적인 유쾌한 슬픈 웅장한".split(" ")
    times = "비 오는 날,주말 저녁에,혼자 있는 밤에,가족과 함께,퇴근하고 나서,연휴에".split(",")
    rng = random.Random(SEED)
    return [f"{rng.choice(times)} 볼만한 {rng.choice(moods)} 영화 추천해 주세요 {number}" for number in range(count)]
