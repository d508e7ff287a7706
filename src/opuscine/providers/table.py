"""The providers that we know by name: their numbers at TMDB, what people call them, and which addresses are theirs."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import product
from typing import Any

from opuscine.codec import loads
from opuscine.model import OfferType
from opuscine.packaged import packaged_file
from opuscine.providers.address import Address

_MAX_REDIRECTORS = 2  # in a chain
_KEPT_HOSTS = 1_024


def region_code(value: object) -> str:
    """Return a region as ISO 3166-1 alpha-2 in capitals, or "" for what is none; "UK" is read as "GB"."""
    code = value.strip().upper() if isinstance(value, str) else ""
    if len(code) != 2 or not (code.isascii() and code.isalpha()):
        return ""
    return "GB" if code == "UK" else code


class RegionInPath(StrEnum):
    """How a provider writes the region at the head of its paths."""

    NEVER = ""
    COUNTRY = "country"  # /kr/title/1, /kr-en/title/1
    LANGUAGE_COUNTRY = "language-country"  # /ko-kr/movies/x
    LANGUAGE_THEN_COUNTRY = "language/country"  # /ko/kr/films/x


_REGION_IN_PATH: Mapping[RegionInPath, re.Pattern[str]] = {
    RegionInPath.COUNTRY: re.compile(r"/([a-z]{2})(?:-[a-z]{2})?(?:/|$)", re.ASCII | re.IGNORECASE),
    RegionInPath.LANGUAGE_COUNTRY: re.compile(r"/[a-z]{2}-([a-z]{2})(?:/|$)", re.ASCII | re.IGNORECASE),
    RegionInPath.LANGUAGE_THEN_COUNTRY: re.compile(r"/[a-z]{2}/([a-z]{2})(?:/|$)", re.ASCII | re.IGNORECASE),
}


@dataclass(frozen=True, slots=True)
class ProviderHost:
    """A host of a provider; its subdomains count. `region` is set where the host serves one country only."""

    host: str
    region: str = ""
    region_in_path: RegionInPath = RegionInPath.NEVER


@dataclass(frozen=True, slots=True)
class Provider:
    """A service at which titles can be watched."""

    id: int  # TMDB's number
    name: str  # TMDB's name
    korean_name: str
    display_priority: int  # >= 1, smaller is shown first
    logo_path: str = ""
    offers: OfferType = OfferType.FLATRATE  # what a bare address of it stands for
    ad_tier_of: int | None = None  # the provider that this one is a cheaper way into
    regional_ids: tuple[tuple[str, int], ...] = ()  # where TMDB numbers the service otherwise: (region, number)
    other_names: tuple[str, ...] = ()
    mentions: tuple[str, ...] = ()  # so distinctive that they count wherever they stand
    word_mentions: tuple[str, ...] = ()  # short or ambiguous: count as whole words only, particles apart
    not_after: tuple[str, ...] = ()  # words that before a mention make another word of it ("뉴 웨이브")
    not_before: tuple[str, ...] = ()  # likewise after it ("왓챠 피디아", a site of reviews)
    hosts: tuple[ProviderHost, ...] = ()

    @property
    def ids(self) -> tuple[int, ...]:
        """Return every number of this service, its main one first."""
        return (self.id, *(number for _, number in self.regional_ids))

    def id_in(self, region: str) -> int:
        """Return the number that TMDB uses for this service in a region."""
        if not self.regional_ids:
            return self.id
        return next((number for where, number in self.regional_ids if where == region), self.id)


class ProviderTable:
    """Find a provider by host, number, name, or in a sentence."""

    def __init__(self, providers: Iterable[Provider], redirectors: Mapping[str, str] | None = None) -> None:
        """Index the providers; `redirectors` maps a redirector's host to the parameter that carries the real address.

        Raises:
            ValueError: two providers share a number or a name, or an ad tier's provider is missing.
        """
        self.providers = tuple(providers)
        self._redirectors = dict(redirectors or {})
        self._by_id: dict[int, Provider] = {}
        self._by_name: dict[str, Provider] = {}
        self._at_host: dict[str, list[tuple[Provider, ProviderHost]]] = {}
        for provider in self.providers:
            for number in provider.ids:
                if self._by_id.setdefault(number, provider) is not provider:
                    raise ValueError(f"providers: the number {number} of {provider.name} is {self._by_id[number].name}'s already")
            for name in (provider.name, provider.korean_name, *provider.other_names):
                if self._by_name.setdefault(_name_key(name), provider) is not provider:
                    raise ValueError(f"providers: the name {name} of {provider.name} is {self._by_name[_name_key(name)].name}'s already")
            for host in provider.hosts:
                self._at_host.setdefault(host.host, []).append((provider, host))
        for provider in self.providers:
            if provider.ad_tier_of is not None and provider.ad_tier_of not in self._by_id:
                raise ValueError(f"providers: {provider.name} is an ad tier of {provider.ad_tier_of}, which is not in the table")
            # A colloquial name gives way to an official one: TMDB calls Apple's store "Apple TV", people the subscription.
            for name in (*provider.mentions, *provider.word_mentions):
                self._by_name.setdefault(_name_key(name), provider)
        self._mention, self._mentioned = _mention_pattern(self.providers)
        # Addresses are many, their hosts few.
        self._entries = lru_cache(maxsize=_KEPT_HOSTS)(self._find_entries)
        self._redirect = lru_cache(maxsize=_KEPT_HOSTS)(self._find_redirect)

    @classmethod
    def load(cls) -> ProviderTable:
        """Read the packaged `data/providers.json`."""
        return cls.from_json(packaged_file("providers.json").read_bytes())

    @classmethod
    def from_json(cls, data: bytes) -> ProviderTable:
        """Read a table in the form of `data/providers.json`.

        Raises:
            ValueError: the data is not JSON, or a provider in it is wrong or doubled.
        """
        content = loads(data)
        try:
            return cls(
                (_provider(row) for row in content["providers"]), {row["host"]: row["parameter"] for row in content.get("redirectors", ())}
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"providers: not a table of providers ({error!r})") from error

    def by_id(self, number: int) -> Provider | None:
        """Return the provider of one of TMDB's numbers, ad tiers included."""
        return self._by_id.get(number)

    def by_name(self, name: str) -> Provider | None:
        """Return the provider of a whole name, English or Korean, however it is spaced or cased; "+" reads as "plus"."""
        return self._by_name.get(_name_key(name))

    def by_host(self, host: str) -> Provider | None:
        """Return the provider whose host this is; of two that share it, the one shown first."""
        entries = self._entries(host)
        return entries[0][0] if entries else None

    def all_by_host(self, host: str) -> tuple[Provider, ...]:
        """Return every provider at a host: Apple's subscription and its store live at one."""
        return tuple(provider for provider, _ in self._entries(host))

    def main(self, provider: Provider) -> Provider:
        """Return the provider that an ad tier folds into, or the provider itself."""
        return provider if provider.ad_tier_of is None else self._by_id[provider.ad_tier_of]

    def region_of(self, address: Address) -> str:
        """Return the one region that an address is for, by its path or its host; "" where it serves any."""
        entries = self._entries(address.host)
        if not entries:
            return ""
        _, entry = entries[0]
        pattern = _REGION_IN_PATH.get(entry.region_in_path)
        found = pattern.match(address.path) if pattern else None
        return region_code(found[1]) if found else entry.region

    def destination(self, address: Address) -> Address | None:
        """Follow affiliate redirectors to the address they carry.

        A redirector that carries nothing is returned as it is; one whose carried address must not be handed out gives None.
        """
        for _ in range(_MAX_REDIRECTORS + 1):
            parameter = self._redirect(address.host)
            carried = address.parameter(parameter) if parameter else ""
            if not carried:
                return address
            target = Address.parse(carried)
            if target is None:
                return None
            address = target
        return None

    def mentioned_in(self, text: str) -> tuple[Provider, ...]:
        """Return the providers that a sentence names, in the order of their first mention.

        Names count in Korean, English and as people shorten them, with particles attached ("넷플릭스에 있는", "왓챠에서만").
        A name inside another word does not count ("new wave", "디플레이션"), nor does a word that only sometimes means a
        provider ("디즈니", "아마존", "애플").
        """
        folded = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
        found = (self._mentioned[_unspaced(match[0])] for match in self._mention.finditer(folded))
        return tuple(dict.fromkeys(found))

    def _find_entries(self, host: str) -> list[tuple[Provider, ProviderHost]]:
        for name in _parents(host.lower()):
            if name in self._at_host:
                return self._at_host[name]
        return []

    def _find_redirect(self, host: str) -> str | None:
        return next((self._redirectors[name] for name in _parents(host) if name in self._redirectors), None)


