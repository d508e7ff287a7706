"""How raw statements about where a title streams become `OttLink`s, and which of them a viewer in one region is shown.

The region of an address is decided by evidence, strongest first:

1. what is stated beside it (a dict's `region`, the key of TMDB's `{"KR": ...}`),
2. what the address itself says (`netflix.com/kr/`, or a host that serves one country, as wavve's does),
3. every region in which the provider rows of the same title list its provider: an amazon.com address of a title that
   Amazon streams only in the US is the US's,
4. the default region. A provider that no row lists is no evidence against an address: 1,024 of the 1,484 wavve
   addresses of the predecessor's catalogue have no row, and they work.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from opuscine.codec import dumps, loads
from opuscine.model import OfferType, OttLink, TitleRef
from opuscine.providers.address import Address
from opuscine.providers.table import Provider, ProviderTable, region_code

UNKNOWN_PROVIDER = "Unknown"
# Where a provider stands that neither the data nor the table gives a place to: after all that have one.
LAST_PRIORITY = 1000
# Most links of one title that are shown.
SHOWN_LINKS = 8

_MAX_NUMBER = 2**31 - 1
_MAX_NAME = 100
_TMDB_HOST = "www.themoviedb.org"
_TYPE_RANK = {offer: rank for rank, offer in enumerate(OfferType)}
# The predecessor's files say "streaming"; TMDB has "flatrate_and_buy" for a subscription that also sells.
_TYPE_WORDS = {
    **{offer.value: offer for offer in OfferType},
    "streaming": OfferType.FLATRATE,
    "flatrate_and_buy": OfferType.FLATRATE,
}

# What tells providers apart: a provider's main number, else the name that the data gives it, else its host.
_ProviderKey = int | str


class _Place(NamedTuple):
    region: str
    key: _ProviderKey


def watch_page(ref: TitleRef, region: str) -> str:
    """Return the address of TMDB's page that lists where a title can be watched in a region."""
    return f"https://{_TMDB_HOST}/{ref.kind}/{ref.id}/watch?locale={region}"


@dataclass(frozen=True, slots=True)
class _Statement:
    """What one raw item says, ad tiers already told as the provider they belong to; empty where it says nothing."""

    address: Address | None = None
    provider: Provider | None = None
    number: int = 0
    name: str = ""
    logo_path: str = ""
    priority: int = 0
    type: OfferType | None = None
    region: str = ""
    page: str = ""  # the page that TMDB's own form gives for all providers of a region

    @property
    def key(self) -> _ProviderKey | None:
        """Return which provider is meant, or None for a bare address, whose host has to tell."""
        if self.provider:
            return self.provider.id
        return self.number or (f"name:{self.name.casefold()}" if self.name else None)

    def with_gaps_filled(self, other: _Statement) -> _Statement:
        """Add what only another statement about the same provider and region says."""
        return replace(
            self,
            number=self.number or other.number,
            name=self.name or other.name,
            logo_path=self.logo_path or other.logo_path,
            priority=self.priority or other.priority,
            type=self.type or other.type,
            page=self.page or other.page,
        )


def read_links(raw_links: Any, raw_providers: Any, *, ref: TitleRef, table: ProviderTable, region: str) -> tuple[OttLink, ...]:
    """Read a record's `ott_links` and `ott_providers`, in whatever form they have, into links of every region.

    Read are bare addresses, dicts of an `OttLink`'s fields (the predecessor's provider rows are such, without `link`), and
    TMDB's watch-provider replies, in either field, as a list or alone. The two fields are not aligned (their lengths differ
    in half of the predecessor's films), so an address belongs to the provider of its host. An address of nobody we know
    is "Unknown", number 0. An affiliate redirector gives way to the address it carries. A provider row without an address
    gets TMDB's watch page of `ref`. What is neither an address that may be handed out nor a provider is left out; nothing raises.

    Args:
        raw_links: any JSON value.
        raw_providers: any JSON value.
        ref: the title, for TMDB's watch page.
        table: the providers known by name.
        region: ISO 3166-1 alpha-2, for what nothing else gives a region to (see the module).
    """
    if not raw_providers and isinstance(raw_links, list) and all(isinstance(item, str) for item in raw_links):
        return _bare_links(raw_links, table, region)
    statements = [*_statements(raw_links, table), *_statements(raw_providers, table)]
    listed = _listed(statements, table, region)
    found: dict[_Place, dict[str, OttLink]] = {}
    for said in statements:
        if said.address is None:
            continue
        for place, complete in _placed(said, said.address, table, listed, region):
            link = _link(complete.provider, place.region, said.address.text, complete)
            known = found.setdefault(place, {})
            double = known.get(said.address.without_scheme)
            known[said.address.without_scheme] = _one_of_two(double, link) if double else link
    for place, row in listed.items():
        page = _link(row.provider, place.region, row.page or watch_page(ref, place.region), row)
        known = found.setdefault(place, {})
        if all(_TYPE_RANK[page.type] < _TYPE_RANK[link.type] for link in known.values()):
            known[page.link] = page
    return tuple(link for known in found.values() for link in known.values())


