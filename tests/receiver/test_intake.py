"""The intake: nobody's write keeps a loop from its other work, and nothing that came is dropped."""

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from syncd.errors import TemporaryError
from syncd.receiver.intake import Intake
from syncd.receiver.pushes import Answer
from syncd.store.pushes import PushBatch
from syncd.store.store import Store
from syncd.wire.email_service import Accepted
from tests.receiver.conftest import NOW


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "syncd.db"


@pytest.fixture
def stored() -> list[str]:
    """One entry for each time that something new is told of."""
    return []


@pytest.fixture
def intake(path: Path, stored: list[str]) -> Iterator[Intake]:
    intake = Intake(lambda: Store(path), "acme", stored=lambda: stored.append("news"))
    intake.start()
    yield intake
    intake.stop()


class Create:
    """The effect of a push that makes a list."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, batch: PushBatch) -> Answer:
        return Accepted(batch.create("news", self.name, taken=(), at=NOW))


class Faulty(Create):
    def __call__(self, batch: PushBatch) -> Answer:
        super().__call__(batch)
        raise ZeroDivisionError


class Endless(Create):
    """Goes on until it is let go."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.began, self.go = threading.Event(), threading.Event()

    def __call__(self, batch: PushBatch) -> Answer:
        self.began.set()
        self.go.wait()
        return super().__call__(batch)


@contextmanager
def held(path: Path) -> Iterator[sqlite3.Connection]:
    """Write to the store beside the intake, until a rollback."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    yield other
    other.close()


def lists(path: Path) -> list[str]:
    store = Store(path)
    found = sorted(each.name for each in store.pushes.lists())
    store.close()
    return found


async def turns() -> None:
    """Let everything that is ready in this loop have its turn, several times."""
    for _ in range(10):
        await asyncio.sleep(0)


def test_what_comes_at_once_is_one_commit(intake: Intake, path: Path, stored: list[str]) -> None:
    async def push() -> list[Answer]:
        return await asyncio.gather(*(intake.take(Create(name)) for name in "abc"))

    answers = asyncio.run(push())

    assert len({answer.list_id for answer in answers if isinstance(answer, Accepted)}) == 3
    assert lists(path) == ["a", "b", "c"]
    assert stored == ["news"]


def test_while_more_keep_coming_they_are_waited_for(
    intake: Intake, path: Path, stored: list[str]
) -> None:
    async def push() -> None:
        waiting = [asyncio.create_task(intake.take(Create(name))) for name in "ab"]
        for name in "cde":  # one more in each turn of the loop
            await asyncio.sleep(0)
            waiting.append(asyncio.create_task(intake.take(Create(name))))
        await asyncio.gather(*waiting)

    asyncio.run(push())

    assert lists(path) == ["a", "b", "c", "d", "e"]
    assert stored == ["news"]


def test_while_another_writes_the_loop_goes_on_and_what_comes_waits(
    intake: Intake, path: Path
) -> None:
    async def push() -> list[bool]:
        with held(path) as other:
            first = asyncio.create_task(intake.take(Create("a")))
            await turns()
            second = asyncio.create_task(intake.take(Create("b")))
            await turns()
            waiting = [first.done(), second.done()]
            other.execute("ROLLBACK")
            await asyncio.gather(first, second)
        return waiting

    assert asyncio.run(push()) == [False, False]
    assert lists(path) == ["a", "b"]


def test_during_a_long_one_the_loop_goes_on_and_what_comes_waits(
    intake: Intake, path: Path
) -> None:
    async def push() -> bool:
        long = Endless("long")
        writing = asyncio.create_task(asyncio.to_thread(intake.take_long, long))
        await asyncio.to_thread(long.began.wait)
        short = asyncio.create_task(intake.take(Create("short")))
        await turns()
        waits = not short.done()
        long.go.set()
        await asyncio.gather(writing, short)
        return waits

    assert asyncio.run(push())
    assert lists(path) == ["long", "short"]


def test_what_waits_at_the_end_is_written_and_answered(path: Path) -> None:
    intake = Intake(lambda: Store(path), "acme", stored=lambda: None)
    intake.start()

    async def push() -> Answer:
        with held(path) as other:
            waiting = asyncio.create_task(intake.take(Create("a")))
            await turns()
            ending = asyncio.create_task(asyncio.to_thread(intake.stop))
            await turns()
            other.execute("ROLLBACK")
            answer = await waiting
            await ending
        return answer

    assert isinstance(asyncio.run(push()), Accepted)
    assert lists(path) == ["a"]


def test_after_the_end_nothing_is_taken(path: Path) -> None:
    intake = Intake(lambda: Store(path), "acme", stored=lambda: None)
    intake.start()
    intake.stop()

    with pytest.raises(TemporaryError):
        asyncio.run(intake.take(Create("a")))
    with pytest.raises(TemporaryError):
        intake.take_long(Create("a"))
    assert lists(path) == []


def test_a_fault_of_one_leaves_the_others_and_itself_no_trace(intake: Intake, path: Path) -> None:
    async def push() -> list[Answer | BaseException]:
        several = (Create("a"), Faulty("faulty"), Create("b"))
        return await asyncio.gather(*map(intake.take, several), return_exceptions=True)

    with capture_logs() as logs:
        first, faulty, last = asyncio.run(push())

    assert isinstance(first, Accepted)
    assert isinstance(faulty, ZeroDivisionError)
    assert isinstance(last, Accepted)
    assert lists(path) == ["a", "b"]
    assert [told["event"] for told in logs] == ["push.failed"]


def test_two_loops_may_push_at_once(intake: Intake, path: Path) -> None:
    names = [f"list {number}" for number in range(40)]

    async def push(mine: list[str]) -> None:
        for name in mine:
            await intake.take(Create(name))

    loops = [
        threading.Thread(target=asyncio.run, args=(push(names[half::2]),)) for half in range(2)
    ]
    for loop in loops:
        loop.start()
    for loop in loops:
        loop.join()

    assert lists(path) == sorted(names)
