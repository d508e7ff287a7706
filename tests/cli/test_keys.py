"""Keys are made, listed and revoked from the command line, and shown once."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from opuscine.cli.keys import read_bounds
from opuscine.cli.main import parser
from opuscine.errors import OpusCineError
from opuscine.identity.api_keys import ApiKeys
from opuscine.identity.keys_file import KeysFileError
from support.process import environment

KEY = re.compile(r"oc_[a-z0-9]{8}_[A-Za-z0-9_-]{43}")
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


class Terminal:
    """Run `opuscine keys` on a file and read what it prints."""

    def __init__(self, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.file = file
        self._capsys = capsys

    def __call__(self, *words: str) -> tuple[str, str]:
        arguments = parser().parse_args(["keys", *words, "--file", str(self.file)])
        assert arguments.run(arguments) == 0
        printed = self._capsys.readouterr()
        return printed.out, printed.err

    def json(self, *words: str) -> Any:
        out, err = self(*words, "--json")
        assert err == ""
        return json.loads(out)


@pytest.fixture
def keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(tmp_path / "keys", capsys)


def test_a_new_key_is_printed_once_and_alone(keys: Terminal) -> None:
    out, err = keys("new", "backend", "--scopes", "read,recommend")
    assert KEY.fullmatch(out.strip())
    assert "shown only now" in err
    assert out.strip() not in err
    assert keys.file.stat().st_mode & 0o777 == 0o600
    caller = ApiKeys(keys.file).authenticate(out.strip())
    assert (caller.name, caller.scopes) == ("backend", frozenset({"read", "recommend"}))
    for shown in (keys("list"), keys("list", "--json")):
        assert out.strip() not in str(shown)
        assert "sha256" not in str(shown)


def test_keys_are_listed_in_columns(keys: Terminal) -> None:
    keys("new", "backend", "--scopes", "act_as, recommend,read", "--expires", "90d")
    keys("new", "a-much-longer-name", "--scopes", "admin", "--not-before", "2999-01-01")
    heading, first, second = keys("list")[0].splitlines()
    assert heading.split() == ["ID", "NAME", "SCOPES", "NOT", "BEFORE", "EXPIRES", "STATE"]
    assert {line.index(text) for line, text in ((heading, "NAME"), (first, "backend"), (second, "a-much"))} == {10}
    assert len({heading.index("SCOPES"), first.index("read,recommend,act_as"), second.index("admin")}) == 1
    assert len({heading.index("STATE"), first.index("valid"), second.index("not yet")}) == 1
    assert "2999-01-01T00:00:00Z  -" in second


def test_programs_are_given_the_same_as_json(keys: Terminal) -> None:
    made = keys.json("new", "backend", "--scopes", "read", "--not-before", "2020-01-01", "--expires", "2999-01-31T00:00:00+09:00")
    key = made.pop("key")
    assert KEY.fullmatch(key)
    assert made == {
        "id": key[3:11],
        "name": "backend",
        "scopes": ["read"],
        "not_before": "2020-01-01T00:00:00Z",
        "expires": "2999-01-30T15:00:00Z",
        "state": "valid",
    }
    assert keys.json("list") == {"keys": [made]}
    assert keys.json("revoke", key[3:11]) == {**made, "state": "revoked"}
    assert keys.json("list") == {"keys": []}


def test_a_revoked_key_is_gone_and_the_others_stay(keys: Terminal) -> None:
    old, new = (keys.json("new", "backend", "--scopes", "read") for _ in range(2))
    out, _ = keys("revoke", old["id"])
    assert out == f"Revoked key {old['id']} of backend.\n"
    assert [entry["id"] for entry in keys.json("list")["keys"]] == [new["id"]]
    with pytest.raises(KeysFileError, match="no key with that id"):
        keys("revoke", old["id"])
    keys("revoke", new["id"])
    assert "holds no keys" in keys("list")[0]


def test_an_expired_key_says_so(keys: Terminal) -> None:
    made = keys.json("new", "backend", "--scopes", "read")
    keys.file.write_text(re.sub(r"-\s+-$", "2020-01-01T00:00:00Z  2020-01-02T00:00:00Z", keys.file.read_text(), flags=re.MULTILINE))
    [entry] = keys.json("list")["keys"]
    assert (entry["id"], entry["state"]) == (made["id"], "expired")


@pytest.mark.parametrize(
    ("not_before", "expires", "starts", "ends"),
    [
        ("-", "-", None, None),
        ("-", "90d", None, NOW + timedelta(days=90)),
        ("-", "12h", None, NOW + timedelta(hours=12)),
        ("2026-06-01", "1d", datetime(2026, 6, 1, tzinfo=UTC), datetime(2026, 6, 2, tzinfo=UTC)),
        ("2020-01-01", "1d", datetime(2020, 1, 1, tzinfo=UTC), NOW + timedelta(days=1)),
        ("-", "2026-05-02", None, datetime(2026, 5, 2, tzinfo=UTC)),
        ("-", "2026-05-01T21:00:01+09:00", None, NOW + timedelta(seconds=1)),
    ],
)
def test_bounds_are_dates_instants_or_spans(not_before: str, expires: str, starts: datetime | None, ends: datetime | None) -> None:
    assert read_bounds(not_before, expires, now=NOW) == (starts, ends)


@pytest.mark.parametrize(
    ("not_before", "expires", "said"),
    [
        ("-", "2026-05-01", "--expires: 2026-05-01T00:00:00Z has passed"),
        ("-", "soon", r"--expires must be like .* \(90d\)"),
        ("-", "0d", "--expires must be like"),
        ("-", "90", "--expires must be like"),
        ("-", "2026-02-30", "--expires must be like"),
        ("-", "2026-06-01T00:00:00", "--expires must be like"),
        ("tomorrow", "-", "--not-before must be like"),
        ("9999-12-31", "90d", "--expires"),
    ],
)
def test_bounds_that_make_no_sense_are_explained(not_before: str, expires: str, said: str) -> None:
    with pytest.raises(OpusCineError, match=said):
        read_bounds(not_before, expires, now=NOW)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("new", "two words", "--scopes", "read"), "the name of a key must be"),
        (("new", "backend", "--scopes", "read,write"), "the scopes of a key must be at least one of read, recommend"),
        (("new", "backend", "--scopes", ""), "the scopes of a key"),
        (("new", "backend", "--scopes", "read", "--not-before", "2999-01-02", "--expires", "2999-01-01"), "expire before it becomes valid"),
        (("list",), "`opuscine keys new` makes one"),
        (("revoke", "abcdefgh"), "`opuscine keys new` makes one"),
    ],
)
def test_what_cannot_be_done_is_explained_and_makes_no_file(keys: Terminal, words: tuple[str, ...], said: str) -> None:
    with pytest.raises(OpusCineError, match=said):
        keys(*words)
    assert not keys.file.exists()


def run(home: Path, *words: str, **settings: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "opuscine", "keys", *words]
    return subprocess.run(command, cwd=home, env=environment(home, settings), capture_output=True, text=True, timeout=60, check=False)


def test_the_file_is_the_one_of_the_setting(tmp_path: Path) -> None:
    ended = run(tmp_path, "list")
    assert ended.returncode == 1
    assert ended.stderr.startswith("opuscine: AUTH_KEYS_FILE is not set;")
    assert ended.stderr.count("\n") == 1
    (tmp_path / ".env").write_text(f"AUTH_KEYS_FILE={tmp_path / 'named'}\n")
    assert run(tmp_path, "new", "backend", "--scopes", "read").returncode == 0
    assert "backend" in run(tmp_path, "list").stdout
    # With a file named, other settings need not be right.
    assert "backend" in run(tmp_path, "list", "--file", "named", port="x").stdout
