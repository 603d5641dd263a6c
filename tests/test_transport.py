import gzip
import inspect
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from email.utils import format_datetime
from itertools import pairwise

import httpx
import pytest
import structlog.testing

from syncd import clock
from syncd.errors import (
    AmbiguousError,
    AuthenticationError,
    ConfigurationError,
    QuotaError,
    StoppedError,
    SyncdError,
    TemporaryError,
)
from syncd.transport import (
    FOREIGN,
    Options,
    Reply,
    Transport,
    UnreadableReplyError,
    check_url,
    fault_of_status,
)

Answer = Callable[[socket.socket], None]


class Wire:
    """A server that does to each request's socket what the next answer says."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.requests: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/"
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                accepted, _ = self._listener.accept()
                self._open.append(accepted)
                threading.Thread(target=self._talk, args=(accepted,), daemon=True).start()

    def _talk(self, client: socket.socket) -> None:
        with suppress(OSError):
            while request := read_request(client):
                self.requests.append(request)
                self.answers[min(len(self.requests), len(self.answers)) - 1](client)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        for each in self._open:
            each.close()


def read_request(client: socket.socket) -> bytes:
    seen = b""
    while b"\r\n\r\n" not in seen:
        chunk = client.recv(65536)
        if not chunk:
            return b""
        seen += chunk
    head, _, body = seen.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
    while len(body) < length:
        body += client.recv(65536)
    return head + b"\r\n\r\n" + body


def reply(body: bytes, status: int = 200, headers: str = "", length: int | None = None) -> Answer:
    size = len(body) if length is None else length
    head = f"HTTP/1.1 {status} X\r\nContent-Length: {size}\r\n{headers}\r\n".encode()
    return lambda client: client.sendall(head + body)


def hang_up(client: socket.socket) -> None:
    client.shutdown(socket.SHUT_RDWR)


def cut(client: socket.socket) -> None:
    reply(b"half", length=8)(client)
    hang_up(client)


def drip(client: socket.socket) -> None:
    reply(b"x", length=1000)(client)
    stop = threading.Event()
    for _ in range(999):
        stop.wait(0.02)
        client.sendall(b"x")


def drip_head(client: socket.socket) -> None:
    client.sendall(b"HTTP/1.1 200 X\r\nX-Their: ")
    stop = threading.Event()
    for _ in range(999):
        stop.wait(0.02)
        client.sendall(b"x")


def promise(client: socket.socket) -> None:
    stop = threading.Event()
    for _ in range(999):
        stop.wait(0.02)
        client.sendall(b"HTTP/1.1 102 X\r\n\r\n")


@pytest.fixture
def wire() -> Iterator[Wire]:
    wire = Wire()
    yield wire
    wire.close()


@pytest.fixture
def transport(wire: Wire) -> Iterator[Transport]:
    transport = Transport(Options(url=wire.url, attempts=3, timeout_s=5, max_reply_bytes=1000))
    yield transport
    transport.close()


def post(transport: Transport, *, repeatable: bool = True) -> Reply:
    return transport.post(b"hello", headers={"X-Our": "1"}, repeatable=repeatable)


def test_a_body_goes_out_and_the_reply_comes_back(wire: Wire, transport: Transport) -> None:
    wire.answers = [reply(b"good", headers="X-Theirs: 2\r\n")]

    got = post(transport)

    assert (got.status, got.body, got.headers["x-theirs"]) == (200, b"good", "2")
    assert wire.requests[0].startswith(b"POST / HTTP/1.1")
    assert wire.requests[0].endswith(b"\r\n\r\nhello")
    assert b"accept-encoding: gzip\r\n" in wire.requests[0].lower()
    assert b"x-our: 1" in wire.requests[0].lower()


def test_method_and_path_can_be_given(wire: Wire, transport: Transport) -> None:
    wire.answers = [reply(b"", 204)]

    got = transport.call(
        b"", headers={}, read=lambda reply: reply.status, repeatable=True,
        method="DELETE", path="lists/7?x=1",
    )  # fmt: skip

    assert got == 204
    assert wire.requests[0].startswith(b"DELETE /lists/7?x=1 HTTP/1.1")


def test_a_connection_is_used_again(wire: Wire, transport: Transport) -> None:
    wire.answers = [reply(b"good")]

    post(transport)
    post(transport)

    assert len(wire._open) == 1


def test_a_packed_reply_is_unpacked(wire: Wire, transport: Transport) -> None:
    wire.answers = [reply(gzip.compress(b"good" * 50), headers="Content-Encoding: gzip\r\n")]

    assert post(transport).body == b"good" * 50


@pytest.mark.parametrize(
    "answer",
    [
        reply(b"x" * 1001),
        reply(gzip.compress(b"x" * 10_000_000), headers="Content-Encoding: gzip\r\n"),
        reply(b"x", headers="Content-Encoding: br\r\n"),
        reply(b"x", 302, "Location: http://127.0.0.1/\r\n"),
    ],
    ids=["large", "bomb", "encoding", "redirect"],
)
def test_what_cannot_be_the_protocol_is_not_tried_again(
    wire: Wire, transport: Transport, answer: Answer
) -> None:
    wire.answers = [answer]

    with pytest.raises(ConfigurationError):
        post(transport)
    assert len(wire.requests) == 1


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (reply(b"x" * 1001), UnreadableReplyError),
        (reply(b"x", headers="Content-Encoding: br\r\n"), UnreadableReplyError),
        (reply(b"x", 302, "Location: http://127.0.0.1/\r\n"), ConfigurationError),
    ],
    ids=["large", "encoding", "redirect"],
)
def test_what_may_have_been_done_is_told_from_what_was_not(
    wire: Wire, transport: Transport, answer: Answer, expected: type[SyncdError]
) -> None:
    wire.answers = [answer]

    with pytest.raises(SyncdError) as caught:
        post(transport)

    assert type(caught.value) is expected


LOST = pytest.mark.parametrize(
    "answer",
    [
        hang_up,
        cut,
        reply(b""),
        reply(gzip.compress(b"good")[:-5], headers="Content-Encoding: gzip\r\n"),
        reply(b"no gzip", headers="Content-Encoding: gzip\r\n"),
        lambda client: client.sendall(b"no http\r\n\r\n"),
    ],
    ids=["hang-up", "cut", "empty", "cut-gzip", "no-gzip", "no-http"],
)


@LOST
def test_a_lost_answer_is_asked_for_again_where_that_is_safe(
    wire: Wire, transport: Transport, answer: Answer
) -> None:
    wire.answers = [answer, reply(b"good")]

    assert post(transport).body == b"good"


@LOST
def test_a_lost_answer_to_a_write_is_ambiguous(
    wire: Wire, transport: Transport, answer: Answer
) -> None:
    wire.answers = [answer, reply(b"good")]

    with pytest.raises(AmbiguousError):
        post(transport, repeatable=False)
    assert len(wire.requests) == 1


@pytest.mark.parametrize("slow", [drip, drip_head, promise])
def test_a_reply_that_drips_meets_the_total_deadline(wire: Wire, slow: Answer) -> None:
    wire.answers = [slow]
    transport = Transport(Options(url=wire.url, timeout_s=0.3))
    started_s = time.monotonic()

    with pytest.raises(AmbiguousError, match="no whole reply"):
        post(transport, repeatable=False)

    assert time.monotonic() - started_s < 1
    transport.close()


def test_nobody_listening_is_temporary_even_for_a_write() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    transport = Transport(Options(url=f"http://127.0.0.1:{port}/"))

    with pytest.raises(TemporaryError) as caught:
        post(transport, repeatable=False)

    assert type(caught.value) is TemporaryError
    transport.close()


def test_a_fault_of_the_reader_counts_as_one_of_the_call(wire: Wire, transport: Transport) -> None:
    wire.answers = [reply(b"bad"), reply(b"good")]

    def read(reply: Reply) -> bytes:
        if reply.body == b"bad":
            raise TemporaryError("not yet")
        return reply.body

    assert transport.call(b"", headers={}, read=read, repeatable=False) == b"good"


def test_attempts_come_to_an_end(wire: Wire, transport: Transport) -> None:
    wire.answers = [hang_up]

    with pytest.raises(AmbiguousError):
        post(transport)
    assert len(wire.requests) == 3


def test_a_used_up_budget_sends_nothing(wire: Wire) -> None:
    def spend() -> None:
        raise QuotaError("used up")

    transport = Transport(Options(url=wire.url), before_each=spend)

    with pytest.raises(QuotaError):
        post(transport)
    assert wire.requests == []
    transport.close()


def test_starts_of_requests_keep_their_distance(wire: Wire) -> None:
    wire.answers = [hang_up, reply(b"good")]
    starts_s: list[float] = []
    transport = Transport(
        Options(url=wire.url, requests_per_second=20),
        before_each=lambda: starts_s.append(time.monotonic()),
    )

    post(transport)
    post(transport)
    transport.close()

    gaps_s = [later - sooner for sooner, later in pairwise(starts_s)]
    assert len(gaps_s) == 2
    assert min(gaps_s) > 0.049


def test_an_unsendable_header_is_a_config_error_that_does_not_quote_it(
    transport: Transport,
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        transport.post(b"", headers={"X-Key": "sec\nret"}, repeatable=True)

    assert "sec" not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (TemporaryError("x"), 2),
        (AmbiguousError("x"), 1),
        (QuotaError("x"), 1),
        (ConfigurationError("x"), 1),
        (ValueError("x"), 1),
    ],
)
def test_what_is_tried_again(
    wire: Wire, transport: Transport, error: Exception, expected: int
) -> None:
    wire.answers = [reply(b"bad"), reply(b"good")]

    def read(reply: Reply) -> bytes:
        if reply.body == b"bad":
            raise error
        return reply.body

    with suppress(type(error)):
        transport.call(b"", headers={}, read=read, repeatable=False)
    assert len(wire.requests) == expected


PAUSE_S = Transport._wait_s
"""As it is, where other tests don't wait."""


