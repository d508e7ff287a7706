"""Whatever is sent in place of a request: never a 5xx, never a wait without an end, and the next caller is served."""

from __future__ import annotations

from pathlib import Path

from support.door import eventually
from support.fault_wall import fault
from support.malformed_requests import CORPUS, attempt_all
from support.process import serving


@fault(
    "Hostile input",
    "Something is sent that is no request, or one that is meant to be read in two ways (170 forms: broken lines and headers, smuggling,"
    " broken chunks, bodies that are no JSON or too deep, paths that climb)",
    caller_gets="a problem with 400 to 431 that repeats nothing of it, or the end of the connection; the next caller is served",
    within="at once; `HEADER_TIMEOUT` or `BODY_TIMEOUT` where its end is missing",
    told_by="log `request refused` with its `cause` and `count`; `/admin/stats` ▸ `connections.closed.malformed`",
)
async def test_malformed_requests(tmp_path: Path) -> None:
    async with serving(tmp_path, header_timeout=0.7, body_timeout=0.7) as service:
        port = int(service.url.rpartition(":")[2])
        assert await attempt_all(port) == []

        async def all_closed() -> bool:
            async with service.caller.get(f"{service.url}/admin/stats") as response:
                connections = (await response.json())["connections"]
            return bool(connections["open"] == 1 and sum(connections["closed"].values()) >= 2 * len(CORPUS))

        await eventually(all_closed, what="no connection but the asker's")
    assert not [line for line in service.log if line.get("level") in {"error", "critical"} or "Traceback" in str(line)]
