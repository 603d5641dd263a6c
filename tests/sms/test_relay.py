"""The relay: everything once, nothing twice, whatever the gateway does and whoever dies."""

import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from syncd import clock
from syncd.app.relay import PATIENCE, Relay, relay_due
from syncd.core.sms import Fate, Sending, TextState
from syncd.errors import BusyError, TemporaryError
from syncd.sms.base import Options
from syncd.sms.planfix_sms import PlanfixSms
from syncd.store.sms import Outbox
from syncd.store.store import Store
from tests.fakes.sms_service import Answer, SmsService, Taken
from tests.sms.conftest import NOW, text


def at(moment: datetime) -> Callable[[], datetime]:
    return lambda: moment


def state_of(outbox: Outbox, message: str) -> TextState:
    standing = outbox.standing(message)
    assert standing
    return standing.state


def test_what_is_due_is_sent_once_in_the_order_it_came(
    outbox: Outbox, gateway: PlanfixSms, gateway_service: SmsService
) -> None:
    first = outbox.put(text("one"), at=NOW)
    second = outbox.put(text("two", sender="Shop"), at=NOW + timedelta(seconds=1))

    for _ in range(2):
        relay_due(outbox, {"gateway": gateway}, at(NOW + timedelta(minutes=1)))

    assert gateway_service.taken == [
        Taken("ACME", "+70000000001", "one"),
        Taken("Shop", "+70000000001", "two"),
    ]
    assert state_of(outbox, first) == state_of(outbox, second) == TextState.DONE


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (Answer.REFUSE, TextState.REFUSED),
        (Answer.NOT_FOUND, TextState.REFUSED),
        (Answer.BAD_GATEWAY, TextState.UNKNOWN),
        (Answer.DROP, TextState.UNKNOWN),
        (Answer.CUT, TextState.UNKNOWN),
        (Answer.GATEWAY_TIMEOUT, TextState.UNKNOWN),
    ],
)
def test_what_is_refused_or_unknown_is_never_repeated(
    outbox: Outbox,
    gateway: PlanfixSms,
    gateway_service: SmsService,
    answer: Answer,
    state: TextState,
) -> None:
    gateway_service.answer(answer)
    message = outbox.put(text(), at=NOW)

    relay_due(outbox, {"gateway": gateway}, at(NOW))
    relay_due(outbox, {"gateway": gateway}, at(NOW + timedelta(days=1)))

    assert state_of(outbox, message) is state
    assert gateway_service.requests == 1


@pytest.mark.parametrize("answer", [Answer.AWAY, Answer.FORBIDDEN])
def test_what_was_not_taken_is_tried_again_after_growing_pauses(
    outbox: Outbox, gateway: PlanfixSms, gateway_service: SmsService, answer: Answer
) -> None:
    gateway_service.answer(*[answer] * 4)
    message = outbox.put(text(), at=NOW)
    pauses = []

    moment = NOW
    for _ in range(4):
        relay_due(outbox, {"gateway": gateway}, at(moment))
        due = outbox.next_due()
        assert due
        pauses.append((due - moment).total_seconds())
        relay_due(outbox, {"gateway": gateway}, at(due - timedelta(seconds=1)))
        moment = due
    relay_due(outbox, {"gateway": gateway}, at(moment))

    assert pauses == [15, 30, 60, 120]
    assert gateway_service.requests == 5
    assert len(gateway_service.taken) == 1
    assert state_of(outbox, message) is TextState.DONE


def test_a_gateway_that_asks_for_a_pause_gets_it(
    outbox: Outbox, gateway: PlanfixSms, gateway_service: SmsService
) -> None:
    gateway_service.answer(Answer.BUSY)
    outbox.put(text(), at=NOW)

    relay_due(outbox, {"gateway": gateway}, at(NOW))

    assert outbox.next_due() == NOW + timedelta(seconds=90)


def test_a_gateway_that_is_not_there_is_waited_for(outbox: Outbox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}/send"
    message = outbox.put(text(), at=NOW)

    relay_due(outbox, {"gateway": PlanfixSms(Options(url=url, key="k"))}, at(NOW))

    assert state_of(outbox, message) is TextState.QUEUED


