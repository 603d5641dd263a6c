"""The room that bodies share, and the waiting for it; and pauses after wrong guesses."""

import asyncio
from http import HTTPStatus

import pytest
from starlette.types import Message

from syncd.receiver.limits import MOST_BODY_BYTES, Bodies, Guesses, RefusedBodyError

PIECE = b" " * 100_000


class Sender:
    """Sends a body piece by piece; `told_bytes` is what its head says of the length."""

    def __init__(self, bodies: Bodies, told_bytes: int | None = MOST_BODY_BYTES) -> None:
        self._pieces: asyncio.Queue[Message] = asyncio.Queue()
        self._listened_to, self._done = asyncio.Event(), asyncio.Event()
        self._head = [] if told_bytes is None else [(b"content-length", b"%d" % told_bytes)]
        self.send()
        self.read = asyncio.create_task(self._be_read(bodies))

    def send(self, piece: bytes = PIECE, *, more: bool = True) -> None:
        self._listened_to.clear()
        self._pieces.put_nowait({"type": "http.request", "body": piece, "more_body": more})

    def hang_up(self) -> None:
        self._pieces.put_nowait({"type": "http.disconnect"})

    @property
    def listened_to(self) -> bool:
        return self._listened_to.is_set()

    async def has_room(self) -> None:
        """Wait until all was taken in that was sent."""
        await self._listened_to.wait()

    async def end(self) -> int:
        """Send the last piece; return how much was read."""
        self.send(b"", more=False)
        self._done.set()
        return await self.read

    async def _be_read(self, bodies: Bodies) -> int:
        with bodies.room() as room:
            read = len(await room.read({"headers": self._head}, self._receive))
            await self._done.wait()
            return read

    async def _receive(self) -> Message:
        if self._pieces.empty():
            self._listened_to.set()
        return await self._pieces.get()


def test_who_finds_no_room_waits_for_it() -> None:
    async def three() -> list[int]:
        bodies = Bodies(lambda: 0.0)
        first, second = Sender(bodies), Sender(bodies)
        await asyncio.gather(first.has_room(), second.has_room())
        third = Sender(bodies)
        await asyncio.sleep(0)
        assert not third.read.done()

        return [await first.end(), await third.end(), await second.end()]

    assert asyncio.run(three()) == [len(PIECE)] * 3


def test_the_shortest_goes_first() -> None:
    async def four() -> bool:
        bodies = Bodies(lambda: 0.0)
        there = [Sender(bodies), Sender(bodies)]
        await asyncio.gather(*[each.has_room() for each in there])
        long, short = Sender(bodies), Sender(bodies, 2 * len(PIECE))
        await asyncio.sleep(0)
        await there[0].end()
        await short.has_room()
        waits = not long.listened_to
        for each in (short, there[1], long):
            await each.end()
        return waits

    assert asyncio.run(four())


@pytest.mark.parametrize("told_bytes", [MOST_BODY_BYTES, None])
def test_who_stops_sending_gives_way(told_bytes: int | None) -> None:
    now_s = 0.0

    async def three() -> int:
        nonlocal now_s
        bodies = Bodies(lambda: now_s)
        silent = [Sender(bodies, told_bytes), Sender(bodies, told_bytes)]
        for sender in silent:
            sender.send(b" " * (MOST_BODY_BYTES - 2 * len(PIECE)))
            await sender.has_room()
        now_s += 6
        read = await Sender(bodies).end()

        with pytest.raises(RefusedBodyError, match="too many long requests"):
            await silent[0].end()
        await silent[1].end()  # there was room enough without it
        return read

    assert asyncio.run(three()) == len(PIECE)


def test_who_sends_slowly_keeps_room_while_nobody_else_needs_it() -> None:
    now_s = 0.0

    async def one() -> int:
        nonlocal now_s
        slow = Sender(Bodies(lambda: now_s))
        for _ in range(100):
            now_s += 0.5
            slow.send()
            await slow.has_room()
        return await slow.end()

    assert asyncio.run(one()) == 101 * len(PIECE)


def test_what_is_dropped_needs_no_room() -> None:
    async def more_than_fits() -> list[int]:
        bodies = Bodies(lambda: 0.0)
        long = [Sender(bodies, told_bytes) for told_bytes in (MOST_BODY_BYTES + 1, None, None)]
        for sender in long:
            sender.send(b" " * MOST_BODY_BYTES)
            await sender.has_room()
        others = [await Sender(bodies).end(), await Sender(bodies).end()]
        for sender in long:
            with pytest.raises(RefusedBodyError, match="a body of more than"):
                await sender.end()
        return others

    assert asyncio.run(more_than_fits()) == [len(PIECE)] * 2


def test_who_hangs_up_gives_room_back() -> None:
    async def many() -> int:
        bodies = Bodies(lambda: 0.0)
        for _ in range(3):
            sender = Sender(bodies)
            await sender.has_room()
            sender.hang_up()
            with pytest.raises(RefusedBodyError, match="broke off"):
                await sender.read
        return await Sender(bodies).end()

    assert asyncio.run(many()) == len(PIECE)


def test_who_waited_long_enough_is_asked_to_come_again() -> None:
    now_s = 0.0

    async def three() -> None:
        nonlocal now_s
        bodies = Bodies(lambda: now_s)
        there = [Sender(bodies), Sender(bodies)]
        for sender in there:
            sender.send(b"", more=False)
        third = Sender(bodies)
        await asyncio.sleep(0)
        now_s += 60

        with pytest.raises(RefusedBodyError, match="try again") as refused:
            await third.end()
        assert refused.value.status == HTTPStatus.SERVICE_UNAVAILABLE
        for sender in there:
            await sender.end()

    asyncio.run(three())


def test_pauses_use_up_no_connections() -> None:
    scope = {"client": ("192.0.2.7", 1234), "headers": []}

    async def many() -> int:
        guesses = Guesses(lambda: 0.0)
        paused = [
            asyncio.create_task(guesses.slow_down(scope, why="wrong token")) for _ in range(103)
        ]
        await asyncio.sleep(0)
        await guesses.slow_down(scope, why="wrong token")
        still = [task for task in paused if not task.done()]
        for task in still:
            task.cancel()
        return len(still)

    assert asyncio.run(many()) == 100
