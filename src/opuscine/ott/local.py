"""The catalogue as the nearest tier of links."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from opuscine.model import OttLink, TitleRef
from opuscine.ott.tier import OttAsk, TierName, TitleLinks


class CatalogueAge(Protocol):
    """The part of the catalogue's description that says how old it is."""

    @property
    def as_of(self) -> datetime:
        """Return when the catalogue's sources were last changed, in aware UTC."""
        ...


class LinkCatalogue(Protocol):
    """The part of the catalogue that this tier reads."""

    @property
    def info(self) -> CatalogueAge:
        """Return the description of the present generation."""
        ...

    def links_many(self, refs: Sequence[TitleRef]) -> Mapping[TitleRef, tuple[OttLink, ...]]:
        """Return the links of every region of each title that the catalogue has."""
        ...


class LocalTier:
    """Find links in the catalogue. Looked up by primary key at about 5 µs a title, so it runs on the event loop."""

    name: TierName = "local"

    def __init__(self, catalogue: LinkCatalogue) -> None:
        """Take the open catalogue."""
        self._catalogue = catalogue

    async def find_many(self, refs: Sequence[TitleRef], ask: OttAsk) -> Mapping[TitleRef, TitleLinks]:  # noqa: ARG002 -- the catalogue keeps every region in one row
        """Return what the catalogue says of every title: as of its age, one that it does not have streams nowhere."""
        as_of = self._catalogue.info.as_of
        known = self._catalogue.links_many(refs)
        return {ref: TitleLinks(known.get(ref, ()), as_of) for ref in refs}
