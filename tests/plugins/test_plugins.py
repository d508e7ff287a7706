"""Plugins as their authors meet them: the example of the guide, installed like any package, and everything that may be wrong with one."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import pytest

from opuscine.app import create_app
from opuscine.errors import SettingsError
from opuscine.middlewares import registry
from opuscine.middlewares.plugin import PluginContext
from opuscine.settings import Settings
from support.process import environment, serving
from support.redis_server import RedisServer
from support.service import running

REPOSITORY = Path(__file__).resolve().parents[2]
EXAMPLE = Path(__file__).with_name("example")
GUIDE = (REPOSITORY / "docs" / "plugins.md").read_text(encoding="utf-8")
RECOMMEND = "/api/movies/recommend"
IN_FRONT_OF_AUTH = ("request_context", "timing", "errors", "maintenance", "auth", "rate_limit", "body")
BEHIND_BODY = ("request_context", "timing", "errors", "auth", "rate_limit", "body", "maintenance")
OUTSIDE_ERRORS = ("request_context", "timing", "maintenance", "errors", "auth", "rate_limit", "body")


def blocks(language: str) -> list[str]:
    """Return the guide's code blocks in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE)


def offline(*command: str, cwd: Path) -> None:
    """Run a command of Python's tools; whoever would reach for the network fails."""
    proxies = dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9")
    subprocess.run([sys.executable, "-m", *command], cwd=cwd, env=os.environ | proxies, check=True, capture_output=True, timeout=60)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the example and install its wheel into a folder of packages."""
    folder = tmp_path_factory.mktemp("example")
    source, dist, packages = folder / "source", folder / "dist", folder / "packages"
    shutil.copytree(EXAMPLE, source, ignore=shutil.ignore_patterns("__pycache__"))
    offline("build", "--wheel", "--no-isolation", f"--outdir={dist}", str(source), cwd=folder)
    (wheel,) = dist.iterdir()
    assert wheel.name in "".join(blocks("sh"))
    offline("pip", "--isolated", "install", "--no-deps", "--no-index", f"--target={packages}", str(wheel), cwd=folder)
    return packages


def bring(packages: Path, distribution: str, plugin: str, code: str) -> Path:
    """Put a distribution into a folder of packages, laid out as installers do, and return the folder."""
    module = distribution.replace("-", "_")
    metadata = packages / f"{module}-2.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 2.0\n")
    (metadata / "entry_points.txt").write_text(f"[{registry.GROUP}]\n{plugin} = {module}:plugin\n")
    (packages / f"{module}.py").write_text(code)
    return packages


async def opuscine(home: Path, *arguments: str, **settings: object) -> tuple[int, str, str]:
    """Run a command in an empty folder and return its status and what it printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "opuscine", *arguments),
        cwd=home,
        env=environment(home, settings),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


def install_here(monkeypatch: pytest.MonkeyPatch, packages: Path, module: str) -> None:
    """Make a folder of packages part of this process until the test ends, whatever an earlier test imported from another."""
    monkeypatch.syspath_prepend(packages)
    monkeypatch.delitem(sys.modules, module, raising=False)


# --- the example, installed -----------------------------------------------------------------------------------------------------


async def test_the_installed_example_runs_in_its_place(tmp_path: Path, site: Path) -> None:
    """Named before `body`, it refuses before the body is looked at, as a problem; other operations and the probes go on."""
    settings = {"pythonpath": site, "middlewares": ",".join(IN_FRONT_OF_AUTH), "maintenance_operations": "recommendMovies viewMovie"}
    async with serving(tmp_path, **settings) as service:
        async with service.caller.post(service.url + RECOMMEND, data=b"not json") as refused:
            problem = await refused.json(content_type="application/problem+json")
        assert (refused.status, problem["code"], problem["detail"]) == (503, "unavailable", "Closed for maintenance.")
        assert refused.headers["Retry-After"] == "2"
        assert refused.headers["X-Request-Id"] == problem["request_id"]
        assert refused.headers["X-Maintenance"] == "recommendMovies viewMovie"
        assert (await service.logged("request"))["status"] == 503
        async with service.caller.head(f"{service.url}/view?movieId=496243") as refused:
            assert refused.status == 503
        async with service.caller.post(f"{service.url}/recommend", json={"message": "영화"}) as answer:
            assert (answer.status, answer.headers["X-Maintenance"]) == (200, "recommendMovies viewMovie")
        async with service.caller.get(f"{service.url}/health/liveness") as answer:
            assert answer.status == 200
        async with service.caller.get(f"{service.url}/nowhere") as answer:
            assert (answer.status, answer.headers["X-Maintenance"]) == (404, "recommendMovies viewMovie")


