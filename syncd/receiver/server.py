"""The receiver as a thing that is started and stopped: a socket, uvicorn, and the intake."""

import asyncio
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import h11
import structlog
import uvicorn
from starlette.routing import BaseRoute
from uvicorn.protocols.http.h11_impl import H11Protocol

from syncd.core.link import Link
from syncd.errors import ConfigurationError
from syncd.receiver.app import application
from syncd.receiver.intake import Intake
from syncd.receiver.pushes import Token, Tokens

if TYPE_CHECKING:
    from syncd.store.store import Store

log = structlog.get_logger()

_BACKLOG: Final = 2048
_HEADERS_S: Final = 10.0
_LAST_ANSWERS_S: Final = 5
_LONGEST_HEADERS_BYTES: Final = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the receiver takes, and from whom.

    `account` is the one whose selections pushed contacts belong to. `pushes` are the tokens of
    `[[receiver.email]]`, `lists` each backend's own; `links` are the config's.
    """

    host: str
    port: int
    account: str
    pushes: tuple[Token, ...] = ()
    lists: tuple[Token, ...] = ()
    links: tuple[Link, ...] = ()


class Receiver:
    """Our public server, in a thread of its own, from `start` until `stop`.

    `open_store` opens a store that nobody else uses; a run may write to the same file meanwhile.
    `routes` are those of other protocols. A socket that listens already may be given, and stays
    its owner's.
    """

    def __init__(
        self,
        options: Options,
        open_store: "Callable[[], Store]",
        *,
        routes: Sequence[BaseRoute] = (),
        listening: socket.socket | None = None,
    ) -> None:
        self._options = options
        self._given = listening
        self._intake = Intake(open_store, options.account)
        app = application(
            intake=self._intake,
            pushes=Tokens(options.pushes),
            lists=Tokens(options.lists),
            links=options.links,
            more=routes,
        )
        config = uvicorn.Config(
            app,
            http=_Patience,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="error",  # anybody can make a server warn
            access_log=False,
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=_LAST_ANSWERS_S,
            h11_max_incomplete_event_size=_LONGEST_HEADERS_BYTES,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, name="receiver")

    def start(self) -> None:
        """Open the store, listen, and begin to answer.

        Raises:
            ConfigurationError: the address can't be listened at, or the store can't be used.
            StoreError: the store can't be used.
        """
        self._socket = self._listen()
        try:
            self._intake.start()
        except BaseException:
            self._socket.close()
            raise
        self._thread.start()
        log.info("receiver.started", listen=str(self.port))

    @property
    def port(self) -> int:
        """The port that is listened at."""
        return int(self._socket.getsockname()[1])

    def stop(self) -> None:
        """Take no more, answer what has come in, and let go of socket and store."""
        self._server.should_exit = True
        self._thread.join()
        self._intake.stop()
        log.info("receiver.stopped")

    def _listen(self) -> socket.socket:
        if self._given is not None:
            return self._given.dup()
        place = (self._options.host, self._options.port)
        family = socket.AF_INET6 if ":" in self._options.host else socket.AF_INET
        try:
            return socket.create_server(place, family=family, backlog=_BACKLOG)
        except OSError as error:
            raise ConfigurationError(
                f"The receiver can't listen at {place[0]}:{place[1]}: {error.strerror}.",
                hint="Correct listen in [receiver]; does another program listen there?",
            ) from error

    def _serve(self) -> None:
        self._server.run([self._socket])


class _Patience(H11Protocol):
    """uvicorn's protocol, which hangs up on who takes too long over the head of a request.

    uvicorn itself waits for ever for the first one. Bodies have their own patience (limits.py).
    """

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._stop_waiting()
        elif self._late is None:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._late = self.loop.call_later(_HEADERS_S, self._hang_up)

    def _stop_waiting(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _hang_up(self) -> None:
        self.transport.abort()
