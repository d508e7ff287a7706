"""An LLM server that costs next to nothing: one prepared answer, after a delay. `python -m bench.llm_stub PORT FILE DELAY_S`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import uvloop

from support.raw_http import Answerer, json_answer


class Stub(Answerer):
    """Give every request the same answer."""

    def __init__(self, answer: bytes, delay_s: float) -> None:
        """Prepare the whole answer, head and body."""
        super().__init__()
        self._answer = json_answer(answer)
        self._delay_s = delay_s

    def asked(self, head: bytes) -> None:
        """Answer, after the delay unless it is a probe."""
        if self._delay_s and not head.startswith(b"get "):  # a probe of its health need not wait
            asyncio.get_running_loop().call_later(self._delay_s, self.give, self._answer)
        else:
            self.give(self._answer)


async def serve(port: int, answer: bytes, delay_s: float) -> None:
    """Serve until the process is ended."""
    server = await asyncio.get_running_loop().create_server(lambda: Stub(answer, delay_s), "127.0.0.1", port, backlog=2048)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), Path(sys.argv[2]).read_bytes(), float(sys.argv[3])))
