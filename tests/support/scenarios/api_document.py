"""Schemathesis takes the service at its word: requests made from `/openapi.json`, valid and not, and every answer held to it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support.door import Keys
from support.llm_server import LlmServer
from support.redis_server import RedisServer
from support.scenarios.calls import CALLS_FILE, Call, read_calls
from support.scenarios.figures import Figure
from support.scenarios.served import Served, served

TESTS = Path(__file__).resolve().parents[2]
LIMIT_S = 1_800.0
RUNS = 60
DOCUMENT = "openapi.json"
SEED = 11
# Examples and the coverage of each schema are the same with every seed, so that once is enough.
ALL_PHASES, SEEDED_PHASES = "examples,coverage,fuzzing,stateful", "fuzzing,stateful"
# Streams are read to their end; operations that read nothing but headers need fewer examples. The tool's own list of statuses that refuse
# nonsense lacks those of what is too slow, too large or too long (RFC 9110, RFC 6585). One worker: two trip over one cache of hypothesis.
CONFIGURATION = """\
max-stream-events = 1000
continue-on-failure = true
workers = 1

[generation]
max-examples = {examples}
unique-inputs = true
with-security-parameters = false
database = "none"

[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 406, 408, 409, 413, 415, 422, 428, 429, 431, 503]

[[operations]]
include-tag = ["about", "admin", "health"]
generation.max-examples = {few}
"""


async def api_document(
    folder: Path, *, cases: int = 20_000, examples: int = 600, seed: int = SEED, told: Callable[[dict[str, Any]], object] = lambda _: None
) -> list[Figure]:
    """Run all its checks, again with other seeds until so many different requests were sent; callers show a key that may do everything.

    `told` may change the document before schemathesis reads it.
    """
    keys = Keys.of(folder, everything="read recommend act_as metrics admin")
    settings = {"auth_failures": 100_000, "log_requests": 0, **keys.settings}  # every request is logged
    reports: list[dict[str, Any]] = []
    calls: list[Call] = []
    different: dict[str, Call] = {}
    with RedisServer(folder / "redis") as redis:
        async with (
            LlmServer() as llm,
            served(folder / "service", llm_server_url=llm.url, redis_url=redis.url, **settings) as service,
        ):
            document = await _fetched(service)
            told(document)
            # Of a document that it fetches itself, schemathesis leaves out the address.
            (folder / DOCUMENT).write_text(json.dumps(document))
            while len(different) < cases and len(reports) < RUNS:
                phases = SEEDED_PHASES if reports else ALL_PHASES
                headers = keys["everything"]
                reports.append(await _run(folder, service, headers, phases=phases, examples=examples, seed=seed + len(reports)))
                calls = read_calls(folder / CALLS_FILE)
                different = {call.digest: call for call in calls}
            statuses = [line["status"] for line in service.log() if line["event"] == "request"]
            complaints = service.complaints()
            alive = service.process.returncode is None
    found = sorted({_named(failure) for report in reports for failure in report["failures"]})
    errors = [error for report in reports for error in report["errors"]]
    if found or errors:
        print(*found, *errors, sep="\n", file=sys.stderr)
    documented = {f"{method.upper()} {path}": one for path, methods in document["paths"].items() for method, one in methods.items()}
    guarded = sum(bool(operation["security"]) for operation in documented.values())
    shares = Counter(call.operation for call in different.values())
    fewest = min(shares[operation] for operation in documented)
    return [
        Figure("different requests", len(different), "", ">=", cases),
        Figure("of them made by the document", sum(call.mode == "positive" for call in different.values())),
        Figure("of them made against it", sum(call.mode == "negative" for call in different.values())),
        Figure("of the operation with the fewest", fewest, "", ">=", cases // (4 * len(documented))),
        Figure("requests", len(calls)),
        Figure("requests that the service logged", len(statuses), "", ">=", len(calls)),
        *(Figure(f"answers {kind}xx", sum(status // 100 == kind for status in statuses)) for kind in (2, 3, 4)),
        Figure("refusals of callers without a key", statuses.count(401), "", ">=", guarded),
        Figure("kinds of failure", len(found), "", "=", 0),
        Figure("errors of the run itself", len(errors), "", "=", 0),
        Figure("answers 5xx", sum(status >= 500 for status in statuses), "", "=", 0),
        Figure("errors in the log", len(complaints), "", "=", 0),
        Figure("still serving", float(alive), "", "=", 1),
    ]


async def _fetched(service: Served) -> dict[str, Any]:
    async with service.caller.get(f"{service.url}/openapi.json") as response:
        document: dict[str, Any] = await response.json()
        return document


def _named(failure: dict[str, Any]) -> str:
    operations = ", ".join(sorted({str(one.get("label", one)) if isinstance(one, dict) else str(one) for one in failure["operations"]}))
    return f"{failure['code']} {failure['title']}: {operations}"


async def _run(folder: Path, service: Served, headers: dict[str, str], *, phases: str, examples: int, seed: int) -> dict[str, Any]:
    report, configuration, said = folder / "report.json", folder / "schemathesis.toml", folder / "schemathesis.log"
    configuration.write_text(CONFIGURATION.format(examples=examples, few=examples // 4))
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        *("--config-file", str(configuration), "run", DOCUMENT, "--url", service.url, "--no-color"),
        *(argument for name, value in headers.items() for argument in ("--header", f"{name}: {value}")),
        *("--phases", phases, "--checks", "all", "--seed", str(seed), "--suppress-health-check", "all"),
        *("--request-timeout", "20", "--report", "json", "--report-json-path", str(report)),
    ]
    hooked = {
        **os.environ,
        "PYTHONPATH": str(TESTS),
        "SCHEMATHESIS_HOOKS": "support.scenarios.api_document_hooks",
        CALLS_FILE: str(folder / CALLS_FILE),
    }
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
