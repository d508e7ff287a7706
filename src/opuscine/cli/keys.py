"""`opuscine keys new|list|revoke`: who may call, in the file that `AUTH_KEYS_FILE` names."""

from __future__ import annotations

import argparse
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from opuscine.codec import dumps
from opuscine.contract import show_instant
from opuscine.errors import OpusCineError, SettingsError
from opuscine.identity.keys_editor import list_keys, new_key, revoke_key
from opuscine.identity.keys_file import KeyEntry, parse_instant
from opuscine.identity.scopes import Scope
from opuscine.settings import load_settings

SPAN = re.compile(r"([1-9][0-9]{0,4})([dh])")
COLUMNS = ("id", "name", "scopes", "not_before", "expires", "state")
WHEN = "2026-01-31T00:00:00Z, a date (its first moment in UTC)"


def add_actions(command: argparse.ArgumentParser) -> None:
    """Describe the three actions."""
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--file", type=Path, metavar="PATH", help="the keys file, in place of the one of AUTH_KEYS_FILE")
    shared.add_argument("--json", action="store_true", help="print one JSON object")
    actions = command.add_subparsers(dest="action", required=True, metavar="ACTION")

    action = actions.add_parser("new", parents=[shared], help="make a key and print it, this once")
    action.add_argument("name", metavar="NAME", help="whose key it is; keys that share a name are one caller")
    action.add_argument("--scopes", required=True, metavar="WORDS", help=f"among {','.join(Scope)}, separated by commas")
    action.add_argument("--not-before", default="-", metavar="DATE", help=f"valid from then on: {WHEN}")
    action.add_argument(
        "--expires", default="-", metavar="DATE|90d", help=f"valid until then: {WHEN}, or so many days (90d) or hours (12h)"
    )
    action.set_defaults(run=new)

    action = actions.add_parser("list", parents=[shared], help="list the keys, without what they are checked by")
    action.set_defaults(run=list_all)

    action = actions.add_parser("revoke", parents=[shared], help="take a key away; running services follow within two seconds")
    action.add_argument("id", metavar="ID", help="the key's public part, as `opuscine keys list` shows it")
    action.set_defaults(run=revoke)


def new(arguments: argparse.Namespace) -> int:
    """Make a key; standard output gets the key and nothing else, so that it can be piped to where it belongs."""
    path, now = file_of(arguments), datetime.now(UTC)
    starts, ends = read_bounds(arguments.not_before, arguments.expires, now=now)
    scopes = [word.strip() for word in arguments.scopes.split(",")]
    made = new_key(path, arguments.name, scopes, starts, ends)
    entry = next(entry for entry in list_keys(path) if entry.id == made.id)
    if arguments.json:
        print(dumps({**show(entry, now=now), "key": made.key}).decode())
        return 0
    print(made.key, flush=True)
    bounds = "".join(f" {word} {show_instant(at)}" for word, at in (("from", entry.not_before), ("until", entry.expires)) if at)
    print(f"Key {made.id} of {entry.name}, valid{bounds or ' without end'}. It is shown only now: keep it safe.", file=sys.stderr)
    return 0


def list_all(arguments: argparse.Namespace) -> int:
    """List the keys of the file."""
    path, now = file_of(arguments), datetime.now(UTC)
    rows = [show(entry, now=now) for entry in list_keys(path)]
    if arguments.json:
        print(dumps({"keys": rows}).decode())
    elif rows:
        print(table(rows))
    else:
        print(f"{path} holds no keys; `opuscine keys new` makes one")
    return 0


def revoke(arguments: argparse.Namespace) -> int:
    """Take a key out of the file."""
    entry = revoke_key(file_of(arguments), arguments.id)
    if arguments.json:
        print(dumps({**show(entry, now=datetime.now(UTC)), "state": "revoked"}).decode())
    else:
        print(f"Revoked key {entry.id} of {entry.name}.")
    return 0


def file_of(arguments: argparse.Namespace) -> Path:
    """Return the keys file.

    Raises:
        SettingsError: neither the command nor the settings name one.
    """
    path: Path | None = arguments.file if arguments.file is not None else load_settings().auth_keys_file
    if path is None:
        raise SettingsError("AUTH_KEYS_FILE is not set; set it to the path of the keys file, or name the file with --file PATH")
    return path


def read_bounds(not_before: str, expires: str, *, now: datetime) -> tuple[datetime | None, datetime | None]:
    """Read from when and until when a key is to be valid; a span of days or hours runs from the later of `now` and its beginning.

    Raises:
        OpusCineError: one of them can't be read, or the key would never be valid.
    """
    try:
        starts = parse_instant(not_before, "--not-before")
    except ValueError as error:
        raise OpusCineError(str(error)) from None
    try:
        if span := SPAN.fullmatch(expires):
            length = timedelta(days=int(span[1])) if span[2] == "d" else timedelta(hours=int(span[1]))
            return starts, max(now, starts or now) + length
        ends = parse_instant(expires, "--expires")
    except ValueError as error:
        raise OpusCineError(f"{error}, or a number of days (90d) or hours (12h)") from None
    except OverflowError:
        raise OpusCineError(f"--expires: {expires} ends after the year 9999; leave it out for a key without end") from None
    if ends is not None and ends <= now:
        raise OpusCineError(f"--expires: {show_instant(ends)} has passed; choose a later instant, or so many days (90d)")
    return starts, ends


def show(entry: KeyEntry, *, now: datetime) -> dict[str, Any]:
    """Show a key without its hash."""
    too_early = entry.not_before is not None and now < entry.not_before
    too_late = entry.expires is not None and now >= entry.expires
    return {
        "id": entry.id,
        "name": entry.name,
        "scopes": [scope.value for scope in Scope if scope in entry.scopes],
        "not_before": show_instant(entry.not_before) if entry.not_before else None,
        "expires": show_instant(entry.expires) if entry.expires else None,
        "state": "not yet" if too_early else "expired" if too_late else "valid",
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Lay out keys in columns under their headings."""
    lines = [[name.replace("_", " ").upper() for name in COLUMNS], *([cell(row[name]) for name in COLUMNS] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(COLUMNS))]
    return "\n".join("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in lines)


def cell(value: str | list[str] | None) -> str:
    """Write one value of a table; `-` where there is none, as in the file."""
    return ",".join(value) if isinstance(value, list) else value or "-"
