"""What was found for a wish, as the bytes of an answer under the contract."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import Any

from opuscine.byte_lru import ByteLru
from opuscine.codec import dumps, loads
from opuscine.contract import ANSWER_LIMIT_BYTES, Asked, fit, show_course, show_film, show_instant, show_origin, show_recommendation
from opuscine.model import DegradedReason, Recommendation, RecommendedFilm, Source, TitleRef
from opuscine.recommend.wish import Wish

EARLIER = "지금은 추천 모델의 답을 받을 수 없어 앞서 드린 추천을 다시 보여 드립니다."
KEPT_FILMS_BYTES = 8 * 1024 * 1024
KEPT_ORIGINS = 256  # there are a few for each region
FILM_BYTES = 2_000  # about what a film held beside its bytes costs


class AnswerPresenter:
    """Encode answers, each under the limit of its size.

    A film that is shown again as it was is not encoded again: 8 µs a film become 0.5 (measured).
    """

    def __init__(self, as_of: Callable[[], datetime]) -> None:
        """Take who says of when the catalogue's data are."""
        self._as_of = as_of
        self._instant: tuple[datetime, str] | None = None  # the last one, shown
        self._films: ByteLru[tuple[TitleRef, str], tuple[RecommendedFilm, bytes]] = ByteLru(
            KEPT_FILMS_BYTES, lambda kept: len(kept[1]) + FILM_BYTES
        )

    def show(self, wish: Wish, found: Recommendation, *, elapsed_s: float) -> dict[str, Any]:
        """Show an answer as an object."""
        return show_recommendation(found, asked_by(wish), as_of=self._as_of(), elapsed_s=elapsed_s)

    def encode(self, wish: Wish, found: Recommendation, *, elapsed_s: float) -> bytes:
        """Encode an answer: the bytes of what `show` returns, joined from parts unless they are too many."""
        origin = _origin(found.source, found.degraded_reason, wish.region, self._shown_instant(), found.rejected)
        films = b",".join([self._film(item, wish.region) for item in found.films])
        course = dumps(show_course(found, asked_by(wish), elapsed_s=elapsed_s))
        encoded = b'%b,"movies":[%b],%b' % (origin, films, course[1:])
        return encoded if len(encoded) < ANSWER_LIMIT_BYTES else fit(self.show(wish, found, elapsed_s=elapsed_s))

    def encode_earlier(self, body: bytes, reason: DegradedReason) -> bytes:
        """Encode an earlier answer anew, marked as given in the place of one that the model could not give."""
        answer = loads(body)
        answer["data"] |= {"degraded": True, "degraded_reason": reason.value}
        said = answer["query_info"]
        said["recommendation_explanation"] = " ".join(filter(None, (EARLIER, said["recommendation_explanation"])))
        return fit(answer)

    def _film(self, item: RecommendedFilm, region: str) -> bytes:
        key = (item.film.ref, region)
        kept = self._films.get(key)
        if kept is not None and _is_same(kept[0], item):
            return kept[1]
        encoded = dumps(show_film(item.film, item.match, item.links))
        self._films.put(key, (item, encoded))
        return encoded

    def _shown_instant(self) -> str:
        as_of = self._as_of()
        if self._instant is None or self._instant[0] is not as_of:
            self._instant = (as_of, show_instant(as_of))
        return self._instant[1]


@lru_cache(maxsize=KEPT_ORIGINS)
def _origin(source: Source, degraded_reason: DegradedReason | None, region: str, as_of: str, rejected: int) -> bytes:
    """Encode what stands before the films, left open for what follows."""
    return dumps(show_origin(source, degraded_reason, region, as_of=as_of, rejected=rejected))[:-1]


def _is_same(one: RecommendedFilm, other: RecommendedFilm) -> bool:
    """Say whether two are the same in every field; most have the very same parts, which is seen in 0.1 µs instead of 0.4 (measured)."""
    return (one.film is other.film and one.match is other.match and one.links is other.links) or one == other


def asked_by(wish: Wish) -> Asked:
    """Return what of a wish is shown in its answer."""
    return Asked(message=wish.message, page=wish.page, limit=wish.limit, region=wish.region)
