import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from zoneinfo import ZoneInfo

import pytest

from syncd.daemon import PUSH, Agenda, Cron, Every, Timetable, notify

BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
ROOT = Path(__file__).parent.parent


def times(timetable: Timetable, start: datetime, end: datetime) -> list[str]:
    found = []
    moment = timetable.after(start)
    while moment < end:
        found.append(f"{moment:%d %H:%M}")
        moment = timetable.after(moment)
    return found


SPRING = (datetime(2026, 3, 28, 0, 59, tzinfo=UTC), datetime(2026, 3, 30, 12, tzinfo=UTC))
AUTUMN = (datetime(2026, 10, 23, 22, tzinfo=UTC), datetime(2026, 10, 26, 12, tzinfo=UTC))


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        (SPRING, ["28 01:30", "29 01:30", "30 00:30"]),
        (AUTUMN, ["24 00:30", "25 00:30", "26 01:30"]),
    ],
    ids=["spring, when 2:30 is left out", "autumn, when 2:30 comes twice"],
)
def test_a_nightly_run_is_neither_lost_nor_doubled_when_clocks_change(
    span: tuple[datetime, datetime], expected: list[str]
) -> None:
    assert times(Cron("30 2 * * *", BERLIN), *span) == expected


@pytest.mark.parametrize("line", ["*/15 * * * *", "15,30,45,0 */1 * * *"])
@pytest.mark.parametrize("span", [SPRING, AUTUMN], ids=["spring", "autumn"])
def test_a_run_each_quarter_of_an_hour_stays_so_when_clocks_change(
    span: tuple[datetime, datetime], line: str
) -> None:
    by_cron = times(Cron(line, BERLIN), *span)

    start = span[0].replace(minute=span[0].minute // 15 * 15)
    assert by_cron == [
        moment for moment in times(Every(900), start, span[1]) if moment > f"{span[0]:%d %H:%M}"
    ]


def test_working_hours_on_working_days_are_read_as_the_zone_has_them() -> None:
    friday = datetime(2026, 10, 23, 17, 40, tzinfo=UTC)  # 19:40 in Berlin

    found = times(
        Cron("*/30 8-20 * * mon-fri", BERLIN), friday, NOON.replace(month=10, day=26, hour=8)
    )

    assert found == ["23 18:00", "23 18:30", "26 07:00", "26 07:30"]


def test_the_first_run_is_due_at_once_and_the_next_by_the_timetable() -> None:
    agenda = Agenda(Every(900), NOON, 0.0)
    first = agenda.due

    trigger = agenda.begin(NOON)

    assert (first, trigger, agenda.due) == (NOON, "start", NOON + timedelta(minutes=15))


def test_a_run_without_calls_left_puts_off_the_next_one() -> None:
    agenda = Agenda(Every(900), NOON, 0.0)
    agenda.begin(NOON)

    agenda.rest(NOON + timedelta(hours=1))

    assert agenda.due == NOON + timedelta(hours=1)


def test_a_run_without_calls_left_is_made_again_after_its_rest_and_not_a_day_later() -> None:
    agenda = Agenda(Every(86400), NOON, 0.0)
    agenda.begin(NOON)

    agenda.rest(NOON + timedelta(hours=1))

    assert agenda.due == NOON + timedelta(hours=1)


def test_neither_a_config_read_anew_nor_a_clock_that_jumps_ends_a_rest() -> None:
    agenda = Agenda(Every(900), NOON, 0.0)
    agenda.begin(NOON)
    agenda.rest(NOON + timedelta(hours=1))

    agenda.follow(Every(60), NOON)
    read_anew = agenda.due
    agenda.look_at_clock(NOON + timedelta(hours=-3), 0.0)

    assert read_anew == NOON + timedelta(hours=1)
    assert agenda.due == NOON + timedelta(hours=-2)


def test_whoever_asks_for_a_run_ends_the_rest() -> None:
    agenda = Agenda(Every(900), NOON, 0.0)
    agenda.begin(NOON)
    agenda.rest(NOON + timedelta(hours=1))

    agenda.ask(NOON)
    agenda.look_at_clock(NOON + timedelta(hours=-3), 0.0)

    assert agenda.due <= NOON
    assert agenda.begin(NOON) == "signal"


def test_a_run_asked_for_during_one_that_uses_up_the_calls_does_not_wait() -> None:
    agenda = Agenda(Every(900), NOON, 0.0)
    agenda.begin(NOON)
    agenda.ask(NOON)

    agenda.rest(NOON + timedelta(hours=1))

    assert (agenda.due, agenda.begin(NOON)) == (NOON, "signal")


@pytest.mark.parametrize("trigger", ["start", "signal", "schedule"])
def test_a_run_that_found_the_store_in_use_is_due_again_a_minute_later(trigger: str) -> None:
    agenda = Agenda(Every(86400), NOON, 0.0)
    agenda.begin(NOON)

    agenda.miss(trigger, NOON)

    assert agenda.due == NOON + timedelta(minutes=1)
    assert agenda.begin(agenda.due) == trigger


def test_what_was_pushed_while_the_store_was_in_use_is_due_again_a_minute_later() -> None:
    agenda = Agenda(Every(86400), NOON, 0.0)
    agenda.begin(NOON)

    agenda.miss(PUSH, NOON)

    assert agenda.next == NOON + timedelta(minutes=1)
    assert agenda.begin(agenda.next) == PUSH


def test_a_run_that_is_due_sooner_than_a_minute_is_not_put_off_for_one_missed() -> None:
    agenda = Agenda(Every(10), NOON, 0.0)
    agenda.begin(NOON)

    agenda.miss("start", NOON)

    assert agenda.due == NOON + timedelta(seconds=10)


def test_runs_that_were_missed_while_the_clock_jumped_are_one_run() -> None:
    agenda = Agenda(Every(900), NOON, 0.0)
    agenda.begin(NOON)

    later = NOON + timedelta(hours=10)
    jump_s = agenda.look_at_clock(later, 30.0)
    due = agenda.due
    trigger = agenda.begin(later)

    assert jump_s == 10 * 3600 - 30
    assert due == NOON + timedelta(minutes=15)
    assert (trigger, agenda.due) == ("schedule", later + timedelta(minutes=15))


def test_a_clock_set_back_by_years_loses_no_run() -> None:
    agenda = Agenda(Cron("30 2 * * *", BERLIN), NOON.replace(year=2030), 0.0)
    agenda.begin(NOON.replace(year=2030))

    jump_s = agenda.look_at_clock(NOON, 30.0)

    assert jump_s < 0
    assert agenda.due == datetime(2026, 11, 24, 1, 30, tzinfo=UTC)


def test_a_clock_that_is_only_corrected_doubles_no_run() -> None:
    half_past_two = datetime(2026, 11, 24, 1, 30, tzinfo=UTC)
    agenda = Agenda(Cron("30 2 * * *", BERLIN), half_past_two, 0.0)
    agenda.begin(half_past_two)

    jump_s = agenda.look_at_clock(half_past_two - timedelta(seconds=5), 1.0)

    assert (jump_s, agenda.due) == (0, half_past_two + timedelta(days=1))


def test_what_is_due_stays_due_under_another_timetable() -> None:
    agenda = Agenda(Every(900), NOON, 0.0)
    agenda.begin(NOON)
    late = NOON + timedelta(minutes=20)

    agenda.follow(Every(86400), late)

    assert agenda.due == NOON + timedelta(minutes=15)


def test_what_is_pushed_is_due_soon_and_all_of_it_at_once() -> None:
    agenda = Agenda(Every(900), NOON, 0.0)
    agenda.begin(NOON)

    agenda.push(NOON + timedelta(seconds=60))
    agenda.push(NOON + timedelta(seconds=61))
    soon = agenda.next
    trigger = agenda.begin(soon)

    assert soon == NOON + timedelta(seconds=62)
    assert (trigger, agenda.next, agenda.due) == (PUSH, *[NOON + timedelta(minutes=15)] * 2)


def test_a_whole_run_is_one_for_what_was_pushed_too() -> None:
    agenda = Agenda(Every(900), NOON, 0.0)
    agenda.push(NOON)

    trigger = agenda.begin(NOON)

    assert (trigger, agenda.next) == ("start", NOON + timedelta(minutes=15))


def test_what_is_pushed_does_not_wait_for_a_quota() -> None:
    agenda = Agenda(Every(900), NOON, 0.0)
    agenda.begin(NOON)
    agenda.rest(NOON + timedelta(hours=1))

    agenda.push(NOON)

    assert agenda.begin(agenda.next) == PUSH
    assert agenda.due == NOON + timedelta(hours=1)


def test_a_clock_set_back_puts_off_no_push() -> None:
    agenda = Agenda(Every(900), NOON, 0.0)
    agenda.begin(NOON)
    agenda.push(NOON)
    before = NOON - timedelta(days=400)

    agenda.look_at_clock(before, 1.0)

    assert agenda.next == before + timedelta(seconds=2)


# The process, with real signals. Waiting is for a line that the process writes.


class Process:
    """A driver under way; every line it writes is read once, in order."""

    def __init__(self, config: Path, **environ: str) -> None:
        self._config = config
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.daemon_driver", str(config)],
            cwd=ROOT,
            env={**os.environ, **environ},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: TracebackType | type[BaseException] | BaseException | None) -> None:
        self._process.kill()
        self._process.communicate()

    @property
    def pid(self) -> int:
        return self._process.pid

    def line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def event(self) -> dict[str, Any]:
        event: dict[str, Any] = json.loads(self.line())
        return event

    def tell(self, word: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(word + "\n")
        self._process.stdin.flush()

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def code(self) -> int:
        return self._process.wait()


Start = Callable[..., Process]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    config = tmp_path / "config"
    config.write_text("first 86400")
    return config


@pytest.fixture
def process(config: Path) -> Iterator[Process]:
    with Process(config) as process:
        assert process.line() == "run first start"
        yield process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_end_it_ends_the_run_at_its_next_batch_and_leaves_with_0(
    process: Process, number: signal.Signals
) -> None:
    process.signal(number)

    assert [process.line(), process.line(), process.code()] == ["stopped", "over", 0]


def test_asked_to_end_between_runs_it_ends_at_once(process: Process) -> None:
    process.tell("end")
    assert process.line() == "ended"

    process.signal(signal.SIGTERM)

    assert [process.line(), process.code()] == ["over", 0]


def test_sigusr1_runs_now(process: Process) -> None:
    process.tell("end")
    assert process.line() == "ended"

    process.signal(signal.SIGUSR1)

    assert process.line() == "run first signal"


def test_runs_asked_for_while_another_runs_are_one_run(process: Process) -> None:
    for _ in range(3):
        process.signal(signal.SIGUSR1)
        process.signal(signal.SIGUSR2)
        assert process.event()["event"] == "status.told"

    process.tell("end")
    assert [process.line(), process.line()] == ["ended", "run first signal"]
    process.tell("end")
    assert process.line() == "ended"
    process.signal(signal.SIGTERM)

    assert process.line() == "over"


def test_runs_that_come_due_while_another_runs_are_one_run(config: Path) -> None:
    config.write_text("quick 0.02")
    with Process(config) as process:
        assert process.line() == "run quick start"

        process.tell("end")

        assert [process.line(), process.line()] == ["ended", "run quick schedule"]


def test_sigusr2_logs_the_status_during_a_run(process: Process) -> None:
    process.signal(signal.SIGUSR2)

    event = process.event()
    assert (event["event"], event["name"], event["running"]) == ("status.told", "first", True)
    assert datetime.fromisoformat(event["next_run"]) > datetime.now(UTC)


def test_sigusr2_is_answered_whatever_is_logged(config: Path) -> None:
    with Process(config, LOG_LEVEL="warning") as process:
        assert process.line() == "run first start"
        process.signal(signal.SIGUSR2)

        assert process.event()["event"] == "status.told"


@pytest.mark.parametrize(
    ("name", "number", "event"),
    [("mute", signal.SIGUSR2, "status.failed"), ("odd", signal.SIGHUP, "config.refused")],
)
def test_a_fault_of_our_own_in_answer_to_a_signal_does_not_end_the_daemon(
    process: Process, config: Path, name: str, number: signal.Signals, event: str
) -> None:
    config.write_text(f"{name} 86400")
    process.signal(signal.SIGHUP)
    if name == "mute":
        assert process.event()["event"] == "config.read"
        process.signal(number)

    told = process.event()

    assert (told["event"], "exception" in told) == (event, True)
    process.signal(signal.SIGUSR1)
    process.tell("end")
    assert process.line() == "ended"


def test_failed_runs_are_counted_until_one_goes_well(process: Process) -> None:
    pulses = []
    for word in ("fail", "break", "busy", "end"):
        process.tell(word)
        process.line()
        process.signal(signal.SIGUSR1)
        assert process.line() == "run first signal"
        process.signal(signal.SIGUSR2)  # obeyed when the scheduler has said how it is
        assert process.event()["event"] == "status.told"
        process.tell("pulse")
        pulses.append(process.line())

    broken = "2 A fault of syncd's own stopped the run; the log has the traceback."
    assert pulses == ["1 Planfix did not answer wait", broken, broken, "0"]


def test_sighup_reads_the_config_again_for_the_next_run(process: Process, config: Path) -> None:
    config.write_text("second 86400")

    process.signal(signal.SIGHUP)

    assert process.event()["event"] == "config.read"
    process.signal(signal.SIGUSR1)
    process.tell("end")
    assert [process.line(), process.line()] == ["ended", "run second signal"]


def test_a_broken_config_is_reported_and_the_old_one_kept(process: Process, config: Path) -> None:
    config.write_text("bad 86400")

    process.signal(signal.SIGHUP)

    event = process.event()
    assert (event["event"], event["level"]) == ("config.refused", "error")
    assert (event["why"], event["hint"]) == ("config.toml, line 1: bad", "put it right")
    process.signal(signal.SIGUSR1)
    process.tell("end")
    assert [process.line(), process.line()] == ["ended", "run first signal"]


def test_a_config_that_cannot_take_effect_is_reported_and_the_old_one_kept(
    process: Process, config: Path
) -> None:
    config.write_text("deaf 86400")

    process.signal(signal.SIGHUP)

    event = process.event()
    assert (event["event"], event["why"]) == ("config.refused", "nobody can be listened to")
    process.signal(signal.SIGUSR1)
    process.tell("end")
    assert [process.line(), process.line()] == ["ended", "run first signal"]


def test_what_is_pushed_during_a_run_gets_one_of_its_own(process: Process) -> None:
    for _ in range(3):
        process.tell("push")
        assert process.line() == "pushed"
    process.tell("end")
    assert [process.line(), process.line()] == ["ended", "run first push"]
    process.tell("end")

    assert process.line() == "ended"
    process.signal(signal.SIGTERM)
    assert process.line() == "over"


@pytest.mark.parametrize(
    ("word", "trace"), [("fail", False), ("break", True)], ids=["expected", "a fault of our own"]
)
def test_a_run_that_fails_does_not_end_the_daemon(process: Process, word: str, trace: bool) -> None:
    process.tell(word)

    event = process.event()
    assert (event["event"], event["level"]) == ("run.failed", "error")
    assert ("exception" in event) is trace
    process.signal(signal.SIGUSR1)
    assert process.line() == "run first signal"


class Systemd:
    """The socket that $NOTIFY_SOCKET names."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address)

    def hear(self, start: str) -> str:
        while not (told := self._socket.recv(4096).decode()).startswith(start):
            pass
        return told

    def close(self) -> None:
        self._socket.close()


def due_in(status: str) -> timedelta:
    """Return how long it is until the run that a status line names."""
    due = status.partition("; next at ")[2].removesuffix(" UTC")
    return datetime.fromisoformat(f"{due}+00:00") - datetime.now(UTC)


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    systemd = Systemd(str(tmp_path / "notify"))
    yield systemd
    systemd.close()


def test_systemd_is_told_of_each_turn(systemd: Systemd, config: Path, tmp_path: Path) -> None:
    with Process(config, NOTIFY_SOCKET=str(tmp_path / "notify")) as process:
        assert systemd.hear("READY=1") == "READY=1\nSTATUS=Started"
        assert systemd.hear("STATUS=Running") == "STATUS=Running"
        process.tell("end")
        assert systemd.hear("STATUS=Last").startswith("STATUS=Last run: ok; next at ")
        config.write_text("first 60")
        process.signal(signal.SIGHUP)
        assert systemd.hear("RELOADING=1").startswith("RELOADING=1\nMONOTONIC_USEC=")
        assert systemd.hear("READY=1") == "READY=1"
        assert due_in(systemd.hear("STATUS=Last")) <= timedelta(minutes=1)
        process.signal(signal.SIGTERM)
        assert systemd.hear("STOPPING=1").startswith("STOPPING=1\nSTATUS=")


@pytest.mark.parametrize(
    ("word", "wait"), [("rest", timedelta(hours=1)), ("busy", timedelta(minutes=1))]
)
def test_systemd_is_told_when_a_run_comes_that_was_put_off(
    systemd: Systemd, config: Path, tmp_path: Path, word: str, wait: timedelta
) -> None:
    with Process(config, NOTIFY_SOCKET=str(tmp_path / "notify")) as process:
        systemd.hear("STATUS=Running")
        process.tell(word)

        told = systemd.hear("STATUS=Last")

    assert wait - timedelta(seconds=30) < due_in(told) <= wait


def test_a_push_with_nothing_to_do_puts_nothing_off(
    systemd: Systemd, config: Path, tmp_path: Path
) -> None:
    with Process(config, NOTIFY_SOCKET=str(tmp_path / "notify")) as process:
        assert process.line() == "run first start"
        process.tell("push")
        assert process.line() == "pushed"
        process.tell("rest")
        before = systemd.hear("STATUS=Last")
        assert process.line() == "run first push"
        process.tell("nothing")

        after = systemd.hear("STATUS=Last")

    assert after == before


def test_the_watchdog_is_fed_during_a_run(systemd: Systemd, config: Path, tmp_path: Path) -> None:
    socket_path = str(tmp_path / "notify")
    with Process(config, NOTIFY_SOCKET=socket_path, WATCHDOG_USEC="20000") as process:
        assert process.line() == "run first start"
        systemd.hear("STATUS=Running")

        fed = [systemd.hear("WATCHDOG=1") for _ in range(5)]

        assert fed == ["WATCHDOG=1"] * 5


def test_an_abstract_socket_is_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"syncd-test-{os.getpid()}"
    systemd = Systemd("\0" + name)
    monkeypatch.setenv("NOTIFY_SOCKET", "@" + name)

    notify("READY=1")

    assert systemd.hear("READY") == "READY=1"
    systemd.close()


@pytest.mark.parametrize("address", ["", "/nowhere/at/all"])
def test_nobody_to_tell_is_no_fault(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)

    notify("READY=1")
