"""A title written another way is known again, and what is left out of it is known to be left out."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opuscine.catalogue import variants
from opuscine.catalogue.titles import key_of, plain_title, title_key
from opuscine.catalogue.variants import Form, Variant, read_borne, spelling_of, variants_said, without_edition
from opuscine.model import Kind


def said(title: str) -> dict[str, Variant]:
    return {variant.key: variant for variant in variants_said(plain_title(title))}


def borne(title: str) -> dict[str, Form]:
    key = title_key(title)
    return {key: Form.WHOLE} | {variant.key: variant.form for variant in read_borne(plain_title(title), key).variants}


def meeting(suggested: str, work: str) -> set[tuple[str, str]]:
    """Return how the two titles meet: what the suggestion's key keeps of it, and the work's. Two mere parts never meet."""
    ours, theirs = said(suggested), borne(work)
    pairs = {(ours[key].form.name, theirs[key].name) for key in ours.keys() & theirs.keys()}
    return {pair for pair in pairs if "WHOLE" in pair}


@pytest.mark.parametrize(
    "spellings",
    [
        ("Rocky II", "Rocky 2", "Rocky Part II", "Rocky: Part Two", "Rocky, Part 2", "Rocky Two"),
        ("록키 2", "록키 II", "록키Ⅱ", "록키 2편", "록키 제2편", "록키 파트 2", "록키 투", "록키 파트 투"),
        ("The Godfather: Part III", "Godfather: Part III, The", "The Godfather Part 3", "Godfather 3"),
        ("Star Wars: Episode IV - A New Hope", "Star Wars Episode 4: A New Hope", "Star Wars IV: A New Hope"),
        ("Kill Bill: Vol. 2", "Kill Bill Volume 2", "Kill Bill 2"),
        ("그것: 두 번째 이야기", "그것 2", "그것: 챕터 2"),
        ("Ocean's Eleven", "Ocean's 11"),
        ("판타스틱 포", "판타스틱 4"),
        ("Beauty and the Beast", "Beauty & the Beast", "The Beauty And Beast", "Beauty + The Beast"),
        ("미녀와 야수", "미녀 & 야수", "미녀 그리고 야수", "미녀 앤 야수"),
        ("사랑과 전쟁", "사랑 & 전쟁", "사랑 전쟁"),
        ("The Lord of the Rings: The Fellowship of the Ring", "Lord of Rings - Fellowship of Ring"),
        (
            "인셉션",
            "인셉션 감독판",
            "인셉션 (감독판)",
            "인셉션: 감독판",
            "인셉션 [4K 리마스터링]",
            "인셉션 - 확장판",
            "인셉션 (한국어 더빙)",
        ),
        ("Alien", "Alien (Director's Cut)", "Alien: The Director’s Cut", "Alien Extended Edition", "Alien (IMAX)", "Alien - Final Cut"),
        ("쿠스코? 쿠스코!", "쿠스코? 쿠스코! 감독판 (재개봉)"),
    ],
)
def test_one_title_written_in_several_ways_meets_itself_whole(spellings: tuple[str, ...]) -> None:
    for suggested in spellings:
        for work in spellings:
            assert ("WHOLE", "WHOLE") in meeting(suggested, work), (suggested, work)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Toy Story 2", "Toy Story 3"),
        ("Rocky II", "Rocky III"),
        ("Rocky", "Rocky II"),
        ("Toy Story", "Toy Story 3"),
        ("Nine", "9"),
        ("Seven", "7"),
        ("X", "10"),
        ("The King and I", "The King 1"),
        ("V for Vendetta", "5 for Vendetta"),
        ("Step Up", "Step Up 3D"),
        ("9-1-1", "911"),
        ("파트 투", "2"),
        ("사과", "사"),
        ("The Final Cut", "The"),
        ("감독판", "판"),
        ("Mission: Impossible - Fallout", "Mission: Impossible - Rogue Nation"),
        ("Star Wars: Episode I", "Star Trek: Episode I"),
    ],
)
def test_different_titles_never_meet(one: str, other: str) -> None:
    assert meeting(one, other) == set()
    assert meeting(other, one) == set()


@pytest.mark.parametrize(
    ("suggested", "work", "how"),
    [
        ("Terminator 2", "Terminator 2: Judgment Day", ("WHOLE", "NUMBERED")),
        ("Terminator 2: Judgment Day", "Terminator 2", ("NUMBERED", "WHOLE")),
        ("터미네이터 2 심판의 날", "터미네이터 2", ("SHORT", "WHOLE")),
        ("Apollo 13", "Apollo 13: Survival", ("WHOLE", "SHORT")),
        ("Mission: Impossible", "Mission: Impossible - Fallout", ("WHOLE", "SHORT")),
        ("Ghost Protocol", "Mission: Impossible - Ghost Protocol", ("WHOLE", "SHORT")),
        ("Star Wars: The Empire Strikes Back", "Star Wars: Episode V - The Empire Strikes Back", ("WHOLE", "SHORT")),
        ("Borat: Cultural Learnings of America", "Borat", None),
        ("Birdman: The Unexpected Virtue of Ignorance", "Birdman", ("SHORT", "WHOLE")),
        ("Pokémon: Farewell", "Farewell", None),
        ("프레데터", "더 프레데터", ("WHOLE", "SHORT")),
        ("더 샤이닝", "샤이닝", ("SHORT", "WHOLE")),
        ("토이 스토리 1", "토이 스토리", ("WHOLE", "WHOLE")),
        ("토이 스토리", "토이 스토리 1", ("WHOLE", "SHORT")),
        ("Dune: Part One", "Dune", ("SHORT", "WHOLE")),
        ("Dune", "Dune: Part One", ("WHOLE", "SHORT")),
        ("Fantastic Four 4", "Fantastic Four", None),
        ("The Two Popes", "The Two", None),
        ("Terminator: Genisys", "Terminator: Salvation", None),
        ("업: 모험", "업", None),
    ],
)
def test_a_part_of_a_title_is_known_to_be_one(suggested: str, work: str, how: tuple[str, str] | None) -> None:
    assert meeting(suggested, work) == ({how} if how else set())


@pytest.mark.parametrize(
    ("title", "key", "kind", "season"),
    [
        ("오징어 게임 시즌 2", "오징어게임", Kind.TV, 2),
        ("오징어 게임 (시즌1)", "오징어게임", Kind.TV, 1),
        ("진격의 거인 3기", "진격의거인", Kind.TV, 3),
        ("Stranger Things: Season Four", "strangerthings", Kind.TV, 4),
        ("귀멸의 칼날 극장판", "귀멸의칼날", Kind.MOVIE, 0),
        ("[극장판] 귀멸의 칼날", "귀멸의칼날", Kind.MOVIE, 0),
        ("심슨 가족: 더 무비", "심슨가족", Kind.MOVIE, 0),
        ("Firefly: The Movie", "firefly", Kind.MOVIE, 0),
        ("기생충 (영화)", "기생충", Kind.MOVIE, 0),
    ],
)
def test_words_about_the_kind_are_left_off_and_remembered(title: str, key: str, kind: Kind, season: int) -> None:
    assert said(title)[key] == Variant(key, Form.WHOLE, kind, season)
    assert borne(title)[key] is Form.SHORT


def test_what_is_left_of_a_kind_without_a_title_is_nothing() -> None:
    assert said("시즌 2").keys() == {"시즌2"}
    assert said("(영화)").keys() == {"영화"}


@pytest.mark.parametrize(
    ("title", "other", "form"),
    [
        ("기생충 (Parasite)", "parasite", Form.WHOLE),
        ("Parasite (기생충)", "기생충", Form.WHOLE),
        ("Seven (a.k.a. Se7en)", "se7en", Form.WHOLE),
        ("Léon (The Professional)", "leon", Form.SHORT),
        ("신데렐라 (실사판)", "신데렐라", Form.SHORT),
        ("신데렐라 (Live Action)", "신데렐라", Form.SHORT),
        ("인셉션 (HD)", "인셉션", Form.WHOLE),
    ],
)
def test_a_bracket_holds_another_name_only_if_it_is_in_another_script(title: str, other: str, form: Form) -> None:
    assert said(title)[other].form is form


def test_a_bracket_in_the_title_of_a_known_work_holds_another_name_unless_it_is_a_remark() -> None:
    assert borne("Ponyo (Gake no ue no Ponyo)")["ponyo"] is Form.WHOLE
    assert borne("Godfather, The (Il padrino)")["godfather"] is Form.WHOLE
    assert borne("신데렐라 (실사판)")["신데렐라"] is Form.SHORT
    assert borne("신데렐라 (2015)") == {"신데렐라2015": Form.WHOLE, "신데렐라": Form.SHORT}


@pytest.mark.parametrize(
    ("title", "left"),
    [
        ("블레이드 러너 (파이널 컷)", "블레이드 러너"),
        ("블레이드 러너 (1982) 감독판", "블레이드 러너 (1982)"),
        ("Alien: Director's Cut [4K]", "Alien"),
        ("감독판", "감독판"),
        ("The Final Cut", "The Final Cut"),
        ("Uncut Gems", "Uncut Gems"),
        ("불가판", "불가판"),
        ("", ""),
    ],
)
def test_only_words_about_an_edition_are_cut_off(title: str, left: str) -> None:
    assert without_edition(title) == left


@pytest.mark.parametrize(
    ("title", "spelling"),
    [
        ("The Social Network", "thesocialnetwork"),
        ("Social Network, The", "thesocialnetwork"),
        ("Frozen II", "frozen2"),
        ("해리 포터와 마법사의 돌", "해리포터와마법사의돌"),
        ("It: Chapter Two", "itchapter2"),
        ("???", "???"),
        ("???: !", "???:!"),
    ],
)
def test_a_spelling_keeps_every_word_and_writes_numbers_in_digits(title: str, spelling: str) -> None:
    plain = plain_title(title)
    assert spelling_of(plain, key_of(plain)) == spelling
    assert read_borne(plain, key_of(plain)).spelling == spelling


WORDS = st.sampled_from(
    "the a an and 그리고 와 사과 앤 더 part Part II iii x V 2 1 19 two Eight sixteen 투 세븐 파트 시즌 감독판 극장판 컷 판 "
    "cut movie edition Rocky 록키 기생충 두 번째 이야기 제 편 3기 : - – — ( ) [ ] / & ' ! · 's é ス ー ㄱ".split()
)
GAPS = st.sampled_from(["", " ", "-", "  "])
WRITTEN = st.lists(st.tuples(WORDS, GAPS), max_size=7).map(lambda parts: "".join(word + gap for word, gap in parts))
TITLES = WRITTEN | st.text(max_size=12) | st.tuples(WRITTEN, st.text(max_size=5), WRITTEN).map("".join)


@settings(deadline=None, max_examples=400)
@given(TITLES)
def test_whatever_the_title_its_first_variant_is_whole_and_all_can_be_stored(title: str) -> None:
    plain = plain_title(title)
    key = key_of(plain)
    found = variants_said(plain)
    assert bool(found) == bool(key)
    assert all(variant.key for variant in found)
    if found:
        assert found[0].form is Form.WHOLE
    "".join(variant.key for variant in found).encode()
    of_work, spelling = read_borne(plain, key)
    assert [variant.key for variant in of_work][:1] in ([], [found[0].key] if found else [])
    assert bool(spelling) == bool(key)
    assert spelling_of(plain, key) == spelling


@settings(deadline=None, max_examples=400)
@given(WRITTEN)
def test_a_title_that_is_not_looked_into_would_have_no_other_key(title: str) -> None:
    """Most titles are spared the long way; it would not have found more."""
    plain = plain_title(title)
    key = key_of(plain)
    if key and read_borne(plain, key).variants == ():
        long_way = variants._of_segments(variants._segments(without_edition(plain)), Form.SHORT)
        assert {variant.key for variant in long_way} <= {key}


@pytest.mark.parametrize("piece", ["- ", ": ", " the", "(", " (a", "2 ", "ii ", " and ", "시즌 1 ", " 감독판", "[4k]", "\u3000", "극장판 "])
def test_a_long_hostile_title_costs_little(piece: str) -> None:
    text = piece * (1_000_000 // len(piece))
    begun = time.process_time()
    plain = plain_title(text)
    variants_said(plain)
    read_borne(plain, key_of(plain))
    without_edition(text)
    assert time.process_time() - begun < 0.2
