"""The life of the process: when to run, what the signals mean, what systemd is told.

The main thread waits; a run is a thread of its own, and so is what goes on beside the runs, so
that a signal is heard and the watchdog fed however long either takes.
"""

import math
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from types import FrameType
from typing import Final, Protocol, Self
from zoneinfo import ZoneInfo

import structlog

from syncd import clock, logs
from syncd.core.overview import Pulse
from syncd.errors import SyncdError

_LONGEST_WAIT_S: Final = 30.0  # a clock that was set is noticed after so long
_JUMP_S: Final = 60.0  # less is a clock being corrected, not set
_PUSHES: Final = timedelta(seconds=2)  # what is pushed so long after the first goes into one run
_BUSY: Final = timedelta(minutes=1)  # after which a run is tried again that found the store in use

_OURS: Final = "A fault of syncd's own stopped the run; the log has the traceback."

_START, _SIGNAL, _SCHEDULE = "start", "signal", "schedule"
WHOLE: Final = (_START, _SIGNAL, _SCHEDULE)
"""What triggers a whole run; the timetable counts from when one began."""
PUSH: Final = "push"
"""The trigger of a run for what was pushed, which is no run of the timetable's."""

log = structlog.get_logger()


class Timetable(Protocol):
    """When to run next."""

    def after(self, moment: datetime) -> datetime:
        """Return the first time later than `moment`, in UTC."""


class Every:
    """Run at a fixed distance; no change of the clocks concerns it."""

    def __init__(self, seconds: float) -> None:
        self._distance = timedelta(seconds=seconds)

    def after(self, moment: datetime) -> datetime:
        """Return the moment one distance later."""
        return moment.astimezone(UTC) + self._distance


class Cron:
    """Run by a cron line, in a time zone (None: the machine's).

    Where clocks go forward, a time that is left out runs at the same distance from midnight.
    Where they go back, a line that names its hours runs once; one for every hour goes on.
    """

    def __init__(self, line: str, timezone: ZoneInfo | None) -> None:
        # Slow to import, and nothing else of syncd needs it.
        from apscheduler.triggers.cron import CronTrigger  # noqa: PLC0415

        self._trigger = CronTrigger.from_crontab(line, timezone)
        self._names_hours = not line.split()[1].startswith("*")

    def after(self, moment: datetime) -> datetime:
        """Return the next time that the line names."""
        while True:
            found: datetime = self._trigger.get_next_fire_time(
                None, moment.astimezone(UTC) + timedelta(microseconds=1)
            )
            moment = found.astimezone(UTC)
            if not (self._names_hours and _told_again(found)):
                return moment


def _told_again(local: datetime) -> bool:
    """Whether a clock that went back has shown this time before."""
    first, second = local.replace(fold=0).astimezone(UTC), local.replace(fold=1).astimezone(UTC)
    return local.fold == 1 and first < second


