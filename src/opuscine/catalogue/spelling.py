"""How a title is spelt, and whether another spelling is the same one with a slip. Pure.

Compared are spellings as `variants.spelling_of` gives them, in which "II" and "2" are one already. Hangul is taken apart into the letters
that are typed, since of a syllable one letter is misspelt, not all three.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from rapidfuzz.distance import OSA

from opuscine.model import TitleRef

LEAST_LETTERS = 6
"""Shorter titles are never taken for misspelt: 엘프 and 헬프, 트론 and 트롤 are two films each."""

MOST_CHARACTERS = 60

LENGTH_APART = 2
"""Characters by which a misspelt title may be longer or shorter."""

_INITIALS = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ"
_VOWELS = "ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ"
_FINALS = " ㄱ ㄲ ㄱㅅ ㄴ ㄴㅈ ㄴㅎ ㄷ ㄹ ㄹㄱ ㄹㅁ ㄹㅂ ㄹㅅ ㄹㅌ ㄹㅍ ㄹㅎ ㅁ ㅂ ㅂㅅ ㅅ ㅆ ㅇ ㅈ ㅊ ㅋ ㅌ ㅍ ㅎ".split(" ")
_FIRST_SYLLABLE = ord("가")
_DIGITS = re.compile(r"\d+")

# Letters from which on a title is long enough for its first letter to be wrong (미스트, 비스트 and 피스트 are three films), ...
_FIRST_LETTER_FREE = 8
_TWO_SLIPS = 16  # ... and for two letters to be wrong; "남자" and "나무" are two letters apart.
_SYLLABLES = 3


class Spelling(NamedTuple):
    """Say how a title of a work is spelt."""

    ref: TitleRef
    year: int
    spelling: str


class _Letters(dict[int, str]):
    def __missing__(self, code: int) -> str:
        place = code - _FIRST_SYLLABLE
        if not 0 <= place < 11_172:
            return chr(code)
        self[code] = _INITIALS[place // 588] + _VOWELS[place % 588 // 28] + _FINALS[place % 28]
        return self[code]


_LETTERS = _Letters()


def letters_of(spelling: str) -> str:
    """Return the letters of which a spelling is made."""
    return spelling.translate(_LETTERS)


def can_be_compared(spelling: str) -> bool:
    """Say whether a title is neither too short nor too long to be recognised when misspelt."""
    surely_long = len(spelling) >= LEAST_LETTERS + 3
    return len(spelling) <= MOST_CHARACTERS and (surely_long or _length(letters_of(spelling)) >= LEAST_LETTERS)


def sure_end(spelling: str) -> int:
    """Return of how many characters the beginning or the end must be right for a misspelt title to be found.

    One slip leaves one of two thirds whole. Where two may be, a quarter is enough to look up, and one of two is whole in most cases.
    """
    return max(1, len(spelling) // (4 if len(letters_of(spelling)) >= _TWO_SLIPS else 3))


def is_slip(said: str, borne: str) -> bool:
    """Say whether one title is another one misspelt.

    A slip is a letter that is wrong, missing, too many or swapped with its neighbour, and in long titles two; or a syllable that is
    swapped, missing or too many. A number is never a slip, so that no sequel is taken for another, and neither is a letter at the end
    that makes another word: Predator and Predators are two films.
    """
    one, other = letters_of(said), letters_of(borne)
    length = min(_length(one), _length(other))
    if length < LEAST_LETTERS or _DIGITS.findall(said) != _DIGITS.findall(borne):
        return False
    if (length < _FIRST_LETTER_FREE and one[0] != other[0]) or _is_other_word(*sorted((one, other), key=len)):
        return False
    limit = 2 if length >= _TWO_SLIPS else 1
    if OSA.distance(one, other, score_cutoff=limit) <= limit:
        return True
    return _is_syllable_slip(said, borne)


def _is_syllable_slip(said: str, borne: str) -> bool:
    """Say whether a syllable is swapped with its neighbour, or left out or one too many inside: at the ends it is a word of its own."""
    if min(len(said), len(borne)) < _SYLLABLES or OSA.distance(said, borne, score_cutoff=1) > 1:
        return False
    if len(said) == len(borne):
        return sorted(said) == sorted(borne)
    return len(said) > _SYLLABLES < len(borne) and said[0] == borne[0] and said[-1] == borne[-1]


def _is_other_word(shorter: str, longer: str) -> bool:
    """Say whether nothing but a plural "s" is added, or a letter of its own ("소년탐정 김전일 R")."""
    return longer[:-1] == shorter and (longer[-1] == "s" or longer[-1].isascii() > shorter[-1].isascii())


def _length(letters: str) -> int:
    """Count the letters that tell a title from others: without "the" and "더"."""
    return len(letters) - 3 * letters.startswith("the") - 2 * letters.startswith("ㄷㅓ")
