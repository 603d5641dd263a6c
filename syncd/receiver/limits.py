"""What a sender may cost us: bytes and guesses."""

import asyncio
from bisect import bisect, insort
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from ipaddress import ip_address
from mmap import mmap
from typing import Final, Self

import structlog
from starlette.types import Message, Receive, Scope

MOST_BODY_BYTES: Final = 20_000_000
"""The longest body that is taken in."""

SHORT_BODY_BYTES: Final = 65_536
"""Up to here a body is understood in no time."""

_ROOM_BYTES: Final = 2 * MOST_BODY_BYTES
_FAIR_BYTES_A_SECOND: Final = 4_000_000  # the longest body is there in five seconds
_SLOW_START_S: Final = 0.25
_WAIT_S: Final = 30.0
_LOOK_AGAIN_S: Final = 0.25
_MOST_WAITING: Final = 50  # of whom the server has read some 200 kB already
_DROPPED_BYTES: Final = 100_000_000  # read and thrown away, so that the sender gets to our answer
_FREE_GUESSES: Final = 3
_LONGEST_PAUSE_S: Final = 8.0
_MOST_PAUSES: Final = 100  # at a time: each is a connection that others can't have
_SENDERS: Final = 1000
_THIS_MACHINE: Final = {"127.0.0.1", "::1"}

log = structlog.get_logger()


class RefusedBodyError(Exception):
    """A body that is not taken in; `status` is HTTP's."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


class Bodies:
    """Room for the bodies of all senders together; one that is there in one piece needs none.

    Who finds none left waits for it, without being read from, the shortest first; and those who
    have some but send slowly give way. How long one may take in any case is the server's affair.
    """

    def __init__(self, now_s: Callable[[], float]) -> None:
        self.now_s = now_s
        self.one_at_a_time = asyncio.Lock()
        """Held while a long body is understood, which takes memory beside it."""
        self._free_bytes = _ROOM_BYTES
        self._freed = asyncio.Event()
        self._sending: dict[Room, None] = {}  # the earliest first
        self._waiting: list[int] = []  # what each wants, the least first

    def room(self) -> "Room":
        """Return room for one body, as a context: free again at its end."""
        return Room(self)

    async def take(self, room: "Room", wanted_bytes: int) -> None:
        """Take room for a body that is being sent.

        Raises:
            RefusedBodyError: there was none for too long, or too many wait for it (503).
        """
        until_s = self.now_s() + _WAIT_S
        while wanted_bytes > self._free_bytes or wanted_bytes > self._least_waiting():
            if slow := next((each for each in self._sending if each.is_slow()), None):
                slow.give_way()
            elif self.now_s() > until_s or self._many_go_before(wanted_bytes):
                raise _no_room()
            else:
                await self._wait(wanted_bytes)
        self._free_bytes -= wanted_bytes
        self._sending[room] = None

    def is_there(self, room: "Room") -> None:
        """Know that a body came whole: it needs to give way no more."""
        del self._sending[room]

    def give_back(self, room: "Room", taken_bytes: int) -> None:
        """Have a body's room free for others."""
        self._sending.pop(room, None)
        self._free_bytes += taken_bytes
        self._freed.set()
        self._freed = asyncio.Event()

    def _least_waiting(self) -> int:
        return self._waiting[0] if self._waiting else MOST_BODY_BYTES

    def _many_go_before(self, wanted_bytes: int) -> bool:
        return bisect(self._waiting, wanted_bytes) >= _MOST_WAITING

    async def _wait(self, wanted_bytes: int) -> None:
        insort(self._waiting, wanted_bytes)
        try:
            with suppress(TimeoutError):  # by then somebody may have become slow
                async with asyncio.timeout(_LOOK_AGAIN_S):
                    await self._freed.wait()
        finally:
            self._waiting.remove(wanted_bytes)