def test_after_a_day_it_is_given_up(
    outbox: Outbox, gateway: PlanfixSms, gateway_service: SmsService
) -> None:
    gateway_service.always(Answer.AWAY)
    message = outbox.put(text(), at=NOW)

    relay_due(outbox, {"gateway": gateway}, at(NOW + PATIENCE - timedelta(seconds=1)))

    standing = outbox.standing(message)
    assert standing
    assert standing.state is TextState.REFUSED
    assert standing.error.startswith("given up after 1 tries")


def test_what_waited_for_a_day_is_not_sent_any_more(
    outbox: Outbox, gateway: PlanfixSms, gateway_service: SmsService
) -> None:
    message = outbox.put(text(), at=NOW)

    relay_due(outbox, {"gateway": gateway}, at(NOW + PATIENCE))

    assert state_of(outbox, message) is TextState.REFUSED
    assert gateway_service.requests == 0


def test_a_clock_that_is_set_back_holds_up_no_message(
    outbox: Outbox, gateway: PlanfixSms, gateway_service: SmsService
) -> None:
    outbox.put(text(), at=NOW + timedelta(days=300))

    relay_due(outbox, {"gateway": gateway}, at(NOW))

    assert len(gateway_service.taken) == 1


@pytest.mark.parametrize("answer", [Answer.AWAY, Answer.DROP])
def test_a_gateway_that_is_away_is_asked_once_a_pass_and_keeps_no_other_waiting(
    outbox: Outbox, gateway: PlanfixSms, gateway_service: SmsService, answer: Answer
) -> None:
    gateway_service.always(answer)
    with SmsService(login="acme-sms") as other:
        options = Options(url=other.url, login="acme-sms", password="s3cret")
        for number in range(101):  # more than one pass takes of one gateway
            outbox.put(text(str(number)), at=NOW)
        outbox.put(text(relay="other"), at=NOW + timedelta(seconds=1))

        gateways = {"gateway": gateway, "other": PlanfixSms(options)}
        relay_due(outbox, gateways, at(NOW + timedelta(seconds=1)))

        assert (gateway_service.requests, len(other.taken)) == (1, 1)


class Locking:
    """A gateway that takes nothing, while another connection holds the store."""

    def __init__(self, path: Path) -> None:
        self._other = sqlite3.connect(path, isolation_level=None)

    def send(self, *_: str) -> Sending:
        self._other.execute("BEGIN IMMEDIATE")
        return Sending(fate=Fate.LATER, why="not now")

    def close(self) -> None:
        self._other.close()


def test_a_result_that_could_not_be_written_is_not_lost(path: Path, store: Store) -> None:
    message = store.outbox.put(text(), at=NOW)
    store.wait_for_others(0)
    with closing(Locking(path)) as locking, pytest.raises(TemporaryError):
        relay_due(store.outbox, {"gateway": locking}, at(NOW))
    assert state_of(store.outbox, message) is TextState.SENT

    with capture_logs() as logged:
        relay_due(store.outbox, {}, at(NOW))

    standing = store.outbox.standing(message)
    assert standing
    assert (standing.state, standing.error) == (TextState.QUEUED, "not now")
    assert logged == []


def test_a_gateway_that_left_the_config_is_waited_for(
    outbox: Outbox, gateway: PlanfixSms, gateway_service: SmsService
) -> None:
    message = outbox.put(text(relay="old"), at=NOW)

    relay_due(outbox, {"gateway": gateway}, at(NOW))

    assert state_of(outbox, message) is TextState.QUEUED
    assert gateway_service.requests == 0


def test_one_bad_message_does_not_stop_the_others(
    outbox: Outbox, gateway: PlanfixSms, gateway_service: SmsService
) -> None:
    gateway_service.answer(Answer.REFUSE)
    outbox.put(text("one"), at=NOW)
    outbox.put(text("two"), at=NOW + timedelta(seconds=1))

    relay_due(outbox, {"gateway": gateway}, at(NOW + timedelta(seconds=1)))

    assert [taken.text for taken in gateway_service.taken] == ["two"]


def test_a_stop_is_heard_between_two_messages(
    outbox: Outbox, gateway: PlanfixSms, gateway_service: SmsService
) -> None:
    outbox.put(text("one"), at=NOW)
    outbox.put(text("two"), at=NOW)

    relay_due(outbox, {"gateway": gateway}, at(NOW), lambda: gateway_service.requests > 0)

    assert gateway_service.requests == 1
    assert outbox.next_due() == NOW


