"""Runs that are killed at a step of our choice, and how to begin again from before."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from itertools import count
from pathlib import Path

from tests.scene import Scene

FILES = ("syncd.db", "lists.db")
SIDES = ("", "-wal", "-shm")


class Killer:
    """Lets runs die at a step of our choice."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def at(self, config: Path, step: int, what: str) -> bool:
        """Do something; say whether it was killed at this step, or ended before it."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(f"{config} {step} {what}\n")
        stdin.flush()
        return stdout.readline().strip() == "killed"

    def at_each_step(self, scene: Scene, begin: "Kept", what: str = "run") -> Iterator[int]:
        """Kill a run at its first step, its second …; yield after each, and once undisturbed.

        `what` may also be `release ADDRESS` or `undo RUN`.
        """
        for step in count(1):
            begin.restore()
            killed = self.at(scene.config, step, what)
            yield step
            if not killed:
                return


@contextmanager
def started() -> Iterator[Killer]:
    """Start the process whose children die, and end it."""
    command = [sys.executable, "-m", "tests.system.kill_driver"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        yield Killer(process)
        assert process.stdin is not None
        process.stdin.close()
        process.wait(10)


class Kept:
    """How things stood, to begin again from there."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._lists = deepcopy(scene.service.lists)
        self._contacts = dict(scene.planfix.contacts)
        self._files = {
            name: (scene.folder / name).read_bytes()
            for name in FILES
            if (scene.folder / name).exists()
        }

    def restore(self) -> None:
        for name in FILES:
            for side in SIDES:
                (self._scene.folder / f"{name}{side}").unlink(missing_ok=True)
            if name in self._files:
                (self._scene.folder / name).write_bytes(self._files[name])
        self._scene.service.lists = deepcopy(self._lists)
        self._scene.service.requests.clear()
        planfix = self._scene.planfix
        for number in planfix.contacts.keys() - self._contacts.keys():
            planfix.delete(number)
        for number, contact in self._contacts.items():
            if planfix.contacts[number] != contact:
                planfix.edit(number, **contact._asdict())
