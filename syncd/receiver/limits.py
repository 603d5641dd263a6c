"""What a sender may cost us: bytes and guesses."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from http import HTTPStatus
from typing import Final, Self

import structlog
from starlette.types import Receive, Scope

MOST_BODY_BYTES: Final = 20_000_000
"""The longest body that is taken in."""

SHORT_BODY_BYTES: Final = 65_536
"""Up to here a body has room of its own, and is understood in no time."""

_DROPPED_BYTES: Final = 100_000_000  # read and thrown away, so that the sender gets to our answer
_FREE_GUESSES: Final = 3
_LONGEST_PAUSE_S: Final = 8.0
_SENDERS: Final = 1000
_THIS_MACHINE: Final = {"127.0.0.1", "::1"}

log = structlog.get_logger()


class RefusedBodyError(Exception):
    """A body that is not taken in; `status` is HTTP's."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


class Bodies:
    """Holds no more bodies at a time than one of the longest.

    A short body always has room; what a body has beyond that counts for all senders together.
    How long one may take is the server's affair.
    """

    def __init__(self) -> None:
        self.free_bytes = MOST_BODY_BYTES

    def room(self) -> "Room":
        """Return room for one body, as a context: free again at its end."""
        return Room(self)


class Room:
    """What one body takes of the room that long ones share."""

    def __init__(self, bodies: Bodies) -> None:
        self._bodies = bodies
        self._taken_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bodies.free_bytes += self._taken_bytes

    async def read(self, receive: Receive) -> bytes:
        """Read a body to its end.

        Raises:
            RefusedBodyError: too long (413), broken off (400), or too much for now (503).
        """
        message = await receive()
        if message["type"] == "http.request" and not message.get("more_body"):
            short: bytes = message.get("body", b"")
            self._grow(len(short))
            return short
        body = bytearray()
        while True:
            if message["type"] != "http.request":
                raise RefusedBodyError(HTTPStatus.BAD_REQUEST, "the body broke off")
            body += message.get("body", b"")
            if len(body) > MOST_BODY_BYTES:
                body.clear()
                await _drop(receive)
                words = f"a body of more than {MOST_BODY_BYTES} bytes"
                raise RefusedBodyError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, words)
            self._grow(len(body))
            if not message.get("more_body"):
                return bytes(body)
            message = await receive()

    def _grow(self, body_bytes: int) -> None:
        more_bytes = body_bytes - SHORT_BODY_BYTES - self._taken_bytes
        if more_bytes <= 0:
            return
        if more_bytes > self._bodies.free_bytes:
            words = "too many long requests at once; try again"
            raise RefusedBodyError(HTTPStatus.SERVICE_UNAVAILABLE, words)
        self._bodies.free_bytes -= more_bytes
        self._taken_bytes += more_bytes


async def _drop(receive: Receive) -> None:
    """Read on for a while: who is still sending does not look for an answer."""
    dropped = 0
    while dropped < _DROPPED_BYTES:
        message = await receive()
        dropped += len(message.get("body", b""))
        if message["type"] != "http.request" or not message.get("more_body"):
            return


class Guesses:
    """Counts what each sender got wrong, and keeps the answers to its guesses waiting.

    Only wrong ones wait: behind a proxy that does not say who is calling, everyone is one sender.
    """

    def __init__(self, now_s: Callable[[], float], *, forget_s: float = 600.0) -> None:
        self._now_s = now_s
        self._forget_s = forget_s
        self._senders: OrderedDict[str, tuple[int, float]] = OrderedDict()

    async def slow_down(self, scope: Scope, *, why: str) -> None:
        """Count a guess of whoever is calling, and wait as long as its answer has to."""
        times = self.count(scope, why=why)
        if times > _FREE_GUESSES:
            pause_s = 0.25 * 2.0 ** min(times - _FREE_GUESSES, 10)
            await asyncio.sleep(min(pause_s, _LONGEST_PAUSE_S))

    def count(self, scope: Scope, *, why: str) -> int:
        """Count one of whoever is calling, and log some; return how many there were."""
        sender, now_s = _sender(scope), self._now_s()
        count, last_s = self._senders.pop(sender, (0, now_s))
        count = 1 if now_s - last_s > self._forget_s else count + 1
        self._senders[sender] = (count, now_s)
        if len(self._senders) > _SENDERS:
            self._senders.popitem(last=False)
        if not count & (count - 1):  # 1, 2, 4, 8 …: whoever is wrong must not fill the log
            log.warning("push.refused", why=why, sender=sender, times=count)
        return count


def _sender(scope: Scope) -> str:
    """Return who is calling; a proxy on this machine says whom it stands for."""
    client = str((scope.get("client") or ("",))[0])
    if client in _THIS_MACHINE:
        for name, value in scope["headers"]:
            if name == b"x-forwarded-for":
                return str(value.decode("latin-1").rpartition(",")[2].strip())
    return client
