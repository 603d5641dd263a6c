"""The one thread that writes what is pushed, and answers once it is on the disk.

Whatever waits when it is free goes into one transaction: a single sender waits for one write to
the disk, and a hundred at once wait for the same one.
"""

import asyncio
import threading
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

import structlog

from syncd.errors import SyncdError, TemporaryError
from syncd.receiver.pushes import Answer, Effect

if TYPE_CHECKING:
    from collections.abc import Callable

    from syncd.store.store import Store

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Waiting:
    effect: Effect
    loop: asyncio.AbstractEventLoop
    answer: "asyncio.Future[Answer]"


_Outcome = Answer | Exception


class Intake:
    """Takes effects from any event loop, from `start` until `stop`.

    `open_store` opens a store for this thread alone: no transaction of a run's may be open on it.
    `account` is the one whose selections pushed contacts belong to. `stored` is called, from this
    thread, once something new is kept.
    """

    def __init__(
        self, open_store: "Callable[[], Store]", account: str, *, stored: "Callable[[], None]"
    ) -> None:
        self._open_store = open_store
        self._account = account
        self._stored = stored
        self._queue: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._taking = threading.Lock()
        self._ended = False
        self._thread = threading.Thread(target=self._live, name="intake")

    def start(self) -> None:
        """Open the store and begin.

        Raises:
            ConfigurationError, StoreError: the store can't be used.
        """
        self._store = self._open_store()
        self._thread.start()

    def stop(self) -> None:
        """Write what still waits, and let go of the store."""
        with self._taking:
            self._ended = True
            self._queue.put(None)
        self._thread.join()
        self._store.close()

    async def take(self, effect: Effect) -> Answer:
        """Carry out an effect; return its answer when it is durable.

        Raises:
            SyncdError: the store can't be written, or this has ended; nothing was kept.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Answer] = loop.create_future()
        with self._taking:
            if self._ended:
                raise TemporaryError("What is pushed goes to another store now.")
            self._queue.put(_Waiting(effect, loop, answer))
        return await answer

    def _live(self) -> None:
        while True:
            found = [self._queue.get()]
            with suppress(Empty):
                while True:
                    found.append(self._queue.get_nowait())
            batch = [each for each in found if each is not None]
            if batch:
                _tell(list(zip(batch, self._commit(batch), strict=True)))
            if len(batch) < len(found):
                return

    def _commit(self, batch: list[_Waiting]) -> list[_Outcome]:
        """Carry out a batch in one transaction; one by one where a single effect fails it."""
        try:
            with self._store.pushes.batch(self._account) as pushes:
                answers: list[_Outcome] = [each.effect(pushes) for each in batch]
                news = pushes.changed
        except SyncdError as error:
            log.error("push.unstored", pushes=len(batch), why=str(error), hint=error.hint)  # noqa: TRY400
            return [error] * len(batch)
        except Exception as error:  # the border of a push: the others go on
            if len(batch) > 1:
                return [outcome for each in batch for outcome in self._commit([each])]
            log.exception("push.failed")
            return [error]
        if news:
            self._stored()
        return answers


def _tell(told: list[tuple[_Waiting, _Outcome]]) -> None:
    """Wake each loop once for all its answers."""
    for loop in {each.loop for each, _ in told}:
        here = [(each.answer, outcome) for each, outcome in told if each.loop is loop]
        with suppress(RuntimeError):  # closed: nobody waits there any more
            loop.call_soon_threadsafe(_settle, here)


def _settle(told: list[tuple["asyncio.Future[Answer]", _Outcome]]) -> None:
    for answer, outcome in told:
        if answer.done():  # its sender hung up
            continue
        if isinstance(outcome, Exception):
            answer.set_exception(outcome)
        else:
            answer.set_result(outcome)