async def test_named_elsewhere_it_runs_elsewhere(tmp_path: Path, site: Path) -> None:
    """Behind `body` it refuses only what `body` has let pass."""
    settings = {"pythonpath": site, "middlewares": ",".join(BEHIND_BODY), "maintenance_operations": "recommendMovies"}
    async with serving(tmp_path, **settings) as service:
        async with service.caller.post(service.url + RECOMMEND, data=b"not json") as answer:
            assert answer.status == 415
            assert "X-Maintenance" not in answer.headers
        async with service.caller.post(service.url + RECOMMEND, json={"message": "영화"}) as answer:
            assert answer.status == 503


async def test_not_named_it_does_not_run(tmp_path: Path, site: Path) -> None:
    """An installed plugin is not even imported: a broken one beside it does no harm."""
    packages = bring(tmp_path / "packages", "broken", "broken", "raise RuntimeError")
    pythonpath = os.pathsep.join(map(str, (site, packages)))
    async with (
        serving(tmp_path, pythonpath=pythonpath, maintenance_operations="recommendMovies") as service,
        service.caller.post(service.url + RECOMMEND, json={"message": "영화"}) as answer,
    ):
        assert answer.status == 200
        assert "X-Maintenance" not in answer.headers


async def test_outside_errors_what_it_raises_is_a_500_without_its_words(
    site: Path, compiled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guide warns of it: such a plugin may only watch."""
    install_here(monkeypatch, site, "opuscine_maintenance")
    monkeypatch.setenv("MAINTENANCE_OPERATIONS", "recommendMovies")
    async with running(compiled, middlewares=OUTSIDE_ERRORS) as service:
        async with service.caller.post(service.url + RECOMMEND, json={"message": "영화"}) as answer:
            assert (answer.status, answer.content_type) == (500, "application/problem+json")
        async with service.caller.get(f"{service.url}/health/liveness") as answer:
            assert answer.status == 200


async def test_the_list_shows_order_origin_and_version(tmp_path: Path, site: Path) -> None:
    status, out, _ = await opuscine(tmp_path, "plugins", pythonpath=site, middlewares=",".join(IN_FRONT_OF_AUTH))
    rows = [line.split() for line in out.splitlines()]
    assert status == 0
    assert [row[1] for row in rows] == list(IN_FRONT_OF_AUTH)
    assert rows[3] == ["4", "maintenance", "opuscine-maintenance", "1.0.0"]
    assert rows[4][:3] == ["5", "auth", "opuscine"]


async def test_the_list_shows_what_is_not_named_as_well(tmp_path: Path, site: Path) -> None:
    status, out, _ = await opuscine(tmp_path, "plugins", pythonpath=site)
    assert status == 0
    assert out.splitlines()[-1].split(maxsplit=4) == ["-", "maintenance", "opuscine-maintenance", "1.0.0", "not named in MIDDLEWARES"]
    status, out, _ = await opuscine(tmp_path, "plugins", "--json", pythonpath=site)
    assert status == 0
    assert json.loads(out)["plugins"][-1] == {
        "place": None,
        "name": "maintenance",
        "origin": "opuscine-maintenance",
        "version": "1.0.0",
    }


# --- what stops the start -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"middlewares": "request_context,errors,maintenence,body"}, "MIDDLEWARES: there is no middleware 'maintenence'; valid: auth,"),
        (
            {"environment": "production", "auth": "off", "middlewares": "request_context,errors,maintenance,auth,body"},
            "MIDDLEWARES: rate_limit must be named too; the default is request_context,",
        ),
        (
            {"middlewares": "request_context,auth,errors,maintenance,body"},
            "MIDDLEWARES: auth must stand behind errors, which answers what they refuse",
        ),
        (
            {"middlewares": "request_context,errors,rate_limit,maintenance,auth,body"},
            "MIDDLEWARES: rate_limit must stand behind auth, by whose caller it counts",
        ),
        (
            {"rate_limit_read": "9/second", "middlewares": "request_context,errors,maintenance,body"},
            "MIDDLEWARES: rate_limit must be named too while switched on; name them, or write RATE_LIMIT_READ=off",
        ),
    ],
)
async def test_an_order_that_cannot_work_stops_the_start(tmp_path: Path, site: Path, settings: dict[str, str], said: str) -> None:
    status, _, err = await opuscine(tmp_path, "serve", port=0, pythonpath=site, **settings)
    assert (status, err.count("\n")) == (1, 1)
    assert err.startswith(f"opuscine: {said}")


async def test_two_distributions_with_one_name_stop_the_start(tmp_path: Path, site: Path) -> None:
    """It is said even while nobody names the plugin: which of them a later MIDDLEWARES would mean is a guess."""
    packages = bring(tmp_path / "packages", "another-one", "maintenance", "raise RuntimeError")
    pythonpath = os.pathsep.join(map(str, (site, packages)))
    status, _, err = await opuscine(tmp_path, "serve", port=0, pythonpath=pythonpath)
    assert status == 1
    assert err == (
        "opuscine: two middleware plugins are called 'maintenance' (another-one 2.0, opuscine-maintenance 1.0.0): uninstall one of them\n"
    )


async def test_authentication_that_is_on_cannot_be_left_out(tmp_path: Path) -> None:
    """A keys file that nobody looks into would be a door that only seems to be shut."""
    with pytest.raises(SettingsError, match=r"MIDDLEWARES: auth must be named too while switched on; name them, or write AUTH=off"):
        create_app(Settings(_env_file=None, auth="on", auth_keys_file=tmp_path, middlewares=("request_context", "errors", "body")))


async def test_a_plugin_that_cannot_be_imported_stops_the_start_and_debug_shows_why(tmp_path: Path) -> None:
    packages = bring(tmp_path / "packages", "broken-import", "broken", "import nowhere_to_be_found")
    settings = {"pythonpath": packages, "port": 0, "middlewares": "request_context,errors,body,broken"}
    status, out, err = await opuscine(tmp_path, "serve", **settings)
    assert status == 1
    assert err == (
        "opuscine: MIDDLEWARES: the plugin 'broken' of broken-import 2.0 cannot be imported "
        "(ModuleNotFoundError: No module named 'nowhere_to_be_found'); mend it, or leave it out\n"
    )
    assert "Traceback" not in out
    status, out, _ = await opuscine(tmp_path, "serve", log_level="debug", **settings)
    assert status == 1
    assert "Traceback" in out


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("def plugin(context: oops", "cannot be imported (SyntaxError: "),
        ("raise SystemExit(3)", "cannot be imported (SystemExit: 3)"),
        ("raise ValueError('two\\nlines' + 'x' * 999)", "cannot be imported (ValueError: two linesxxx"),
        ("", "cannot be imported (AttributeError: module"),
        ("plugin = 'text'", "cannot make its middleware (TypeError: 'str' object is not callable)"),
        ("def plugin(): return 1", "cannot make its middleware (TypeError: plugin() takes 0 positional arguments but 1 was given)"),
        ("def plugin(context): raise KeyError('boom')", "cannot make its middleware (KeyError: 'boom')"),
        (
            "from opuscine.errors import SettingsError\ndef plugin(context): raise SettingsError('SPEED: found 0;\\nvalid: 1 to 9')",
            "refuses its settings: SPEED: found 0; valid: 1 to 9",
        ),
        ("def plugin(context): pass", "made no middleware but a NoneType; it must return what @web.middleware decorates"),
        ("async def plugin(context): pass", "made no middleware but a coroutine"),
        ("def plugin(context): return lambda request, handler: handler(request)", "made no middleware but a function"),
        ("class plugin:\n    __middleware_version__ = 1\n    def __init__(self, context): pass", "made no middleware but a plugin"),
    ],
)
def test_a_broken_plugin_stops_the_start_with_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, said: str) -> None:
    install_here(monkeypatch, bring(tmp_path, "broken-one", "broken", code), "broken_one")
    with pytest.raises(SettingsError) as caught:
        create_app(Settings(_env_file=None, middlewares=(*registry.DEFAULT_ORDER, "broken")))
    assert str(caught.value).startswith(f"MIDDLEWARES: the plugin 'broken' of broken-one 2.0 {said}")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


# --- what a plugin is given -----------------------------------------------------------------------------------------------------

CLOSING = ("request_context", "timing", "errors", "closing", "auth", "rate_limit", "body")


@pytest.fixture
def closing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sequence[str]:
    """Install the guide's plugin that uses Redis, and return an order with it."""
    (code,) = [block for block in blocks("python") if "closing(" in block]
    install_here(monkeypatch, bring(tmp_path, "opuscine-closing", "closing", code), "opuscine_closing")
    return CLOSING


@pytest.mark.parametrize("settings", [{}, {"redis_url": "redis://127.0.0.1:9"}])
async def test_a_plugin_does_without_redis(compiled: Path, closing: Sequence[str], settings: dict[str, str]) -> None:
    """None is set, or none is there."""
    async with running(compiled, middlewares=closing, **settings) as service:
        await service.recommend()


async def test_a_plugin_shares_redis(compiled: Path, closing: Sequence[str], tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis") as redis:
        async with running(compiled, middlewares=closing, redis_url=redis.url) as service:
            await service.recommend()
            redis.command("SET", "closing:closed", "1")
            assert (await service.recommend(status=503))["code"] == "unavailable"
            await service.get("/health/liveness")
            redis.command("DEL", "closing:closed")
            await service.recommend()


# --- the guide ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "file"), [("python", "opuscine_maintenance.py"), ("toml", "pyproject.toml"), ("python", "test_maintenance.py")]
)
def test_the_guide_shows_the_example_as_it_is(language: str, file: str) -> None:
    assert (EXAMPLE / file).read_text(encoding="utf-8") in blocks(language)
    assert f"`{file}`" in GUIDE


def test_the_guide_shows_the_orders_that_are_tested() -> None:
    assert f"MIDDLEWARES={','.join(IN_FRONT_OF_AUTH)}\n" in GUIDE
    assert f"`{','.join(registry.DEFAULT_ORDER)}`" in GUIDE


def test_the_guide_explains_all_that_the_context_promises() -> None:
    told = GUIDE.partition("## What a plugin is given")[2].partition("The built-in middlewares are given more")[0]
    assert re.findall(r"^\| `(\w+)` \|", told, re.MULTILINE) == [field.name for field in dataclasses.fields(PluginContext)]


def test_the_names_that_stay_are_there() -> None:
    stays = GUIDE.partition("## What stays")[2]
    promised = re.findall(r"((?:`\w+`(?:,| and|)\s)+)\(`(opuscine[\w.]*)`\)", stays)
    assert len(promised) == 8
    for names, module in promised:
        for name in re.findall(r"`(\w+)`", names):
            assert hasattr(import_module(module), name)


async def test_the_examples_own_test_passes_as_the_guide_says(tmp_path: Path, site: Path) -> None:
    shutil.copytree(EXAMPLE, tmp_path / "example", ignore=shutil.ignore_patterns("__pycache__", "opuscine_maintenance.py"))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pytest", "-q"),
        cwd=tmp_path / "example",
        env=environment(tmp_path, {"pythonpath": site}),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(60):
        out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()
    assert "1 passed" in out.decode()
