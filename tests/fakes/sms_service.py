"""An SMS service on loopback that speaks the SMS page's protocol, and is strict about it.

It reads forms by itself rather than through our codec, so that a fault there shows here.
"""

import json
import threading
from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs

PATH = "/send"


class Answer(StrEnum):
    """How a request is answered; those in `TAKES` take the message all the same."""

    REFUSE = "an error at 200"
    UNSUCCESSFUL = "success false"
    PLAIN = "200 with plain text"
    EMPTY = "200 with nothing"
    BUSY = "429 with Retry-After"
    SLOW_REQUEST = "408"
    BROKEN = "500"
    BAD_GATEWAY = "502"
    AWAY = "503"
    GATEWAY_TIMEOUT = "504"
    UNKNOWN_ERROR = "520"
    FORBIDDEN = "403"
    NOT_FOUND = "404"
    REDIRECT = "302"
    STALL = "no answer"
    DROP = "the connection dropped"
    CUT = "an answer that is cut"
    ODD_ENCODING = "a success in an encoding that HTTP has not"
    DEEP = "200 with JSON that is too deep"


TAKES = {
    Answer.PLAIN,
    Answer.EMPTY,
    Answer.BROKEN,
    Answer.BAD_GATEWAY,
    Answer.GATEWAY_TIMEOUT,
    Answer.UNKNOWN_ERROR,
    Answer.STALL,
    Answer.DROP,
    Answer.CUT,
    Answer.ODD_ENCODING,
    Answer.DEEP,
}

_PLAIN: dict[Answer, tuple[int, dict[str, str], bytes]] = {
    Answer.REFUSE: (200, {}, '{"error": "нет денег"}'.encode()),
    Answer.UNSUCCESSFUL: (200, {}, b'{"success": false}'),
    Answer.PLAIN: (200, {}, b"OK 42"),
    Answer.EMPTY: (200, {}, b""),
    Answer.BUSY: (429, {"Retry-After": "90"}, b'{"error": "slower"}'),
    Answer.SLOW_REQUEST: (408, {}, b""),
    Answer.BROKEN: (500, {}, b"broken"),
    Answer.BAD_GATEWAY: (502, {}, b""),
    Answer.AWAY: (503, {}, b""),
    Answer.GATEWAY_TIMEOUT: (504, {}, b""),
    Answer.UNKNOWN_ERROR: (520, {}, b""),
    Answer.FORBIDDEN: (403, {}, b"no"),
    Answer.NOT_FOUND: (404, {}, b"nothing here"),
    Answer.REDIRECT: (302, {"Location": "/elsewhere"}, b""),
    Answer.ODD_ENCODING: (200, {"Content-Encoding": "utf-8"}, b'{"success": true}'),
    Answer.DEEP: (200, {}, b"[" * 100_000),
}


@dataclass(frozen=True)
class Taken:
    """One message that the service took."""

    sender: str
    to: str
    text: str


class SmsService:
    """The service, what it took, and its switches.

    `holding` is set as soon as a request is held back without an answer (Answer.STALL).
    """

    def __init__(self, *, key: str = "", login: str = "acme-sms", password: str = "s3cret") -> None:
        self.key, self.login, self.password = key, login, password
        self.taken: list[Taken] = []
        self.requests = 0
        self.holding = threading.Event()
        self._answers: deque[Answer | None] = deque()
        self._lasting: Answer | None = None
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def url(self) -> str:
        """The one address."""
        return f"http://127.0.0.1:{self._server.server_port}{PATH}"

    def answer(self, *answers: Answer | None) -> None:
        """Answer the next requests so; None is as it should be."""
        self._answers.extend(answers)

    def always(self, answer: Answer | None) -> None:
        """Answer every request so that `answer` did not name."""
        self._lasting = answer

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

    def _take(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        with self._lock:
            self.requests += 1
            answer = self._answers.popleft() if self._answers else self._lasting
            fault, message = self._read(handler.headers["Content-Type"], body)
            if message is not None and (answer is None or answer in TAKES):
                self.taken.append(message)
            told = {"error": fault} if fault else {"success": True, "id": f"m{len(self.taken)}"}
        good = json.dumps(told, ensure_ascii=False).encode()
        if answer is None:
            _send(handler, 200, {}, good)
        elif answer in _PLAIN:
            _send(handler, *_PLAIN[answer])
        else:
            self._misbehave(handler, answer, good)

    def _misbehave(self, handler: BaseHTTPRequestHandler, answer: Answer, good: bytes) -> None:
        handler.close_connection = True
        match answer:
            case Answer.STALL:
                self.holding.set()
                self._closing.wait(30)
            case Answer.CUT:
                _send(handler, 200, {}, good[:-3], length=len(good))

    def _read(self, content_type: str, body: bytes) -> tuple[str, Taken | None]:
        """Return what is wrong with a request, or its message."""
        if content_type != "application/x-www-form-urlencoded":
            return "wrong content type", None
        form = parse_qs(body.decode("ascii"), keep_blank_values=True, errors="strict")
        proof = {"key"} if self.key else {"login", "password"}
        if form.keys() != proof | {"from", "to", "text"}:
            return f"wrong fields: {sorted(form)}", None
        wanted = {"key": self.key, "login": self.login, "password": self.password}
        if any(form[name] != [wanted[name]] for name in proof):
            return "login or password not accepted", None
        (sender,), (to,), (text,) = form["from"], form["to"], form["text"]
        if not to.removeprefix("+").isdecimal() or not text:
            return f"{to} is no number, or there is no text", None
        return "", Taken(sender, to, text)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                if self.path == PATH:
                    service._take(self)
                else:
                    _send(self, 404, {}, b"nothing here")

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        return Handler


def _send(
    handler: BaseHTTPRequestHandler,
    status: int,
    headers: dict[str, str],
    body: bytes,
    *,
    length: int | None = None,
) -> None:
    try:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body) if length is None else length))
        handler.end_headers()
        handler.wfile.write(body)
    except OSError:
        pass  # the client hung up
