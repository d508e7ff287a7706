"""LiteLLM's proxy as a process: an OpenAI-compatible server that is not ours. It answers by itself (mock replies) or passes on.

with LiteLlmProxy(folder, {"good": mock("..."), "behind": passed_on(server.url)}) as proxy:
    ... LLM_SERVER_URL=proxy.url, LLM_API_KEY=proxy.key, LLM_MODEL=good ...
    proxy.kill(); proxy.start()     # refusing connections, then back on the same port
    assert proxy.answered(path) == [200]

It reaches for nothing outside of the machine: its table of prices is the packaged one, and it has no database.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import pytest

from support.redis_server import wait_until

REPOSITORY = Path(__file__).resolve().parents[2]
REQUIREMENTS = "tests/support/litellm-requirements.txt"
START_S = 90.0  # it imports 4,000 modules: 5 s as a rule, half a minute on a busy machine that has not read them before
MODELS = "/v1/models"
COMPLETIONS = "/v1/chat/completions"

Parameters = Mapping[str, Any]


def litellm_binary() -> Path:
    """Return the path of the command `litellm`: `OPUSCINE_LITELLM`, or the one in `.litellm`; else skip the test.

    It has an environment of its own because it pins other versions than ours of what both use.
    """
    named = os.environ.get("OPUSCINE_LITELLM")
    binary = Path(named) if named else REPOSITORY / ".litellm" / "bin" / "litellm"
    if not binary.is_file():
        pytest.skip(f"no LiteLLM here: install {REQUIREMENTS} into .litellm as .ci/run does, or set OPUSCINE_LITELLM to its command")
    return binary


def mock(reply: str, *, provider: str = "openai", **parameters: Any) -> Parameters:
    """Describe a model that always answers this text; a `provider` decides which parameters LiteLLM refuses in its name.

    LiteLLM's own names, such as "litellm.RateLimitError", stand for that failure.
    """
    return {"model": f"{provider}/mock", "api_key": "unused", "mock_response": reply, **parameters}


def passed_on(url: str) -> Parameters:
    """Describe a model of another server, which LiteLLM asks with a key of its own."""
    return {"model": "openai/passed-on", "api_key": "sk-upstream", "api_base": f"{url}/v1"}


def reserved_port() -> socket.socket:
    """Return a socket with a free port of 127.0.0.1 that nobody else is given until it is closed.

    It does not listen, so connections are refused; a server that sets SO_REUSEADDR, as asyncio's do, can take the port (on Linux).
    """
    reserved = socket.socket()
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reserved.bind(("127.0.0.1", 0))
    return reserved


class LiteLlmProxy:
    """One process that keeps its port over restarts."""

    key = "sk-gateway"

    def __init__(self, folder: Path, models: Mapping[str, Parameters]) -> None:
        """Describe a server with these models by name; it keeps its files in the folder."""
        self._binary = litellm_binary()
        self._folder = folder
        self._log_file = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self._stack = contextlib.ExitStack()
        self.port = 0
        config = {
            "model_list": [{"model_name": name, "litellm_params": dict(parameters)} for name, parameters in models.items()],
            "general_settings": {"master_key": self.key},
            "litellm_settings": {"num_retries": 0, "telemetry": False},
            "router_settings": {"disable_cooldowns": True},  # a failure of one test must not be the next one's
        }
        # JSON is YAML.
        (folder / "config.yaml").write_text(json.dumps(config, ensure_ascii=False), encoding="utf-8")

    def __enter__(self) -> Self:
        """Start it on a free port."""
        with contextlib.ExitStack() as stack:
            self.port = stack.enter_context(reserved_port()).getsockname()[1]
            self.start()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Kill it."""
        self.kill()
        self._stack.close()

    @property
    def url(self) -> str:
        """Return the value for `LLM_SERVER_URL`."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def running(self) -> bool:
        """Say whether the process is there."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it unless it runs, and wait until it serves."""
        if self.running:
            return
        command = [str(self._binary), "--config", "config.yaml", "--host", "127.0.0.1", "--port", str(self.port)]
        with self._log_file.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=self._folder, env=self._environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        try:
            wait_until(self._serves, for_s=START_S, what="the start of LiteLLM")
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        """End it at once, whatever it is doing; its connections break."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=10)

    def answered(self, path: str = COMPLETIONS) -> list[int]:
        """Return the statuses of its answers at a path, in order, as its own log has them."""
        return [int(status) for status in re.findall(rf'"[A-Z]+ {re.escape(path)} HTTP/1\.1" (\d+)', self._log)]

    @property
    def _log(self) -> str:
        return self._log_file.read_text(encoding="utf-8", errors="replace")

    def _serves(self) -> bool:
        if not self.running:
            pytest.fail(f"LiteLLM ended at its start: {self._log[-2000:]}")
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)) as connection:
            try:
                connection.request("GET", MODELS, headers={"Authorization": f"Bearer {self.key}"})
                return connection.getresponse().status == 200
            except (OSError, http.client.HTTPException):
                return False

    def _environment(self) -> dict[str, str]:
        """Return an environment with nothing of the caller's, above all no provider's key."""
        return {
            "PATH": f"{self._binary.parent}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self._folder),
            "LANG": "C.UTF-8",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_MODE": "PRODUCTION",  # else it reads .env files
            "DISABLE_ADMIN_UI": "True",
            "NO_DOCS": "True",
            "NO_REDOC": "True",
            "HF_HUB_OFFLINE": "1",  # else it fetches the tokenizers of some models to count tokens
        }
