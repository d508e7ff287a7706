"""A Spring backend judges the service: its clients, its errors, its traces, its streams, on Spring Boot 3 and 4.

The Java tests below `src/test/java` do the judging; here the service is started for them, and their verdicts are read. Maven gets its
packages from wherever it is set up to; once they lie in its local repository, nothing is fetched.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

import aiohttp
import pytest

from support.spring_stage import stage

PROJECT = Path(__file__).parent
# The least number of Java tests that must have passed: a suite that finds none of them judges nothing.
LEAST_TESTS = 50
UNREACHABLE = ("Could not transfer artifact", "Non-resolvable", "Unknown host", "Could not resolve dependencies")


@dataclass
class Verdict:
    """What Surefire's reports say."""

    passed: int = 0
    skipped: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def read_reports(folder: Path) -> Verdict:
    """Read Surefire's XML reports; a failure is given with its message."""
    verdict = Verdict()
    for path in folder.glob("TEST-*.xml"):
        for case in ElementTree.parse(path).getroot().iter("testcase"):  # noqa: S314  written by our own build
            name = f"{case.get('classname', '').rsplit('.', 1)[-1]}.{case.get('name')}"
            fault = case.find("failure") if case.find("failure") is not None else case.find("error")
            if fault is not None:
                verdict.failed.append(f"{name}: {fault.get('message') or fault.text}")
            elif case.find("skipped") is not None:
                verdict.skipped.append(name)
            else:
                verdict.passed += 1
    return verdict


@pytest.mark.wide
@pytest.mark.timeout(900)
@pytest.mark.parametrize("line", ["boot3", "boot4"])
async def test_a_spring_backend_can_do_all_that_the_contract_promises(line: str, tmp_path: Path, compiled: Path) -> None:
    if shutil.which("mvn") is None or shutil.which("javac") is None:
        pytest.skip("no JDK with Maven here (Debian: apt-get install default-jdk-headless maven)")
    target = PROJECT / "target" / line
    shutil.rmtree(target / "surefire-reports", ignore_errors=True)
    async with stage(tmp_path, compiled) as addresses:
        document = tmp_path / "openapi.json"
        async with aiohttp.ClientSession() as caller, caller.get(f"{addresses['OPUSCINE_URL']}/openapi.json") as response:
            document.write_bytes(await response.read())
        maven = await asyncio.create_subprocess_exec(
            *("mvn", "-B", "-ntp", "-P", line, "test"),
            cwd=PROJECT,
            env={"MAVEN_OPTS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC", **os.environ, **addresses, "OPENAPI_DOCUMENT": str(document)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        printed = (await maven.communicate())[0].decode(errors="replace")
    verdict = read_reports(target / "surefire-reports")
    if maven.returncode and not verdict.failed and any(sign in printed for sign in UNREACHABLE):
        pytest.skip(f"Maven lacks packages in its local repository, and can't fetch them: {printed[-600:]}")
    # Not beside pytest's own counts as lines of their own: Surefire's count what pytest counts as one test.
    print(f"{line}: {verdict.passed} Java tests held")
    assert not verdict.failed, "\n".join(verdict.failed)
    assert maven.returncode == 0, "\n".join(text for text in printed.splitlines() if text.startswith("[ERROR]"))
    assert not verdict.skipped
    assert verdict.passed >= LEAST_TESTS
