"""A server: one socket, any ASGI application, an ordered end."""

import asyncio
import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from syncd.errors import ConfigurationError
from syncd.receiver.server import Server


@contextmanager
def serving(app: ASGIApp, *, patience_s: float = 60.0) -> Iterator[Server]:
    server = Server(app, key="listen", host="127.0.0.1", port=0, patience_s=patience_s)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def saying(words: str) -> ASGIApp:
    return PlainTextResponse(words)


def url(server: Server) -> str:
    return f"http://127.0.0.1:{server.port}/"


def test_whoever_connects_once_it_has_started_is_answered() -> None:
    with serving(saying("here")) as server:
        assert httpx.get(url(server)).text == "here"


def test_another_application_takes_over_without_dropping_a_connection() -> None:
    with serving(saying("old")) as server, httpx.Client() as client:
        before = client.get(url(server))
        here = before.extensions["network_stream"].get_extra_info("client_addr")

        server.answer_by(saying("new"))
        after = client.get(url(server))
        there = after.extensions["network_stream"].get_extra_info("client_addr")

    assert (before.text, after.text) == ("old", "new")
    assert there == here


def test_what_came_in_before_the_end_is_answered() -> None:
    came, go = threading.Event(), threading.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        came.set()
        await asyncio.to_thread(go.wait)
        await saying("late")(scope, receive, send)

    answers: list[str] = []
    with serving(slow) as server:
        asking = threading.Thread(target=lambda: answers.append(httpx.get(url(server)).text))
        asking.start()
        came.wait()
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        go.set()
        stopping.join()
        asking.join()

    assert answers == ["late"]


def test_nobody_is_answered_after_the_end() -> None:
    with serving(saying("here")) as server:
        place = url(server)

    with pytest.raises(httpx.ConnectError):
        httpx.get(place)


def test_an_address_that_is_taken_is_told_with_its_key() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = Server(saying(""), key="admin_listen", host="127.0.0.1", port=port)

        with pytest.raises(ConfigurationError) as told:
            server.start()

    assert f"127.0.0.1:{port} can't be listened at" in str(told.value)
    assert "admin_listen" in told.value.hint


def test_a_socket_that_was_given_stays_its_owners() -> None:
    with socket.create_server(("127.0.0.1", 0)) as given:
        server = Server(saying("here"), key="listen", host="", port=0, listening=given)
        server.start()
        told = httpx.get(url(server)).text
        server.stop()

        assert told == "here"
        assert given.getsockname()[1] == server_port(given)


def server_port(given: socket.socket) -> int:
    with socket.create_connection(given.getsockname()) as caller:
        return int(caller.getpeername()[1])


@pytest.mark.parametrize(
    "begun", [b"", b"GET / HTTP/1.1\r\nHost: he", b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nno"]
)
def test_who_begins_and_does_not_end_is_cut_off(begun: bytes) -> None:
    async def patient(_: Scope, receive: Receive, __: Send) -> None:
        while (await receive()).get("more_body"):
            pass

    with (
        serving(patient, patience_s=0.05) as server,
        socket.create_connection(("127.0.0.1", server.port)) as caller,
    ):
        caller.sendall(begun)

        assert until_closed(caller) == b""


def test_who_reads_no_answer_is_cut_off() -> None:
    long = saying("x" * 50_000_000)
    with (
        serving(long, patience_s=0.05) as server,
        socket.create_connection(("127.0.0.1", server.port)) as caller,
    ):
        caller.sendall(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
        server.stop()  # which waits for answers that somebody still reads

        assert len(until_closed(caller)) < 50_000_000


@pytest.mark.parametrize("head", [b"", b"Connection: close\r\n"])
@pytest.mark.parametrize("more", [b"", b"no HTTP\r\n\r\n"])
def test_nobody_can_fill_the_log_by_hanging_up(
    caplog: pytest.LogCaptureFixture, head: bytes, more: bytes
) -> None:
    asked = b"GET / HTTP/1.1\r\nHost: here\r\n" + head + b"\r\n"

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0.001)
        await saying("here")(scope, receive, send)

    with caplog.at_level(logging.ERROR), serving(slow) as server:
        for times in (1, 2, 40):
            with socket.create_connection(("127.0.0.1", server.port)) as caller:
                caller.sendall(asked * times + more)
                caller.shutdown(socket.SHUT_WR)
                until_closed(caller)

    assert caplog.records == []


@pytest.mark.parametrize("spelt", [b"Upgrade: h2c", b"UPGRADE:h2c"])
def test_the_offer_of_another_protocol_is_passed_over(spelt: bytes) -> None:
    async def echo(scope: Scope, receive: Receive, send: Send) -> None:
        body = (await receive()).get("body", b"")
        await PlainTextResponse(body)(scope, receive, send)

    with (
        serving(echo) as server,
        socket.create_connection(("127.0.0.1", server.port)) as caller,
    ):
        caller.sendall(
            b"POST / HTTP/1.1\r\nHost: here\r\nConnection: Upgrade, HTTP2-Settings, close\r\n"
            + spelt
            + b"\r\nHTTP2-Settings: AAMAAABk\r\nContent-Length: 4\r\n\r\nbody"
        )

        assert until_closed(caller).endswith(b"\r\n\r\nbody")


@pytest.mark.parametrize("end", [b"\r\n", b""])
def test_a_head_of_many_lines_is_refused(end: bytes) -> None:
    with (
        serving(saying("here")) as server,
        socket.create_connection(("127.0.0.1", server.port)) as caller,
    ):
        caller.sendall(b"GET / HTTP/1.1\r\n" + b"a:b\r\n" * 1000 + end)

        assert b"200 OK" not in until_closed(caller)


def until_closed(caller: socket.socket) -> bytes:
    told = b""
    with suppress(ConnectionResetError):
        while piece := caller.recv(65536):
            told += piece
    return told
