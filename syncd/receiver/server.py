"""A socket that an ASGI application answers, with bounds to what a sender may cost."""

import asyncio
import math
import re
import socket
import threading
from typing import TYPE_CHECKING, Final

import structlog
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from syncd.errors import ConfigurationError
from syncd.wire.email_service import CONTENT_TYPE, Refused, encode_reply

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

log = structlog.get_logger()

PATIENCE_S: Final = 60.0
"""How long a request may take to come in."""

MOST_CONNECTIONS: Final = 600
"""How many connections one server keeps; their number bounds files and memory."""

_BACKLOG: Final = 256  # with all connections, fewer than the 1024 files a process has at least
_LAST_ANSWERS_S: Final = 5
_MOST_HEAD_BYTES: Final = 16_384
_MOST_HEADERS: Final = 100  # an empty one takes a hundred times the bytes that were sent
_MOST_AHEAD: Final = 16
_READ_BYTES: Final = 32_768
_UPGRADE: Final = re.compile(rb"(?i)\nupgrade(?=:)")


class Server:
    """Answers at one socket, in a thread of its own, from `start` until `stop`.

    `key` is the config's key for the address, which errors name. A socket that listens already
    may be given, and stays its owner's.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        key: str,
        host: str,
        port: int,
        listening: socket.socket | None = None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._app = app
        self._key = key
        self._place = (host, port)
        self._given = listening
        config = uvicorn.Config(
            self._answer,
            loop="uvloop",
            http=_protocol(patience_s),
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level="error",  # anybody can make a server warn
            access_log=False,
            proxy_headers=False,  # an application asks who is calling, where that matters
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=_LAST_ANSWERS_S,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._live, name=key)

    def start(self) -> None:
        """Listen and begin to answer; whoever connects after this returned is answered.

        Raises:
            ConfigurationError: the address can't be listened at.
        """
        self._socket = self._listen()
        self._thread.start()
        log.info("server.started", server=self._key, port=self.port)

    @property
    def port(self) -> int:
        """The port that is listened at."""
        return int(self._socket.getsockname()[1])

    def answer_by(self, app: ASGIApp) -> None:
        """Let another application answer from the next request on; no connection is dropped."""
        self._app = app

    def stop(self) -> None:
        """Take no more, answer what has come in, and let go of the socket."""
        self._server.should_exit = True
        self._thread.join()
        log.info("server.stopped", server=self._key)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)

    def _listen(self) -> socket.socket:
        if self._given is not None:
            return self._given.dup()
        host, port = self._place
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            return socket.create_server(self._place, family=family, backlog=_BACKLOG)
        except OSError as error:
            raise ConfigurationError(
                f"{host}:{port} can't be listened at: {error.strerror}.",
                hint=f"Correct {self._key} in [receiver]; does another program listen there?",
            ) from error

    def _live(self) -> None:
        self._server.run([self._socket])


def _protocol(patience_s: float) -> "type[_Patience]":
    """Return the protocol of one server, whose connections read one at a time, into one room."""
    room = memoryview(bytearray(_READ_BYTES))
    return type("_Protocol", (_Patience,), {"patience_s": patience_s, "room": room})


class _Patience(HttpToolsProtocol, asyncio.BufferedProtocol):
    """uvicorn's protocol, with bounds to what a sender may begin and not end.

    A request has to be there whole within `patience_s` of its first byte, or of the connection's
    beginning, and its answer has to be read; its head is short, and few requests are sent ahead
    of their turn. Where there are too many connections, a new one takes the place of the one that
    has kept us waiting longest. `room` is where the loop puts what it reads: no more at once than
    there fits.
    """

    patience_s = PATIENCE_S
    room: memoryview
    _late: asyncio.TimerHandle | None = None
    _answered: "RequestResponseCycle | None" = None
    _head_bytes = 0
    _in_head = _in_request = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait()
        if len(self.connections) > MOST_CONNECTIONS:
            self._make_way()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        if self._answered is not None:  # uvicorn tells the latest request alone
            self._answered.disconnected = True
            self._answered.message_event.set()
        super().connection_lost(exc)

    def get_buffer(self, _: int) -> memoryview:
        return self.room

    def buffer_updated(self, nbytes: int) -> None:
        self.data_received(self.room[:nbytes].tobytes())

    def data_received(self, data: bytes) -> None:
        if self._in_head or not self._in_request:
            # An offer, which some clients always make; the parser would take it, and no body.
            data = _UPGRADE.sub(b"\nignored", data)
        super().data_received(data)
        self._head_bytes = self._head_bytes + len(data) if self._in_head else 0
        if (self._in_head and self._is_long()) or len(self.pipeline) > _MOST_AHEAD:
            self.transport.abort()
        if not self._in_request:
            self._stop_waiting()
        elif self._late is None:
            self._wait()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._late is None:
            self._wait()

    def resume_writing(self) -> None:
        super().resume_writing()
        if not self._in_request:
            self._stop_waiting()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = self._in_request = True

    def on_headers_complete(self) -> None:
        if len(self.headers) > _MOST_HEADERS:
            raise ValueError  # to the parser, which is told like anything that is no HTTP
        super().on_headers_complete()
        self._in_head = False

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._in_request = False

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  (ours say enough)
        body = encode_reply(Refused("not HTTP"))
        head = f"HTTP/1.1 400 Bad Request\r\ncontent-type: {CONTENT_TYPE}\r\n"
        self.transport.write(
            f"{head}content-length: {len(body)}\r\nconnection: close\r\n\r\n".encode() + body
        )
        self.transport.close()

    def _start_asgi_task(self, cycle: "RequestResponseCycle", app: "ASGI3Application") -> None:
        self._answered = cycle
        super()._start_asgi_task(cycle, app)

    def _is_long(self) -> bool:
        return self._head_bytes > _MOST_HEAD_BYTES or len(self.headers) > _MOST_HEADERS

    def _make_way(self) -> None:
        """Cut off whoever has kept us waiting longest: for a request, or between two."""
        waiting = [each for each in self.connections if isinstance(each, _Patience)]
        longest = min(waiting, key=_Patience._silent_since)
        self.connections.discard(longest)  # as if it were gone already
        longest.transport.abort()

    def _silent_since(self) -> float:
        """Return the loop's time since which we wait for the sender; infinite where we don't."""
        if self._late is not None:
            return self._late.when() - self.patience_s
        if self.timeout_keep_alive_task is not None:
            return self.timeout_keep_alive_task.when() - self.timeout_keep_alive
        return math.inf

    def _wait(self) -> None:
        self._late = self.loop.call_later(self.patience_s, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None