def _bare_links(raw_links: list[str], table: ProviderTable, region: str) -> tuple[OttLink, ...]:
    """Read bare addresses with no provider rows beside them: most titles have no more, and there is nothing to weigh."""
    found: dict[tuple[str, _ProviderKey], dict[str, OttLink]] = {}
    for raw in raw_links:
        if (address := _address(raw, table)) is None:
            continue
        where = table.region_of(address) or region
        provider = table.by_host(address.host)
        link = _link(provider, where, address.text)
        known = found.setdefault((where, provider.id if provider else f"host:{address.host}"), {})
        double = known.get(address.without_scheme)
        known[address.without_scheme] = _one_of_two(double, link) if double else link
    return tuple(link for known in found.values() for link in known.values())


def select_links(links: Iterable[OttLink], region: str, limit: int = SHOWN_LINKS, *, table: ProviderTable) -> list[OttLink]:
    """Choose what a viewer in one region is shown: one entry per provider, at most `limit`, by display priority.

    Of a provider's entries the best type is shown (flatrate first, see `OfferType`) with the best address: its own before
    TMDB's watch page, one for the region (`/kr/`) before a general one, that of the better type, https before http. An ad
    tier is shown as the provider it belongs to.
    """
    wanted = region_code(region)
    by_provider: dict[_ProviderKey, list[OttLink]] = {}
    for link in links:
        if link.region == wanted:
            folded = _folded(link, table)
            by_provider.setdefault(_key_of(folded, table), []).append(folded)
    shown = [_merged(group, wanted, table) for group in by_provider.values()]
    shown.sort(key=lambda link: (link.display_priority, _TYPE_RANK[link.type], link.provider_name.casefold()))
    return shown[: max(limit, 0)]


def links_to_json(links: Sequence[OttLink]) -> bytes:
    """Write links of every region in the form in which they are stored."""
    return dumps(
        [
            {
                "provider_name": link.provider_name,
                "provider_id": link.provider_id,
                "logo_path": link.logo_path,
                "display_priority": link.display_priority,
                "link": link.link,
                "type": link.type.value,
                "region": link.region,
            }
            for link in links
        ]
    )


def links_from_json(data: bytes) -> tuple[OttLink, ...]:
    """Read stored links; an item that is not one, or whose address must not be handed out, is left out.

    Raises:
        ValueError: the data is not a JSON list.
    """
    items = loads(data)
    if not isinstance(items, list):
        # As for data that is no JSON at all: to the reader of a store both are one case.
        raise ValueError(f"stored links: a list was expected, found {type(items).__name__}")  # noqa: TRY004
    return tuple(link for item in items if isinstance(item, dict) and (link := _stored(item)) is not None)


def _stored(item: Mapping[str, Any]) -> OttLink | None:
    address = Address.parse(item.get("link"))
    number = _number(item.get("provider_id"), least=0)
    priority = _number(item.get("display_priority"), least=1)
    offer = _type(item.get("type"))
    region = region_code(item.get("region"))
    name = _text(item.get("provider_name"))
    if address is None or number is None or priority is None or offer is None or not region or not name:
        return None
    return OttLink(name, number, _logo(item.get("logo_path")), priority, address.text, offer, region)


