"""What was found for a wish, as the bytes of an answer under the contract."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from opuscine.codec import loads
from opuscine.contract import Asked, fit, show_recommendation
from opuscine.model import DegradedReason, Recommendation
from opuscine.recommend.wish import Wish

EARLIER = "지금은 추천 모델의 답을 받을 수 없어 앞서 드린 추천을 다시 보여 드립니다."


class AnswerPresenter:
    """Encode answers, each under the limit of its size."""

    def __init__(self, as_of: Callable[[], datetime]) -> None:
        """Take who says of when the catalogue's data are."""
        self._as_of = as_of

    def show(self, wish: Wish, found: Recommendation, *, elapsed_s: float) -> dict[str, Any]:
        """Show an answer as an object."""
        asked = Asked(message=wish.message, page=wish.page, limit=wish.limit, region=wish.region)
        return show_recommendation(found, asked, as_of=self._as_of(), elapsed_s=elapsed_s)

    def encode(self, wish: Wish, found: Recommendation, *, elapsed_s: float) -> bytes:
        """Encode an answer."""
        return fit(self.show(wish, found, elapsed_s=elapsed_s))

    def encode_earlier(self, body: bytes, reason: DegradedReason) -> bytes:
        """Encode an earlier answer anew, marked as given in the place of one that the model could not give."""
        answer = loads(body)
        answer["data"] |= {"degraded": True, "degraded_reason": reason.value}
        said = answer["query_info"]
        said["recommendation_explanation"] = " ".join(filter(None, (EARLIER, said["recommendation_explanation"])))
        return fit(answer)
