from __future__ import annotations

from opuscine.identity.caller import NOBODY, Caller, CallerKind
from opuscine.identity.verified_tokens import VerifiedTokens

SOMEBODY = Caller("jwt", frozenset(), "user-1", CallerKind.JWT)


def test_a_token_is_known_until_it_expires() -> None:
    tokens = VerifiedTokens(limit=10)
    tokens.remember("a", SOMEBODY, generation=1, good_until_s=100.0)
    assert tokens.find("a", generation=1, now_s=99.9) is SOMEBODY
    assert tokens.find("b", generation=1, now_s=0.0) is None
    assert tokens.find("a", generation=1, now_s=100.0) is None
    assert len(tokens) == 0


def test_nothing_is_known_that_other_keys_verified() -> None:
    tokens = VerifiedTokens(limit=10)
    tokens.remember("a", SOMEBODY, generation=1, good_until_s=100.0)
    assert tokens.find("a", generation=2, now_s=0.0) is None
    assert tokens.find("a", generation=None, now_s=0.0) is None
    tokens.remember("b", NOBODY, generation=2, good_until_s=100.0)
    assert tokens.find("a", generation=2, now_s=0.0) is None
    assert len(tokens) == 1


def test_the_one_not_used_for_longest_goes_first() -> None:
    tokens = VerifiedTokens(limit=2)
    for token in "ab":
        tokens.remember(token, SOMEBODY, generation=1, good_until_s=100.0)
    assert tokens.find("a", generation=1, now_s=0.0) is SOMEBODY
    tokens.remember("c", SOMEBODY, generation=1, good_until_s=100.0)
    assert tokens.find("b", generation=1, now_s=0.0) is None
    assert tokens.find("a", generation=1, now_s=0.0) is SOMEBODY
    assert len(tokens) == 2


def test_no_token_is_kept() -> None:
    tokens = VerifiedTokens(limit=2)
    tokens.remember("very-secret-token", SOMEBODY, generation=1, good_until_s=100.0)
    assert "very-secret" not in str(vars(tokens))
    assert tokens.find("\ud800", generation=1, now_s=0.0) is None