@pytest.mark.parametrize(
    ("error", "failures", "least_s", "most_s"),
    [
        (TemporaryError("x"), 1, 1, 2),
        (TemporaryError("x"), 4, 8, 9),
        (TemporaryError("x"), 5000, 60, 60),
        (TemporaryError("x", retry_after_s=7), 1, 7, 7),
        (TemporaryError("x", retry_after_s=7000), 1, 60, 60),
    ],
)
def test_pauses_grow_up_to_a_limit_or_are_as_long_as_the_side_asks_for(
    transport: Transport, error: TemporaryError, failures: int, least_s: float, most_s: float
) -> None:
    assert least_s <= PAUSE_S(transport, error, failures) <= most_s


def test_a_retry_is_told_without_what_was_called_and_why(wire: Wire, transport: Transport) -> None:
    wire.answers = [hang_up, reply(b"good")]

    with structlog.testing.capture_logs() as told:
        transport.post(b"anna@example.com", headers={}, repeatable=True)

    assert told == [
        {
            "event": "call.retried",
            "log_level": "debug",
            "attempt": 1,
            "wait_s": 0.0,
            "error": "AmbiguousError",
        }
    ]


def test_whoever_asks_to_stop_waits_for_no_retry(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Transport, "_wait_s", lambda *_: 3600.0)
    wire.answers = [hang_up]
    transport = Transport(Options(url=wire.url), stop=lambda: bool(wire.requests))

    with pytest.raises(StoppedError):
        post(transport)

    assert len(wire.requests) == 1
    transport.close()


