from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from opuscine.identity.api_keys import ApiKeys
from opuscine.identity.caller import Caller, CallerKind
from opuscine.identity.keys_editor import NewKey, new_key, revoke_key
from opuscine.identity.keys_file import KeysFileError
from opuscine.identity.refusal import AuthenticationError, Reason
from opuscine.identity.scopes import Scope
from support.manual_clock import ManualClock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys"


@pytest.fixture
async def watching(path: Path) -> AsyncIterator[ApiKeys]:
    """Give keys that watch their file every 10 ms; the file starts with one key that no test knows."""
    new_key(path, "first", ["read"])
    keys = ApiKeys(path, poll_s=0.01)
    keys.start()
    yield keys
    await keys.close()


def refusal(keys: ApiKeys, key: str) -> Reason:
    with pytest.raises(AuthenticationError) as caught:
        keys.authenticate(key)
    assert str(caught.value) == caught.value.reason.value  # nothing of the key in it
    return caught.value.reason


async def until_known(keys: ApiKeys, key: str, *, known: bool, within_s: float = 2.0) -> None:
    """Wait until a key is accepted, or is not any more."""
    for _ in range(round(within_s / 0.005)):
        if is_known(keys, key) is known:
            return
        await asyncio.sleep(0.005)
    pytest.fail(f"the key is {'not ' if known else 'still '}accepted after {within_s} s")


def is_known(keys: ApiKeys, key: str) -> bool:
    try:
        keys.authenticate(key)
    except AuthenticationError:
        return False
    return True


def test_a_key_is_its_caller_with_its_scopes(path: Path) -> None:
    made = new_key(path, "backend", ["read", "act_as"])
    caller = ApiKeys(path).authenticate(made.key)
    assert caller == Caller("backend", frozenset({Scope.READ, Scope.ACT_AS}), None, CallerKind.KEY)
    assert made.id not in caller.id
    assert made.key not in repr(caller)


def test_what_is_not_quite_the_key_is_refused(path: Path) -> None:
    made, other = new_key(path, "backend", ["read"]), new_key(path, "other", ["read"])
    keys = ApiKeys(path)
    last = "A" if made.key[-1] != "A" else "B"
    assert refusal(keys, made.key[:-1] + last) is Reason.WRONG_SECRET
    assert refusal(keys, other.key[:12] + made.key[12:]) is Reason.WRONG_SECRET
    assert refusal(keys, "oc_zzzzzzz0_" + made.key[12:]) is Reason.UNKNOWN_KEY
    for malformed in (
        "",
        "oc_",
        made.key + "A",
        made.key[:-1],
        made.key + "\n",
        made.key.upper(),
        made.key.replace("oc_", "oc-"),
        "오" * 55,
    ):
        assert refusal(keys, malformed) is Reason.MALFORMED


def test_the_hash_in_the_file_is_not_a_key(path: Path) -> None:
    """Whoever reads the file can't call."""
    made = new_key(path, "backend", ["read"])
    digest = hashlib.sha256(made.key.encode()).hexdigest()
    assert digest in path.read_text()
    for guess in (digest, f"oc_{made.id}_{digest[:43]}", f"sha256:{digest}"):
        refusal(ApiKeys(path), guess)


@given(st.text(max_size=80) | st.from_regex(r"oc_[a-z0-9]{8}_[A-Za-z0-9_-]{43}", fullmatch=True))
def test_whatever_is_sent_is_refused(tmp_path_factory: pytest.TempPathFactory, key: str) -> None:
    path = tmp_path_factory.getbasetemp() / "hypothesis-keys"
    if not path.exists():
        new_key(path, "backend", ["read"])
    assert refusal(ApiKeys(path), key) in {Reason.MALFORMED, Reason.UNKNOWN_KEY, Reason.WRONG_SECRET}


def test_a_key_counts_from_its_first_moment_to_before_its_last(path: Path) -> None:
    begin, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
    clock = ManualClock(begin.timestamp() - 0.5)
    key = new_key(path, "backend", ["read"], begin, end).key
    keys = ApiKeys(path, now=clock)
    assert refusal(keys, key) is Reason.NOT_YET_VALID
    clock.advance(0.5)
    assert keys.authenticate(key).name == "backend"
    clock.now = end.timestamp() - 0.5
    assert keys.authenticate(key).name == "backend"
    clock.advance(0.5)
    assert refusal(keys, key) is Reason.EXPIRED
    assert refusal(keys, key[:-1] + ("A" if key[-1] != "A" else "B")) is Reason.WRONG_SECRET


