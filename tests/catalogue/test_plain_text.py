"""Free text of others is shown without addresses, markup and tricks."""

from __future__ import annotations

import re
import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opuscine.catalogue.plain_text import cut_at_sentence, plain_text

WIDE = 500

# fmt: off
SCRAPS = st.sampled_from([
    "http", "https://", "ht", "tp://", "://", "www.", "evil.com", "evil", ".", "..", "com", "/", "a@b.kr", "[", "](", ")", "(", "![",
    "<b>", "</b>", "<", ">", "<br", "<!--", "*", "**", "_", "`", "~", "~~", "&", "amp;", "lt;", "&#104;", "#", "- ", "\n", " ", "\t",
    "\u200b", "\u202e", "\x00", "\ud800", "\ufeff", "한글", "기생충은 영화다.", "Dr. ", "…", "!", "”", "1.2.3.4", "에서", "ｈｔｔｐ",
    "\u0301",
])
REPEATED = [
    "<a", "<", "[", "[](", "![a](", "[a](b", "a.", "a.a", "a", "-", "http", "(http", "&amp;", "&", "~", "*", "\u0301\u0316", "a@", "x://",
    "www.", "- ", "\n", "- - ", "# ", "\u202e", "(", "( ", "](", ".com", "1.2.3.4", "a+.", "!", "”", '" ', "[]([]()", "a.com", "a.co",
]
# fmt: on
HOSTILE = st.one_of(st.text(max_size=300), st.lists(SCRAPS, max_size=40).map("".join))


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("가족 이야기. https://evil.example/a?b=c 꼭 보세요.", "가족 이야기. 꼭 보세요."),
        ("HTTPS://EVIL.EXAMPLE 봐요", "봐요"),
        ("여기(https://evil.example/x)에서 보세요", "여기 에서 보세요"),
        ("여기 www.evil.example에서", "여기"),
        ("ftp://evil.example/x 파일", "파일"),
        ("보기: evil.example/watch/1 지금", "보기: 지금"),
        ("넷플릭스(netflix.com)에서", "넷플릭스( )에서"),
        ("netflix.com에서 보세요", "에서 보세요"),
        ("evil.com:8080/x 주소", "주소"),
        ("1.2.3.4/x 주소", "주소"),
        ("연락은 someone@evil.example로", "연락은"),
        ("javascript:alert(1) 실행", "(1) 실행"),
        ("[여기](https://evil.example/x)를 보세요", "여기를 보세요"),
        ("![포스터](https://evil.example/x.jpg)입니다", "포스터입니다"),
        ("[a [b](c)](d)", "[a b] (d)"),
        ("<b>기생충</b>은 <i class='x'>봉준호</i>의 영화", "기생충은 봉준호의 영화"),
        ("한 줄<br/>두 줄<!-- 숨김 -->", "한 줄 두 줄"),
        ("<script>x</script>", "x"),
        ("<기생충>과 영화<Inception>", "기생충과 영화 Inception"),
        ("**기생충**은 `2019`년 _영화_", "기생충은 2019년 영화"),
        ("# 제목\n- 하나\n- 둘\n\n---\n+ 셋", "제목 하나 둘 셋"),
        ("~~아님~~ 1~2회", "아님 1~2회"),
        ("릴로 &amp; 스티치 &quot;둘&quot; &#104;&nbsp;A &lt;b&gt;", '릴로 & 스티치 "둘" A b'),
        ("&amp;amp;amp;lt;b", "b"),
        ("ht\u200btp://evil.example 숨은", "숨은"),
        ("ht**tp://evil.example 숨은", "숨은"),
        ("ht<b></b>tp://evil.example 숨은", "숨은"),
        ("ht[tp://evil.example](x) 숨은", "숨은"),
        ("ｈｔｔｐ://evil.example 숨은", "숨은"),
        ("\u202e뒤집힌\u2066 글\x07자\ud800\r\n끝\u2028줄", "뒤집힌 글자 끝 줄"),
        ("빈\u3164칸", "빈 칸"),
    ],
)
def test_addresses_markup_and_tricks_are_gone(raw: str, shown: str) -> None:
    assert plain_text(raw, WIDE) == shown


@pytest.mark.parametrize(
    "harmless",
    [
        "7.6/10점, Vol.2의 S.W.A.T.",
        "24/7 and/or",
        "He left.To be",
        "릴로 & 스티치",
        "#살아있다 (2020)",
        "[REC]",
        "R&B",
        "3:10 to Yuma",
        "1.5배",
        "끝났다.그리고",
    ],
)
def test_what_only_looks_like_an_address_or_markup_stays(harmless: str) -> None:
    assert plain_text(harmless, WIDE) == harmless


