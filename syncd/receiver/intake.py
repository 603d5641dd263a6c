"""Where what is pushed is written, and answered once it is on the disk.

Whatever waits goes into one transaction: a single sender waits for one write to the disk, and a
hundred at once wait for the same one. The senders' event loop itself writes: to hand a push to a
thread, and its answer back, takes longer than all else that is done for one. A thread does what
takes its time: a long push, and whatever comes while a run writes to the store.
"""

import asyncio
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from syncd.errors import SyncdError, TemporaryError
from syncd.receiver.pushes import Answer, Effect

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from syncd.store.store import Store

log = structlog.get_logger()

_PATIENCE_S: Final = 30
"""How long a run may keep the store to itself before what is pushed is refused."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    effect: Effect
    answer: "asyncio.Future[Answer]"


_Outcome = Answer | Exception


class Intake:
    """Takes effects from any event loop and thread, from `start` until `stop`.

    `open_store` opens a store for this alone: no transaction of a run's may be open on it.
    `account` is the one whose selections pushed contacts belong to. `stored` is called, from any
    thread, once something new is kept.
    """

    def __init__(
        self, open_store: "Callable[[], Store]", account: str, *, stored: "Callable[[], None]"
    ) -> None:
        self._open_store = open_store
        self._account = account
        self._stored = stored
        self._writing = threading.Lock()  # held by whoever uses the store
        self._taking = threading.Lock()  # guards what follows
        self._waiting: list[_Waiting] = []  # whoever finds it empty has it written
        self._ended = False

    def start(self) -> None:
        """Open the store.

        Raises:
            ConfigurationError, StoreError: the store can't be used.
        """
        self._store = self._open_store()
        self._store.wait_for_others(0)

    def stop(self) -> None:
        """Write what still waits, and let go of the store."""
        with self._taking:
            self._ended = True
        self._write_waiting()
        with self._writing:
            self._store.close()

    async def take(self, effect: Effect) -> Answer:
        """Carry out a short effect; return its answer when it is durable.

        Raises:
            SyncdError: the store can't be written, or this has ended; nothing was kept.
        """
        loop = asyncio.get_running_loop()
        waiting = _Waiting(effect, loop.create_future())
        with self._taking:
            if self._ended:
                raise _goes_elsewhere()
            if not self._waiting:
                loop.call_soon(self._write_here, 1)
            self._waiting.append(waiting)
        return await waiting.answer

    def take_long(self, effect: Effect) -> Answer:
        """Carry out an effect, however long it is, in a thread that has nothing else to do.

        Raises:
            SyncdError: as with `take`.
        """
        with self._writing:
            if self._ended:
                raise _goes_elsewhere()
            [outcome] = self._commit([effect])
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _write_here(self, known: int) -> None:
        """Write what waits, in the loop of who waits; in a thread what can't be written at once.

        While more is there than was `known` a turn of the loop before, the next turn is waited
        for. That has an end, since whoever waits for an answer sends nothing.
        """
        loop = asyncio.get_running_loop()
        if (now := len(self._waiting)) > known:
            loop.call_soon(self._write_here, now)
            return
        if self._writing.acquire(blocking=False):
            batch = self._next()
            try:
                answers = self._try([each.effect for each in batch]) if batch else []
            except Exception:  # noqa: BLE001  (the thread tries once more, and tells)
                with self._taking:
                    self._waiting[:0] = batch
            else:
                _tell(batch, answers, here=loop)
                return
            finally:
                self._writing.release()
        loop.run_in_executor(None, self._write_waiting)

    def _write_waiting(self) -> None:
        """Write what waits, however long somebody else keeps the store."""
        with self._writing:
            if batch := self._next():
                _tell(batch, self._commit([each.effect for each in batch]))

    def _next(self) -> list[_Waiting]:
        with self._taking:
            batch, self._waiting = self._waiting, []
        return batch

    def _commit(self, effects: "Sequence[Effect]") -> "Sequence[_Outcome]":
        """Carry out effects in one transaction; one by one where a single one fails it."""
        self._store.wait_for_others(_PATIENCE_S)
        try:
            return self._try(effects)
        except SyncdError as error:
            log.error("push.unstored", pushes=len(effects), why=str(error), hint=error.hint)  # noqa: TRY400
            return [error] * len(effects)
        except Exception as error:  # the border of a push: the others go on
            if len(effects) > 1:
                return [outcome for each in effects for outcome in self._commit([each])]
            log.exception("push.failed")
            return [error]
        finally:
            self._store.wait_for_others(0)

    def _try(self, effects: "Sequence[Effect]") -> list[Answer]:
        """Carry out effects in one transaction (SyncdError where nothing could be kept)."""
        with self._store.pushes.batch(self._account) as pushes:
            answers = [effect(pushes) for effect in effects]
            news = pushes.changed
        if news:
            self._stored()
        return answers


def _goes_elsewhere() -> TemporaryError:
    return TemporaryError("What is pushed goes to another store now.")


def _tell(
    batch: "Sequence[_Waiting]",
    outcomes: "Sequence[_Outcome]",
    here: asyncio.AbstractEventLoop | None = None,
) -> None:
    """Answer all; each loop but the one we are in is woken once."""
    told = list(zip(batch, outcomes, strict=True))
    for loop in {each.answer.get_loop() for each in batch}:
        its = [(each.answer, outcome) for each, outcome in told if each.answer.get_loop() is loop]
        if loop is here:
            _settle(its)
            continue
        with suppress(RuntimeError):  # closed: nobody waits there any more
            loop.call_soon_threadsafe(_settle, its)


def _settle(told: "Sequence[tuple[asyncio.Future[Answer], _Outcome]]") -> None:
    for answer, outcome in told:
        if answer.done():  # its sender hung up
            continue
        if isinstance(outcome, Exception):
            answer.set_exception(outcome)
        else:
            answer.set_result(outcome)
