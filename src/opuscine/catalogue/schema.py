"""The tables of a compiled catalogue, and how values are written in them."""

from __future__ import annotations

from opuscine.model import Kind

# "opcc" in the header of the file (PRAGMA application_id).
APPLICATION_ID = 0x6F706363

KIND_NUMBER = {Kind.MOVIE: 0, Kind.TV: 1}
KINDS = (Kind.MOVIE, Kind.TV)
LIST_SEPARATOR = "\x1f"

FILM_COLUMNS = (
    "kind, id, title, original_title, aliases, overview, release_date, poster_path, backdrop_path, "
    "vote_average, vote_count, popularity, genre_ids, countries, original_language"
)

# `place` is a work's place by popularity in all tables: rows of a search come most popular first, and a broad one can stop early.
# 0 stands for an unknown year or genres, "" for unknown countries. Roles of a title key: 0 title, 1 original title, 2 alias.
# `title_variants` holds only keys that no title of the work has itself; its forms are those of `variants.Form`. `spellings` holds the
# titles of works of a known year twice, forwards and backwards, so that a beginning and an end can be looked up: a shelf is a year and a
# direction.
SCHEMA = f"""
CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE titles (place INTEGER PRIMARY KEY, {FILM_COLUMNS});
CREATE TABLE links (place INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE facets (place INTEGER PRIMARY KEY, kind INT, year INT, genres INT, countries TEXT, release_date TEXT, score REAL);
CREATE TABLE title_keys (key TEXT, role INT, place INT, kind INT, id INT, year INT, popularity REAL, PRIMARY KEY (key, role, place))
  WITHOUT ROWID;
CREATE TABLE availability (region TEXT, provider INT, place INT, PRIMARY KEY (region, provider, place)) WITHOUT ROWID;
"""

# What names and overviews are searched by. Of a large catalogue it is made in a second step, as a file of its own that is opened with the
# first one attached; until then `words` has the names alone, and there are no variants and no spellings.
INDEX_SCHEMA = """
CREATE VIRTUAL TABLE {schema}.words USING fts5(names, overview, content='', prefix='1', tokenize='unicode61 remove_diacritics 0');
CREATE TABLE {schema}.title_variants (key TEXT, place INT, form INT, kind INT, id INT, year INT, PRIMARY KEY (key, place)) WITHOUT ROWID;
CREATE TABLE {schema}.spellings (shelf INT, spelling TEXT, kind INT, id INT, PRIMARY KEY (shelf, spelling, kind, id)) WITHOUT ROWID;
"""
NAMES_SCHEMA = "CREATE VIRTUAL TABLE words USING fts5(names, content='', prefix='1', tokenize='unicode61 remove_diacritics 0');"

# Made once all rows are there: sorted at one go, which is quicker than row by row. With the kind in it, few series among a million films
# are found in 40 ms instead of 1.5 s, since no row need be looked at.
INDEXES = """
CREATE UNIQUE INDEX titles_ref ON titles (kind, id);
CREATE INDEX facets_score ON facets (score DESC, place, kind);
CREATE INDEX facets_date ON facets (release_date DESC, place, kind);
"""

# Words are gathered in memory and written in few large pieces, which are merged once at the end and not again and again between.
WORDS_BEGIN = """
INSERT INTO words (words, rank) VALUES ('hashsize', 16777216);
INSERT INTO words (words, rank) VALUES ('automerge', 0);
INSERT INTO words (words, rank) VALUES ('crisismerge', 1000);
"""
WORDS_END = "INSERT INTO words (words) VALUES ('optimize');"


def shelf(year: int, *, backwards: bool) -> int:
    """Number the titles of a year, spelt in one direction."""
    return 2 * year + backwards
