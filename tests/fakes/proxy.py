"""A proxy on loopback, before a real server: it writes requests down, and can spoil an answer."""

import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Final, Self

from tests.fakes.email_service import DONE_FIRST, Fault

_HTML: Final = b"<html><body>Something else</body></html>"
_WRONG_ANSWERS: Final[dict[Fault, tuple[int, dict[str, str], bytes]]] = {
    Fault.BUSY: (429, {}, b""),
    Fault.BUSY_RETRY_AFTER: (429, {"Retry-After": "0"}, b""),
    Fault.ERROR: (500, {}, b'{"title": "500 Internal Server Error"}'),
    Fault.BAD_GATEWAY: (502, {}, _HTML),
    Fault.UNAVAILABLE: (503, {}, b""),
    Fault.PAGE: (200, {}, _HTML),
    Fault.EMPTY: (200, {}, b""),
    Fault.REDIRECT: (302, {"Location": "/elsewhere"}, b""),
}


@dataclass(frozen=True)
class LoggedRequest:
    """One request as it came in."""

    method: str
    path: str

    @property
    def action(self) -> str:
        """What was asked for, as a text."""
        return f"{self.method} {self.path}"


class Proxy:
    """What stands between a backend and its server; `prefix` is left out in what is logged."""

    def __init__(self, port: int, prefix: str) -> None:
        self.requests: list[LoggedRequest] = []
        self._port = port
        self._prefix = prefix
        self._fault: Fault | None = None
        self._left: int | None = 0
        self._only = ""
        self._then: tuple[str, Callable[[], None]] | None = None
        self._answer: tuple[int, bytes] | None = None
        self._lock = threading.RLock()
        self._closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def root(self) -> str:
        """Its address, without any path."""
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def actions(self) -> list[str]:
        """What was asked for so far, in order."""
        return [request.action for request in self.requests]

    def fail(self, fault: Fault, *, times: int | None = 1, only: str = "") -> None:
        """Spoil the next answers; `times` None is until `recover`.

        Those count whose action matches `only`, a regular expression.
        """
        self._fault, self._left, self._only = fault, times, only

    def say(self, status: int, body: object, *, only: str) -> None:
        """Give the next request of a kind an answer of our own, and do nothing for it."""
        self._answer = status, json.dumps(body).encode()
        self.fail(Fault.REFUSE, only=only)

    def after(self, only: str, then: Callable[[], None]) -> None:
        """Let something happen as soon as the next request of a kind was carried out."""
        self._then = only, then

    def recover(self) -> None:
        """Answer rightly from now on."""
        self._left = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Take one request, hand it on, and give the answer back, or another."""
        handler.close_connection = True
        length = handler.headers.get("Content-Length", "")
        body = handler.rfile.read(int(length)) if length.isdigit() else b""
        path = handler.path.removeprefix(self._prefix)
        request = LoggedRequest(handler.command, path)
        with self._lock:
            self.requests.append(request)
            fault = self._next_fault(request)
            status, headers, answer = 500, dict[str, str](), b""
            if fault is None or fault in DONE_FIRST:
                status, headers, answer = self._forward(handler, body)
                self._happen(request)
        match fault:
            case None:
                _send(handler, status, headers, answer)
            case Fault.REFUSE:
                assert self._answer is not None
                _send(handler, self._answer[0], {}, self._answer[1])
            case Fault.CUT:
                _send(handler, status, {}, answer[:-2])
            case Fault.STALL | Fault.STALL_DONE:
                self._closing.wait(30)
            case _ if fault in _WRONG_ANSWERS:
                _send(handler, *_WRONG_ANSWERS[fault])

    def _next_fault(self, request: LoggedRequest) -> Fault | None:
        if self._left == 0 or not re.match(self._only, request.action):
            return None
        if self._left is not None:
            self._left -= 1
        return self._fault

    def _happen(self, request: LoggedRequest) -> None:
        if self._then is not None and re.match(self._then[0], request.action):
            _, then = self._then
            self._then = None
            then()

    def _forward(
        self, handler: BaseHTTPRequestHandler, body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            connection.request(handler.command, handler.path, body, dict(handler.headers))
            reply = connection.getresponse()
            kept = {"Location", "Content-Type"}
            headers = {name: text for name, text in reply.getheaders() if name.title() in kept}
            return reply.status, headers, reply.read()
        finally:
            connection.close()


def _handler_of(proxy: Proxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else each answer waits for a delayed ACK

        def _any(self) -> None:
            proxy.answer(self)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _any  # noqa: N815 - the base's names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    return Handler


def _send(
    handler: BaseHTTPRequestHandler, status: int, headers: dict[str, str], body: bytes
) -> None:
    try:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        if status != 204:
            handler.send_header("Content-Length", str(len(body)))
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.wfile.write(body)
    except OSError:
        return  # the client hung up
