"""The receiver as a thing that is started and stopped: the public socket and the intake."""

import socket
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from starlette.routing import BaseRoute

from syncd.core.link import Link
from syncd.receiver.app import application
from syncd.receiver.intake import Intake
from syncd.receiver.pushes import Token, Tokens
from syncd.receiver.server import PATIENCE_S, Server

if TYPE_CHECKING:
    from syncd.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the receiver takes, and from whom.

    `account` is the one whose selections pushed contacts belong to. `pushes` are the tokens of
    `[[receiver.email]]`, `lists` each backend's own; `links` are the config's. `taken` says of
    each backend which names no pushed list may have there, casefolded.
    """

    host: str
    port: int
    account: str
    pushes: tuple[Token, ...] = ()
    lists: tuple[Token, ...] = ()
    links: tuple[Link, ...] = ()
    taken: Mapping[str, Collection[str]] = field(default_factory=dict)


class Receiver:
    """Our public side, from `start` until `stop`.

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
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._intake = Intake(open_store, options.account)
        app = application(
            intake=self._intake,
            pushes=Tokens(options.pushes),
            lists=Tokens(options.lists),
            links=options.links,
            taken=options.taken,
            more=routes,
        )
        self._server = Server(
            app,
            key="listen",
            host=options.host,
            port=options.port,
            listening=listening,
            patience_s=patience_s,
        )

    def start(self) -> None:
        """Open the store, listen, and begin to answer.

        Raises:
            ConfigurationError: the address can't be listened at, or the store can't be used.
            StoreError: the store can't be used.
        """
        self._intake.start()
        try:
            self._server.start()
        except BaseException:
            self._intake.stop()
            raise

    @property
    def port(self) -> int:
        """The port that is listened at."""
        return self._server.port

    def stop(self) -> None:
        """Take no more, answer what has come in, and let go of socket and store."""
        self._server.stop()
        self._intake.stop()
