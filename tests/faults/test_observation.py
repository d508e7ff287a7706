"""What a caller, and a scraper, sees when that by which the service is watched fails."""

from __future__ import annotations

import signal
import tempfile
import time
from pathlib import Path

from support.door import OTT
from support.fault_wall import fault
from support.metrics_page import scrape
from support.process import serving
from support.service import running


@fault(
    "Process",
    "The collector of traces is away, or takes nothing",
    caller_gets="the usual answer; spans are lost",
    within="the usual time, also at the stop",
    told_by="log of `opentelemetry.exporter`; `spans lost` at the stop",
)
async def test_collector_away(compiled: Path) -> None:
    async with running(compiled, otel_exporter_otlp_endpoint="http://127.0.0.1:9") as service:
        assert (await service.get(OTT))["source"] == "local"
        ended = time.monotonic()
    assert time.monotonic() - ended < 10


@fault(
    "Process",
    "A worker hangs or was killed while another is scraped",
    caller_gets="200 on `/metrics`: the others' figures, and `opuscine_worker_up` 0 for that one",
    within="half a second more than usual",
    told_by="alert `OpusCineWorkerAway`; log `worker gives no page`",
)
async def test_worker_away(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        settings: dict[str, object] = {"cache_dir": tmp_path / "cache", "metrics_dir": folder}
        async with serving(tmp_path, **settings) as first, serving(tmp_path, **settings) as second:
            second.process.send_signal(signal.SIGSTOP)
            try:
                hung = await scrape(first.caller, first.url)
            finally:
                second.process.send_signal(signal.SIGKILL)
            await second.process.wait()
            killed = await scrape(first.caller, first.url)
    for page in (hung, killed):
        assert (page.value("opuscine_worker_up", worker="0"), page.value("opuscine_worker_up", worker="1")) == (1, 0)
        assert page.value("process_cpu_seconds_total", worker="0") > 0