def _parents(host: str) -> Iterable[str]:
    """Yield a host and the domains above it, nearest first."""
    while host:
        yield host
        host = host.partition(".")[2]


def _unspaced(text: str) -> str:
    return "".join(text.split())


def _name_key(name: str) -> str:
    folded = unicodedata.normalize("NFKC", name).casefold().replace("+", "plus")
    return "".join(character for character in folded if character.isalnum())


def _provider(row: Mapping[str, Any]) -> Provider:
    priority = row["display_priority"]
    if not isinstance(priority, int) or priority < 1:
        raise ValueError(f"providers: {row['name']} has the display_priority {priority!r}; valid: a number from 1")
    return Provider(
        id=row["id"],
        name=row["name"],
        korean_name=row["korean_name"],
        display_priority=priority,
        logo_path=row.get("logo_path", ""),
        offers=OfferType(row.get("offers", OfferType.FLATRATE)),
        ad_tier_of=row.get("ad_tier_of"),
        regional_ids=tuple(row.get("regional_ids", {}).items()),
        other_names=tuple(row.get("other_names", ())),
        mentions=tuple(row.get("mentions", ())),
        word_mentions=tuple(row.get("word_mentions", ())),
        not_after=tuple(row.get("not_after", ())),
        not_before=tuple(row.get("not_before", ())),
        hosts=tuple(
            ProviderHost(host["host"], host.get("region", ""), RegionInPath(host.get("region_in_path", "")))
            for host in row.get("hosts", ())
        ),
    )