def test_whoever_asks_to_stop_waits_for_no_turn(wire: Wire) -> None:
    wire.answers = [reply(b"good")]
    asked: list[str] = []
    transport = Transport(
        Options(url=wire.url, requests_per_second=0.001), stop=lambda: bool(asked)
    )

    first = post(transport)
    asked.append("stop")
    with pytest.raises(StoppedError):
        post(transport)

    assert (first.body, len(wire.requests)) == (b"good", 1)
    transport.close()


def test_a_call_that_needs_not_wait_is_made_though_somebody_asks_to_stop(wire: Wire) -> None:
    wire.answers = [reply(b"good")]
    transport = Transport(Options(url=wire.url), stop=lambda: True)

    assert post(transport).body == b"good"
    transport.close()


def foreign_errors() -> list[type[Exception]]:
    return [
        each
        for _, each in inspect.getmembers(httpx, inspect.isclass)
        if issubclass(each, Exception)
    ]


@pytest.mark.parametrize("foreign", foreign_errors(), ids=lambda foreign: foreign.__name__)
def test_every_error_of_httpx_has_its_own_among_ours(
    transport: Transport, foreign: type[Exception]
) -> None:
    error = foreign.__new__(foreign)

    fault = transport._fault_of(error)

    assert issubclass(foreign, FOREIGN)
    assert isinstance(fault, SyncdError)
    assert (type(fault) is SyncdError) == issubclass(foreign, httpx.StreamError)


