"""Schemathesis takes the service at its word: requests made from `/openapi.json`, valid and not, and every answer held to it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from support.door import Keys
from support.llm_server import LlmServer
from support.redis_server import RedisServer
from support.scenarios.figures import Figure
from support.scenarios.served import Served, served

TESTS = Path(__file__).resolve().parents[2]
LIMIT_S = 1_800.0
SEED = 11
# Its own list of statuses that refuse nonsense lacks those of what is too slow, too large or too long (RFC 9110, RFC 6585).
CONFIGURATION = """\
[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 406, 408, 409, 413, 415, 422, 428, 429, 431, 503]
"""


async def api_document(folder: Path, *, cases: int = 20_000, examples: int = 150, seed: int = SEED) -> list[Figure]:
    """Run all its checks, again with other seeds until there were so many cases; callers show a key that may do everything."""
    keys = Keys.of(folder, everything="read recommend act_as metrics admin")
    reports: list[dict[str, Any]] = []
    with RedisServer(folder / "redis") as redis:
        async with (
            LlmServer() as llm,
            served(folder / "service", llm_server_url=llm.url, redis_url=redis.url, auth_failures=100_000, **keys.settings) as service,
        ):
            while (done := sum(report["test_cases"]["generated"] for report in reports)) < cases and len(reports) < 40:
                reports.append(await _run(folder, service, keys["everything"], examples=examples, seed=seed + len(reports)))
            statuses = [line["status"] for line in service.log() if line["event"] == "request"]
            complaints = service.complaints()
            alive = service.process.returncode is None
    found = sorted({_named(failure) for report in reports for failure in report["failures"]})
    errors = [error for report in reports for error in report["errors"]]
    if found or errors:
        print(*found, *errors, sep="\n", file=sys.stderr)
    return [
        Figure("test cases", done, "", ">=", cases),
        Figure("operations tested", min(report["operations"]["tested"] for report in reports), "", ">=", 15),
        Figure("requests", len(statuses)),
        Figure("kinds of failure", len(found), "", "=", 0),
        Figure("errors of the run itself", len(errors), "", "=", 0),
        Figure("5xx", sum(status >= 500 for status in statuses), "", "=", 0),
        Figure("errors in the log", len(complaints), "", "=", 0),
        Figure("still serving", float(alive), "", "=", 1),
    ]


def _named(failure: dict[str, Any]) -> str:
    operations = ", ".join(sorted({str(one.get("label", one)) if isinstance(one, dict) else str(one) for one in failure["operations"]}))
    return f"{failure['code']} {failure['title']}: {operations}"


async def _run(folder: Path, service: Served, headers: dict[str, str], *, examples: int, seed: int) -> dict[str, Any]:
    report, configuration, said = folder / "report.json", folder / "schemathesis.toml", folder / "schemathesis.log"
    configuration.write_text(CONFIGURATION)
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        *("--config-file", str(configuration), "run", f"{service.url}/openapi.json", "--no-color"),
        *(argument for name, value in headers.items() for argument in ("--header", f"{name}: {value}")),
        # One worker: two of them trip over one cache of hypothesis.
        *("--checks", "all", "--continue-on-failure", "--max-examples", str(examples), "--seed", str(seed), "--workers", "1"),
        *("--generation-with-security-parameters", "false", "--generation-database", "none", "--suppress-health-check", "all"),
        *("--request-timeout", "20", "--report", "json", "--report-json-path", str(report)),
    ]
    hooked = {**os.environ, "PYTHONPATH": str(TESTS), "SCHEMATHESIS_HOOKS": "support.scenarios.leniency"}
    with said.open("ab") as log:
        process = await asyncio.create_subprocess_exec(*command, cwd=folder, env=hooked, stdout=log, stderr=asyncio.subprocess.STDOUT)
        try:
            async with asyncio.timeout(LIMIT_S):
                await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
    if not report.exists():
        raise AssertionError(f"schemathesis gave no report: {said.read_text(errors='replace')[-2000:]}")
    found: dict[str, Any] = json.loads(report.read_text())
    report.unlink()
    if found["failures"]:
        text = said.read_text(errors="replace")
        print(text[text.rfind("= FAILURES =") :][:20_000], file=sys.stderr)
    return found
