"""The SMS relay: takes from the outbox what is due, and hands it to its gateway.

A message goes out at most once unless it is known not to have been taken. "sent" is committed
before each call; what is found so afterwards is unknown, and stays for a person to decide.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Final, assert_never

import structlog

from syncd import clock
from syncd.core.sms import DueText, Fate, Sending, TextState
from syncd.errors import BusyError, SyncdError
from syncd.ports import Outbox, TextSender

log = structlog.get_logger()

PATIENCE: Final = timedelta(hours=24)
"""How long a message is tried: one that comes a day late is of no use any more."""
_FIRST_PAUSE_S: Final = 15.0
_LONGEST_PAUSE_S: Final = 3600.0
_LONGEST_WAIT_S: Final = 30.0  # a message that another process stored is noticed after so long


def relay_due(
    outbox: Outbox,
    gateways: Mapping[str, TextSender],
    now: Callable[[], datetime],
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """Send what is due, each message once; `stop` is asked before each.

    A gateway that takes nothing for now, or doesn't answer, is left alone for the rest.

    Raises:
        BusyError: somebody else relays the messages of this store.
        TemporaryError: the store can't be written.
    """
    away: set[str] = set()
    with outbox.relaying():
        lost = outbox.settle()
        if lost:
            log.warning("sms.lost", messages=lost)
        for due in outbox.due(now()):
            if stop():
                return
            if due.text.relay in away:
                continue
            if now() - due.at >= PATIENCE:
                why = f"given up after {due.attempts} tries: it waited for a day"
                _end(outbox, due, TextState.REFUSED, attempts=due.attempts, why=why)
            elif outbox.mark_sent(due.id):
                sending = _send(gateways, due)
                _close(outbox, due, sending, now())
                if sending.fate in {Fate.LATER, Fate.UNKNOWN}:
                    away.add(due.text.relay)  # or each of its messages waits as long for it


def _send(gateways: Mapping[str, TextSender], due: DueText) -> Sending:
    gateway = gateways.get(due.text.relay)
    if gateway is None:
        return Sending(fate=Fate.LATER, why="the config has no gateway of this name")
    return gateway.send(due.text.sender, due.text.recipient, due.text.text)


def _close(outbox: Outbox, due: DueText, sending: Sending, now: datetime) -> None:
    """Remember how one sending ended."""
    attempts = due.attempts + 1
    match sending.fate:
        case Fate.TAKEN:
            state, why = TextState.DONE, ""
        case Fate.REFUSED:
            state, why = TextState.REFUSED, sending.why
        case Fate.UNKNOWN:
            state, why = TextState.UNKNOWN, sending.why
        case Fate.LATER:
            until = now + _pause(attempts, sending.retry_after_s)
            if until - due.at < PATIENCE:
                outbox.postpone(due.id, until, error=sending.why, answer=sending.answer)
                log.info("sms.postponed", message=due.id, attempts=attempts, why=sending.why)
                return
            state, why = TextState.REFUSED, f"given up after {attempts} tries: {sending.why}"
        case never:
            assert_never(never)
    _end(outbox, due, state, attempts=attempts, why=why, answer=sending.answer)


def _end(
    outbox: Outbox, due: DueText, state: TextState, *, attempts: int, why: str, answer: str = ""
) -> None:
    outbox.end(due.id, state, error=why, answer=answer)
    if state is TextState.DONE:
        log.info("sms.closed", message=due.id, state=state.value, attempts=attempts)
    else:
        log.warning("sms.closed", message=due.id, state=state.value, attempts=attempts, why=why)


def _pause(attempts: int, asked_s: float | None) -> timedelta:
    """Return how long to wait: doubling, and at least as long as the gateway asked."""
    growing_s = min(_FIRST_PAUSE_S * 2.0 ** min(attempts - 1, 20), _LONGEST_PAUSE_S)
    return timedelta(seconds=max(growing_s, min(asked_s or 0.0, _LONGEST_PAUSE_S)))


@contextmanager
def faults_logged() -> Iterator[None]:
    """Be the border of one pass: whatever ends it is logged, and the next pass comes."""
    try:
        yield
    except BusyError:
        pass  # whoever relays now finds what is due
    except SyncdError as error:
        log.error("relay.failed", why=str(error), hint=error.hint)  # noqa: TRY400  (expected)
    except Exception:
        log.exception("relay.failed")


class Relay:
    """A thread that relays what is due, from `start` until `stop`."""

    def __init__(
        self,
        outbox: Outbox,
        gateways: Mapping[str, TextSender],
        *,
        before_each: Callable[[], None] = lambda: None,
    ) -> None:
        """Take the outbox and the gateways; whoever made them closes them after `stop`.

        `before_each` is called before each pass: what else is due by the clock (the
        summaries of alerts) puts its messages into the outbox there.
        """
        self._outbox = outbox
        self._gateways = gateways
        self._before_each = before_each
        self._stopping = threading.Event()
        self._woken = threading.Event()
        self._thread = threading.Thread(target=self._live, name="relay")

    def start(self) -> None:
        """Begin, with whatever an earlier process left."""
        self._thread.start()

    def wake(self) -> None:
        """Look into the outbox now: something was put there; from any thread."""
        self._woken.set()

    def stop(self) -> None:
        """End after the call that is under way, and wait for that."""
        self._stopping.set()
        self._woken.set()
        self._thread.join()

    def _live(self) -> None:
        while True:
            self._woken.clear()  # before the look at what is asked, which may come any time
            if self._stopping.is_set():
                return
            self._woken.wait(self._pass())

    def _pass(self) -> float:
        """Relay once; return how many seconds there is nothing to do."""
        due = None
        with faults_logged():
            self._before_each()
            relay_due(self._outbox, self._gateways, clock.now, self._stopping.is_set)
            due = self._outbox.next_due()
        if due is None:
            return _LONGEST_WAIT_S
        return min(max((due - clock.now()).total_seconds(), 0.0), _LONGEST_WAIT_S)
