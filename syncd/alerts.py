"""Tell a person that something needs them: by a command of the operator's, and by SMS."""

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

import structlog

from syncd.core.report import Outcome
from syncd.core.sms import PhoneNumber, Text
from syncd.errors import SyncdError
from syncd.ports import TextQueue

log = structlog.get_logger()

WINDOW: Final = timedelta(hours=1)
"""Within so long after one SMS of a kind, further ones are only counted."""

_PATIENCE_S: Final = 30
_WORDS_MAX: Final = 300


class CommandAlert:
    """Runs the operator's command with the alert as JSON on its standard input."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = tuple(command)

    def tell(self, alert: Mapping[str, Any]) -> None:
        """Tell it; a command that fails is logged, since no run may fail for it."""
        if not self._command:
            return
        try:
            done = subprocess.run(  # noqa: S603  (the operator's own command, without a shell)
                self._command,
                input=json.dumps(alert, ensure_ascii=False).encode(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=_PATIENCE_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            log.warning("alert.failed", command=self._command[0], error=type(error).__name__)
            return
        if done.returncode:
            log.warning("alert.failed", command=self._command[0], exit_code=done.returncode)
        else:
            log.info("alert.sent", command=self._command[0])


class Windows(Protocol):
    """Which kinds of alert were told, since when, and how many came since; durable."""

    def find(self, kind: str) -> tuple[datetime, int] | None:
        """Return since when a kind's window is open, and how many were counted in it."""

    def kinds(self) -> list[str]:
        """Return the kinds that have a window."""

    def open(self, kind: str, *, at: datetime) -> None:
        """Open a kind's window, or open it anew with nothing counted."""

    def count(self, kind: str) -> None:
        """Count one more in a kind's window."""

    def close(self, kind: str) -> None:
        """Forget a kind's window."""


class SmsAlert:
    """Puts alerts into the outbox: the first of a kind at once, then an hourly summary.

    The kind is how the links ended. A message holds no more than the run, the links' names,
    counts and what to do.
    """

    def __init__(
        self,
        *,
        via: str,
        to: Sequence[PhoneNumber],
        queue: TextQueue,
        windows: Windows,
        now: Callable[[], datetime],
    ) -> None:
        """Send through the gateway named `via`, to each number of `to`."""
        self._via = via
        self._to = tuple(to)
        self._queue = queue
        self._windows = windows
        self._now = now

    def tell(self, alert: Mapping[str, Any], news: Mapping[str, Outcome]) -> None:
        """Tell what is new, or count it; what fails is logged, since no run may fail for it."""
        try:
            self.tell_rest()
            for outcome in sorted(set(news.values()), reverse=True):
                self._tell(outcome.value, _words(alert, news, outcome))
        except SyncdError as error:
            log.warning("alert.failed", via=self._via, error=type(error).__name__)

    def tell_rest(self) -> None:
        """Sum up what was counted in windows that are over.

        Raises:
            TemporaryError: the store can't be written.
        """
        for kind in self._windows.kinds():
            since, further = self._windows.find(kind) or (self._now(), 0)
            if self._now() - since < WINDOW:
                continue
            if further:
                self._put(_summary(kind, further, since))
                self._windows.open(kind, at=self._now())
            else:
                self._windows.close(kind)

    def _tell(self, kind: str, words: str) -> None:
        if self._windows.find(kind) is not None:
            self._windows.count(kind)
            return
        self._put(words)
        # Afterwards: whoever dies in between tells it twice, and not never.
        self._windows.open(kind, at=self._now())

    def _put(self, words: str) -> None:
        for number in self._to:
            text = Text(login="alerts", relay=self._via, sender="", recipient=number, text=words)
            self._queue.put(text, at=self._now())
        log.info("alert.queued", via=self._via)


def _words(alert: Mapping[str, Any], news: Mapping[str, Outcome], outcome: Outcome) -> str:
    """Return what is new of one kind as a short message.

    What errors say may be long, and stays out.
    """
    links = ", ".join(link for link, ended in news.items() if ended is outcome)
    told = f"syncd: run {alert['run']} {outcome.value}, exit code {alert['exit_code']}"
    return f"{told}; links: {links}; {alert.get('next', 'see: syncd status')}"[:_WORDS_MAX]


def _summary(kind: str, further: int, since: datetime) -> str:
    times = "time" if further == 1 else "times"
    return f"syncd: {kind} {further} {times} more since {since:%H:%M} UTC; see: syncd status"
