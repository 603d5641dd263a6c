"""What a sender may cost us: bytes, time and guesses."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from starlette.types import Receive

MOST_BODY_BYTES: Final = 20_000_000
"""The longest body that is taken in."""

_SHORT_BODY_BYTES: Final = 65_536
_DROPPED_BYTES: Final = 100_000_000  # read and thrown away, so that the sender gets to our answer
_FREE_GUESSES: Final = 3
_LONGEST_PAUSE_S: Final = 8.0
_SENDERS: Final = 1000


class RefusedBodyError(Exception):
    """A body that is not taken in; `status` is HTTP's."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


class Bodies:
    """Reads bodies, and holds no more of them at a time than one of the longest.

    A short body always has room; what a body has beyond that counts for all senders together.
    """

    def __init__(self, *, patience_s: float = 60.0) -> None:
        self._patience_s = patience_s
        self._room_bytes = MOST_BODY_BYTES

    @asynccontextmanager
    async def read(self, receive: Receive) -> AsyncIterator[bytes]:
        """Read a body to its end; its room is free again when the caller is done.

        Raises:
            RefusedBodyError: too long (413), too slow (408), hung up (400), or too much for now
                (503).
        """
        taken = _Room(self)
        try:
            async with asyncio.timeout(self._patience_s):
                body = await _read(receive, taken)
        except TimeoutError:
            raise RefusedBodyError(408, "the body did not come in time") from None
        else:
            yield body
        finally:
            self._room_bytes += taken.size_bytes

    def take_room(self, size_bytes: int) -> None:
        """Take some of the room that long bodies share."""
        if size_bytes > self._room_bytes:
            raise RefusedBodyError(503, "too many long requests at once; try again")
        self._room_bytes -= size_bytes


class _Room:
    """What one body has taken of the shared room."""

    def __init__(self, bodies: Bodies) -> None:
        self._bodies = bodies
        self.size_bytes = 0

    def grow(self, body_bytes: int) -> None:
        needed = body_bytes - _SHORT_BODY_BYTES
        if needed > self.size_bytes:
            self._bodies.take_room(needed - self.size_bytes)
            self.size_bytes = needed


async def _read(receive: Receive, room: _Room) -> bytes:
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        chunk: bytes = message.get("body", b"")
        room.grow(len(chunk))
        return chunk
    body = bytearray()
    while True:
        if message["type"] != "http.request":
            raise RefusedBodyError(400, "the sender hung up")
        body += message.get("body", b"")
        if len(body) > MOST_BODY_BYTES:
            body.clear()
            await _drop(receive)
            raise RefusedBodyError(413, f"a body of more than {MOST_BODY_BYTES} bytes")
        room.grow(len(body))
        if not message.get("more_body"):
            return bytes(body)
        message = await receive()


async def _drop(receive: Receive) -> None:
    """Read on for a while: who is still sending does not look for an answer."""
    dropped = 0
    while dropped < _DROPPED_BYTES:
        message = await receive()
        dropped += len(message.get("body", b""))
        if message["type"] != "http.request" or not message.get("more_body"):
            return


class Guesses:
    """Counts each sender's wrong tokens, and says how long the answer to one has to wait.

    Only wrong ones wait: behind a proxy that does not say who is calling, everyone is one sender.
    """

    def __init__(self, now_s: Callable[[], float], *, forget_s: float = 600.0) -> None:
        self._now_s = now_s
        self._forget_s = forget_s
        self._senders: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def wrong(self, sender: str) -> tuple[int, float]:
        """Count one; return how many there were of this sender, and the pause in seconds."""
        now_s = self._now_s()
        count, last_s = self._senders.pop(sender, (0, now_s))
        count = 1 if now_s - last_s > self._forget_s else count + 1
        self._senders[sender] = (count, now_s)
        if len(self._senders) > _SENDERS:
            self._senders.popitem(last=False)
        if count <= _FREE_GUESSES:
            return count, 0.0
        return count, min(0.25 * 2.0 ** min(count - _FREE_GUESSES, 10), _LONGEST_PAUSE_S)
