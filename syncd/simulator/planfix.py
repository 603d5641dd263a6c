"""The simulated Planfix as a server: who may call, and what becomes of a call."""

import base64
import binascii
import contextlib
import gzip
import hashlib
import secrets
import socket
import sys
import threading
from collections import Counter, deque
from collections.abc import Callable
from datetime import datetime, timedelta
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Final, Self

from lxml import etree

from syncd import clock
from syncd.simulator import functions
from syncd.simulator.book import ContactBook, PageOrder
from syncd.simulator.faults import DECLARATION, Faults, Reply, error_body
from syncd.simulator.request import Refused, SimulatedRequest

_SESSION: Final = timedelta(hours=1)
_REMEMBERED: Final = 10_000
_HEAD: Final = f'{DECLARATION}<response status="ok">'.encode()
_PIECE_BYTES: Final = 64


class SimulatedPlanfix(ContactBook):
    """A Planfix account on 127.0.0.1, from `with` to its end.

    `requests` holds the last 10,000 calls, `calls` counts all. `token_code` is what a wrong
    token gets (the sources don't say), `now` what a session's hour is measured by.
    With `signature_key` every call must be signed.
    """

    def __init__(
        self,
        *,
        account: str = "acme",
        api_key: str = "0123456789abcdef0123456789abcdef",
        token: str = "fedcba9876543210fedcba9876543210",  # noqa: S107 - invented
        login: str = "syncd",
        password: str = "not-a-real-password",  # noqa: S107 - invented
        page_order: PageOrder = "id",
        signature_key: str = "",
        token_code: str = "0005",  # noqa: S107 - an error code
        now: Callable[[], datetime] = clock.now,
    ) -> None:
        self._sessions: dict[str, datetime] = {}
        faults = Faults(self._sessions)
        super().__init__(account=account, page_order=page_order, faults=faults, now=now)
        self.api_key = api_key
        self.token = token
        self.login = login
        self.password = password
        self.signature_key = signature_key
        self.token_code = token_code
        self.log_requests = True
        self._requests: deque[SimulatedRequest] = deque(maxlen=_REMEMBERED)
        self._calls: Counter[str] = Counter()

    def __enter__(self) -> Self:
        self._server = _Server(self)
        serve = self._server.serve_forever
        threading.Thread(target=serve, args=(0.02,), name="planfix", daemon=True).start()
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.faults.stopped.set()
        self._server.shutdown()
        self._server.server_close()
        self._server.hang_up()

    @property
    def url(self) -> str:
        """The address of the API, with its final slash; there is none before `with`."""
        return f"http://127.0.0.1:{self._server.server_port}/xml/"

    @property
    def requests(self) -> list[SimulatedRequest]:
        """The calls that came in, oldest first; nothing is kept while `log_requests` is off."""
        with self.lock:
            return list(self._requests)

    def calls(self, method: str) -> int:
        """Return how many calls of a function came in."""
        return self._calls[method]

    def answer(self, body: bytes, content_type: str, authorization: str) -> Reply:
        """Return what goes back for one POST."""
        request = self._read(body, content_type)
        with self.lock:
            self._calls[request.method] += 1
            if self.log_requests:
                self._requests.append(request)
        reply = self.faults.instead(request.method, request.page)
        if reply is None:
            left = self.faults.spend_call()
            reply = Reply(self._work(request, authorization, left))
            if left is not None:
                reply.headers["X-RateLimit-Remaining"] = str(max(left, 0))
        self.faults.damage(reply, request.method, request.page)
        return reply

    def _read(self, body: bytes, content_type: str) -> SimulatedRequest:
        nothing = SimulatedRequest("", etree.Element("request"), self.now())
        if not content_type.startswith("application/xml") or not body.startswith(b"<"):
            return nothing  # not XML, or a byte-order mark before it
        try:
            # The encoding is given, so that a declaration of another one cannot win.
            parser = etree.XMLParser(resolve_entities=False, no_network=True, encoding="utf-8")
            root = etree.fromstring(body, parser)
        except etree.XMLSyntaxError:
            return nothing
        if root.tag != "request" or b"<!DOCTYPE" in body:
            return nothing
        return SimulatedRequest(root.get("method", ""), root, nothing.at)

    def _work(self, request: SimulatedRequest, authorization: str, left: int | None) -> bytes:
        try:
            self._admit(request, authorization, left)
            if request.method == "auth.login":
                content = self._log_in(request)
            else:
                content = functions.run(self, request)
        except Refused as refused:
            return error_body(refused.code)
        return b"%b%b</response>" % (_HEAD, content)

    def _admit(self, request: SimulatedRequest, authorization: str, left: int | None) -> None:
        key, token = _credentials(authorization)
        if key != self.api_key:
            raise Refused("0001")
        if token not in {self.token, ""}:
            raise Refused(self.token_code)
        if not request.method:
            raise Refused("0003")
        if request.text("account") != self.account:
            raise Refused("0004")
        if self.signature_key and request.text("signature") != self._signature(request):
            raise Refused("0006")
        if left is not None and left < 0:
            raise Refused("0007")
        if token or request.method == "auth.login":
            return
        if not request.sid:
            raise Refused("0012")
        until = self._sessions.get(request.sid)
        if until is None or until <= self.now():
            raise Refused("0005")

    def _log_in(self, request: SimulatedRequest) -> bytes:
        if (request.text("login"), request.text("password")) != (self.login, self.password):
            raise Refused("1001")
        sid = secrets.token_hex(16)
        self._sessions[sid] = self.now() + _SESSION
        return f"<sid>{sid}</sid>".encode()

    def _signature(self, request: SimulatedRequest) -> str:
        text = request.method + _signed_values(request.root) + self.signature_key
        return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _credentials(authorization: str) -> tuple[str, str]:
    scheme, _, encoded = authorization.partition(" ")
    try:
        text = base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    key, colon, token = text.partition(":")
    return (key, token) if scheme == "Basic" and colon else ("", "")


