"""One compiled generation of the catalogue, opened for reading."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import structlog

from opuscine.catalogue.offers import OfferReader
from opuscine.catalogue.schema import APPLICATION_ID, KIND_NUMBER, KINDS, LIST_SEPARATOR, shelf
from opuscine.catalogue.search import (
    MAX_LIMIT,
    MAX_TERMS,
    MAX_TEXT,
    Candidate,
    Filter,
    SearchQuery,
    SearchResult,
    WeighedTerm,
    all_of,
    filters,
    fit,
    holders,
    listing,
    ordered,
    weight,
)
from opuscine.catalogue.spelling import LENGTH_APART, Spelling, sure_end
from opuscine.catalogue.titles import TitleEntry, TitleRole, split_year, title_key
from opuscine.catalogue.tokens import Term, terms
from opuscine.catalogue.variants import Form, VariantEntry
from opuscine.errors import CatalogueError
from opuscine.model import Film, OttLink, TitleRef
from opuscine.providers.links import links_from_json
from opuscine.providers.table import ProviderTable

log = structlog.get_logger("opuscine.catalogue")

# Titles that a word brings into the ranking, by popularity: those that have it in a name, and those that have it anywhere.
_FOUND_PER_TERM = 300
# Titles whose texts are looked at for the ranking; what is beyond is not found.
RANKED_TITLES = 400

_REMEMBERED_COUNTS = 200
# Looked up lately: about 1.5 kB a film, and 0.3 kB a key (most keys that are tried belong to no title).
_KEPT_FILMS = 4_096
_KEPT_KEYS = 16_384

# Titles of one year that begin, or end, with the same letters. Far more than a year of the largest catalogues has.
_SPELT_ALIKE = 500

_ROLES: tuple[TitleRole, ...] = ("title", "original", "alias")
_FORMS = tuple(Form)

_IS_INDEXED = "SELECT 1 FROM main.sqlite_master WHERE name = 'title_variants'"
_FILM_COLUMNS = (
    "kind, id, title, original_title, aliases, overview, release_date, poster_path, backdrop_path, "
    "vote_average, vote_count, popularity, genre_ids, countries, original_language"
)
_GET = f"SELECT {_FILM_COLUMNS} FROM titles WHERE kind = ? AND id = ?"  # noqa: S608  constants
_GET_PLACE = f"SELECT {_FILM_COLUMNS} FROM titles WHERE number = (SELECT number FROM facets WHERE place = ?)"  # noqa: S608  constants
# The row of the title itself is not looked at where links are filed: its number stands in the index.
_LINKS = "SELECT links.body, NULL FROM titles LEFT JOIN links USING (number) WHERE titles.kind = ? AND titles.id = ?"
_SAID = "SELECT links.body, titles.said FROM titles LEFT JOIN links USING (number) WHERE titles.kind = ? AND titles.id = ?"
_LINKS_AFTER = (
    "SELECT f.place, t.kind, t.id, {links} FROM facets AS f {joined} CROSS JOIN titles AS t ON t.number = f.number "
    "WHERE f.place > ? AND {condition} ORDER BY f.place LIMIT ?"
)
_INDEXED_LINKS_AFTER = _LINKS_AFTER.format(links="l.body, NULL", joined="CROSS JOIN links AS l ON l.number = f.number", condition="1")
_SAID_AFTER = _LINKS_AFTER.format(links="NULL, t.said", joined="", condition="t.said IS NOT NULL")
_COUNT_SAID = "SELECT count(*) FROM titles WHERE said IS NOT NULL"
_BY_KEY = (
    "SELECT t.kind, t.id, t.year, k.role, t.popularity FROM title_keys AS k CROSS JOIN titles AS t USING (number) "
    "WHERE k.key = ? ORDER BY k.role, t.popularity DESC, t.number"
)
# A title of its own is the whole of it: `variants.Form.WHOLE` is 0.
_BY_VARIANT = (
    "SELECT t.kind, t.id, t.year, 0 FROM title_keys AS k CROSS JOIN titles AS t USING (number) WHERE k.key = ?1 "
    "UNION ALL SELECT kind, id, year, form FROM title_variants WHERE key = ?1"
)
# `char(1114111)` is the last character there is.
_SPELT_LIKE = (
    "SELECT kind, id, spelling FROM spellings WHERE shelf = ?1 AND spelling >= ?2 AND spelling < ?2 || char(1114111) "
    "AND length(spelling) BETWEEN ?3 AND ?4 LIMIT ?5"
)
_ROLES_OF = "SELECT number, min(role) FROM title_keys WHERE key = ? GROUP BY number"
_NAMED = (
    "SELECT f.place, f.number, f.year FROM facets AS f WHERE f.number IN (SELECT number FROM title_keys WHERE key = ?) AND {condition} "
    "ORDER BY f.place LIMIT ?"
)
# CROSS JOIN keeps SQLite from turning the order round: the words' rows come by place, and LIMIT stops early.
_HOLDING = "SELECT f.place FROM {words} AS w CROSS JOIN facets AS f ON f.place = w.rowid WHERE w.{words} MATCH ? AND {condition} LIMIT ?"
_LISTED = "SELECT f.place FROM facets AS f WHERE {condition} ORDER BY {order} LIMIT ? OFFSET ?"
_COUNTED = "SELECT count(*) FROM facets AS f WHERE {condition}"
_TEXTS = (
    "SELECT t.title, t.original_title, t.aliases, t.overview, f.score, f.release_date "
    "FROM facets AS f CROSS JOIN titles AS t ON t.number = f.number WHERE f.place = ?"
)

_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_IOERR}


def is_damage(error: sqlite3.Error) -> bool:
    """Say whether an error means that the file can't be read right, so that it has to be compiled again."""
    return (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF in _DAMAGE


class LinkRow(NamedTuple):
    """Where the title at a place streams, in every region."""

    place: int
    ref: TitleRef
    links: tuple[OttLink, ...]


class CatalogueReader:
    """Look up and search in one generation.

    Look-ups by reference or key take about 10 µs, or 0.3 µs for what was looked up lately, and are meant for one thread, the loop's;
    `search` may run in several others.
    The file is mapped, so that its pages are shared by all workers; it is never written once it has its name.
    """

    def __init__(self, path: Path, generation: str, index: Path | None = None) -> None:
        """Open a compiled file, and the file that holds its index where that is one of its own.

        Without an index in either, words are looked for in names only, only of the most popular titles it is known who streams
        them, and no title is known under variants or by its spelling.

        Raises:
            CatalogueError: it is no compiled catalogue, or not this generation's.
        """
        self.path = path
        self.generation = generation
        # The index's tables stand before those of the same name in the compiled file, which is attached to it.
        self._main = index or path
        self._attached = path if self._main != path else None
        self._connections: list[sqlite3.Connection] = []
        self._idle: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        self._holds = 0
        self._counts: dict[Filter, int] = {}
        self._retired = False
        self._film_of = lru_cache(maxsize=_KEPT_FILMS)(self._read_film)
        self._entries_of = lru_cache(maxsize=_KEPT_KEYS)(self._read_entries)
        try:
            self._connection = self._connect()
            (application,) = self._connection.execute("PRAGMA application_id").fetchone()
            self.indexed = self._connection.execute(_IS_INDEXED).fetchone() is not None
            meta = dict(self._connection.execute("SELECT name, value FROM meta"))
            self._titles = int(meta["titles"])
            # What titles stream at is read here while nothing has filed it.
            self._offers = None if self.indexed else OfferReader(ProviderTable.load(), meta["region"])
            self._lookups = self._connection.cursor()
        except (sqlite3.Error, KeyError, ValueError) as error:
            self._close()
            raise CatalogueError(f"{path} is no compiled catalogue ({error})") from None
        if application != APPLICATION_ID or meta["generation"] != generation:
            self._close()
            raise CatalogueError(f"{self._main} does not hold the generation {generation}")

    def get(self, ref: TitleRef) -> Film | None:
        """Return a title, or None where there is none."""
        return self._film_of(ref)

    def _read_film(self, ref: TitleRef) -> Film | None:
        try:
            row = self._lookups.execute(_GET, (KIND_NUMBER[ref.kind], ref.id)).fetchone()
        except OverflowError:  # an id of more than 64 bits
            return None
        return None if row is None else _film(row)

    def get_many(self, refs: Iterable[TitleRef]) -> dict[TitleRef, Film]:
        """Return the titles that there are."""
        return {ref: film for ref in refs if (film := self.get(ref)) is not None}

    def links(self, ref: TitleRef) -> tuple[OttLink, ...] | None:
        """Return where a title streams, in every region; None for an unknown title."""
        try:
            row = self._lookups.execute(_LINKS if self.indexed else _SAID, (KIND_NUMBER[ref.kind], ref.id)).fetchone()
        except OverflowError:
            return None
        if row is None:
            return None
        body, said = row
        return self._read_links(body, said, ref)

    def _read_links(self, body: bytes | None, said: bytes | None, ref: TitleRef) -> tuple[OttLink, ...]:
        """Read the links that are filed, or as long as they are not, what is said of them."""
        if body is not None or self._offers is None:
            return _links(body, ref)
        return self._offers.links(said, ref)

    def links_many(self, refs: Iterable[TitleRef]) -> dict[TitleRef, tuple[OttLink, ...]]:
        """Return where the titles stream that there are, in every region."""
        return {ref: links for ref in refs if (links := self.links(ref)) is not None}

    def links_after(self, place: int, limit: int) -> list[LinkRow]:
        """Return the next titles behind a place that stream somewhere, most popular first: from 0 on, the way through all of them.

        Without an index some may turn out to have no links.
        """
        rows = self._lookups.execute(_INDEXED_LINKS_AFTER if self.indexed else _SAID_AFTER, (place, limit)).fetchall()
        found = ((place, TitleRef(KINDS[kind], number), body, said) for place, kind, number, body, said in rows)
        return [LinkRow(place, ref, self._read_links(body, said, ref)) for place, ref, body, said in found]

    def count_links(self) -> int:
        """Count the titles that `links_after` goes through."""
        (count,) = self._lookups.execute("SELECT count(*) FROM links" if self.indexed else _COUNT_SAID).fetchone()
        return int(count)

    def titles_by_key(self, key: str) -> tuple[TitleEntry, ...]:
        """Return every work that has a title, original title or alias of this key (`titles.title_key`)."""
        return self._entries_of(key)

    def _read_entries(self, key: str) -> tuple[TitleEntry, ...]:
        try:
            rows = self._lookups.execute(_BY_KEY, (key,)).fetchall()
        except UnicodeEncodeError:  # a lone surrogate is in no title
            return ()
        return tuple(
            TitleEntry(ref=TitleRef(KINDS[kind], number), year=year or None, role=_ROLES[role], popularity=popularity)
            for kind, number, year, role, popularity in rows
        )

    def titles_by_variant(self, key: str) -> tuple[VariantEntry, ...]:
        """Return every work that may be known under a key (`variants.variants_said`), those of exactly this title among them.

        While there is no index nothing is: with some of the works alone, one of several could pass for the only one.
        """
        if not self.indexed:
            return ()
        rows = self._lookups.execute(_BY_VARIANT, (key.encode("utf-8", "ignore").decode(),)).fetchall()
        return tuple(VariantEntry(TitleRef(KINDS[kind], number), year or None, _FORMS[form]) for kind, number, year, form in rows)

    def titles_spelt_like(self, spelling: str, year: int) -> tuple[Spelling, ...]:
        """Return works of a year with a title of about this length that begins or ends alike (`variants.spelling_of`)."""
        if not self.indexed:
            return ()
        length = sure_end(spelling)
        bounds = (len(spelling) - LENGTH_APART, len(spelling) + LENGTH_APART, _SPELT_ALIKE)
        found: dict[Spelling, None] = {}
        for backwards, end in ((False, spelling[:length]), (True, spelling[::-1][:length])):
            rows = self._lookups.execute(_SPELT_LIKE, (shelf(year, backwards=backwards), end.encode("utf-8", "ignore").decode(), *bounds))
            for kind, number, spelt in rows:
                found[Spelling(TitleRef(KINDS[kind], number), year, spelt[::-1] if backwards else spelt)] = None
        return tuple(found)

    def search(self, query: SearchQuery, *, today: date) -> SearchResult:
        """Find titles; may take some tens of milliseconds, so not on the loop.

        With words: the titles of exactly that name first, then those that hold the words, by fit and popularity. `total` then
        counts at most `RANKED_TITLES`. A text without any word in it, signs alone, counts as no text unless a title is called so.
        """
        with self._borrowed() as connection:
            # Names have an index of their own in a large one: a word that is in every overview and in few names is soon found there.
            names = ("name_words" if self._attached else "words") if self.indexed else None
            places, total, unjudged = _Search(connection, query, today, titles=self._titles, counts=self._counts, names=names).run()
            rows = (connection.execute(_GET_PLACE, (place,)).fetchone() for place in places)
            return SearchResult(tuple(map(_film, rows)), total, unjudged)

    def hold(self) -> None:
        """Keep the file open for a search that is about to begin, until `release`."""
        with self._lock:
            self._holds += 1

    def release(self) -> None:
        """Give back one `hold`; the last one closes a retired reader."""
        with self._lock:
            self._holds -= 1
            last = self._retired and self._holds == 0
        if last:
            self._close()

    def retire(self) -> None:
        """Close as soon as nobody holds it; look-ups are over at once."""
        with self._lock:
            self._retired = True
            free = self._holds == 0
        if free:
            self._close()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(_read_only(self._main), uri=True, check_same_thread=False)
        with self._lock:
            self._connections.append(connection)
        if self._attached:
            connection.execute("ATTACH ? AS compiled", (_read_only(self._attached),))
        connection.execute("PRAGMA mmap_size = 2147418112")  # the highest that SQLite is built with
        connection.execute("PRAGMA cache_size = -2000")
        connection.execute("PRAGMA query_only = ON")
        return connection

    @contextmanager
    def _borrowed(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        if connection is None:
            connection = self._connect()
        try:
            yield connection
        finally:
            with self._lock:
                self._idle.append(connection)

    def _close(self) -> None:
        with self._lock:
            connections, self._connections = self._connections, []
        for connection in connections:
            connection.close()


class _Search:
    """One search on one connection; `counts` remembers what earlier ones counted, which is the slow part of a list.

    Words of names are looked for in the index `names`; None: there is no index.
    """

    def __init__(
        self, connection: sqlite3.Connection, query: SearchQuery, today: date, *, titles: int, counts: dict[Filter, int], names: str | None
    ) -> None:
        self._connection = connection
        self._names = names
        self._counts = counts
        self._query = query
        self._titles = titles
        self._fits, self._may_fit = filters(query, today, indexed=names is not None)
        self._limit = max(0, min(query.limit, MAX_LIMIT))
        self._offset = max(0, min(query.offset, 2**62))

    def run(self) -> tuple[list[int], int, int]:
        """Return the places of the page's titles, and how many there are in all and of them unjudged."""
        text = self._query.text[:MAX_TEXT]
        words = terms(text, MAX_TERMS)
        named = self._named(text)
        if not words and not named:
            return self._listed()
        kept = ordered(self._candidates(words, named), self._query.order, self._titles)
        page = kept[self._offset : self._offset + self._limit]
        return [candidate.place for candidate in page], len(kept), sum(not candidate.fits for candidate in kept)

    def _listed(self) -> tuple[list[int], int, int]:
        fitting = self._count(self._fits)
        unjudged = self._count(self._may_fit) if self._may_fit else 0
        places = self._list(self._fits, self._limit, self._offset)
        if self._may_fit and len(places) < self._limit:
            places += self._list(self._may_fit, self._limit - len(places), max(0, self._offset - fitting))
        return places, fitting + unjudged, unjudged

    def _count(self, condition: Filter) -> int:
        if (known := self._counts.get(condition)) is not None:
            return known
        (count,) = self._connection.execute(_COUNTED.format(condition=condition.sql), condition.values).fetchone()
        if len(self._counts) >= _REMEMBERED_COUNTS:
            self._counts.clear()
        self._counts[condition] = count
        return int(count)

    def _list(self, condition: Filter, limit: int, offset: int) -> list[int]:
        order = listing(self._query, indexed=self._names is not None)
        sql = _LISTED.format(condition=condition.sql, order=order.sql)
        return [place for (place,) in self._connection.execute(sql, (*condition.values, *order.values, limit, offset))]

    def _named(self, text: str) -> dict[int, tuple[int, bool]]:
        """Find the titles that are called so, with the year if the text ends in one: place → role, known to fit."""
        title, year = split_year(text)
        key = title_key(title).encode("utf-8", "ignore").decode()
        roles = dict(self._connection.execute(_ROLES_OF, (key,))) if key else {}
        named: dict[int, tuple[int, bool]] = {}
        for condition, fits in self._conditions() if roles else ():
            sql = _NAMED.format(condition=condition.sql)
            for place, number, found in self._connection.execute(sql, (key, *condition.values, RANKED_TITLES)):
                if year is None or not found or abs(found - year) <= 1:
                    named[place] = (roles[number], fits)
        return named

    def _candidates(self, words: Sequence[Term], named: dict[int, tuple[int, bool]]) -> list[Candidate]:
        found: dict[int, float] = {}  # how much a title seems to hold, before its texts are looked at
        fitting: set[int] = {place for place, (_, fits) in named.items() if fits}
        weighed: list[WeighedTerm] = []
        whole: list[WeighedTerm] = []  # what is searched for together
        for word in words:
            term, anywhere = self._holders(word)
            if not anywhere:
                continue  # a word that nobody holds tells none from another
            names = self._holding_in_names(term)
            weighed.append(WeighedTerm(term, weight(self._how_many(anywhere), self._titles)))
            # A prefix costs as much as all the words that begin with it, and says little.
            if not term.is_prefix:
                whole.append(weighed[-1])
            for place in names.keys() | anywhere.keys():
                found[place] = found.get(place, 0.0) + weighed[-1].weight * (1.0 if place in names else 0.5)
            fitting.update(place for place, fits in (names | anywhere).items() if fits)
        if len(whole) > 1:
            for place, fits in self._holding([word.term for word in whole]).items():
                found[place] = max(found.get(place, 0.0), sum(word.weight for word in whole))
                fitting.update({place} if fits else ())
        best = sorted(found.keys() - named.keys(), key=lambda place: (place not in fitting, -found[place], place))
        candidates = [self._candidate(place, place in fitting, named.get(place), weighed) for place in [*named, *best[:RANKED_TITLES]]]
        if self._names is None:  # "art" is in the key of "Heart", and no word of it
            return [candidate for candidate in candidates if candidate.exact is not None or candidate.fit.relevance]
        return candidates

    def _holders(self, word: Term) -> tuple[Term, dict[int, bool]]:
        """Find who holds a word anywhere; one that nobody holds as it is written counts without its particle."""
        holders = self._holding([word])
        stem = None if holders else word.stem
        return (stem, self._holding([stem])) if stem else (word, holders)

    def _how_many(self, holders: dict[int, bool]) -> float:
        """Estimate how many titles hold a word: a search that was cut short tells by how far it came."""
        return len(holders) if len(holders) < _FOUND_PER_TERM else len(holders) * self._titles / max(holders)

    def _holding(self, words: Sequence[Term]) -> dict[int, bool]:
        """Return the most popular titles that hold all of some words: place → known to fit."""
        if self._names is None:
            return self._holding_unindexed(words)
        return self._matching(" AND ".join(word.match() for word in words), "words")

    def _holding_in_names(self, word: Term) -> dict[int, bool]:
        """Return the most popular titles that have a word in a name: place → known to fit."""
        if self._names is None:
            return self._holding_unindexed([word])
        return self._matching(word.match("names"), self._names)

    def _matching(self, match: str, words: str) -> dict[int, bool]:
        """Return the most popular titles that match in an index of words."""
        holding: dict[int, bool] = {}
        for condition, fits in self._conditions():
            sql = _HOLDING.format(words=words, condition=condition.sql)
            values = (match, *condition.values, _FOUND_PER_TERM - len(holding))
            holding.update((place, fits) for (place,) in self._connection.execute(sql, values))
        return holding

    def _holding_unindexed(self, words: Sequence[Term]) -> dict[int, bool]:
        """Go through all names, which takes longer the more titles there are."""
        holding: dict[int, bool] = {}
        for condition, fits in self._conditions():
            held = all_of([*(holders([word], indexed=False) for word in words), condition])
            sql = _LISTED.format(condition=held.sql, order="f.place")
            rows = self._connection.execute(sql, (*held.values, _FOUND_PER_TERM - len(holding), 0))
            holding.update((place, fits) for (place,) in rows)
        return holding

    def _conditions(self) -> Iterator[tuple[Filter, bool]]:
        yield self._fits, True
        if self._may_fit:
            yield self._may_fit, False

    def _candidate(self, place: int, fits: bool, named: tuple[int, bool] | None, weighed: Sequence[WeighedTerm]) -> Candidate:
        title, original, aliases, overview, score, released = self._connection.execute(_TEXTS, (place,)).fetchone()
        names = (title, original, *aliases.split(LIST_SEPARATOR))
        return Candidate(place, fits, named[0] if named else None, fit(weighed, names, overview), score, released)


def _read_only(path: Path) -> str:
    """Return the address of a file for SQLite; `immutable`: no locks and no journal are looked for, since nobody writes it."""
    return f"{path.absolute().as_uri()}?mode=ro&immutable=1"


def _links(body: bytes | None, ref: TitleRef) -> tuple[OttLink, ...]:
    if body is None:
        return ()
    try:
        return links_from_json(body)
    except ValueError:
        log.warning("catalogue_links_unreadable", kind=ref.kind, id=ref.id)
        return ()


def _film(row: tuple[Any, ...]) -> Film:
    (
        kind,
        number,
        title,
        original,
        aliases,
        overview,
        released,
        poster,
        backdrop,
        average,
        votes,
        popularity,
        genres,
        countries,
        language,
    ) = row
    return Film(
        TitleRef(KINDS[kind], number),
        title,
        original,
        tuple(aliases.split(LIST_SEPARATOR)) if aliases else (),
        overview,
        released,
        poster,
        backdrop,
        average,
        votes,
        popularity,
        tuple(map(int, genres.split(","))) if genres else (),
        tuple(countries.split(",")) if countries else (),
        language,
    )