# What may follow a short name without making another word of it: particles, alone or stacked ("에서만"), and a noun that is
# written together with a provider's name.
_PARTICLES = "|".join(
    (
        *("에서", "에선", "에는", "에", "엔", "의", "으로", "로", "만", "도", "은", "는", "이", "가", "을", "를", "와", "과", "이랑", "랑"),
        *("이나", "나", "하고", "부터", "까지", "보다", "처럼", "이면", "면", "인", "용", "판", "꺼", "거", "말고", "빼고", "제외", "없이"),
    )
)
_NOUNS = "영화|드라마|시리즈|오리지널|독점|작품|추천|구독|애니|예능|다큐|신작"
_WORD_END = rf"(?=(?:{_PARTICLES}){{0,3}}(?:(?:{_NOUNS})(?:{_PARTICLES}){{0,3}})?(?![가-힣]))"


def _mention_pattern(providers: Iterable[Provider]) -> tuple[re.Pattern[str], dict[str, Provider]]:
    """Build one pattern of all mentions, longest first, and whose each is (by its text without spaces).

    Every alternative begins with a letter, never with an assertion: so the search skips from one possible first letter to the
    next (under 0.1 ms instead of 13 ms for 2,000 characters).
    """
    owners: dict[str, Provider] = {}
    patterns: dict[str, str] = {}
    for provider in providers:
        for name in (*provider.mentions, *provider.word_mentions):
            if owners.setdefault(_unspaced(name), provider) is not provider:
                raise ValueError(f"providers: {name} would be a mention of both {owners[_unspaced(name)].name} and {provider.name}")
            for spelling in _spellings(name):
                patterns[spelling] = _alternative(spelling, provider, whole_word=name in provider.word_mentions)
    longest_first = sorted(patterns, key=len, reverse=True)
    return re.compile("|".join(patterns[spelling] for spelling in longest_first) or r"(?!)"), owners


def _spellings(name: str) -> Iterable[str]:
    """Yield a name of several words with and without each of its spaces; "+" counts as a word."""
    words = name.replace("+", " +").split()
    for gaps in product(("", " "), repeat=len(words) - 1):
        yield words[0] + "".join(gap + word for gap, word in zip(gaps, words[1:], strict=True))


def _alternative(spelling: str, provider: Provider, *, whole_word: bool) -> str:
    """Match one spelling where it is no part of another word.

    A whole word has no Hangul around it but particles. Others count beside Hangul, since spaces are often left out, but their
    Latin ends not beside Latin letters or digits.
    """
    text = re.escape(spelling)
    before = [f"{re.escape(word)}{space}" for word in provider.not_after for space in ("", " ")]
    after = [rf"(?! ?{re.escape(word)})" for word in provider.not_before]
    if whole_word:
        before.append("[가-힣]")
        after.append(_WORD_END)
    if spelling[0].isascii():
        before.append("[0-9a-z]")
    if spelling[-1].isascii() and spelling[-1].isalnum():
        after.append("(?![0-9a-z])")
    return text + "".join(f"(?<!{start}{text})" for start in before) + "".join(after)