class Agenda:
    """When the next run is due, and what asked for it.

    `due` is the next whole run; one for what was pushed may come before.
    """

    def __init__(self, timetable: Timetable, now: datetime, monotonic_s: float) -> None:
        self.due = now
        self._pushes_due: datetime | None = None
        self._timetable = timetable
        self._not_before: datetime | None = None
        self._trigger = _START
        self._clocks = (now, monotonic_s)

    def ask(self, now: datetime) -> None:
        """Make a run due at once, whatever was put off; asking twice asks for one."""
        self.due, self._not_before, self._trigger = now, None, _SIGNAL

    @property
    def next(self) -> datetime:
        """When the next run of any kind is due."""
        return min(self.due, self._pushes_due or self.due)

    def push(self, now: datetime) -> None:
        """Make a run due for what was pushed: soon, and one for all that comes until then."""
        self._pushes_due = self._pushes_due or now + _PUSHES

    def begin(self, now: datetime) -> str:
        """Take the run that is due, and return what asked for it.

        The next one counts from now: those missed since it was due are this one. A whole run is
        one for the pushes, too.
        """
        self._pushes_due = None
        if self.due > now:
            return PUSH
        trigger, self._trigger = self._trigger, _SCHEDULE
        self.due, self._not_before = self._timetable.after(now), None
        return trigger

    def miss(self, trigger: str, now: datetime) -> None:
        """Make a run due again soon that could not begin, since another process was at work."""
        again = now + _BUSY
        if trigger == PUSH:
            self._pushes_due = min(self._pushes_due or again, again)
        elif again < self.due:
            self.due, self._trigger = again, trigger

    def rest(self, until: datetime) -> None:
        """Have the next whole run at that time: one before would be of no use.

        Only who asks for one gets it sooner, be it that they did so already.
        """
        if self._trigger != _SIGNAL:
            self.due = self._not_before = until

    def follow(self, timetable: Timetable, now: datetime) -> None:
        """Go by another timetable; what is due already stays so."""
        self._timetable = timetable
        self._plan(now)

    def _plan(self, now: datetime) -> None:
        """Have the next whole run no later than the timetable wants it, but after the rest."""
        planned = min(self.due, self._timetable.after(now))
        self.due = max(planned, self._not_before or planned)

    def look_at_clock(self, now: datetime, monotonic_s: float) -> int:
        """Plan anew where the clock was set back, since what was due may now be years away.

        Returns by how many seconds the clock was set since the last look; 0 where it was only
        corrected, as time services do.
        """
        then, then_s = self._clocks
        self._clocks = (now, monotonic_s)
        jump_s = (now - then).total_seconds() - (monotonic_s - then_s)
        if abs(jump_s) < _JUMP_S:
            return 0
        if self._not_before is not None:  # a rest is as long by either clock
            self._not_before += timedelta(seconds=jump_s)
        self._plan(now)
        if self._pushes_due is not None:
            self._pushes_due = min(self._pushes_due, now + _PUSHES)
        return round(jump_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a run ended.

    `words` are for `systemctl status`. `error` is what stopped the whole run, and what to do.
    `rest_s` is for how long another one would be of no use. A `busy` one never began, since
    another process was at work.
    """

    words: str
    error: str = ""
    rest_s: float = 0.0
    busy: bool = False


class Work(Protocol):
    """What the daemon is for, under one reading of the config."""

    @property
    def timetable(self) -> Timetable:
        """When to run."""

    def take_effect(self) -> None:
        """Bring what goes on beside the runs in line with this reading of the config.

        Raises:
            SyncdError: it can't be; then all goes on as it did.
        """

    def run(self, trigger: str, stop: Callable[[], bool]) -> Ended | None:
        """Do one run, in a thread of its own; None where there was nothing to do.

        `stop` says whether to end after the current batch.
        """

    def status(self, next_run: datetime) -> Mapping[str, object]:
        """Return what to log for whoever asks how things stand; may be called during a run."""


class Note(IntEnum):
    """What a signal, or another thread, asks of the main thread; fits into a byte."""

    ENDED = 0  # a run
    PUSHED = 254
    ALONE = 255  # nothing goes on beside the runs any more
    STOP = signal.SIGTERM
    INTERRUPT = signal.SIGINT
    RELOAD = signal.SIGHUP
    RUN = signal.SIGUSR1
    STATUS = signal.SIGUSR2


class Notes:
    """Signals, and what other threads have to say, in the order they came.

    Linux hands a signal to any thread; a main thread that waits for a lock would not hear of
    it. So it waits for a socket, into which Python writes each signal's number at once.
    """

    def __init__(self) -> None:
        self._out, self._in = socket.socketpair()
        self._pushed = False

    def __enter__(self) -> Self:
        self._in.setblocking(False)
        self._wakeup = signal.set_wakeup_fd(self._in.fileno(), warn_on_full_buffer=False)
        self._handlers = {
            number: signal.signal(number, lambda *_: None)
            for number in (Note.STOP, Note.INTERRUPT, Note.RELOAD, Note.RUN, Note.STATUS)
        }
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup)
        self._in.close()
        self._out.close()

    def put(self, note: Note) -> None:
        """Wake the main thread; from any thread."""
        self._in.send(bytes([note]))

    def pushed(self) -> None:
        """Put a note that something was pushed, unless one waits already; from any thread."""
        if not self._pushed:
            self._pushed = True
            self.put(Note.PUSHED)

    def get(self, timeout_s: float) -> Note | None:
        """Wait for the next note, so long at most."""
        self._out.settimeout(max(0.0, timeout_s))
        try:
            note = Note(self._out.recv(1)[0])
        except (TimeoutError, BlockingIOError):
            return None
        if note is Note.PUSHED:
            self._pushed = False  # from here on, what is pushed is news again
        return note


class Heart:
    """What the main thread said of itself when it was last awake; for any thread."""

    def __init__(self) -> None:
        self._said: tuple[float, Pulse] | None = None

    def beat(self, said: Pulse) -> None:
        """Say how things stand now."""
        self._said = (clock.monotonic_s(), said)

    def pulse(self) -> Pulse | None:
        """Return what was said last, and how long ago; None where nothing was yet."""
        if self._said is None:
            return None
        at_s, said = self._said
        return replace(said, beat_s=clock.monotonic_s() - at_s)


def serve(notes: Notes, heart: Heart, load: Callable[[], Work], stop: Callable[[], None]) -> None:
    """Run at once, then as the timetable says or a push asks for it, until SIGTERM or SIGINT.

    `heart` tells other threads how this one is. `load` reads the config; SIGHUP calls it again.
    `stop` ends what goes on beside the runs.

    Raises:
        SyncdError: the first reading of the config failed, or could not take effect.
    """
    try:
        Daemon(notes, heart, load, stop).live()
    except BaseException:
        stop()  # or its threads would keep the process
        raise


class Daemon:
    """One process's state: what to do next, and what is under way."""

    def __init__(
        self, notes: Notes, heart: Heart, load: Callable[[], Work], stop: Callable[[], None]
    ) -> None:
        self._notes = notes
        self._heart = heart
        self._load = load
        self._stop_beside = stop
        self._work = load()
        self._work.take_effect()
        self._agenda = Agenda(self._work.timetable, clock.now(), clock.monotonic_s())
        self._run: threading.Thread | None = None
        self._trigger = ""
        self._ended: Ended | None = None
        self._last = "none yet"
        self._failed_in_row = 0
        self._error = ""
        self._told = ""
        self._stop = threading.Event()
        self._alone = False
        self._begun: datetime | None = None
        self._running_since: datetime | None = None
        self._beat_s = min(_LONGEST_WAIT_S, _watchdog_s() / 2)

    def live(self) -> None:
        """Wait, run and obey until asked to stop.

        Then what goes on beside the runs ends, and a run under way after its batch.
        """
        notify("READY=1", "STATUS=Started")
        while self._run is not None or not self._alone:
            self._obey(self._wait())
            notify("WATCHDOG=1")
            self._look_at_clock()
            if self._idle and self._agenda.next <= clock.now():
                self._begin()
            self._tell_systemd()
            self._heart.beat(
                Pulse(
                    beat_s=0.0,
                    next_run=self._agenda.next,
                    begun=self._begun,
                    running_since=self._running_since,
                    failed_in_row=self._failed_in_row,
                    error=self._error,
                )
            )

    def _tell_systemd(self) -> None:
        """Tell the status line, where it is another than before."""
        if self._stop.is_set():
            return  # what it tells of the end stays
        line = f"Last run: {self._last}; next at {self._agenda.due:%Y-%m-%d %H:%M:%S} UTC"
        if self._run is not None:
            line = "Running"
        if line != self._told:
            self._told = line
            notify(f"STATUS={line}")

    @property
    def _idle(self) -> bool:
        return self._run is None and not self._stop.is_set()

    def _wait(self) -> Note | None:
        wait_s = self._beat_s
        if self._idle:
            wait_s = min(wait_s, (self._agenda.next - clock.now()).total_seconds())
        return self._notes.get(wait_s)

    def _obey(self, note: Note | None) -> None:
        match note:
            case Note.STOP | Note.INTERRUPT:
                self._end()
            case Note.RELOAD:
                self._reload()
            case Note.RUN:
                self._agenda.ask(clock.now())
            case Note.PUSHED:
                self._agenda.push(clock.now())
            case Note.STATUS:
                self._tell_status()
            case Note.ALONE:
                self._alone = True
            case Note.ENDED:
                self._run = self._running_since = None
                if self._ended is not None:
                    self._learn(self._ended)
            case None:
                pass

    def _learn(self, ended: Ended) -> None:
        """Take in how a run ended, whatever config is in force now."""
        self._last = ended.words
        if ended.busy:
            self._agenda.miss(self._trigger, clock.now())
            return
        if ended.rest_s:
            self._agenda.rest(clock.now() + timedelta(seconds=ended.rest_s))
        self._error = ended.error
        self._failed_in_row = self._failed_in_row + 1 if ended.error else 0

    def _end(self) -> None:
        if self._stop.is_set():
            return
        notify("STOPPING=1", "STATUS=Ending after the current batch")
        self._stop.set()
        threading.Thread(target=self._end_beside, name="end").start()

    def _end_beside(self) -> None:
        try:
            self._stop_beside()
        finally:
            self._notes.put(Note.ALONE)

    def _begin(self) -> None:
        now = clock.now()
        self._trigger = self._agenda.begin(now)
        self._running_since = now
        if self._trigger != PUSH:
            self._begun = now
        self._run = threading.Thread(
            target=self._carry_out, args=(self._work, self._trigger), name="run"
        )
        self._run.start()

    def _carry_out(self, work: Work, trigger: str) -> None:
        self._ended = Ended(words="failed", error=_OURS)
        try:
            self._ended = work.run(trigger, self._stop.is_set)
        except SyncdError as error:
            log.error("run.failed", why=str(error), hint=error.hint)  # noqa: TRY400  (expected)
            self._ended = Ended(words="failed", error=f"{error} {error.hint}".strip())
        except Exception:  # the border of a run: the daemon lives on
            log.exception("run.failed")
        finally:
            self._notes.put(Note.ENDED)

    def _reload(self) -> None:
        notify("RELOADING=1", f"MONOTONIC_USEC={int(clock.monotonic_s() * 1_000_000)}")
        try:
            work = self._load()
            work.take_effect()
        except SyncdError as error:
            log.error("config.refused", why=str(error), hint=error.hint)  # noqa: TRY400
        except Exception:  # a border, too: a signal must not end the daemon
            log.exception("config.refused")
        else:
            self._work = work
            self._agenda.follow(self._work.timetable, clock.now())
            log.info("config.read", next_run=self._agenda.due.isoformat())
        notify("READY=1")

    def _tell_status(self) -> None:
        try:
            told = self._work.status(self._agenda.due)
        except SyncdError as error:
            log.error("status.failed", why=str(error), hint=error.hint)  # noqa: TRY400
        except Exception:  # a border, too: a signal must not end the daemon
            log.exception("status.failed")
        else:
            logs.unfiltered_log().info("status.told", running=self._run is not None, **told)

    def _look_at_clock(self) -> None:
        jump_s = self._agenda.look_at_clock(clock.now(), clock.monotonic_s())
        if jump_s:
            due = self._agenda.due
            log.warning("clock.jumped", seconds=jump_s, next_run=due.isoformat())


@contextmanager
def stopping() -> Iterator[Callable[[], bool]]:
    """Within, SIGTERM and SIGINT only set what is yielded; a second one has its usual effect."""
    asked = threading.Event()
    before: dict[signal.Signals, signal._HANDLER] = {}

    def note(number: int, _: FrameType | None) -> None:
        asked.set()
        signal.signal(number, before[signal.Signals(number)])

    for number in (signal.SIGTERM, signal.SIGINT):
        before[number] = signal.signal(number, note)
    try:
        yield asked.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def notify(*lines: str) -> None:
    """Tell systemd, as sd_notify(3) does; without $NOTIFY_SOCKET, nobody."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        out.settimeout(1)  # a systemd that is stuck must not hold up a run
        name = "\0" + address[1:] if address.startswith("@") else address
        out.sendto("\n".join(lines).encode(), name)


def _watchdog_s() -> float:
    """Return how often systemd wants to hear of us, as sd_watchdog_enabled(3) finds it."""
    ours = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    usec = int(os.environ.get("WATCHDOG_USEC", "0")) if ours else 0
    return usec / 1_000_000 or math.inf
