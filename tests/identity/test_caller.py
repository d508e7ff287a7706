from __future__ import annotations

import pytest

from opuscine.identity.caller import ANYBODY, NOBODY, Caller, CallerKind
from opuscine.identity.scopes import ALL_SCOPES, Scope, known_scopes


def key_caller(name: str = "backend", *scopes: Scope) -> Caller:
    return Caller(name, frozenset(scopes), None, CallerKind.KEY)


def test_a_scope_implies_no_other() -> None:
    admin = key_caller("ops", Scope.ADMIN)
    assert admin.has(Scope.ADMIN)
    assert not any(admin.has(scope) for scope in Scope if scope is not Scope.ADMIN)


def test_words_of_other_parties_are_no_scopes() -> None:
    assert known_scopes(["openid", "read", "", "READ", "act_as"]) == {Scope.READ, Scope.ACT_AS}


def test_ids_of_different_kinds_never_meet() -> None:
    """A token's user may be called like a key or like nobody without sharing their limits and cached answers."""
    callers = [
        key_caller("x"),
        Caller("jwt", frozenset(), "x", CallerKind.JWT),
        Caller("jwt", frozenset(), "key:x", CallerKind.JWT),
        NOBODY,
    ]
    assert len({caller.id for caller in callers}) == len(callers)


def test_keys_of_one_name_are_one_caller() -> None:
    """During a rotation the old and the new key share limits and answers."""
    assert key_caller("backend", Scope.READ).id == key_caller("backend", Scope.READ, Scope.RECOMMEND).id == "key:backend"


@pytest.mark.parametrize(
    ("caller", "named", "user"),
    [
        (Caller("jwt", ALL_SCOPES, "user-1", CallerKind.JWT), "user-2", "user-1"),
        (key_caller("backend", Scope.ACT_AS), "user-2", "user-2"),
        (key_caller("backend", Scope.ACT_AS), None, None),
        (key_caller("backend", Scope.RECOMMEND), "user-2", None),
        (NOBODY, "user-2", None),
        (ANYBODY, "user-2", "user-2"),
    ],
)
def test_a_token_is_its_own_user_and_a_key_needs_act_as_to_name_one(caller: Caller, named: str | None, user: str | None) -> None:
    assert caller.user(named) == user


def test_nobody_may_do_nothing_and_anybody_everything() -> None:
    assert not any(NOBODY.has(scope) for scope in Scope)
    assert all(ANYBODY.has(scope) for scope in Scope)
