"""The environment is read once, wrong values stop the start with one line, and the README's table is the code's."""

from __future__ import annotations

from pathlib import Path

import pytest

from opuscine.errors import SettingsError
from opuscine.settings import Settings, default_cache_dir, load_settings, misspelt, settings_table

REPOSITORY = Path(__file__).resolve().parents[1]


def refusal(monkeypatch: pytest.MonkeyPatch, **environment: str) -> str:
    """Return the sentence by which a start with these variables is refused."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as refused:
        load_settings(env_file=None)
    return str(refused.value)


def test_defaults_bind_to_loopback_in_development_and_everywhere_else_in_production() -> None:
    assert Settings(_env_file=None).server.host == "127.0.0.1"
    assert Settings(_env_file=None, environment="production").server.host == "0.0.0.0"
    assert Settings(_env_file=None, environment="production", host="10.0.0.1").server.host == "10.0.0.1"


@pytest.mark.parametrize(
    ("name", "value", "valid"),
    [
        ("PORT", "99999", "0 to 65535"),
        ("PORT", "eighty", "0 to 65535"),
        ("LLM_TIMEOUT", "-1", "seconds above 0"),
        ("LLM_TIMEOUT", "nan", "seconds above 0"),
        ("REGION", "KOR", "two capital letters"),
        ("ENVIRONMENT", "prod", "development, staging or production"),
        ("LLM_SERVER_URL", "ftp://models", "an http or https address"),
        ("FALLBACK", "maybe", "on or off"),
        ("LOG_LEVEL", "loud", "debug, info"),
        ("BODY_LIMIT", "1", "1024 to"),
        ("REDIS_HOST", "a:6379", "a host name"),
        ("TRUSTED_PROXIES", "here", "addresses or networks"),
        ("CORS_ORIGINS", "https://a.example/page", "origins such as"),
    ],
)
def test_a_wrong_value_is_refused_by_name_with_what_is_valid(monkeypatch: pytest.MonkeyPatch, name: str, value: str, valid: str) -> None:
    said = refusal(monkeypatch, **{name: value})
    assert "\n" not in said
    assert said.startswith(f"{name}: found '{value}'; valid: ")
    assert valid in said


def test_a_secret_is_never_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    said = refusal(monkeypatch, REDIS_PASSWORD="hunter2-hunter2", PORT="x")
    assert "hunter2" not in said
    monkeypatch.delenv("PORT")
    assert "hunter2" not in repr(load_settings(env_file=None))


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [("LLM_TIMEOT", "LLM_TIMEOUT"), ("LOG_LEVLE", "LOG_LEVEL"), ("MOVIES_DATA_FILES", "MOVIES_DATA_FILE"), ("LLM_URL", "LLM_")],
)
def test_a_misspelt_setting_is_refused_and_the_right_one_named(monkeypatch: pytest.MonkeyPatch, wrong: str, meant: str) -> None:
    said = refusal(monkeypatch, **{wrong: "1"})
    assert wrong in said
    assert f"did you mean {meant}" in said


def test_variables_of_others_are_left_alone() -> None:
    assert misspelt({"PATH", "HOME", "HOSTNAME", "CACHE_DIRECTORY", "REPORT", "HTTP_PROXY", "PYTHONPATH", "LANG", "REDIS_SERVER_BIN"}) == []


def test_what_a_cluster_sets_for_services_of_our_names_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kubernetes sets these for services that are called llm-server and redis."""
    assert misspelt({"LLM_SERVER_SERVICE_HOST", "LLM_SERVER_PORT_8080_TCP_ADDR", "REDIS_SERVICE_PORT", "AUTH_TOKEN"}) == []
    monkeypatch.setenv("REDIS_PORT", "tcp://10.0.0.1:6379")
    assert load_settings(env_file=None).redis_port == 6379


def test_a_keys_file_or_an_issuer_turns_authentication_on() -> None:
    assert not Settings(_env_file=None).auth_on
    assert Settings(_env_file=None, auth_keys_file=Path("keys")).auth_on
    assert Settings(_env_file=None, auth_jwt_issuer="us").auth_on
    assert not Settings(_env_file=None, auth_keys_file=Path("keys"), auth="off").auth_on
    assert Settings(_env_file=None, environment="staging").auth_on


def test_redis_is_one_address_whatever_it_is_made_from() -> None:
    parts = Settings(_env_file=None, redis_host="::1", redis_port=6380, redis_password="p@ss/word", redis_db=2)
    assert parts.redis_address == "redis://:p%40ss%2Fword@[::1]:6380/2"
    assert Settings(_env_file=None, redis_host="a", redis_url="redis://b").redis_address == "redis://b"
    assert Settings(_env_file=None).redis_address == ""


def test_words_are_read_in_any_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_LEVEL", "INFO")
    monkeypatch.setenv("REGION", "us")
    monkeypatch.setenv("CORS_ORIGINS", "https://a.example, https://b.example,")
    settings = load_settings(env_file=None)
    assert (settings.log_level, settings.region) == ("info", "US")
    assert settings.cors_origins == ("https://a.example", "https://b.example")


def test_an_env_file_and_systemd_credentials_are_read_and_the_environment_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text("PORT=8100\nREGION=JP\nFOREIGN=1\n")
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "redis_password").write_text("from systemd")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    monkeypatch.setenv("PORT", "8200")
    settings = load_settings(env_file=env_file)
    assert (settings.port, settings.region) == (8200, "JP")
    assert settings.redis_password.get_secret_value() == "from systemd"


def test_a_misspelt_setting_in_the_env_file_is_refused(tmp_path: Path) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text("REQUEST_TIMEOUTS=8\n")
    with pytest.raises(SettingsError, match="did you mean REQUEST_TIMEOUT"):
        load_settings(env_file=env_file)


def test_compiled_catalogues_go_where_systemd_or_the_user_keeps_caches() -> None:
    assert default_cache_dir({"CACHE_DIRECTORY": "/var/cache/opuscine:/x"}) == Path("/var/cache/opuscine")
    assert default_cache_dir({"XDG_CACHE_HOME": "/home/u/.c"}) == Path("/home/u/.c/opuscine")
    assert default_cache_dir({}).parts[-2:] == (".cache", "opuscine")


def test_the_table_in_the_readme_is_the_codes() -> None:
    assert settings_table() in (REPOSITORY / "README.md").read_text()


def test_several_llm_servers_are_named_with_commas_between_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_SERVER_URL", "http://a.internal:8080/, https://b.internal/llm")
    assert load_settings(env_file=None).llm.urls == ("http://a.internal:8080", "https://b.internal/llm")
    monkeypatch.setenv("LLM_SERVER_URL", "http://a.internal:8080/")
    assert load_settings(env_file=None).llm.urls == ("http://a.internal:8080",)


@pytest.mark.parametrize(
    "value",
    ["http://a.internal:80,http://A.internal/", "http://a.internal,ftp://b.internal", "http://a.internal,b.internal:8080"],
    ids=["twice", "one of another kind", "one without a scheme"],
)
def test_each_llm_server_is_checked_and_none_may_stand_twice(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    said = refusal(monkeypatch, LLM_SERVER_URL=value)
    assert said == f"LLM_SERVER_URL: found '{value}'; valid: an http or https address, or several different ones separated by commas"


def test_credentials_in_an_address_are_not_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    said = refusal(monkeypatch, LLM_SERVER_URL="http://user:hidden@a.internal,ftp://user:hidden@b.internal")
    assert "found 'http://a.internal,ftp://b.internal'" in said
