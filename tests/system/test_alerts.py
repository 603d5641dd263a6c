"""Who is told that a run needs a person: what is new of each link, once, and rather twice."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from syncd.app.run import run_once
from tests.fakes.email_service import Fault
from tests.scene import Scene, link

MakeScene = Callable[..., Scene]
LINKS = (link("own", backend="own"), link("news", selection="company"))
"""Two links that fail and refuse independently of each other."""


class Told:
    """A command of the operator's, and what it was given on standard input."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "told"

    def config(self, then: str = "", after_failures: int = 3) -> str:
        """Return the table that has it started; `then` is what else its shell does."""
        words = f"cat >> {self._file}; echo >> {self._file}; {then}"
        command = json.dumps(["/bin/sh", "-c", words])
        return f"[alerts]\ncommand = {command}\nafter_failures = {after_failures}\n"

    @property
    def alerts(self) -> list[dict[str, Any]]:
        lines = self._file.read_text().splitlines() if self._file.exists() else []
        return [json.loads(line) for line in lines]

    @property
    def outcomes(self) -> list[dict[str, str]]:
        """How the links of each told run had ended."""
        return [{each["link"]: each["outcome"] for each in told["links"]} for told in self.alerts]


@pytest.fixture
def told(tmp_path: Path) -> Told:
    return Told(tmp_path)


@pytest.fixture
def scene(make_scene: MakeScene, told: Told) -> Scene:
    """Twenty people on each of two lists."""
    scene = make_scene(links=LINKS, more=told.config())
    for number in range(20):
        scene.planfix.add(name="P", email=f"p{number}@example.com")
        scene.planfix.add(name="C", email=f"c{number}@example.com", is_company=True)
    scene.run()
    return scene


def refuse(scene: Scene, letter: str) -> None:
    """Take so many people away that their link withholds the removals: p are own's, c news'."""
    leaving = [f"{letter}{number}@example.com" for number in range(10)]
    for contact in list(scene.planfix.contacts.values()):
        if contact.email in leaving:
            scene.planfix.delete(contact.id)


def fail(scene: Scene) -> None:
    """Let the service of news be away, with something to be done there."""
    scene.service.fail(Fault.UNAVAILABLE, times=None)
    newest = f"new{len(scene.planfix.contacts)}@example.com"
    scene.planfix.add(name="C", email=newest, is_company=True)


def test_a_refusal_is_told_when_it_begins_with_what_to_do(scene: Scene, told: Told) -> None:
    refuse(scene, "p")

    runs = [scene.run().run for _ in range(3)]

    [alert] = told.alerts
    assert (alert["run"], alert["outcome"], alert["exit_code"]) == (runs[0], "refused", 4)
    assert alert["next"] == f"syncd approve {runs[0]}"
    assert "10" in alert["links"][0]["findings"][0]


def test_failures_are_told_once_when_they_have_become_a_row(scene: Scene, told: Told) -> None:
    fail(scene)

    counts = []
    for _ in range(5):
        scene.run()
        counts.append(len(told.alerts))

    assert counts == [0, 0, 1, 1, 1]
    assert told.outcomes == [{"own": "ok", "news": "failed"}]


def test_after_a_good_run_the_next_row_is_told_again(scene: Scene, told: Told) -> None:
    for _ in range(2):
        fail(scene)
        for _ in range(3):
            scene.run()
        scene.service.recover()
        scene.run()

    assert told.outcomes == [{"own": "ok", "news": "failed"}] * 2


def test_a_refusal_beside_a_link_that_fails_is_told(scene: Scene, told: Told) -> None:
    fail(scene)
    for _ in range(4):
        scene.run()
    refuse(scene, "p")

    for _ in range(3):
        scene.run()

    assert told.outcomes == [
        {"own": "ok", "news": "failed"},
        {"own": "refused", "news": "failed"},
    ]


def test_a_second_link_that_refuses_is_told_while_the_first_waits(scene: Scene, told: Told) -> None:
    refuse(scene, "p")
    scene.run()
    refuse(scene, "c")

    for _ in range(2):
        scene.run()

    assert told.outcomes == [
        {"own": "refused", "news": "ok"},
        {"own": "refused", "news": "refused"},
    ]


def test_runs_of_other_links_in_between_neither_end_a_row_nor_repeat_it(
    scene: Scene, told: Told
) -> None:
    refuse(scene, "p")
    fail(scene)

    for _ in range(4):
        scene.run("own")
        scene.run("news")

    assert told.outcomes == [{"own": "refused"}, {"news": "failed"}]


def test_a_dry_run_tells_nobody_and_counts_for_nothing(scene: Scene, told: Told) -> None:
    fail(scene)
    for _ in range(3):
        scene.run(dry_run=True)
    scene.run()

    assert told.alerts == []


def test_killed_while_it_tells_a_process_leaves_it_to_the_next(scene: Scene, told: Told) -> None:
    refuse(scene, "p")
    scene.write_config(more=told.config(then="kill -9 $PPID"))
    assert scene.syncd("--once").returncode == -9

    scene.write_config(more=told.config())
    for _ in range(2):
        scene.run()

    assert told.outcomes == [{"own": "refused", "news": "ok"}] * 2


def test_a_fault_of_ours_in_telling_fails_no_run(scene: Scene) -> None:
    def break_down(*_: object) -> None:
        raise RuntimeError("broken")

    refuse(scene, "p")
    with scene.world() as world, capture_logs() as logged:
        report = run_once(replace(world, alert=break_down))

    assert report.exit_code == 4
    assert "alert.failed" in [line["event"] for line in logged]


def test_a_run_without_a_store_is_told_each_time(scene: Scene, told: Told) -> None:
    scene.store.write_bytes(b"garbage" * 1000)

    codes = [scene.syncd(how).returncode for how in ("--once", "--once", "--dry-run")]

    assert codes == [78, 78, 78]
    assert [alert["exit_code"] for alert in told.alerts] == [78, 78]
    assert "damaged" in told.alerts[0]["error"]["message"]
