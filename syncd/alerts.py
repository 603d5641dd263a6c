"""Tell a person that something needs them: by a command of the operator's, and by SMS."""

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

import structlog

from syncd.core.alerts import Window
from syncd.core.report import Outcome
from syncd.core.sms import PhoneNumber, Text
from syncd.errors import SyncdError

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

    def all(self) -> dict[str, Window]:
        """Return the windows, by their kinds."""

    def change(
        self,
        kind: str,
        before: Window | None,
        after: Window | None,
        *,
        texts: Sequence[Text],
        at: datetime,
    ) -> bool:
        """Change a kind's window and put messages into the outbox: both, or neither.

        Neither, and False, where the window is no longer as it was `before`.
        """


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
        windows: Windows,
        now: Callable[[], datetime],
    ) -> None:
        """Send through the gateway named `via`, to each number of `to`."""
        self._via = via
        self._to = tuple(to)
        self._windows = windows
        self._now = now

    def tell(self, alert: Mapping[str, Any], news: Mapping[str, Outcome]) -> None:
        """Tell what is new, or count it; what fails is logged, since no run may fail for it."""
        try:
            for outcome in sorted(set(news.values()), reverse=True):
                words = _words(alert, news, outcome)
                while not self._tell(outcome.value, words):
                    pass  # another process told one of this kind just now
        except SyncdError as error:
            log.warning("alert.failed", via=self._via, error=type(error).__name__)

    def tell_rest(self) -> None:
        """Sum up what was counted in windows that are over.

        Raises:
            TemporaryError: the store can't be written.
        """
        now = self._now()
        for kind, window in self._windows.all().items():
            if _is_open(window, now):
                continue
            # The next hour begins where the last one ended: a late summary silences nobody.
            after = Window(window.at + WINDOW, 0) if window.further else None
            words = f"syncd: {_counted(kind, window)}; see: syncd status" if after else ""
            self._change(kind, window, after, words, now)  # or another process was faster

    def _tell(self, kind: str, words: str) -> bool:
        now, window = self._now(), self._windows.all().get(kind)
        if window is not None and _is_open(window, now):
            return self._change(kind, window, Window(window.at, window.further + 1), "", now)
        counted = f"; {_counted(kind, window)}" if window is not None and window.further else ""
        words = words[: _WORDS_MAX - len(counted)] + counted
        return self._change(kind, window, Window(now, 0), words, now)

    def _change(
        self, kind: str, before: Window | None, after: Window | None, words: str, now: datetime
    ) -> bool:
        """Set a window, and send the words, where there are any, to everybody."""
        texts = [
            Text(login="alerts", relay=self._via, sender="", recipient=number, text=words)
            for number in (self._to if words else ())
        ]
        changed = self._windows.change(kind, before, after, texts=texts, at=now)
        if changed and texts:
            log.info("alert.queued", via=self._via)
        return changed


def _is_open(window: Window, now: datetime) -> bool:
    """Whether further alerts are only counted; after a clock was set back they are told."""
    return timedelta() <= now - window.at < WINDOW


def _words(alert: Mapping[str, Any], news: Mapping[str, Outcome], outcome: Outcome) -> str:
    """Return what is new of one kind as a short message.

    What errors say may be long, and stays out.
    """
    links = ", ".join(link for link, ended in news.items() if ended is outcome)
    told = f"syncd: run {alert['run']} {outcome.value}, exit code {alert['exit_code']}"
    return f"{told}; links: {links}; {alert.get('next', 'see: syncd status')}"


def _counted(kind: str, window: Window) -> str:
    times = "time" if window.further == 1 else "times"
    return f"{kind} {window.further} {times} more since {window.at:%Y-%m-%d %H:%M} UTC"
