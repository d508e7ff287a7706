"""Callers in a closed loop, as a process of its own that costs little: each asks for films, and again after a pause, in words of its own.

Run by `asked`: reads its plan as one JSON object from its standard input, and prints the calls as one JSON array.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass

import uvloop

from support.load import Call, closed_loop
from support.program import program
from support.raw_http import Connection, json_request

PATH = "/api/movies/recommend"
LONGEST_ANSWER_S = 60.0


@dataclass(frozen=True, slots=True)
class Plan:
    """So many callers ask `url` for films until `began` (monotonic seconds) + `seconds`, each `pause_s` or so after its answer."""

    url: str
    callers: int
    seconds: float
    pause_s: float
    message: str = "서로 다른 영화 {}"  # with the number of the call


async def asked(plan: Plan) -> tuple[float, list[Call]]:
    """Carry out a plan; return the moment of its beginning (monotonic seconds) and what came of the calls, by `outcome`."""
    async with program("support.callers") as running:
        printed = await running.rest(json.dumps(asdict(plan)), within_s=plan.seconds + LONGEST_ANSWER_S)
    began, calls = json.loads(printed)
    return began, [Call(*call) for call in calls]


def outcome(status: int, body: bytes) -> str:
    """Say in a word what an answer is: `llm`; the reason of a fallback that is marked as one and has films; or what is wrong with it."""
    if status != 200:
        return f"status {status}"
    answer = json.loads(body)
    data, films = answer["data"], answer["movies"]
    if not films:
        return "no films"
    marks = (data["source"], data["degraded"], data["degraded_reason"])
    if marks == ("llm", False, None):
        return "llm"
    if marks[:2] == ("catalogue", True) and marks[2]:
        return str(marks[2])
    return f"marked as {marks}"


async def carry_out(plan: Plan) -> tuple[float, Sequence[Call]]:
    """Ask over connections that are kept alive, as many as there are calls at one time."""
    host, _, port = plan.url.removeprefix("http://").partition(":")
    idle: deque[Connection] = deque()

    async def ask(number: int) -> str:
        body = json.dumps({"message": plan.message.format(number), "limit": 5}, ensure_ascii=False).encode()
        connection = idle.pop() if idle else None
        if connection is None or not connection.is_open:
            _, connection = await asyncio.get_running_loop().create_connection(Connection, host, int(port))
        async with asyncio.timeout(LONGEST_ANSWER_S):
            status, answer = await connection.exchange(json_request(PATH, f"{host}:{port}", body))
        idle.append(connection)
        return outcome(status, answer)

    began = time.monotonic()
    return began, await closed_loop(ask, callers=plan.callers, seconds=plan.seconds, pause_s=plan.pause_s)


def main(told: str) -> None:
    """Carry out a plan and print what came of it."""
    began, calls = uvloop.run(carry_out(Plan(**json.loads(told))))
    print(json.dumps([began, [astuple(call) for call in calls]]))


if __name__ == "__main__":
    main(sys.stdin.read())
