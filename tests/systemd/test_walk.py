"""A stranger follows docs/operations.md on a machine that systemd has booted, and ends with a working service.

Without a network: what the page fetches (packages of Debian, the repository) is there already, and pip takes its wheels from a folder.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from support.booted import REPOSITORY, SOURCE, WHEELS, Machine, booted, download_wheels, lacks

pytestmark = [pytest.mark.wide, pytest.mark.timeout(400)]

FETCHING = ("apt-get update", "git clone REPOSITORY ")


@pytest.fixture
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Give a machine with nothing of ours on it, but the repository where the page would clone it to."""
    if reason := lacks():
        pytest.skip(f"no machine can be booted here: {reason}")
    folder = tmp_path_factory.mktemp("walk")
    wheels = folder / "wheels"
    wheels.mkdir()
    download_wheels(wheels)
    with booted(folder, wheels) as started:
        yield started


def test_the_commands_of_the_page_end_with_a_service_that_works(machine: Machine) -> None:
    page = (REPOSITORY / "docs" / "operations.md").read_text()
    walk = re.search(r"<!-- walk -->\n```sh\n(.*?)```", page, re.DOTALL)
    assert walk is not None
    commands = [line for line in walk[1].splitlines() if not line.startswith(FETCHING)]
    assert len(commands) == walk[1].count("\n") - len(FETCHING)
    assert commands[0] == f"{SOURCE}/scripts/install"
    printed = ""
    for command in commands:
        printed = machine.run("env", "PIP_NO_INDEX=1", f"PIP_FIND_LINKS={WHEELS}", "sh", "-c", command, limit_s=200)
    assert "5 of 5 probes passed" in printed
