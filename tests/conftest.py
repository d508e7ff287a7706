"""Fixtures that more than one room uses."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Generator
from pathlib import Path
from typing import Any

import pytest
import structlog

from opuscine.telemetry.tracebacks import write_traceback
from support.hygiene import HYGIENE

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Give the folder of real data, or skip: the project passes its tests on a machine that has never seen it."""
    folder = Path(os.environ.get("OPUSCINE_REAL_DATA") or REPOSITORY.parent / "shared" / "data")
    if not (folder / "catalogue").is_dir():
        pytest.skip("no real data here: set OPUSCINE_REAL_DATA to a folder that holds catalogue/")
    return folder


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give one cache folder to the whole run, so that each catalogue is compiled once."""
    return tmp_path_factory.mktemp("catalogues")


@pytest.fixture
def workers(compiled: Path) -> dict[str, object]:
    """Give the settings of two workers behind one parent."""
    from support.workers import SETTINGS

    return {**SETTINGS, "cache_dir": compiled}


@pytest.fixture
async def service(compiled: Path) -> AsyncIterator[Any]:
    """Run the service on its embedded defaults."""
    from support.service import running

    async with running(compiled) as started:
        yield started


def pytest_configure(config: pytest.Config) -> None:
    """Have exceptions shown in this process as the service shows them: structlog's own way, with rich, prints variables."""
    renderer = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=write_traceback)
    structlog.configure(processors=[*structlog.get_config()["processors"][:-1], renderer])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the search of all that was written behind everything that writes."""
    items.sort(key=lambda item: item.get_closest_marker("last") is not None)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Keep what the parts under test wrote in this process."""
    if report.when == "teardown":
        for section, text in report.sections:
            if section.startswith("Captured"):
                HYGIENE.wrote(f"{section} of {report.nodeid}", text)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure where the machine is meant to have everything (`OPUSCINE_REQUIRE_ALL=1`, set by `.ci/run`).

    Real data are the exception: no registry has them, so no script can install them.
    """
    report = yield
    required = os.environ.get("OPUSCINE_REQUIRE_ALL") == "1" and "OPUSCINE_REAL_DATA" not in str(report.longrepr)
    if report.skipped and required and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, though OPUSCINE_REQUIRE_ALL=1: {report.longrepr}"
    return report
