"""The protocols that an LLM server may speak, by the names that `LLM_PROTOCOL` takes. All are pure."""

from __future__ import annotations

from opuscine.errors import SettingsError
from opuscine.llm.protocols.movie_recommend import MovieRecommend
from opuscine.llm.protocols.openai import OpenAi
from opuscine.llm.protocols.protocol import LlmProtocol
from opuscine.settings import LlmSettings


def protocol_of(settings: LlmSettings) -> LlmProtocol:
    """Return the protocol that the settings name.

    Raises:
        SettingsError: there is none of this name, or it lacks a setting.
    """
    if settings.protocol == "movie-recommend":
        return MovieRecommend()
    if settings.protocol == "openai":
        return OpenAi(settings)
    raise SettingsError(f"LLM_PROTOCOL: found {settings.protocol!r}; valid: movie-recommend or openai")