def test_killed_before_the_answer_a_message_is_unknown_and_not_repeated(
    path: Path, store: Store, gateway: PlanfixSms, gateway_service: SmsService
) -> None:
    gateway_service.answer(Answer.STALL)
    message = store.outbox.put(text(), at=clock.now())
    relay = subprocess.Popen(
        [sys.executable, "-m", "tests.sms.relay_driver", str(path), gateway_service.url]
    )
    assert gateway_service.holding.wait(30)
    assert state_of(store.outbox, message) is TextState.SENT

    relay.kill()
    relay.wait()
    with capture_logs() as logged:
        relay_due(store.outbox, {"gateway": gateway}, clock.now)

    assert state_of(store.outbox, message) is TextState.UNKNOWN
    assert gateway_service.requests == 1
    assert [(line["event"], line["messages"]) for line in logged] == [("sms.lost", [message])]


def test_while_one_relays_another_does_not(
    path: Path, store: Store, gateway: PlanfixSms, gateway_service: SmsService
) -> None:
    gateway_service.answer(Answer.STALL)
    message = store.outbox.put(text(), at=clock.now())
    relay = subprocess.Popen(
        [sys.executable, "-m", "tests.sms.relay_driver", str(path), gateway_service.url]
    )
    assert gateway_service.holding.wait(30)

    with pytest.raises(BusyError):
        relay_due(store.outbox, {"gateway": gateway}, clock.now)

    assert state_of(store.outbox, message) is TextState.SENT
    relay.kill()
    relay.wait()


def test_no_number_text_or_secret_is_logged(
    outbox: Outbox, gateway: PlanfixSms, gateway_service: SmsService
) -> None:
    gateway_service.answer(Answer.REFUSE, Answer.AWAY, Answer.DROP, None)
    for number in range(4):
        outbox.put(text(), at=NOW + timedelta(milliseconds=number))

    with capture_logs() as logged:
        for _ in range(3):
            relay_due(outbox, {"gateway": gateway}, at(NOW + timedelta(seconds=1)))

    assert [(line["event"], line.get("state")) for line in logged] == [
        ("sms.closed", "refused"),
        ("sms.postponed", None),
        ("sms.closed", "unknown"),
        ("sms.closed", "done"),
    ]
    for secret in ("70000000001", "Заказ", "s3cret", "нет денег"):
        assert secret not in repr(logged)


def test_a_relay_sends_what_is_there_and_what_comes_while_it_lives(
    outbox: Outbox, gateway: PlanfixSms, gateway_service: SmsService
) -> None:
    passes = threading.Semaphore(0)
    relay = Relay(outbox, {"gateway": gateway}, before_each=passes.release)
    outbox.put(text("one"), at=clock.now())
    relay.start()
    assert passes.acquire(timeout=30)

    message = outbox.put(text("two"), at=clock.now())
    while state_of(outbox, message) is not TextState.DONE:
        relay.wake()
        assert passes.acquire(timeout=30)
    relay.stop()

    assert [taken.text for taken in gateway_service.taken] == ["one", "two"]


def test_what_many_threads_put_there_meanwhile_is_sent_once_each(
    outbox: Outbox, gateway: PlanfixSms, gateway_service: SmsService
) -> None:
    words = [f"message {number}" for number in range(40)]
    relay = Relay(outbox, {"gateway": gateway})
    relay.start()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda each: outbox.put(text(each), at=clock.now()), words))
    relay.stop()
    relay_due(outbox, {"gateway": gateway}, clock.now)

    assert sorted(taken.text for taken in gateway_service.taken) == sorted(words)


def test_a_relay_outlives_a_fault_of_ours(
    outbox: Outbox, gateway: PlanfixSms, gateway_service: SmsService
) -> None:
    passes = threading.Semaphore(0)
    faults = [RuntimeError("broken")]

    def break_once() -> None:
        passes.release()
        if faults:
            raise faults.pop()

    relay = Relay(outbox, {"gateway": gateway}, before_each=break_once)
    with capture_logs() as logged:
        relay.start()
        assert passes.acquire(timeout=30)
        outbox.put(text(), at=clock.now())
        while not gateway_service.taken:
            relay.wake()
            assert passes.acquire(timeout=30)
        relay.stop()

    assert "relay.failed" in [line["event"] for line in logged]


def test_a_relay_that_has_nothing_to_do_ends_at_once(outbox: Outbox, gateway: PlanfixSms) -> None:
    relay = Relay(outbox, {"gateway": gateway})
    relay.start()

    relay.stop()
