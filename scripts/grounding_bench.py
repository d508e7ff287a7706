#!/usr/bin/env python3
"""Measure how well suggestions are tied to the works that they mean: precision and recall by kind of noise.

Known films are suggested the way models write them down: in the other language, a year off, with "감독판" behind the title, misspelt,
...; and so are films that the catalogue does not have, some of them close to one that it has. Every suggestion goes through the real
compiler, store and grounding.

The films are the rows of `titles/ko_en_triples.tsv` below OPUSCINE_REAL_DATA (else ../shared/data); where that is absent they are made
up, and the bench says so. Invented titles fill the catalogue up, and one in ten titles is borne by two works.

The noise is made here and nowhere else: nothing of how the service folds titles is used for it. Precision counts what was taken and
right; recall what there was to find. Exit status: 0 all targets are met, 1 one is not.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import re
import sys
import tempfile
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

from opuscine.catalogue.compile import run
from opuscine.catalogue.grounding import ground
from opuscine.catalogue.job import Job
from opuscine.catalogue.sources import SourceFile
from opuscine.catalogue.store import CatalogueReader
from opuscine.model import Kind, MatchMethod, Suggestion, TitleRef

OTHERS = 20_000
ABSENT = 2_400
SPEED_TITLES = 100_000
SEED = 20_240
FIRST_OTHER = 5_000_000  # ids from here on are invented works
CLASHING = 0.1

PRECISION = 0.998
RECALL = {"exact": 0.98, "other language": 0.98, "invented id": 0.98, "year off by one": 0.95, "suffix": 0.95, "article": 0.95, "typo": 0.9}
ABSENT_TAKEN = 0.002
CPU_MS = 5.0

# fmt: off
KO_NOUNS = (
    "바다 산 도시 밤 새벽 여름 겨울 봄 가을 사랑 전쟁 기억 그림자 노래 비밀 약속 여행 집 소년 소녀 남자 여자 아이 형사 왕 여왕 "
    "늑대 고래 나비 별 달 태양 바람 불 물 꿈 시간 거울 편지 열차 다리 섬 숲 강 하늘 구름 비 눈 꽃 나무 돌 칼 총 심장 눈물 목소리 "
    "이름 얼굴 손 길 문 창문 방 학교 병원 극장 시장 호텔 감옥 요리사 의사 변호사 기자 작가 화가 가수 경찰 도둑 마녀 유령 괴물 "
    "로봇 천사 악마 용 곰 호랑이 고양이 개 사자 새 물고기 거미 장미 커피 축제 결혼식 장례식 휴가 귀환 복수 추적 탈출 실종 재회 "
    "이별 고백 거짓말 진실 운명 기적 전설 제국 왕국 혁명 반란 음모 유산"
).split()
KO_FRONT = (
    "붉은 푸른 검은 하얀 깊은 오래된 마지막 첫 잃어버린 숨은 조용한 위험한 용감한 외로운 달콤한 차가운 뜨거운 위대한 작은 "
    "아름다운 이상한 수상한 낯선 끝없는 보이지 않는 사라진 돌아온 춤추는 노래하는 꿈꾸는 잠든 깨어난 부서진 영원한 완벽한 불편한 "
    "은밀한"
).split()
EN_NOUNS = (
    "Sea Mountain City Night Dawn Summer Winter Spring Autumn Love War Memory Shadow Song Secret Promise Journey House Boy Girl "
    "Man Woman Child Detective King Queen Wolf Whale Butterfly Star Moon Sun Wind Fire Water Dream Time Mirror Letter Train "
    "Bridge Island Forest River Sky Cloud Rain Snow Flower Tree Stone Sword Gun Heart Tear Voice Name Face Hand Road Door Window "
    "Room School Hospital Theatre Market Hotel Prison Cook Doctor Lawyer Writer Painter Singer Thief Witch Ghost Monster Robot "
    "Angel Devil Dragon Bear Tiger Cat Dog Lion Bird Spider Rose Coffee Wedding Funeral Holiday Return Revenge Pursuit Escape "
    "Reunion Farewell Lie Truth Fate Miracle Legend"
).split()
EN_FRONT = (
    "Red Blue Black White Deep Old Last First Lost Hidden Silent Dangerous Brave Lonely Sweet Cold Hot Great Little Beautiful "
    "Strange Endless Invisible Vanished Dancing Sleeping Broken Eternal Perfect Private Burning Falling Rising Crooked Golden "
    "Wild"
).split()
KO_SUFFIXES = (
    " 감독판", " (감독판)", ": 감독판", " - 감독판", " 확장판", " (확장판)", " 극장판", " (극장판)", " 리마스터링", " (4K 리마스터링)",
    " 디지털 리마스터링", " 무삭제판", " 파이널 컷", " (한국어 더빙)", " (더빙판)", " (자막)", " [자막판]", " (재개봉)", " 특별판", " (HD)",
    " ({year})", "({year}년)", " ({year}) 감독판", " (영화)",
)
EN_SUFFIXES = (
    " (Director's Cut)", ": Director's Cut", " - The Director’s Cut", " Director's Cut", " (Extended Edition)", " Extended Edition",
    " (Extended Cut)", " - Extended Version", " [Unrated]", ": Special Edition", " (Remastered)", " (Theatrical Cut)", " (Uncut)",
    " (IMAX)", " (4K)", " (Anniversary Edition)", " (HD)", " (Blu-ray)", " ({year})", " ({year} film)", " [{year}]",
    " ({year}) Director's Cut", " (film)",
)
# fmt: on
KEYS_BESIDE = (
    "qwas wesd ersd rtdf tyfg yugh uihj iojk opkl pl asqz sadwx dsfec fdgrv gfhtb hgjyn jhkum kjli lko zxa xzcs cxvd vcbf bvng nbmh mnj"
).split()
NEIGHBOURS = {keys[0]: keys[1:] for keys in KEYS_BESIDE}
# Letters that Korean writers and typists mix up: beside each other on the keyboard, or alike to the ear.
JAMO_PAIRS = (
    "ㅐㅔ ㅓㅗ ㅗㅜ ㅏㅑ ㅓㅕ ㅡㅜ ㅣㅟ ㅏㅓ ㅗㅛ ㅜㅠ ㅚㅐ ㅡㅣ ㅘㅏ ㅂㅈ ㅈㄷ ㄷㄱ ㄱㅅ ㅁㄴ ㄴㅇ ㅇㄹ ㄹㅎ ㅋㅌ ㅌㅊ ㅊㅍ "
    "ㄱㅋ ㄷㅌ ㅂㅍ ㅈㅊ ㅅㅆ ㅈㅉ ㄱㄲ ㄷㄸ ㅂㅃ"
).split()
MOVED = frozenset("the a an le la les l' il el das der".split())
ROMAN = {2: "II", 3: "III", 4: "IV", 5: "V", 6: "VI", 7: "VII", 8: "VIII", 9: "IX"}
EN_NUMBER = {2: "Two", 3: "Three", 4: "Four", 5: "Five", 6: "Six", 7: "Seven", 8: "Eight", 9: "Nine"}
NUMBERS = {word.lower(): str(number) for table in (ROMAN, EN_NUMBER) for number, word in table.items()}
KO_NUMBER = {2: "투", 3: "쓰리", 4: "포", 5: "파이브"}


@dataclass(frozen=True, slots=True)
class Work:
    """A work as the bench knows it, beside what the catalogue is told."""

    id: int
    ko: str
    en: str
    year: int
    other_year: int  # as another source has it
    aliases: tuple[str, ...] = ()
    kind: Kind = Kind.MOVIE

    @property
    def ref(self) -> TitleRef:
        """Name it as the catalogue does."""
        return TitleRef(self.kind, self.id)


@dataclass(frozen=True, slots=True)
class Case:
    """One suggestion, and the work that it means; None: none of the catalogue."""

    noise: str
    said: Suggestion
    meant: TitleRef | None


@dataclass(slots=True)
class Score:
    """What came of the cases of one kind of noise."""

    cases: int = 0
    right: int = 0
    wrong: int = 0
    methods: dict[str, int] = field(default_factory=dict)
    mistakes: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)

    @property
    def precision(self) -> float:
        """Return how much of what was taken is right; 1 if nothing was."""
        return self.right / (self.right + self.wrong) if self.right + self.wrong else 1.0

    @property
    def recall(self) -> float:
        """Return how much of what there was to find was found."""
        return self.right / self.cases if self.cases else 1.0


class Bench:
    """One seed's catalogue and cases."""

    def __init__(self, rows: Sequence[Work], seed: int, others: int) -> None:
        """Invent the rest of the catalogue."""
        self.seed = seed
        self.dice = random.Random(seed)
        self.rows = list(rows)
        self.words = _Vocabulary(self.dice, self.rows)
        self.namesakes = self._namesakes()
        self.others = self._invented(others - len(self.namesakes))
        self.works = [*self.rows, *self.namesakes, *self.others]
        self.named: dict[str, set[int]] = {}
        for work in self.works:
            for title in (work.ko, work.en, *work.aliases):
                self.named.setdefault(bare(title), set()).add(work.year)

    def cases(self, absent: Sequence[Work], absent_count: int) -> list[Case]:
        """Return every known work with every noise that can be put on it, and the absent ones."""
        made = [case for work in self.rows for case in self.noisy(work)]
        made += [case for work in self.others if work.kind is Kind.TV for case in self._season(work)]
        return made + self._absent(absent, absent_count)

    def _namesakes(self) -> list[Work]:
        """Give one row in ten a namesake of another year, in one language or both."""
        clashing = self.dice.sample(self.rows, round(len(self.rows) * CLASHING))
        made: list[Work] = []
        for number, work in enumerate(clashing):
            ko, en = self.dice.choice([(work.ko, work.en), (work.ko, self.words.english()), (self.words.korean(), work.en)])
            made.append(Work(FIRST_OTHER + number, ko, en, year := self._year_apart_from(work.year), year))
        return made

    def _year_apart_from(self, year: int) -> int:
        return year + self.dice.choice([-1, 1]) * self.dice.randint(2, 40) if year < 1985 else year - self.dice.randint(2, 40)

    def _invented(self, count: int) -> list[Work]:
        made: list[Work] = []
        taken = {(bare(title), work.year + apart) for work in self.rows for title in (work.ko, work.en) for apart in (-1, 0, 1)}
        while len(made) < count:
            year = min(2024, 2025 - int(self.dice.expovariate(1 / 22)))
            if made and self.dice.random() < CLASHING:
                model = self.dice.choice(made)
                ko, en = model.ko, model.en
            else:
                ko, en = self.words.korean(), self.words.english()
            if (bare(ko), year) in taken or (bare(en), year) in taken:
                continue
            taken |= {(bare(ko), year), (bare(en), year)}
            kind = Kind.TV if self.dice.random() < 0.05 else Kind.MOVIE
            made.append(Work(FIRST_OTHER + 100_000 + len(made), ko, en, year, year, (), kind))
        return made

    def noisy(self, work: Work) -> Iterator[Case]:
        dice, year = self.dice, work.year
        title, suffixes = dice.choice([(work.ko, KO_SUFFIXES), (work.en, EN_SUFFIXES)])
        yield from self._case("exact", work, work.ko, year)
        yield from self._case("other language", work, work.en, work.other_year)
        yield from self._case("invented id", work, title, year, id=dice.choice(self.works).id)
        yield from self._case("year off by one", work, title, year + dice.choice([-1, 1]))
        suffix = dice.choice(suffixes).format(year=year)
        yield from self._case("suffix", work, title + suffix, None if str(year) in suffix else year)
        yield from self._case("article", work, self._articled(work.en), year)
        yield from self._case("and, &, 와", work, self._joined_otherwise(title), year)
        yield from self._case("numeral", work, self._numbered_otherwise(title), year)
        yield from self._case("other punctuation", work, self._punctuated_otherwise(title), year)
        yield from self._case("no subtitle", work, re.split(r"[:：]\s| [-–] ", title, maxsplit=1)[0], year, unless=title)
        if letters(title) >= 6:
            yield from self._case("typo", work, self.misspelt(title, 2 if letters(title) > 14 and dice.random() < 0.25 else 1), year)
        else:
            yield from self._case("typo in a short title", work, self.misspelt(title, 1), year)
        yield from self._case("two noises", work, *self._twice(work))
        yield from self._case("no year", work, title, None)
        if any(bare(title) in {bare(other.ko), bare(other.en)} for other in self.namesakes):
            yield from self._case("namesakes", work, title, year)
            yield Case("namesakes, no year", Suggestion(title), None)

    def _case(self, noise: str, work: Work, title: str, year: int | None, *, unless: str = "", **said: Any) -> Iterator[Case]:
        """Make a case, unless noise could not change anything, or made the title that of another work of about that year."""
        unchanged = {work.ko, work.en} if noise in _MUST_CHANGE else {unless}
        by_accident = year is not None and any(
            abs(year - other) <= 1 < abs(year - other) + abs(work.year - other)
            for other in self.named.get(bare(title), ())
            if other != work.year
        )
        if title and title not in unchanged and not by_accident:
            yield Case(noise, Suggestion(title, year=year, **said), work.ref)

    def _season(self, work: Work) -> Iterator[Case]:
        number = self.dice.randint(1, 4)
        suffix = self.dice.choice([" 시즌 {}", " 시즌{}", ": 시즌 {}", " (시즌 {})", " {}기"])
        yield Case("season", Suggestion(work.ko + suffix.format(number), year=work.year + number - 1), work.ref)

    def _twice(self, work: Work) -> tuple[str, int]:
        """Put two noises on a title."""
        dice = self.dice
        title = dice.choice([work.ko, work.en])
        suffixes = KO_SUFFIXES if title == work.ko else EN_SUFFIXES
        suffix = dice.choice([suffix for suffix in suffixes if "{" not in suffix])
        off = work.year + dice.choice([-1, 1])
        return dice.choice(
            [
                (title + suffix, off),
                (self._articled(work.en), off),
                ((self._numbered_otherwise(title) or title) + suffix, work.year),
                (self.misspelt(title, 1) + suffix if letters(title) >= 6 else title + suffix, work.year),
                (self.misspelt(title, 1) if letters(title) >= 6 else title, off),
            ]
        )

    def _articled(self, title: str) -> str:
        found = re.match(r"(The|An?) (.+)", title)
        if found and self.dice.random() < 0.5:
            return f"{found[2]}, {found[1]}"
        if found:
            return found[2]
        inner = re.match(r"(.+[:,&] |.+ of |.+ and )[Tt]he (.+)", title)
        if inner and self.dice.random() < 0.5:
            return inner[1] + inner[2]
        return self.dice.choice([f"The {title}", f"{title}, The"])

    def _joined_otherwise(self, title: str) -> str:
        if found := re.match(r"(.*\w) (?:&|and|And) (.*)", title):
            return found[1] + (" and " if "&" in title else self.dice.choice([" & ", " And ", " + "])) + found[2]
        if found := re.match(r"(.*[가-힣])[와과] ([가-힣].*)", title):
            return found[1] + self.dice.choice([" & ", " 그리고 ", "&"]) + found[2]
        return ""

    def _numbered_otherwise(self, title: str) -> str:
        found = re.match(
            r"(.*[^\d\s:.,]) (?:(?:- )?(?:Part|Chapter|Vol\.|Episode|에피소드) )?([2-9]|II|III|IV|V|Two|Three)(?=$|:)(.*)", title
        )
        if not found:
            return ""
        number = next(n for n in range(2, 10) if found[2] in {str(n), ROMAN[n], EN_NUMBER[n]})
        korean = re.search("[가-힣]", title)
        forms = [f" {number}", f" {ROMAN[number]}"]
        forms += (
            [f" {number}편", f" {KO_NUMBER.get(number, number)}", f" 파트 {number}"]
            if korean
            else [f" Part {ROMAN[number]}", f" Part {number}"]
        )
        forms += [] if korean else [f": Part {EN_NUMBER[number]}", f" {EN_NUMBER[number]}"]
        said = re.sub(r"[\s:-]*(?:Part|Chapter|Vol\.|Episode|에피소드)?$", "", found[1]) + self.dice.choice(forms) + found[3]
        return said if said != title else ""

    def _punctuated_otherwise(self, title: str) -> str:
        if not re.search(r"[:\-–'’!?.,·]", title):
            return self.dice.choice(
                [f"《{title}》", f"“{title}”", f"{title}.", title.upper(), re.sub("(?<=[가-힣]) (?=[가-힣])", "", title)]
            )
        return self.dice.choice(
            [re.sub(r": | - | – ", other, title) for other in (" - ", ": ", " – ", " ", "：")] + [re.sub(r"[:!?.,’']", "", title)]
        )

    def misspelt(self, title: str, times: int) -> str:
        """Misspell letters, not digits, and not so that nothing changes."""
        for _ in range(times):
            places = [place for place, letter in enumerate(title) if letter.isalpha()]
            for _ in range(20):
                place = self.dice.choice(places or [0])
                said = (_mistyped_syllable if "가" <= title[place] <= "힣" else _mistyped_letter)(self.dice, title, place)
                if bare(said) != bare(title):
                    title = said
                    break
        return title

    def _absent(self, real: Sequence[Work], count: int) -> list[Case]:
        """Make suggestions of films that the catalogue does not have: real ones, invented ones, and neighbours of those that it has."""
        said: list[Case] = []
        for work in real:
            year = work.year if self.dice.random() < 0.7 else None
            if not any(year is None or abs(year - other) <= 1 for other in self.named.get(bare(work.ko), ())):
                said.append(Case("absent: real film", Suggestion(work.ko, year=year), None))
        said = self.dice.sample(said, min(len(said), count // 3))
        makers: list[tuple[str, Callable[[], tuple[str, int]]]] = [
            ("absent: invented", lambda: (self.dice.choice([self.words.korean, self.words.english])(), self.dice.randint(1950, 2024))),
            ("absent: sequel", lambda: self._sequel(self.dice.choice(self.rows))),
            ("absent: other subtitle", lambda: self._other_subtitle(self.dice.choice(self.rows))),
            ("absent: one word other", lambda: self._one_word_other(self.dice.choice(self.rows))),
        ]
        while len(said) < count:
            noise, make = makers[len(said) % len(makers)]
            title, year = make()
            # A namesake without a year is not absent but undecidable, and one of about the same year is the work itself.
            if bare(title) not in self.named and not (noise.endswith("sequel") and self._exists_as_head(title)):
                said.append(Case(noise, Suggestion(title, year=year if self.dice.random() < 0.7 else None), None))
        return said

    def _exists_as_head(self, title: str) -> bool:
        return any(name.startswith(bare(title)) for name in self.named)

    def _sequel(self, work: Work) -> tuple[str, int]:
        title = re.sub(r"\s\d+$", "", self.dice.choice([work.ko, work.en]))
        number = self.dice.randint(2, 9)
        how = [f"{title} {number}", f"{title} {ROMAN[number]}"]
        return self.dice.choice(how), work.year + self.dice.randint(0, 6)

    def _other_subtitle(self, work: Work) -> tuple[str, int]:
        title, made = self.dice.choice([(work.ko, self.words.korean), (work.en, self.words.english)])
        return f"{title.split(':')[0]}: {made()}", work.year + self.dice.randint(1, 6)

    def _one_word_other(self, work: Work) -> tuple[str, int]:
        title, nouns = self.dice.choice([(work.ko, KO_NOUNS), (work.en, EN_NOUNS)])
        words = title.split()
        # A short word for another short one is a slip of the pen as well.
        places = [place for place, word in enumerate(words) if len(word) >= (4 if nouns is EN_NOUNS else 2)] or [0]
        words[self.dice.choice(places)] = self.dice.choice([noun for noun in nouns if len(noun) >= (4 if nouns is EN_NOUNS else 2)])
        return " ".join(words), work.year + self.dice.randint(0, 3)


_MUST_CHANGE = frozenset(
    {"article", "and, &, 와", "numeral", "other punctuation", "no subtitle", "typo", "typo in a short title", "two noises", "suffix"}
)


class _Vocabulary:
    """Makes up titles, half of whose words are those of the known ones, so that some come close to them."""

    def __init__(self, dice: random.Random, rows: Sequence[Work]) -> None:
        self._dice = dice
        self._ko = sorted({word for row in rows for word in re.findall("[가-힣]{2,}", row.ko)}) or KO_NOUNS
        self._en = sorted({word for row in rows for word in re.findall("[A-Z][a-z]{2,}", row.en)}) or EN_NOUNS

    def korean(self) -> str:
        pick = self._dice.choice
        noun, other = (pick(KO_NOUNS if self._dice.random() < 0.5 else self._ko) for _ in range(2))
        front, number = pick(KO_FRONT), self._dice.randint(2, 5)
        closed = (ord(noun[-1]) - ord("가")) % 28 if "가" <= noun[-1] <= "힣" else 0
        forms = [
            pick(KO_NOUNS),
            f"{front} {noun}",
            f"{noun}의 {other}",
            f"{noun}{'과' if closed else '와'} {other}",
            f"{front} {noun}의 {other}",
            f"{noun} {other}",
        ]
        forms += [
            f"{front} {noun} {number}",
            f"{noun} {other}: {front} {pick(KO_NOUNS)}",
            f"더 {pick(KO_NOUNS)}",
            f"{front} {noun} 그리고 {other}",
        ]
        return pick(forms)

    def english(self) -> str:
        pick = self._dice.choice
        noun, other = (pick(EN_NOUNS if self._dice.random() < 0.5 else self._en) for _ in range(2))
        front, number = pick(EN_FRONT), self._dice.randint(2, 5)
        forms = [
            pick(EN_NOUNS),
            f"The {pick(EN_NOUNS)}",
            f"{front} {noun}",
            f"The {front} {noun}",
            f"The {noun} of the {other}",
            f"{noun} and {other}",
            f"{noun} & {other}",
        ]
        forms += [
            f"{front} {noun} {number}",
            f"{noun} {ROMAN[number]}",
            f"{noun} {other}: The {front} {pick(EN_NOUNS)}",
            f"A {noun} for {other}",
        ]
        return pick(forms)


def bare(title: str) -> str:
    """Reduce a title to what it cannot do without, to see whether two works have the same words or a suggestion could mean either."""
    words = re.findall(r"[^\W_]+", title.lower().replace("'", "").replace("’", ""))
    words = [NUMBERS.get(word, word) for word in words if word not in {"the", "a", "an", "and", "그리고", "part", "chapter", "vol"}]
    return "".join(words)


def letters(title: str) -> int:
    """Count the keys that are pressed for the letters of a title."""
    return sum(letter.isalpha() for letter in unicodedata.normalize("NFD", title))


def _mistyped_letter(dice: random.Random, title: str, place: int) -> str:
    letter, how = title[place], dice.random()
    if how < 0.4:
        wrong = dice.choice(NEIGHBOURS.get(letter.lower()) or "e")
        return title[:place] + (wrong.upper() if letter.isupper() else wrong) + title[place + 1 :]
    if how < 0.6:
        return title[:place] + title[place + 1 :]
    if how < 0.8:
        return title[:place] + letter + title[place:]
    return title[: place - 1] + title[place] + title[place - 1] + title[place + 1 :] if place and title[place - 1].isalpha() else title


def _mistyped_syllable(dice: random.Random, title: str, place: int) -> str:
    """Mistype one letter of a syllable: initial, vowel or final; leave the final out, add one; rarely swap two syllables."""
    initial, vowel, final = (ord(title[place]) - 0xAC00) // 588, (ord(title[place]) - 0xAC00) % 588 // 28, (ord(title[place]) - 0xAC00) % 28
    initials, vowels = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ", "ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ"
    how = dice.random()
    if how < 0.4:
        vowel = vowels.index(_mixed_up(dice, vowels[vowel]))
    elif how < 0.7:
        initial = initials.index(_mixed_up(dice, initials[initial]))
    elif how < 0.95:
        final = 0 if final else dice.choice([4, 8, 16, 21])
    elif place and "가" <= title[place - 1] <= "힣":
        return title[: place - 1] + title[place] + title[place - 1] + title[place + 1 :]
    return title[:place] + chr(0xAC00 + initial * 588 + vowel * 28 + final) + title[place + 1 :]


def _mixed_up(dice: random.Random, jamo: str) -> str:
    others = [pair.replace(jamo, "") for pair in JAMO_PAIRS if jamo in pair]
    return dice.choice(others) if others else jamo


def real_folder() -> Path | None:
    """Return the folder of real data, if there is one."""
    folder = Path(os.environ.get("OPUSCINE_REAL_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
    return folder if (folder / "titles" / "ko_en_triples.tsv").is_file() else None


def read_rows(folder: Path) -> list[Work]:
    """Read the known films. Their English titles are MovieLens's: "Godfather;The (a.k.a. ...)" is turned into what people write."""
    with (folder / "titles" / "ko_en_triples.tsv").open(newline="", encoding="utf-8") as lines:
        return [_row(raw) for raw in csv.DictReader(lines, delimiter="\t")]


def _row(raw: dict[str, str]) -> Work:
    raw_title = raw["title_en_movielens"].replace(";", ", ")
    aliases = tuple(_natural(alias.removeprefix("a.k.a. ")) for alias in re.findall(r"(?<=\S )\(([^()]+)\)", raw_title))
    year = int(raw["year_tmdb"])
    other_year = int(raw["year_movielens"]) if raw["year_movielens"].isdecimal() else year
    return Work(int(raw["tmdb_id"]), raw["title_ko"], _natural(re.sub(r"(?<=\S) \([^()]*\)", "", raw_title)), year, other_year, aliases)


def _natural(title: str) -> str:
    title = " ".join(title.split())
    front, comma, last = title.rpartition(", ")
    return f"{last} {front}".replace("' ", "'") if comma and last.lower() in MOVED else title


def read_absent(folder: Path, rows: Sequence[Work]) -> list[Work]:
    """Read real films and series that are not among the known ones, by their ids."""
    known = {row.id for row in rows}
    found: list[Work] = []
    for name, kind, listed, title, date in (
        ("tmdb_movies_hybrid_final.json", Kind.MOVIE, "movies", "title", "release_date"),
        ("tmdb_tv_series_final.json", Kind.TV, "tv_series", "name", "first_air_date"),
    ):
        path = folder / "catalogue" / name
        for raw in json.loads(path.read_text(encoding="utf-8"))[listed] if path.is_file() else ():
            year = int((raw.get(date) or "0")[:4])
            if raw["tmdb_id"] not in known or kind is Kind.TV:
                found.append(Work(raw["tmdb_id"], raw[title], "", year, year, (), kind))
    return found


def invented_rows(seed: int, count: int) -> list[Work]:
    """Make up the known films where there are no real data."""
    dice = random.Random(seed)
    words = _Vocabulary(dice, [])
    made: dict[tuple[str, int], Work] = {}
    while len(made) < count:
        year = dice.randint(1950, 2022)
        work = Work(len(made) + 1, words.korean(), words.english(), year, year if dice.random() < 0.985 else year + 1)
        made.setdefault((bare(work.ko), year), work)
    return list(made.values())


@contextmanager
def compiled(works: Sequence[Work], folder: Path) -> Iterator[CatalogueReader]:
    """Compile works as the service does, and open the result."""
    folder.mkdir(parents=True)
    sources: list[SourceFile] = []
    for kind, name, listed in ((Kind.MOVIE, "films.json", "movies"), (Kind.TV, "series.json", "tv_series")):
        records = [_record(work) for work in works if work.kind is kind] or [_record(Work(1, "없음", "", 1900, 1900, (), kind))]
        (folder / name).write_text(json.dumps({listed: records}, ensure_ascii=False), encoding="utf-8")
        sources.append(SourceFile(kind, folder / name))
    manifest = run(Job(tuple(sources), folder / "cache", "KR", at_once=sys.maxsize)).manifest
    reader = CatalogueReader(folder / "cache" / manifest.file, manifest.generation)
    try:
        yield reader
    finally:
        reader.retire()


def _record(work: Work) -> dict[str, Any]:
    return {
        "tmdb_id": work.id,
        "title": work.ko,
        "original_title": work.en,
        "aliases": list(work.aliases),
        "release_date": f"{work.year}-06-15",
        "genres": ["드라마"],
        "popularity": work.id % 97,
    }


def scored(cases: Iterable[Case], reader: CatalogueReader) -> dict[str, Score]:
    """Ground every case by itself and count what came of it."""
    scores: dict[str, Score] = {}
    for case in cases:
        score = scores.setdefault(case.noise, Score())
        score.cases += 1
        found = ground([case.said], reader, ids_trusted=False).films
        ref = found[0].film.ref if found else None
        said = f"{case.said.title} ({case.said.year})"
        if ref is None:
            score.missed.append(said)
            continue
        method = found[0].match.method.value
        score.methods[method] = score.methods.get(method, 0) + 1
        if ref == case.meant:
            score.right += 1
        else:
            score.wrong += 1
            score.mistakes.append(f"{said} → {found[0].film.title} / {found[0].film.original_title} ({found[0].film.year}), {method}")
    return scores


def held_out(bench: Bench, folder: Path) -> Score:
    """Suggest every fifth known film, with every noise, to a catalogue that lacks it but has its sequels and namesakes."""
    kept_out = set(bench.rows[::5])
    left = [work for work in bench.works if work not in kept_out]
    titles = {bare(title) for work in left for title in (work.ko, work.en, *work.aliases)}
    cases = [
        replace(case, noise="held out", meant=None)
        for work in bench.rows[::5]
        # Where a namesake is left, a title without a year, or a year off, may well mean it.
        if not titles & {bare(title) for title in (work.ko, work.en, *work.aliases)}
        for case in bench.noisy(work)
    ]
    with compiled(left, folder) as reader:
        return scored(cases, reader)["held out"]


def verdicts(scores: dict[str, Score]) -> list[str]:
    """Name every target that is missed."""
    short = []
    for noise, score in scores.items():
        if not is_unknown(noise) and score.precision < PRECISION:
            short.append(f"precision on {noise}: {score.precision:.2%}, not {PRECISION:.1%}")
        if score.cases and score.recall < RECALL.get(noise, 0.0):
            short.append(f"recall on {noise}: {score.recall:.2%}, not {RECALL[noise]:.0%}")
    for noise in ("absent", "held out", "namesakes, no year"):
        unknown = total(scores, noise)
        if unknown.wrong > ABSENT_TAKEN * unknown.cases:
            short.append(f"{noise}: {unknown.wrong} of {unknown.cases} taken for others, not {ABSENT_TAKEN:.1%}")
    return short


def is_unknown(noise: str) -> bool:
    """Say whether suggestions of a kind mean no work of the catalogue, or cannot be told which."""
    return noise.startswith(("absent", "held out", "namesakes, no year"))


def measure_speed(titles: int, seed: int, folder: Path) -> dict[str, Any]:
    """Measure the CPU time of grounding twenty suggestions against a large catalogue, for replies of several sorts."""
    bench = Bench(invented_rows(seed, titles // 10), seed, titles - titles // 10)
    began = time.process_time()
    with compiled(bench.works, folder) as reader:
        compile_s = time.process_time() - began
        by_noise: dict[str, list[Suggestion]] = {}
        for case in bench.cases([], 2_000):
            sort = "absent" if case.meant is None else case.noise
            by_noise.setdefault(sort, []).append(case.said)
            by_noise.setdefault("mixed", []).append(case.said)
        bench.dice.shuffle(by_noise["mixed"])
        figures: dict[str, Any] = {}
        for sort in ("exact", "other language", "suffix", "typo", "two noises", "absent", "mixed"):
            replies = [by_noise[sort][place : place + 20] for place in range(0, min(len(by_noise[sort]), 4_000) - 19, 20)]
            spent = []
            for reply in replies:
                began = time.thread_time()
                ground(reply, reader, ids_trusted=False)
                spent.append((time.thread_time() - began) * 1_000)
            spent.sort()
            figures[sort] = {"replies": len(spent), "median_ms": round(median(spent), 2), "p99_ms": round(spent[int(len(spent) * 0.99)], 2)}
    return {"titles": len(bench.works), "compile_cpu_s": round(compile_s, 1), "twenty_suggestions": figures}


def read_replies(folder: Path, reader: CatalogueReader) -> dict[str, Any] | None:
    """Count what is read from real replies, and how much of it the catalogue of the bench has; None while nothing can read them."""
    try:
        from opuscine.llm.protocols.replies import read_films  # noqa: PLC0415  the bench is of use without it
    except ImportError:
        return None
    figures: dict[str, Any] = {}
    for path in sorted((folder / "llm_replies").glob("*.jsonl")):
        read = [read_films(json.loads(line)["content"]).suggestions for line in path.read_text(encoding="utf-8").splitlines()]
        with_films = [suggestions for suggestions in read if suggestions]
        found = [ground(suggestions, reader, ids_trusted=False) for suggestions in with_films]
        figures[path.stem] = {
            "replies": len(read),
            "with_films": len(with_films),
            "items": sum(map(len, with_films)),
            "items_per_reply": round(sum(map(len, with_films)) / max(len(with_films), 1), 1),
            "distinct_titles": len({bare(said.title) for suggestions in with_films for said in suggestions}),
            "grounded": sum(len(grounded.films) for grounded in found),
        }
    return figures


def total(scores: dict[str, Score], prefix: str) -> Score:
    """Add up the scores whose names begin alike."""
    added = Score()
    for noise, score in scores.items():
        if noise.startswith(prefix):
            added.cases, added.right, added.wrong = added.cases + score.cases, added.right + score.right, added.wrong + score.wrong
    return added


def table(scores: dict[str, Score]) -> str:
    """Lay the scores out for people."""
    lines = [f"{'noise':24} {'cases':>6} {'right':>6} {'wrong':>6} {'missed':>7} {'precision':>10} {'recall':>8}  methods"]
    for noise, score in scores.items():
        precision, recall = ("-", "-") if is_unknown(noise) else (f"{score.precision:.2%}", f"{score.recall:.2%}")
        order = [method.value for method in MatchMethod if method.value in score.methods]
        methods = ", ".join(f"{method} {score.methods[method]}" for method in order)
        missed = score.cases - score.right - score.wrong
        lines.append(f"{noise:24} {score.cases:6} {score.right:6} {score.wrong:6} {missed:7} {precision:>10} {recall:>8}  {methods}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the bench."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n", maxsplit=1)[0])
    parser.add_argument("--seed", type=int, nargs="+", default=[SEED], help="one run for each (default %(default)s)")
    parser.add_argument("--others", type=int, default=OTHERS, help="invented works beside the known films (default %(default)s)")
    parser.add_argument("--absent", type=int, default=ABSENT, help="suggestions of films that the catalogue lacks (default %(default)s)")
    parser.add_argument("--rows", type=int, default=0, help="use only so many of the known films")
    parser.add_argument("--speed", type=int, nargs="?", const=SPEED_TITLES, default=0, help="also measure the time, with so many titles")
    parser.add_argument("--mistakes", type=int, default=5, help="wrong links named for each kind of noise (default %(default)s)")
    parser.add_argument("--missed", type=int, default=0, help="missed suggestions named for each kind of noise")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    asked = parser.parse_args(arguments)
    folder = real_folder()
    known = read_rows(folder) if folder else invented_rows(SEED, asked.rows or 963)
    absent = read_absent(folder, known) if folder else []
    known = known[: asked.rows or None]
    print_table = (lambda *_: None) if asked.json else print
    print_table(f"{len(known)} {'real' if folder else 'INVENTED (no real data here)'} films and {asked.others} invented works")
    report: dict[str, Any] = {"real": bool(folder), "known": len(known), "others": asked.others, "runs": []}
    short: list[str] = []
    with tempfile.TemporaryDirectory(prefix="grounding-bench-") as temporary:
        for seed in asked.seed:
            bench = Bench(known, seed, asked.others)
            with compiled(bench.works, Path(temporary, str(seed))) as reader:
                scores = scored(bench.cases(absent, asked.absent), reader)
                replies = read_replies(folder, reader) if folder else None
            everywhere = total(scores, "absent")
            scores["held out"] = held_out(bench, Path(temporary, f"{seed}-held-out"))
            missed = verdicts(scores)
            short += [f"seed {seed}: {what}" for what in missed]
            report["runs"].append(
                {"seed": seed, "missed_targets": missed, "noise": {noise: _figures(score) for noise, score in scores.items()}}
            )
            print_table(f"\nseed {seed}\n{table(scores)}")
            print_table(
                f"{everywhere.cases} absent films, {everywhere.wrong} taken for others ({everywhere.wrong / max(everywhere.cases, 1):.3%})"
            )
            for noise, score in scores.items():
                for what in score.mistakes[: asked.mistakes]:
                    print_table(f"  wrong, {noise}: {what}")
                for what in score.missed[: asked.missed] if not is_unknown(noise) else ():
                    print_table(f"  missed, {noise}: {what}")
            report["replies"] = replies
        print_table(f"\nreal replies: {json.dumps(report['replies']) if report['replies'] else 'not available'}")
        if asked.speed:
            report["speed"] = measure_speed(asked.speed, asked.seed[0], Path(temporary, "speed"))
            print_table(f"\nspeed: {json.dumps(report['speed'], indent=1)}")
            slowest = max(figures["median_ms"] for figures in report["speed"]["twenty_suggestions"].values())
            short += [f"twenty suggestions take {slowest} ms, not {CPU_MS}"] if slowest >= CPU_MS else []
    report["targets_met"] = not short
    print(json.dumps(report, ensure_ascii=False)) if asked.json else print("\n" + ("\n".join(short) or "all targets are met"))
    return 1 if short else 0


def _figures(score: Score) -> dict[str, Any]:
    kept = asdict(score)
    del kept["missed"]
    return kept | {"precision": round(score.precision, 5), "recall": round(score.recall, 5)}


if __name__ == "__main__":
    sys.exit(main())