class Room:
    """One body, and what it takes of the room for all."""

    def __init__(self, bodies: Bodies) -> None:
        self._bodies = bodies
        self._taken_bytes = self._come_bytes = 0
        self._gave_way = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._taken_bytes:
            self.give_way()

    async def read(self, scope: Scope, receive: Receive) -> bytes | memoryview:
        """Read a body to its end.

        Raises:
            RefusedBodyError: too long (413), broken off (400), or too much for now (503).
        """
        message = await receive()
        if message["type"] == "http.request" and not message.get("more_body"):
            short: bytes = message.get("body", b"")
            return short
        try:
            await self._take(scope)
            while self._keeps(message):
                message = await receive()
        except RefusedBodyError:
            await _drop(message, receive)
            raise
        return memoryview(self._body)[: self._come_bytes]

    def is_slow(self) -> bool:
        """Whether so little came up to now that others go before."""
        spent_s = self._bodies.now_s() - self._since_s
        return spent_s > _SLOW_START_S and self._come_bytes < spent_s * _FAIR_BYTES_A_SECOND

    def give_way(self) -> None:
        """Let go of what came, and of the room for more."""
        del self._body
        self._bodies.give_back(self, self._taken_bytes)
        self._taken_bytes = 0
        self._gave_way = True

    async def _take(self, scope: Scope) -> None:
        told_bytes = _told_bytes(scope)
        if told_bytes > MOST_BODY_BYTES:
            raise _too_long()
        await self._bodies.take(self, told_bytes)
        self._taken_bytes, self._since_s = told_bytes, self._bodies.now_s()
        # The system's own pages: a heap that grows and shrinks by megabytes gives few back.
        self._body = mmap(-1, max(told_bytes, 1))

    def _keeps(self, message: Message) -> bool:
        """Keep what came; return whether more will."""
        if self._gave_way:
            raise _no_room()
        if message["type"] != "http.request":
            raise RefusedBodyError(HTTPStatus.BAD_REQUEST, "the body broke off")
        piece = message.get("body", b"")
        self._come_bytes += len(piece)
        if self._come_bytes > self._taken_bytes:
            self.give_way()
            raise _too_long()
        self._body.write(piece)
        if message.get("more_body"):
            return True
        self._bodies.is_there(self)
        return False


def _told_bytes(scope: Scope) -> int:
    """Return how long a body is by its head; one that doesn't say may be of the longest."""
    told = dict(scope["headers"]).get(b"content-length")
    return MOST_BODY_BYTES if told is None else int(told)


def _too_long() -> RefusedBodyError:
    words = f"a body of more than {MOST_BODY_BYTES} bytes"
    return RefusedBodyError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, words)


def _no_room() -> RefusedBodyError:
    words = "too many long requests at once; try again"
    return RefusedBodyError(HTTPStatus.SERVICE_UNAVAILABLE, words)


async def _drop(message: Message, receive: Receive) -> None:
    """Read on for a while: who is still sending does not look for an answer."""
    dropped = 0
    while message.get("more_body") and dropped < _DROPPED_BYTES:
        message = await receive()
        dropped += len(message.get("body", b""))


class Guesses:
    """Counts what each sender got wrong, and keeps the answers to its guesses waiting.

    Only wrong ones wait: behind a proxy that does not say who is calling, everyone is one sender.
    """

    def __init__(self, now_s: Callable[[], float], *, forget_s: float = 600.0) -> None:
        self._now_s = now_s
        self._forget_s = forget_s
        self._senders: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._pauses = 0

    async def slow_down(self, scope: Scope, *, why: str) -> None:
        """Count a guess of whoever is calling, and wait as long as its answer has to."""
        times = self.count(scope, why=why)
        if times > _FREE_GUESSES and self._pauses < _MOST_PAUSES:
            pause_s = 0.25 * 2.0 ** min(times - _FREE_GUESSES, 10)
            self._pauses += 1
            try:
                await asyncio.sleep(min(pause_s, _LONGEST_PAUSE_S))
            finally:
                self._pauses -= 1

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
                told = value.decode("latin-1").rpartition(",")[2].strip()
                with suppress(ValueError):  # anybody on this machine may say anything
                    return str(ip_address(told.partition("%")[0]))
    return client
