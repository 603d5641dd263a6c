"""A daemon whose runs are told what to do by a pipe: `python -m tests.daemon_driver FILE`.

It writes what happens to standard output, a line each. A run waits for a line on standard
input: `end` ends it, `fail` and `break` end it with an error, `push` has something pushed; being
asked to stop ends it too.
The file holds a name and the seconds from run to run; the name `bad` is refused, and `deaf` can't
take effect.
"""

import select
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

from syncd import logs
from syncd.daemon import Every, Heart, Notes, serve
from syncd.errors import ConfigurationError, TemporaryError


def say(*words: str) -> None:
    print(*words, flush=True)  # noqa: T201  (it is what the test reads)


class Work:
    def __init__(self, config: Path, pushed: Callable[[], None]) -> None:
        self._pushed = pushed
        name, seconds = config.read_text().split()
        if name == "bad":
            raise ConfigurationError("config.toml, line 1: bad", hint="put it right")
        self.name = name
        self.timetable = Every(float(seconds))
        self.rest_s = 0.0

    def take_effect(self) -> None:
        if self.name == "deaf":
            raise ConfigurationError("nobody can be listened to", hint="try another port")

    def run(self, trigger: str, stop: Callable[[], bool]) -> str:
        say("run", self.name, trigger)
        while not stop():
            readable, _, _ = select.select([sys.stdin], [], [], 0.01)
            if not readable:
                continue
            match sys.stdin.readline().strip():
                case "end":
                    say("ended")
                    return "ok"
                case "push":
                    self._pushed()
                    say("pushed")
                case "fail":
                    raise TemporaryError("Planfix did not answer", hint="wait")
                case _:
                    raise RuntimeError("broken")
        say("stopped")
        return "stopped"

    def status(self, next_run: datetime) -> Mapping[str, object]:
        return {"name": self.name, "next_run": next_run.isoformat()}


if __name__ == "__main__":
    logs.configure("info", "json", sys.stdout)
    with Notes() as notes:
        serve(notes, Heart(), lambda: Work(Path(sys.argv[1]), notes.pushed), lambda: None)
    say("over")
