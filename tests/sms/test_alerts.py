"""Alerts by SMS: the first at once, a storm as one message and a summary."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from syncd.alerts import WINDOW, SmsAlert, Windows
from syncd.core.alerts import Window
from syncd.core.report import Outcome
from syncd.core.sms import Text, phone_number
from syncd.errors import TemporaryError
from syncd.store.store import Store
from tests.sms.conftest import NOW

FIRST = phone_number("+4915112345678")
SECOND = phone_number("+4915187654321")


def alert(outcome: Outcome = Outcome.REFUSED, **more: object) -> dict[str, Any]:
    return {
        "run": "20261124T083000Z-7f3a",
        "outcome": outcome.value,
        "exit_code": 4 if outcome is Outcome.REFUSED else 69,
        "error": None,
        "links": [
            {"link": "customers", "outcome": outcome, "findings": ["200 removals. Look."]},
            {"link": "partners", "outcome": "ok", "findings": []},
        ],
        **more,
    }


class World:
    """A store on disk, a clock that is set by hand, and the alert between them."""

    def __init__(self, path: Path, *to: str) -> None:
        self.now = NOW
        self._path = path
        self._to = [phone_number(number) for number in to or (FIRST,)]
        self.store = Store(path)
        self.restart()

    def restart(self) -> None:
        self.store.close()
        self.store = Store(self._path)
        self.alert = self._alert(self.store.alerts)

    def alert_beside(self, then: Callable[[], None]) -> SmsAlert:
        """Return what another process tells by; `then` happens while it is about to."""
        return self._alert(Meanwhile(self.store.alerts, then))

    def _alert(self, windows: Windows) -> SmsAlert:
        return SmsAlert(via="gateway", to=self._to, windows=windows, now=lambda: self.now)

    def later(self, **by: float) -> None:
        self.now += timedelta(**by)

    def tell(self, *links: str, outcome: Outcome = Outcome.REFUSED, **more: object) -> None:
        """Tell that links have begun to refuse, or to fail."""
        self.alert.tell(alert(outcome, **more), dict.fromkeys(links or ("customers",), outcome))

    def told(self) -> list[str]:
        return [due.text.text for due in self.store.outbox.due(self.now)]


@pytest.fixture
def world(path: Path) -> World:
    return World(path)


def test_the_first_is_told_at_once_to_everybody_by_the_gateway(path: Path) -> None:
    world = World(path, FIRST, SECOND)

    world.tell(next="syncd approve 20261124T083000Z-7f3a")

    words = (
        "syncd: run 20261124T083000Z-7f3a refused, exit code 4; links: customers;"
        " syncd approve 20261124T083000Z-7f3a"
    )
    assert [due.text for due in world.store.outbox.due(NOW)] == [
        Text(login="alerts", relay="gateway", sender="", recipient=number, text=words)
        for number in (FIRST, SECOND)
    ]


def test_a_storm_is_one_message_and_then_one_summary(world: World) -> None:
    for _ in range(20):
        world.tell()
        world.later(minutes=1)
    assert len(world.told()) == 1

    world.later(minutes=39)
    world.alert.tell_rest()
    assert len(world.told()) == 1

    world.later(minutes=1)
    world.alert.tell_rest()

    assert world.told()[1:] == [
        "syncd: refused 19 times more since 2026-11-24 08:30 UTC; see: syncd status"
    ]


def test_a_storm_that_goes_on_is_told_once_an_hour(world: World) -> None:
    for _ in range(5 * 60):
        world.tell()
        world.later(minutes=1)

    assert len(world.told()) == 1 + 4


def test_after_a_quiet_hour_the_next_is_told_at_once_again(world: World) -> None:
    world.tell()
    world.later(seconds=WINDOW.total_seconds())

    world.tell()

    assert len(world.told()) == 2
    assert world.told()[0] == world.told()[1]


def test_kinds_do_not_silence_each_other(world: World) -> None:
    world.tell(outcome=Outcome.REFUSED)
    world.tell(outcome=Outcome.FAILED)

    assert [words.split()[3] for words in world.told()] == ["refused,", "failed,"]


def test_what_is_new_of_two_kinds_is_two_messages(world: World) -> None:
    both = alert(Outcome.FAILED, next="syncd approve 20261124T083000Z-7f3a")

    world.alert.tell(both, {"customers": Outcome.FAILED, "partners": Outcome.REFUSED})

    run, todo = "syncd: run 20261124T083000Z-7f3a", "syncd approve 20261124T083000Z-7f3a"
    assert world.told() == [
        f"{run} refused, exit code 69; links: partners; {todo}",
        f"{run} failed, exit code 69; links: customers; {todo}",
    ]


def test_a_restart_does_not_begin_anew(world: World) -> None:
    world.tell()
    world.restart()
    world.tell()
    world.restart()
    world.later(hours=1)

    world.alert.tell_rest()

    assert world.told()[1:] == [
        "syncd: refused 1 time more since 2026-11-24 08:30 UTC; see: syncd status"
    ]


def test_a_long_alert_is_cut_and_what_errors_say_stays_out(world: World) -> None:
    error = {"kind": "temporary", "message": "someone@example.com"}

    world.tell(*[f"link-{n}" for n in range(200)], outcome=Outcome.FAILED, error=error)

    (words,) = world.told()
    assert len(words) == 300
    assert "@" not in words


class FullDisk:
    """Windows whose disk is full."""

    def all(self) -> dict[str, Window]:
        return {}

    def change(self, *_: object, **__: object) -> bool:
        raise TemporaryError("the store can't be written")


def test_what_cannot_be_stored_ends_no_run() -> None:
    sms = SmsAlert(via="gateway", to=[FIRST], windows=FullDisk(), now=lambda: NOW)

    with capture_logs() as logged:
        sms.tell(alert(), {"customers": Outcome.REFUSED})

    assert [line["event"] for line in logged] == ["alert.failed"]


def test_an_alert_after_a_storm_is_told_with_what_was_counted(world: World) -> None:
    for _ in range(4):
        world.tell()
    world.later(days=1)

    world.tell()
    world.alert.tell_rest()

    [_, words] = world.told()
    assert words == (
        "syncd: run 20261124T083000Z-7f3a refused, exit code 4; links: customers;"
        " see: syncd status; refused 3 times more since 2026-11-24 08:30 UTC"
    )


def test_a_summary_that_comes_late_silences_nobody(world: World) -> None:
    world.tell()
    world.tell()
    world.later(days=1)
    world.alert.tell_rest()

    world.tell()

    assert [words.partition(" 2026")[0] for words in world.told()] == [
        "syncd: run",
        "syncd: refused 1 time more since",
        "syncd: run",
    ]


def test_a_clock_that_is_set_back_silences_nobody(world: World) -> None:
    world.later(days=365)
    world.tell()
    world.later(days=-365)

    world.tell()

    assert len(world.told()) == 2


class Meanwhile:
    """Windows of a store that something happens to between being read and being changed."""

    def __init__(self, windows: Windows, then: Callable[[], None]) -> None:
        self._windows = windows
        self._then = [then]

    def all(self) -> dict[str, Window]:
        found = self._windows.all()
        if self._then:
            self._then.pop()()
        return found

    def change(
        self,
        kind: str,
        before: Window | None,
        after: Window | None,
        *,
        texts: Sequence[Text],
        at: datetime,
    ) -> bool:
        return self._windows.change(kind, before, after, texts=texts, at=at)


def test_two_processes_send_one_summary(world: World) -> None:
    world.tell()
    world.tell()
    world.later(hours=1)

    world.alert_beside(world.alert.tell_rest).tell_rest()

    assert len(world.told()) == 2


def test_what_another_process_counts_meanwhile_is_not_lost(world: World) -> None:
    world.tell()
    world.tell()
    world.later(hours=1)

    def count_a_minute_before() -> None:
        world.later(minutes=-1)
        world.tell()
        world.later(minutes=1)

    world.alert_beside(count_a_minute_before).tell_rest()
    world.alert.tell_rest()

    assert [words.partition(" more")[0] for words in world.told()[1:]] == ["syncd: refused 2 times"]


def test_an_alert_beside_another_is_counted(world: World) -> None:
    world.alert_beside(world.tell).tell(alert(), {"customers": Outcome.REFUSED})

    assert len(world.told()) == 1
    assert world.store.alerts.all() == {"refused": Window(NOW, 1)}
