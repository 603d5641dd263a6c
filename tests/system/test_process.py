"""Real processes of `syncd`, as an operator starts, stops and kills them."""

import json
import re
import signal
import threading
from subprocess import CompletedProcess
from typing import Any

import pytest

from tests.fakes.email_service import Fault
from tests.scene import CUSTOMERS, Scene, counts


def document_of(process: CompletedProcess[str]) -> Any:
    """Return the run document, which is all there is on standard output."""
    document = json.loads(process.stdout)
    assert document["exit_code"] == process.returncode
    return document


def crowd(scene: Scene, count: int) -> list[int]:
    return [scene.planfix.add(name="Anna", email=f"a{n}@example.com") for n in range(count)]


def test_a_run_prints_its_document_and_logs_to_standard_error(scene: Scene) -> None:
    crowd(scene, 3)

    done = scene.syncd("--once", "--json")

    assert done.returncode == 0, done.stderr
    document = document_of(done)
    assert document["links"][0]["applied"] == counts(add=3)
    assert "@" not in done.stderr
    assert scene.planfix.token not in done.stderr
    assert len(scene.members()) == 3


def test_a_dry_run_prints_the_plan_and_does_nothing(scene: Scene) -> None:
    [anna] = crowd(scene, 1)

    done = scene.syncd("--dry-run", "--json")

    assert document_of(done)["links"][0]["operations"] == [
        {
            "op": "add",
            "contact": anna,
            "email": "a0@example.com",
            "old_email": None,
            "why": "new in the selection",
        }
    ]
    assert scene.service.requests == []


def test_a_config_error_is_told_in_the_document_too(scene: Scene) -> None:
    scene.write_config(links=[CUSTOMERS + 'selektion = "x"\n'])

    done = scene.syncd("--once", "--json")

    document = document_of(done)
    assert done.returncode == 78
    assert document["links"] == []
    assert document["error"]["kind"] == "configuration"
    assert "selektion" in document["error"]["message"]


@pytest.mark.parametrize(
    ("arguments", "exit_code"),
    [
        (("--once", "--link", "nobody"), 2),
        (("--once", "--no-such-option"), 2),
        (("no-such-command",), 2),
        (("approve", "20260101T000000Z-0000"), 2),
        (("forget", "nobody@example.com", "--yes"), 2),
    ],
)
def test_wrong_usage_is_2(scene: Scene, arguments: tuple[str, ...], exit_code: int) -> None:
    done = scene.syncd(*arguments)

    assert done.returncode == exit_code, done.stderr


def test_a_run_beside_another_is_75_and_touches_nothing(scene: Scene) -> None:
    crowd(scene, 3)
    go_on = threading.Event()
    reached = scene.planfix.faults.stall(go_on, method="contact.getList", times=1)
    with scene.start("--once", "--json") as first:
        assert reached.wait(30)
        second = scene.syncd("--once", "--json")
        go_on.set()
        first.communicate(timeout=30)

    assert first.returncode == 0
    assert second.returncode == 75
    document = document_of(second)
    assert (document["links"], document["error"]["kind"]) == ([], "temporary")


def test_sigterm_ends_a_run_after_its_batch_with_75(scene: Scene) -> None:
    crowd(scene, 1200)
    go_on = threading.Event()
    reached = scene.planfix.faults.stall(go_on, method="contact.getList", page=12, times=1)
    with scene.start("--once", "--json") as run:
        assert reached.wait(30)
        run.send_signal(signal.SIGTERM)
        go_on.set()
        stdout, stderr = run.communicate(timeout=30)

    assert run.returncode == 75, stderr
    assert json.loads(stdout)["exit_code"] == 75

    assert scene.run().exit_code == 0
    assert len(scene.members()) == 1200


@pytest.mark.parametrize(("arguments", "exit_code"), [(("--once",), 75), ((), 0)])
def test_sigterm_is_heard_while_planfix_asks_to_wait(
    scene: Scene, arguments: tuple[str, ...], exit_code: int
) -> None:
    crowd(scene, 3)
    scene.planfix.faults.http_status(503, retry_after=50)
    with scene.start(*arguments) as run:
        while not scene.planfix.requests:
            assert run.poll() is None
        run.send_signal(signal.SIGTERM)
        _, stderr = run.communicate(timeout=30)

    assert run.returncode == exit_code, stderr
    assert len(scene.planfix.requests) == 1


@pytest.mark.parametrize(("arguments", "exit_code"), [(("--once",), 75), ((), 0)])
def test_sigterm_is_heard_while_a_list_fails_and_what_was_sent_goes_on_later(
    scene: Scene, arguments: tuple[str, ...], exit_code: int
) -> None:
    scene.write_config(attempts=9)
    ids = crowd(scene, 12)
    scene.run()
    scene.planfix.edit(ids[0], email="b0@example.com")
    scene.service.requests.clear()
    scene.service.fail(Fault.ERROR, times=None)
    with scene.start(*arguments) as run:
        while not scene.service.requests:
            assert run.poll() is None
        run.send_signal(signal.SIGTERM)
        _, stderr = run.communicate(timeout=30)
    scene.service.recover()

    assert run.returncode == exit_code, stderr
    assert scene.run().exit_code == 0
    assert len(scene.members()) == 12
    assert "b0@example.com" in scene.members()


@pytest.mark.parametrize("fault", [Fault.STALL, Fault.STALL_DONE])
def test_a_run_killed_while_the_list_stalls_is_made_good(scene: Scene, fault: Fault) -> None:
    ids = crowd(scene, 12)
    scene.run()
    scene.planfix.edit(ids[0], email="b0@example.com")
    scene.service.requests.clear()
    scene.service.fail(fault)
    with scene.start("--once") as run:
        while not scene.service.requests:
            assert run.poll() is None
        run.kill()
        run.communicate(timeout=30)

    report = scene.run()

    assert report.exit_code == 0
    assert "b0@example.com" in scene.members()
    assert "a0@example.com" not in scene.members()
    assert len(scene.members()) == 12


def test_an_operator_approves_what_a_run_withheld(scene: Scene) -> None:
    ids = crowd(scene, 20)
    scene.run()
    for contact in ids[:8]:
        scene.planfix.delete(contact)
    refused = document_of(scene.syncd("--once", "--json"))
    assert (refused["exit_code"], refused["links"][0]["withheld"]) == (4, 8)

    approved = scene.syncd("approve", refused["run"])

    assert (approved.returncode, "8" in approved.stdout) == (0, True)
    assert scene.syncd("--once").returncode == 0
    assert len(scene.members()) == 12


def test_an_operator_takes_somebody_off_and_reads_their_story(scene: Scene) -> None:
    crowd(scene, 3)
    scene.run()

    done = scene.syncd("lists", "unsubscribe", "customers", "A1@example.com")
    told = scene.syncd("history", "a1@example.com")

    assert (done.returncode, told.returncode) == (0, 0), done.stderr + told.stderr
    assert set(scene.members()) == {"a0@example.com", "a2@example.com"}
    assert re.search("added to the list", told.stdout)
    assert re.search("not subscribed again by syncd", told.stdout)