def _statements(raw: Any, table: ProviderTable) -> Iterator[_Statement]:
    for item in raw if isinstance(raw, list) else [raw]:
        if isinstance(item, str):
            address = _address(item, table)
            if address:
                yield _Statement(address)
        elif isinstance(item, dict):
            regions = _regions_of(item)
            if regions:
                for region, offers in regions:
                    yield from _region_statements(region, offers, table)
            elif said := _statement(item, table):
                yield said


def _regions_of(item: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return the regions of TMDB's form, with or without the `results` around them; none for any other dict."""
    results = item.get("results")
    regions = results if isinstance(results, dict) else item
    return [(code, offers) for key, offers in regions.items() if isinstance(offers, dict) and (code := region_code(key))]


def _region_statements(region: str, offers: Mapping[str, Any], table: ProviderTable) -> Iterator[_Statement]:
    page = _address(offers.get("link"), table)
    for word, rows in offers.items():
        offer = _type(word)
        if offer is None or not isinstance(rows, list):
            continue
        for row in rows:
            said = _statement(row, table) if isinstance(row, dict) else None
            if said:
                yield replace(said, type=offer, region=region, page=page.text if page else "")


def _statement(item: Mapping[str, Any], table: ProviderTable) -> _Statement | None:
    """Read a dict of an `OttLink`'s fields; None where it names neither an address nor a provider."""
    address = _address(item.get("link"), table)
    number = _number(item.get("provider_id"), least=1) or 0
    name = _text(item.get("provider_name"))
    if name == UNKNOWN_PROVIDER:
        name = ""
    provider = table.by_id(number) if number else table.by_name(name)
    if provider is None and not number and address:
        provider = table.by_host(address.host)
    if not (address or provider or number or name):
        return None
    is_ad_tier = provider is not None and provider.ad_tier_of is not None
    return _Statement(
        address=address,
        provider=table.main(provider) if provider else None,
        number=0 if is_ad_tier else number,
        name="" if is_ad_tier else name,
        logo_path="" if is_ad_tier else _logo(item.get("logo_path")),
        priority=_number(item.get("display_priority"), least=0, floor=1) or 0,
        type=_type(item.get("type")),
        region=region_code(item.get("region")),
    )


def _listed(statements: Iterable[_Statement], table: ProviderTable, region: str) -> dict[_Place, _Statement]:
    """Gather which provider is named in which region, with all that is said of it there; the default region is for rows without one."""
    listed: dict[_Place, _Statement] = {}
    for said in statements:
        key = said.key
        where = said.region or (table.region_of(said.address) if said.address else region)
        if key is None or not where:
            continue
        place = _Place(where, key)
        if place not in listed:
            listed[place] = said
            continue
        known = listed[place].with_gaps_filled(said)
        listed[place] = replace(known, type=said.type) if _is_better(said.type, known.type) else known
    return listed


def _placed(
    said: _Statement, address: Address, table: ProviderTable, listed: Mapping[_Place, _Statement], region: str
) -> Iterator[tuple[_Place, _Statement]]:
    """Yield where an address belongs, each with all that is said of its provider there."""
    stated = said.region or table.region_of(address)
    if said.key is not None:
        choices: list[tuple[_ProviderKey, Provider | None]] = [(said.key, said.provider)]
    else:
        choices = [(provider.id, provider) for provider in table.all_by_host(address.host)] or [(f"host:{address.host}", None)]
    keys = {key for key, _ in choices}
    named_in = dict.fromkeys(place.region for place in listed if place.key in keys)
    for where in [stated] if stated else named_in or [region]:
        # Of the providers that share a host, the one that is listed there.
        key, provider = next((choice for choice in choices if _Place(where, choice[0]) in listed), choices[0])
        place = _Place(where, key)
        complete = said if provider is said.provider else replace(said, provider=provider)
        yield place, complete.with_gaps_filled(listed[place]) if place in listed else complete


_NOTHING_SAID = _Statement()


def _link(provider: Provider | None, region: str, address: str, said: _Statement = _NOTHING_SAID) -> OttLink:
    """Make the link; what nobody stated comes from the table."""
    return OttLink(
        provider_name=said.name or (provider.name if provider else UNKNOWN_PROVIDER),
        provider_id=said.number or (provider.id_in(region) if provider else 0),
        logo_path=said.logo_path or (provider.logo_path if provider else ""),
        display_priority=said.priority or (provider.display_priority if provider else LAST_PRIORITY),
        link=address,
        type=said.type or (provider.offers if provider else OfferType.FLATRATE),
        region=region,
    )


def _one_of_two(first: OttLink, second: OttLink) -> OttLink:
    """Fold two links that differ in scheme or type only: https, the better type."""
    address = second.link if second.link.startswith("https:") and not first.link.startswith("https:") else first.link
    return replace(first, link=address, type=min(first.type, second.type, key=_TYPE_RANK.__getitem__))


def _folded(link: OttLink, table: ProviderTable) -> OttLink:
    """Return an ad tier's link as the main provider's, and give a provider known by its name its number."""
    provider = table.by_id(link.provider_id) if link.provider_id else table.by_name(link.provider_name)
    if provider is None:
        return link
    if provider.ad_tier_of is not None:
        main = table.main(provider)
        return replace(link, provider_name=main.name, provider_id=main.id_in(link.region), logo_path=main.logo_path)
    return link if link.provider_id else replace(link, provider_id=provider.id_in(link.region))


def _key_of(link: OttLink, table: ProviderTable) -> _ProviderKey:
    if link.provider_id:
        provider = table.by_id(link.provider_id)
        return provider.id if provider else link.provider_id
    if link.provider_name != UNKNOWN_PROVIDER:
        return f"name:{link.provider_name.casefold()}"
    address = Address.parse(link.link)
    return f"host:{address.host if address else link.link}"


def _merged(group: Sequence[OttLink], region: str, table: ProviderTable) -> OttLink:
    """Show one provider's entries as one."""
    if len(group) == 1:
        return group[0]
    best = min(group, key=lambda link: _address_rank(link, region, table))
    return replace(
        best,
        logo_path=best.logo_path or next((link.logo_path for link in group if link.logo_path), ""),
        display_priority=min(link.display_priority for link in group),
        type=min((link.type for link in group), key=_TYPE_RANK.__getitem__),
    )


def _address_rank(link: OttLink, region: str, table: ProviderTable) -> tuple[bool, bool, int, bool]:
    """Rank an address among those of one provider in one region; the smallest is shown."""
    address = Address.parse(link.link)
    watch = address is None or (address.host == _TMDB_HOST and address.path.endswith("/watch"))
    regional = address is not None and table.region_of(address) == region
    return watch, not regional, _TYPE_RANK[link.type], address is None or not address.secure


def _is_better(offer: OfferType | None, other: OfferType | None) -> bool:
    return offer is not None and (other is None or _TYPE_RANK[offer] < _TYPE_RANK[other])


def _address(raw: object, table: ProviderTable) -> Address | None:
    address = Address.parse(raw)
    return table.destination(address) if address else None


def _type(word: object) -> OfferType | None:
    return _TYPE_WORDS.get(word.strip().casefold()) if isinstance(word, str) else None


def _number(value: object, *, least: int, floor: int = 0) -> int | None:
    """Read a number, or digits, from `least` up; `floor` lifts what is below it (TMDB's display priorities begin at 0)."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= 10:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= _MAX_NUMBER:
        return None
    return max(value, floor)


def _text(value: object) -> str:
    if not isinstance(value, str):
        return ""
    text = value[: 4 * _MAX_NAME]
    if not text.isprintable():
        text = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(text.split())[:_MAX_NAME].rstrip()


def _logo(value: object) -> str:
    """Return a logo's path at TMDB or its address; "" for anything else."""
    if not isinstance(value, str) or not value:
        return ""
    if value.startswith("/") and not value.startswith("//"):
        return value.strip() if Address.parse("https://image.tmdb.org" + value) else ""
    address = Address.parse(value)
    return address.text if address else ""