def test_unsent_requests_are_never_ambiguous(transport: Transport) -> None:
    for unsent in (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout):
        assert type(transport._fault_of(unsent("x"))) is TemporaryError
    for sent in (httpx.ReadTimeout, httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError):
        assert type(transport._fault_of(sent("x"))) is AmbiguousError


@pytest.mark.parametrize(
    "url",
    ["https://lists.example.com/x", "http://127.0.0.1:8000/", "http://127.9.9.9", "http://[::1]/",
     "http://localhost:1/"],
)  # fmt: skip
def test_usable_addresses_pass(url: str) -> None:
    assert str(check_url(url)).startswith(url[:12])


@pytest.mark.parametrize(
    "url",
    ["http://lists.example.com/", "http://10.0.0.1/", "ftp://127.0.0.1/", "", "nothing",
     "https://", "https://a:b@lists.example.com/", "http://[::1", "http://127.0.0.1.example.com/",
     "https://x:port/"],
)  # fmt: skip
def test_other_addresses_are_config_errors(url: str) -> None:
    with pytest.raises(ConfigurationError):
        check_url(url)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (200, None), (201, None), (204, None),
        (301, ConfigurationError), (308, ConfigurationError),
        (400, ConfigurationError), (404, ConfigurationError), (405, ConfigurationError),
        (401, AuthenticationError), (403, AuthenticationError),
        (408, TemporaryError), (429, TemporaryError), (503, TemporaryError),
        (500, AmbiguousError), (502, AmbiguousError), (504, AmbiguousError),
    ],
)  # fmt: skip
def test_a_status_says_what_happens_next(status: int, expected: type[SyncdError] | None) -> None:
    fault = fault_of_status(status, {})

    assert (type(fault) if fault else None) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("7", 7.0), ("", None), ("soon", None), ("-3", None), ("Fri, 01 Jan 2021 00:00:00 GMT", 0.0)],
)
def test_retry_after_is_read(text: str, expected: float | None) -> None:
    fault = fault_of_status(429, {"retry-after": text})

    assert isinstance(fault, TemporaryError)
    assert fault.retry_after_s == expected


def test_retry_after_may_be_a_date() -> None:
    later = format_datetime(clock.now() + timedelta(seconds=90), usegmt=True)

    fault = fault_of_status(503, {"retry-after": later})

    assert isinstance(fault, TemporaryError)
    assert fault.retry_after_s == pytest.approx(90, abs=5)


def test_https_believes_in_certificates_only() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        transport = Transport(Options(url=f"https://127.0.0.1:{server.getsockname()[1]}/"))
        pool = transport._http._pool
        context = pool._ssl_context

        assert context is not None
        assert context.check_hostname
        transport.close()
