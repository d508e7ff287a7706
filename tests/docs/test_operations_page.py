"""docs/operations.md names what there is: an entry for each alert, settings, links, and an installation of few commands."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from opuscine.settings import Settings

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = (REPOSITORY / "docs" / "operations.md").read_text()
ALERTS = REPOSITORY / "deploy" / "prometheus" / "alerts.yml"


def entries() -> dict[str, str]:
    """Return the text below each heading of the runbook."""
    runbook = PAGE.partition("## Runbook\n")[2].partition("\n## ")[0]
    parts = re.split(r"^### (\w+)\n", runbook, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_every_alert_has_an_entry_in_the_runbook_that_says_what_to_do_and_no_entry_is_left_over() -> None:
    alerts = [rule["alert"] for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"] if "alert" in rule]
    assert sorted(entries()) == sorted(alerts)
    for alert, text in entries().items():
        assert re.search(r"^1\. \S", text, re.MULTILINE), f"{alert} says nothing to do"


def test_every_setting_that_it_names_exists() -> None:
    named = set(re.findall(r"`([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)(?:=[^`]*)?`", PAGE))
    assert named
    assert {name for name in named if name.lower() not in Settings.model_fields} == set()


def test_it_is_installed_by_less_than_ten_commands() -> None:
    walk = re.search(r"<!-- walk -->\n```sh\n(.*?)```", PAGE, re.DOTALL)
    assert walk is not None
    commands = [command for line in walk[1].splitlines() for command in re.split(r" && |; ", line)]
    assert 3 <= len(commands) < 10
    assert "/usr/src/opuscine/scripts/install" in commands


def test_its_links_lead_somewhere() -> None:
    headings = {
        re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in re.findall(r"^#+ (.+)$", PAGE, re.MULTILINE)
    }
    for target in re.findall(r"\]\(([^)]+)\)", PAGE):
        if target.startswith("#"):
            assert target[1:] in headings, target
        else:
            assert (REPOSITORY / "docs" / target).is_file(), target
