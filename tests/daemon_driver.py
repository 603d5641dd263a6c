"""A daemon whose runs are told what to do by a pipe: `python -m tests.daemon_driver FILE`.

It writes what happens to standard output, a line each. A run waits for a line on standard
input: `end` ends it, `fail` and `break` end it with an error, `rest` as one that used up the
calls, `busy` and `nothing` as one that did nothing; `push` has something pushed, and `pulse` tells
what the scheduler says. Being asked to stop ends it too.
The file holds a name and the seconds from run to run; the name `bad` is refused, `deaf` can't take
effect, `odd` breaks, and `mute` breaks where it is asked for its status.
"""

import os
import select
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

from syncd import logs
from syncd.daemon import Ended, Every, Heart, Notes, serve
from syncd.errors import ConfigurationError, TemporaryError


def say(*words: str) -> None:
    print(*words, flush=True)  # noqa: T201  (it is what the test reads)


class Work:
    def __init__(self, config: Path, pushed: Callable[[], None], heart: Heart) -> None:
        self._pushed = pushed
        self._heart = heart
        name, seconds = config.read_text().split()
        if name == "bad":
            raise ConfigurationError("config.toml, line 1: bad", hint="put it right")
        if name == "odd":
            raise RuntimeError("broken")
        self.name = name
        self.timetable = Every(float(seconds))

    def take_effect(self) -> None:
        if self.name == "deaf":
            raise ConfigurationError("nobody can be listened to", hint="try another port")

    def run(self, trigger: str, stop: Callable[[], bool]) -> Ended | None:
        say("run", self.name, trigger)
        while not stop():
            readable, _, _ = select.select([sys.stdin], [], [], 0.01)
            if not readable:
                continue
            match sys.stdin.readline().strip():
                case "end":
                    say("ended")
                    return Ended(words="ok")
                case "rest":
                    return Ended(words="ok", rest_s=3600.0)
                case "busy":
                    say("busy")
                    return Ended(words="ok", busy=True)
                case "nothing":
                    return None
                case "pulse":
                    pulse = self._heart.pulse()
                    assert pulse is not None
                    say(*filter(None, (str(pulse.failed_in_row), pulse.error)))
                case "push":
                    self._pushed()
                    say("pushed")
                case "fail":
                    raise TemporaryError("Planfix did not answer", hint="wait")
                case _:
                    raise RuntimeError("broken")
        say("stopped")
        return Ended(words="stopped")

    def status(self, next_run: datetime) -> Mapping[str, object]:
        if self.name == "mute":
            raise RuntimeError("broken")
        return {"name": self.name, "next_run": next_run.isoformat()}


if __name__ == "__main__":
    logs.configure(os.environ.get("LOG_LEVEL", "info"), "json", sys.stdout)
    heart = Heart()
    with Notes() as notes:
        serve(notes, heart, lambda: Work(Path(sys.argv[1]), notes.pushed, heart), lambda: None)
    say("over")
