"""Links as they are stored: written, read again, and distrusted."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opuscine.codec import dumps, loads
from opuscine.model import OfferType, OttLink
from opuscine.providers.links import links_from_json, links_to_json

LINK = OttLink("왓챠", 97, "/w.jpg", 4, "https://watcha.com/contents/1?a=b&c=한글", OfferType.RENT, "KR")
STORED: dict[str, Any] = loads(links_to_json([LINK]))[0]


def test_the_stored_form_is_a_list_of_the_links_fields() -> None:
    assert STORED == {
        "provider_name": "왓챠",
        "provider_id": 97,
        "logo_path": "/w.jpg",
        "display_priority": 4,
        "link": "https://watcha.com/contents/1?a=b&c=한글",
        "type": "rent",
        "region": "KR",
    }
    assert links_to_json([]) == b"[]"


@given(
    st.lists(
        st.builds(
            OttLink,
            provider_name=st.from_regex(r"[A-Za-z가-힣0-9+]( ?[A-Za-z가-힣0-9+]){0,20}", fullmatch=True),
            provider_id=st.integers(0, 2**31 - 1),
            logo_path=st.sampled_from(["", "/a.jpg", "https://image.example/a.jpg"]),
            display_priority=st.integers(1, 2**31 - 1),
            link=st.from_regex(r"https?://[a-z]{1,9}\.example/[a-z0-9%&=?/가-힣]{0,30}", fullmatch=True),
            type=st.sampled_from(OfferType),
            region=st.from_regex(r"[A-Z]{2}", fullmatch=True).filter(lambda code: code != "UK"),
        )
    )
)
def test_what_is_written_is_read_again(links: list[OttLink]) -> None:
    assert links_from_json(links_to_json(links)) == tuple(links)


@pytest.mark.parametrize("data", [b"", b"nonsense", b"[", b"{}", b"null", b'"x"', b"7", b"\xff\xfe", b"[" * 100_000])
def test_a_broken_row_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        links_from_json(data)


@pytest.mark.parametrize(
    "change",
    [
        {"link": "javascript:alert(1)"},
        {"link": None},
        {"provider_name": ""},
        {"provider_name": 7},
        {"provider_id": -1},
        {"provider_id": True},
        {"provider_id": None},
        {"provider_id": 2**40},
        {"display_priority": 0},
        {"type": "cinema"},
        {"type": []},
        {"region": "KOR"},
        {"region": None},
    ],
)
def test_a_broken_item_is_left_out(change: dict[str, Any]) -> None:
    assert links_from_json(dumps([STORED | change, 7, None, [], STORED])) == (LINK,)


@pytest.mark.parametrize("field", [field for field in STORED if field != "logo_path"])
def test_an_item_that_lacks_a_field_is_left_out(field: str) -> None:
    assert links_from_json(dumps([{key: value for key, value in STORED.items() if key != field}])) == ()


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("가a:/.h", max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(list(STORED)), inner, max_size=7),
    max_leaves=20,
)


@given(JSON)
def test_any_json_is_read_or_refused_with_a_value_error(value: Any) -> None:
    data = dumps(value)
    if isinstance(value, list):
        links_from_json(data)
    else:
        with pytest.raises(ValueError, match="a list was expected"):
            links_from_json(data)
