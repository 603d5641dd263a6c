"""Runs that die: `python -m tests.system.kill_driver`, told on standard input whom and when.

A line holds a config file, a number, and what to do: `run`, `release ADDRESS` or `undo RUN`. A
child of its own does that, and is killed (SIGKILL) at that step: just before a commit of the
store, or just after one. The answer is `killed`, or the exit code where it had fewer steps.
"""

import os
import signal
import sqlite3
import sys
from pathlib import Path

from syncd.app import decisions
from syncd.app.run import run_once
from syncd.app.undo import undo
from syncd.app.wiring import open_world
from syncd.app.world import World


class Steps:
    """Counts what a run commits, once before and once after each COMMIT, and kills at one."""

    def __init__(self, last: int) -> None:
        self._left = last
        self._committing = False

    def watch(self, connection: sqlite3.Connection) -> None:
        connection.set_trace_callback(self._executes)
        sys.setprofile(self._returned)

    def _executes(self, statement: str) -> None:
        if statement == "COMMIT":
            self._count()
            self._committing = True

    def _returned(self, _: object, what: str, __: object) -> None:
        # The first function in C that returns is the one which committed.
        if what == "c_return" and self._committing:
            self._committing = False
            self._count()

    def _count(self) -> None:
        self._left -= 1
        if not self._left:
            os.kill(os.getpid(), signal.SIGKILL)


def die(config: Path, step: int, what: str, whose: str = "") -> int:
    steps = Steps(step)
    with open_world(config) as world:
        steps.watch(world.store._database.raw)
        return carry_out(world, what, whose)


def carry_out(world: World, what: str, whose: str) -> int:
    match what:
        case "release":
            decisions.release(world, whose, links=(), reason="asked us")
        case "undo":
            undo(world, whose)
        case _:
            return run_once(world).exit_code
    return 0


def main() -> None:
    for line in sys.stdin:
        config, step, *what = line.split()
        child = os.fork()
        if not child:
            os.dup2(2, 1)
            os._exit(die(Path(config), int(step), *what))
        _, status = os.waitpid(child, 0)
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        print("killed" if killed else os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
