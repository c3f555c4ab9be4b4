"""A server with OpenAI's interface that misbehaves as it is told. No model: answers count the requests."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODEL = "served-model"


@dataclass(frozen=True)
class Reply:
    """`after` seconds of silence first; `cut` closes the connection in the middle of the body."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    after: float = 0.0
    cut: bool = False


def refusal(status: int, message: str, **more: Any) -> Reply:
    headers = more.pop("headers", {})
    return Reply(status, {"error": {"message": message, "type": "x", **more}}, headers)


def completed(text: str = "fine", *, finish: str = "stop", **more: Any) -> dict[str, Any]:
    usage = {"prompt_tokens": 11, "completion_tokens": 4, "total_tokens": 15, **more.pop("usage", {})}
    choice = {"index": 0, "text": text, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
    return {"id": "c", "object": "x", "created": 0, "model": MODEL, "choices": [choice | more], "usage": usage}


def _as_route_has_it(reply: Reply, path: str) -> Reply:
    """Completions have a text, chat completions a message."""
    if not (isinstance(reply.body, dict) and isinstance(reply.body.get("choices"), list)):
        return reply
    other = "text" if "chat" in path else "message"
    choices = [
        {key: value for key, value in choice.items() if key != other} if isinstance(choice, dict) else choice
        for choice in reply.body["choices"]
    ]
    return replace(reply, body={**reply.body, "choices": choices})


@dataclass
class FakeServer:
    """`answer(n, body)` replies to the n-th completion request, from 0.

    `routes` are the other routes: a Reply, a JSON value, or a function from the body to one. The rest is a 404.
    """

    cards: list[dict[str, Any]] = field(default_factory=lambda: [{"id": MODEL, "object": "model", "owned_by": "x"}])
    routes: dict[str, Any] = field(default_factory=dict)
    answer: Callable[[int, dict[str, Any]], Reply] = lambda n, body: Reply(body=completed(f"answer {n}"))
    trial: Callable[[dict[str, Any]], Reply] = lambda body: Reply(body=completed("So."))  # what parameters it takes
    port: int = 0
    bodies: list[dict[str, Any]] = field(default_factory=list)
    trials: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def reply(self, path: str, body: dict[str, Any]) -> Reply:
        if path == "/v1/models" and path not in self.routes:
            return Reply(body={"object": "list", "data": self.cards})
        if path in self.routes:
            found = self.routes[path](body) if callable(self.routes[path]) else self.routes[path]
            return found if isinstance(found, Reply) else Reply(body=found)
        if path not in ("/v1/completions", "/v1/chat/completions"):
            return refusal(404, "not found")
        if "Which parameters do you take?" in json.dumps(body.get("messages")):
            self.trials.append(body)
            return _as_route_has_it(self.trial(body), path)
        with self.lock:
            number = len(self.bodies)
            self.bodies.append(body)
            self.paths.append(path)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        return _as_route_has_it(self.answer(number, body), path)

    def done(self, path: str) -> None:
        if path.endswith("/completions"):
            with self.lock:
                self.at_once = max(0, self.at_once - 1)


def _handler(server: FakeServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.answer({})

        def do_POST(self) -> None:
            self.answer(json.loads(self.rfile.read(int(self.headers["content-length"]))))

        def answer(self, body: dict[str, Any]) -> None:
            server.keys.append(self.headers.get("authorization", ""))
            reply = server.reply(self.path, body)
            time.sleep(reply.after)
            server.done(self.path)
            data = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            try:
                self.send_response(reply.status)
                for name, value in {"content-type": "application/json", **reply.headers}.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data[: len(data) // 2] if reply.cut else data)
                self.close_connection = self.close_connection or reply.cut
            except OSError:  # a client that did not wait
                self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:
            return None

    return Handler


class Quiet(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away are part of the game."""


@contextmanager
def serving(server: FakeServer) -> Iterator[FakeServer]:
    http = Quiet(("127.0.0.1", server.port), _handler(server))
    server.port = http.server_address[1]
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
