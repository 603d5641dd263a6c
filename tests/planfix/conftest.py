"""A server on loopback that gives canned replies in turn and keeps what it was sent."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from lxml import etree

from syncd.planfix.client import Options
from syncd.planfix.side import Planfix


@dataclass
class Canned:
    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Script:
    """The last reply is given again and again."""

    url: str = ""
    replies: list[Canned | bytes] = field(default_factory=list)
    requests: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    def next_reply(self) -> Canned:
        reply = self.replies[min(len(self.requests), len(self.replies)) - 1]
        return reply if isinstance(reply, Canned) else Canned(reply)

    def methods(self) -> list[str]:
        return [etree.fromstring(sent).get("method", "") for sent in self.requests]

    def texts(self, path: str) -> list[str | None]:
        return [etree.fromstring(sent).findtext(path) for sent in self.requests]


@pytest.fixture
def script() -> Iterator[Script]:
    script = Script()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            script.requests.append(self.rfile.read(int(self.headers["Content-Length"])))
            script.headers.append(dict(self.headers))
            reply = script.next_reply()
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    script.url = f"http://127.0.0.1:{server.server_port}/xml/"
    yield script
    server.shutdown()
    thread.join()
    server.server_close()


def options(script: Script, **changes: object) -> Options:
    values: dict[str, object] = {
        "url": script.url,
        "account": "acme",
        "api_key": "key-of-ours",
        "token": "token-of-ours",
        "requests_per_second": 1000.0,
        "attempts": 2,
        **changes,
    }
    return Options(**values)  # type: ignore[arg-type]  # whatever a test wants to change


@pytest.fixture
def planfix(script: Script) -> Iterator[Planfix]:
    side = Planfix(options(script))
    yield side
    side.close()