def _signed_values(node: etree._Element) -> str:
    # Names by byte value; a run of equal names in document order, as the sample code does.
    children = sorted(node, key=lambda child: str(child.tag))
    return "".join(
        _signed_values(child) if len(child) else child.text or ""
        for child in children
        if child.tag != "signature"
    )


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, planfix: SimulatedPlanfix) -> None:
        self.planfix = planfix
        self.connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Handler)

    def verify_request(self, request: object, client_address: object) -> bool:  # noqa: ARG002
        return not self.planfix.faults.refuses_connection()

    def handle_error(self, request: object, client_address: object) -> None:
        # A client that hung up is no fault of ours.
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]  # as it came

    def hang_up(self) -> None:
        for connection in tuple(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        self.server.connections.discard(self.connection)
        super().finish()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        planfix = self.server.planfix
        if planfix.faults.refuses_connection():
            self.close_connection = True
        elif self.path == "/xml":
            self._send(Reply(b"", 301, {"Location": "/xml/"}))
        elif self.path != "/xml/":
            self._send(Reply(b"<html>not here</html>", 404, {"Content-Type": "text/html"}))
        else:
            content_type = self.headers.get("Content-Type", "")
            authorization = self.headers.get("Authorization", "")
            self._send(planfix.answer(body, content_type, authorization))

    def do_GET(self) -> None:
        self._send(Reply(error_body("0003")))

    def _send(self, reply: Reply) -> None:
        if reply.dropped:
            self.close_connection = True
            return
        headers = {"Content-Type": "application/xml; charset=utf-8"} | reply.headers
        if reply.compressed and "gzip" in self.headers.get("Accept-Encoding", ""):
            reply.body = gzip.compress(reply.body)
            headers["Content-Encoding"] = "gzip"
        length = len(reply.body) if reply.length is None else reply.length
        lines = [f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        head = "\r\n".join((*lines, f"Content-Length: {length}", "", "")).encode()
        if reply.pause_s:
            self._send_slowly(head, reply)
        else:
            self.wfile.write(head + reply.body)  # one write: no packet waits for another
        self.close_connection = self.close_connection or reply.length is not None

    def _send_slowly(self, head: bytes, reply: Reply) -> None:
        self.wfile.write(head)
        for start in range(0, len(reply.body), _PIECE_BYTES):
            if self.server.planfix.faults.stopped.wait(reply.pause_s):
                return
            self.wfile.write(reply.body[start : start + _PIECE_BYTES])