def test_a_host_after_an_address_that_was_removed_is_found_too() -> None:
    assert plain_text('a.com/x"b.com 그리고 c.com..d.net 끝', WIDE) == '" 그리고 .. 끝'


@settings(deadline=None)
@given(HOSTILE, st.integers(min_value=-1, max_value=120))
def test_no_text_raises_or_leaves_an_address_or_a_hidden_character(text: str, limit: int) -> None:
    shown = plain_text(text, limit)
    assert len(shown) <= max(limit, 0)
    assert "http" not in shown.lower()
    assert "://" not in shown
    assert not re.search(r"evil\.com(?![a-z0-9])", shown, re.IGNORECASE)
    assert not any(unicodedata.category(character) in ("Cc", "Cf", "Cs") for character in shown)
    shown.encode()


@settings(deadline=None)
@given(HOSTILE, st.integers(min_value=0, max_value=120))
def test_a_text_that_was_cleaned_comes_back_unchanged(text: str, limit: int) -> None:
    once = plain_text(text, limit)
    assert plain_text(once, limit) == once


@pytest.mark.parametrize("piece", REPEATED)
def test_a_hostile_megabyte_costs_no_more_than_its_beginning(piece: str) -> None:
    text = piece * (1_000_000 // len(piece))
    begun = time.process_time()
    assert len(plain_text(text, WIDE)) <= WIDE
    assert time.process_time() - begun < 0.1


@pytest.mark.parametrize("piece", REPEATED)
def test_hostile_text_takes_linear_time_when_all_of_it_is_read(piece: str) -> None:
    """100 kB take up to 0.05 s; the mildest quadratic step in it would take minutes."""
    text = piece * (100_000 // len(piece))
    begun = time.process_time()
    plain_text(text, len(text))
    assert time.process_time() - begun < 1


def test_a_text_that_fits_is_not_cut() -> None:
    assert cut_at_sentence("끝나지 않는 문장", 9) == "끝나지 않는 문장"


@pytest.mark.parametrize(
    ("text", "limit", "cut"),
    [
        ("첫 문장이다. 둘째 문장은 더 길다.", 12, "첫 문장이다."),
        ("첫 문장이다. 둘째 문장은 더 길다.", 7, "첫 문장이다."),
        ("One ends here! Two goes on and on.", 20, "One ends here!"),
        ('그가 말했다. "갔다." 그리고 끝났다.', 16, '그가 말했다. "갔다."'),
        ("彼は来た。そして去った。終わり", 8, "彼は来た。"),
        ("Dr. Strange meets J. K. Rowling in 3. act", 30, "Dr. Strange meets J. K.…"),
        ("It ended in 2016. Then came more of it.", 25, "It ended in 2016."),
        ("평점은 7.6 정도로 아주 좋은 영화", 12, "평점은 7.6 정도로…"),
        ("하나, 둘, 셋 그리고 넷", 8, "하나, 둘…"),
        ("가나다라마바사", 4, "가나다…"),
        ("가나다라마바사", 1, "…"),
        ("가나다라마바사", 0, ""),
        ("가나다라마바사", -3, ""),
        ("xxe\u0301\u0301yyyy", 5, "xx…"),
    ],
)
def test_a_long_text_ends_at_a_sentence_else_at_a_word(text: str, limit: int, cut: str) -> None:
    assert cut_at_sentence(text, limit) == cut


@settings(deadline=None)
@given(st.text(max_size=200), st.integers(min_value=-1, max_value=100))
def test_a_cut_never_exceeds_the_limit_and_is_final(text: str, limit: int) -> None:
    cut = cut_at_sentence(text, limit)
    assert len(cut) <= max(limit, 0)
    assert cut_at_sentence(cut, limit) == cut


PLAIN_WORDS = st.lists(
    st.builds(
        str.__add__,
        st.sampled_from(["한글", "가", "http", "HTTPS", "httx", "www", "com", "1", "1984", "data", "Dr", "amp", "a", "영화는"]),
        st.sampled_from(["", ".", ",", "!", "?", "..", "://"]),
    ),
    max_size=8,
).map(" ".join)


@given(PLAIN_WORDS, st.integers(0, 60))
def test_plain_words_are_shown_as_the_whole_of_the_cleaning_would_show_them(text: str, limit: int) -> None:
    """They are given back without it; a character that is not seen makes it necessary and changes nothing else."""
    assert plain_text(text, limit) == plain_text(text[:1] + "\u200b" + text[1:], limit)
