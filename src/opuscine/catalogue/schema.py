"""The tables of a compiled catalogue, and how values are written in them."""

from __future__ import annotations

from opuscine.model import Kind

# "opcc" in the header of the file (PRAGMA application_id).
APPLICATION_ID = 0x6F706363

KIND_NUMBER = {Kind.MOVIE: 0, Kind.TV: 1}
KINDS = (Kind.MOVIE, Kind.TV)
LIST_SEPARATOR = "\x1f"

# Pages of twice the usual size: half as many are written, and a title fits into one.
PAGE_BYTES = 8_192

# Titles, most popular first, of which it is known at once who streams them; of the others only after the second step.
FIRST_OFFERED = 2_000

# `number` counts the records as they were read, `place` is a work's place by popularity: rows of a search come most popular first, and a
# broad one can stop early. 0 stands for an unknown year or genres, "" for unknown countries. `said` is what the record says of where the
# title streams (`offers.said_of`). Roles of a title key: 0 title, 1 original title, 2 alias; a title has each key once. The keys of the two
# titles stand in their row, where they cost a fifth of what a row of their own does.
SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE titles (
  number INTEGER PRIMARY KEY, kind INT, id INT, year INT, genres INT, popularity REAL, vote_average REAL, vote_count INT,
  release_date TEXT, countries TEXT, title_key TEXT, original_key TEXT, title TEXT, original_title TEXT, aliases TEXT, genre_ids TEXT,
  original_language TEXT, poster_path TEXT, backdrop_path TEXT, overview TEXT, said BLOB
);
CREATE TABLE alias_keys (key TEXT, number INT);
CREATE VIEW title_keys AS
  SELECT title_key AS key, 0 AS role, number FROM titles UNION ALL SELECT original_key, 1, number FROM titles
  UNION ALL SELECT key, 2, number FROM alias_keys;
CREATE TABLE facets (
  place INTEGER PRIMARY KEY, number INT, kind INT, year INT, genres INT, countries TEXT, release_date TEXT, score REAL
);
"""

# Made once all rows are there: sorted at one go, which is quicker than row by row.
TITLES_INDEX = "CREATE UNIQUE INDEX titles_ref ON titles (kind, id)"
KEYS_INDEXES = """
CREATE INDEX titles_key ON titles (title_key);
CREATE INDEX titles_original_key ON titles (original_key);
CREATE INDEX alias_keys_key ON alias_keys (key, number);
"""

OFFERS_SCHEMA = """
CREATE TABLE main.links (number INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE main.availability (region TEXT, provider INT, place INT, PRIMARY KEY (region, provider, place)) WITHOUT ROWID;
"""

# What is searched by. Of a large catalogue it is made in a second step, as a file of its own that is opened with the first one attached.
# `title_variants` holds only keys that no title of the work has itself; its forms are those of `variants.Form`. `spellings` holds the
# titles of works of a known year twice, forwards and backwards, so that a beginning and an end can be looked up: a shelf is a year and a
# direction.
INDEX_SCHEMA = """
CREATE VIRTUAL TABLE main.words USING fts5(names, overview, content='', prefix='1', tokenize='unicode61 remove_diacritics 0');
CREATE TABLE main.title_variants (key TEXT, place INT, form INT, kind INT, id INT, year INT, PRIMARY KEY (key, place)) WITHOUT ROWID;
CREATE TABLE main.spellings (shelf INT, spelling TEXT, kind INT, id INT, PRIMARY KEY (shelf, spelling, kind, id)) WITHOUT ROWID;
"""

# Beside a large index: a word that is in every overview and in few names is soon found there. The facets are copied, since an index of a
# table lies in the table's file.
LARGE_INDEX_SCHEMA = """
CREATE VIRTUAL TABLE main.name_words USING fts5(names, content='', prefix='1', tokenize='unicode61 remove_diacritics 0');
CREATE TABLE main.facets (
  place INTEGER PRIMARY KEY, number INT, kind INT, year INT, genres INT, countries TEXT, release_date TEXT, score REAL
);
INSERT INTO main.facets SELECT * FROM compiled.facets ORDER BY place;
"""

# With the kind in it, few series among a million films are found in 40 ms instead of 1.5 s, since no row need be looked at.
FACETS_INDEXES = """
CREATE UNIQUE INDEX main.facets_number ON facets (number);
CREATE INDEX main.facets_score ON facets (score DESC, place, kind);
CREATE INDEX main.facets_date ON facets (release_date DESC, place, kind);
"""

# Words are gathered in memory and written in few large pieces, which are merged once at the end and not again and again between.
WORDS_BEGIN = """
INSERT INTO {words} ({words}, rank) VALUES ('hashsize', 16777216);
INSERT INTO {words} ({words}, rank) VALUES ('automerge', 0);
INSERT INTO {words} ({words}, rank) VALUES ('crisismerge', 1000);
"""
WORDS_END = "INSERT INTO {words} ({words}) VALUES ('optimize');"


def shelf(year: int, *, backwards: bool) -> int:
    """Number the titles of a year, spelt in one direction."""
    return 2 * year + backwards
