"""Runs that die: `python -m tests.system.kill_driver`, told on standard input whom and when.

A line holds a config file and a number. A child of its own runs the links once, and is killed
(SIGKILL) at that step: just before a commit of the store, or just after one. The answer is
`killed`, or the exit code of a run that had fewer steps.
"""

import itertools
import os
import signal
import sys
from pathlib import Path

from sqlalchemy import Engine, Pool, event

from syncd.app.run import run_once
from syncd.app.wiring import open_world


def die_at(step: int) -> None:
    steps = itertools.count(1)

    def count(*_: object) -> None:
        if next(steps) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(Engine, "commit", count)
    event.listen(Pool, "checkin", count)


def run(config: Path, step: int) -> int:
    with open_world(config) as world:
        die_at(step)
        return run_once(world).exit_code


def main() -> None:
    for line in sys.stdin:
        config, step = line.rsplit(maxsplit=1)
        child = os.fork()
        if not child:
            os.dup2(2, 1)
            os._exit(run(Path(config), int(step)))
        _, status = os.waitpid(child, 0)
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        print("killed" if killed else os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