@pytest.mark.parametrize("text", ["nonsense\n", ""])
def test_a_broken_file_stops_the_start(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(KeysFileError):
        ApiKeys(path)
    path.unlink()
    with pytest.raises(KeysFileError):
        ApiKeys(path)


async def test_a_new_key_counts_soon_and_a_revoked_one_soon_no_more(path: Path, watching: ApiKeys) -> None:
    made = new_key(path, "backend", ["read"])
    await until_known(watching, made.key, known=True)
    revoke_key(path, made.id)
    await until_known(watching, made.key, known=False)
    assert refusal(watching, made.key) is Reason.UNKNOWN_KEY


async def test_starting_and_closing_twice_is_once(path: Path) -> None:
    made = new_key(path, "backend", ["read"])
    keys = ApiKeys(path, poll_s=0.01)
    tasks = len(asyncio.all_tasks())
    keys.start()
    keys.start()
    assert len(asyncio.all_tasks()) == tasks + 1
    await keys.close()
    await keys.close()
    assert len(asyncio.all_tasks()) == tasks
    assert keys.authenticate(made.key).name == "backend"


async def test_other_callers_notice_nothing_of_a_rotation(path: Path, watching: ApiKeys) -> None:
    """While keys of one name come and go, a thousand authentications and more by another caller all succeed."""
    steady, old = new_key(path, "steady", ["read"]).key, new_key(path, "backend", ["read"])
    await until_known(watching, old.key, known=True)
    rotating = asyncio.create_task(asyncio.to_thread(rotate, path, old.id))
    calls = 0
    while not rotating.done() or calls < 1000:
        assert watching.authenticate(steady).name == "steady"
        calls += 1
        if calls % 20 == 0:
            await asyncio.sleep(0.001)
    newest = await rotating
    await until_known(watching, newest, known=True)
    await until_known(watching, old.key, known=False)


def rotate(path: Path, key_id: str) -> str:
    made = new_key(path, "backend", ["read"])
    for _ in range(15):
        made = new_key(path, "backend", ["read"])
        revoke_key(path, key_id)
        key_id = made.id
    return made.key


async def test_old_and_new_key_count_together_as_one_caller(path: Path) -> None:
    old = new_key(path, "backend", ["read"])
    keys = ApiKeys(path)
    new = new_key(path, "backend", ["read"])
    assert await keys.reload_if_changed()
    assert keys.authenticate(old.key).id == keys.authenticate(new.key).id
    revoke_key(path, old.id)
    assert await keys.reload_if_changed()
    assert refusal(keys, old.key) is Reason.UNKNOWN_KEY
    assert keys.authenticate(new.key).name == "backend"


async def test_an_unchanged_file_is_not_read_again(path: Path) -> None:
    new_key(path, "backend", ["read"])
    keys = ApiKeys(path)
    with capture_logs() as logs:
        assert not await keys.reload_if_changed()
        assert logs == []
        assert await keys.reload()
    assert [entry["event"] for entry in logs] == ["api_keys_read"]


@pytest.mark.parametrize("harm", ["malformed", "emptied", "deleted", "opened to all", "folder"])
async def test_a_broken_new_file_keeps_the_old_keys_and_is_logged_once(path: Path, harm: str) -> None:
    made = new_key(path, "backend", ["read"])
    keys = ApiKeys(path)
    healthy = do_harm(path, harm)
    with capture_logs() as logs:
        for _ in range(3):
            assert not await keys.reload_if_changed()
    assert [entry["event"] for entry in logs] == ["api_keys_refused"]
    assert logs[0]["log_level"] == "error"
    assert "x" * 20 not in str(logs)
    assert keys.authenticate(made.key).name == "backend"
    assert keys.count == 1

    mend(path, healthy)
    assert await keys.reload_if_changed()
    assert keys.authenticate(made.key).name == "backend"


def do_harm(path: Path, harm: str) -> str:
    """Break a keys file and return what it held."""
    healthy = path.read_text()
    match harm:
        case "malformed":
            path.write_text(healthy + "x" * 43 + "\n")
        case "emptied":
            path.write_text("")
        case "deleted":
            path.unlink()
        case "opened to all":
            path.chmod(0o666)
        case "folder":
            path.unlink()
            path.mkdir()
    return healthy


def mend(path: Path, healthy: str) -> None:
    if path.is_dir():
        path.rmdir()
    path.write_text(healthy + "# mended\n")
    path.chmod(0o600)


@pytest.fixture(params=[True, False], ids=["with comments", "one line by hand"])
def only_key(request: pytest.FixtureRequest, path: Path) -> NewKey:
    made = new_key(path, "backend", ["read"])
    if not request.param:
        path.write_text(path.read_text().strip().rpartition("\n")[2])
    return made


async def test_the_last_key_can_be_revoked(path: Path, only_key: NewKey) -> None:
    """A file of comments only is a file without keys, and not a broken one."""
    made = only_key
    keys = ApiKeys(path)
    assert keys.count == 1
    revoke_key(path, made.id)
    assert await keys.reload_if_changed()
    assert keys.count == 0
    assert refusal(keys, made.key) is Reason.UNKNOWN_KEY


async def test_a_fault_in_one_look_does_not_end_the_watch(path: Path) -> None:
    class Stumbling(ApiKeys):
        looks = 0

        async def reload_if_changed(self) -> bool:
            self.looks += 1
            if self.looks == 1:
                raise RuntimeError("once")
            return await super().reload_if_changed()

    made = new_key(path, "backend", ["read"])
    keys = Stumbling(path, poll_s=0.01)
    with capture_logs() as logs:
        keys.start()
        revoke_key(path, made.id)
        await until_known(keys, made.key, known=False)
        await keys.close()
    assert "api_keys_watch_failed" in [entry["event"] for entry in logs]
