"""What REDIS_URL may say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opuscine.errors import SettingsError
from opuscine.redis_gateway import RedisAddress, RedisSettings


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://cache", RedisAddress("single", (("cache", 6379),))),
        ("redis://cache:7000/3", RedisAddress("single", (("cache", 7000),), db=3)),
        ("redis://:p%40ss%2Fw@10.0.0.1/", RedisAddress("single", (("10.0.0.1", 6379),), password="p@ss/w")),
        ("redis://films:secret@[::1]:6380", RedisAddress("single", (("::1", 6380),), username="films", password="secret")),
        ("rediss://cache?ca_file=/etc/ca.pem", RedisAddress("single", (("cache", 6379),), tls=True, ca_file="/etc/ca.pem")),
        ("unix:///run/redis/redis.sock?db=2", RedisAddress("single", path="/run/redis/redis.sock", db=2)),
        ("unix://:secret@/run/redis.sock", RedisAddress("single", path="/run/redis.sock", password="secret")),
        ("redis+cluster://a:1,b:2,c", RedisAddress("cluster", (("a", 1), ("b", 2), ("c", 6379)))),
        ("rediss+cluster://u:p@a:1/", RedisAddress("cluster", (("a", 1),), tls=True, username="u", password="p")),
        ("redis+sentinel://a,b:2/films", RedisAddress("sentinel", (("a", 26379), ("b", 2)), service="films")),
        (
            "redis+sentinel://u:p@a/films/4?sentinel_username=s&sentinel_password=t%26",
            RedisAddress(
                "sentinel",
                (("a", 26379),),
                service="films",
                db=4,
                username="u",
                password="p",
                sentinel_username="s",
                sentinel_password="t&",
            ),
        ),
    ],
)
def test_each_form_is_read(url: str, address: RedisAddress) -> None:
    assert RedisAddress.parse(url) == address


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "no scheme"),
        ("cache:6379", "no scheme"),
        ("http://cache", "scheme is 'http'"),
        ("redis://", "host or port"),
        ("redis://cache:port", "host or port"),
        ("redis://cache:0", "host or port"),
        ("redis://cache:70000", "host or port"),
        ("redis://ca che", "host or port"),
        ("redis://[::1", "taken apart"),
        ("redis://cache/x", "database"),
        ("redis://cache/4096", "database"),
        ("redis://cache/1/2", "path has more parts"),
        ("redis://a,b", "several hosts"),
        ("redis+cluster://a/1", "path has more parts"),
        ("redis+sentinel://a", "name of the service"),
        ("redis+sentinel://a/films/x", "database"),
        ("unix://host/path", "a Unix socket has a path"),
        ("unix://", "a Unix socket has a path"),
        ("redis://cache?ca_file=/x", "options"),
        ("rediss://cache?verify=none", "those that are: ca_file, cert_file, key_file"),
        ("redis://cache?x", "taken apart"),
        ("redis://cache#x", "holds a '#'"),
    ],
)
def test_anything_else_is_refused_with_what_is_valid(url: str, why: str) -> None:
    with pytest.raises(SettingsError) as caught:
        RedisAddress.parse(url)
    text = str(caught.value)
    assert text.startswith("REDIS_URL cannot be used: ")
    assert why in text
    assert "redis+sentinel://" in text


@given(st.text(alphabet="abc/@:?#[],%&=+ 가1", min_size=1, max_size=30))
def test_no_part_of_an_unencoded_password_is_repeated(rest: str) -> None:
    """Wherever a password's unusual characters make the URL fall apart, its letters stay out of the error, repr and display."""
    password = f"Hush{rest}Hush"
    for url in (f"redis://:{password}@cache:6379/0", f"redis+sentinel://u:{password}@a/films", f"unix://:{password}@/run/redis.sock"):
        try:
            shown = repr(RedisAddress.parse(url))
        except SettingsError as error:
            shown = str(error)
        assert "Hush" not in shown
        assert "Hush" not in repr(RedisSettings(url))


@given(st.text(max_size=60), st.sampled_from(["", "redis://", "rediss://", "unix://", "redis+cluster://", "redis+sentinel://"]))
def test_no_text_makes_the_reader_fail_otherwise(text: str, scheme: str) -> None:
    try:
        address = RedisAddress.parse(scheme + text)
    except SettingsError:
        return
    assert bool(address.path) != bool(address.nodes)


@pytest.mark.parametrize(
    ("url", "display"),
    [
        ("redis://u:p@[::1]/0", "redis://[::1]:6379"),
        ("rediss+sentinel://u:p@a,b/films?sentinel_password=p", "rediss+sentinel://a:26379,b:26379/films"),
        ("unix://u:p@/run/redis.sock", "unix:///run/redis.sock"),
        ("redis+cluster://u:p@a,b:1", "redis+cluster://a:6379,b:1"),
    ],
)
def test_what_is_displayed_holds_no_credentials(url: str, display: str) -> None:
    assert RedisAddress.parse(url).display == display
