"""The operator's side of a real process: it shows what the process does, while it does it."""

import signal
from collections.abc import Callable

import pytest

from tests.fakes.email_service import Fault
from tests.promtool import promtool
from tests.receiver.daemon import RECEIVER, Daemon
from tests.scene import CUSTOMERS, Scene
from tests.test_metrics import samples


@pytest.fixture
def scene(make_scene: Callable[..., Scene]) -> Scene:
    return make_scene(links=(CUSTOMERS,), more=RECEIVER, timeout="20s", attempts=1)


def test_a_run_of_the_daemon_and_a_single_run_are_both_shown(scene: Scene) -> None:
    scene.planfix.add(name="Anna", email="anna@example.com")
    with Daemon(scene) as daemon:
        first = daemon.hear("run.closed")["run"]
        while daemon.look("/metrics").text.find("syncd_run_under_way 0.0") < 0:
            pass
        second = scene.run().run

        page, metrics = daemon.look().text, samples(daemon.look("/metrics").content)
        health = daemon.look("/health")

    assert first in page
    assert second in page
    assert "Everything is in step" in page
    assert "The next one is due at" in page
    assert metrics["syncd_link_runs_total", ("customers", "ok")] == 2
    assert metrics["syncd_scheduler_beat_age_seconds", ()] < 60
    assert metrics["syncd_run_next_timestamp_seconds", ()] > 0
    assert (health.status_code, health.json()["problems"]) == (200, [])


def test_the_page_is_served_while_a_run_waits_for_its_list(scene: Scene) -> None:
    scene.planfix.add(name="Anna", email="anna@example.com")
    scene.service.fail(Fault.STALL)
    with Daemon(scene) as daemon:
        while not scene.service.requests:
            pass

        page = daemon.look()
        metrics = samples(daemon.look("/metrics").content)

    assert page.status_code == 200
    assert "A run is under way since" in page.text
    assert metrics["syncd_run_under_way", ()] == 1


def test_what_is_pushed_is_counted_and_its_list_shown(scene: Scene) -> None:
    with Daemon(scene) as daemon:
        daemon.hear("run.closed")
        daemon.bring(daemon.create("Guests"), "anna@example.com")
        assert daemon.post(b"{}").status_code == 200
        daemon.hear("run.closed")

        metrics, page = samples(daemon.look("/metrics").content), daemon.look().text

    assert metrics["syncd_pushes_total", ("planfix/email", "taken")] == 2
    assert metrics["syncd_pushes_total", ("planfix/email", "refused")] == 1
    assert metrics["syncd_link_pairs", ("Guests",)] == 1
    assert "Guests" in page
    assert "anna@example.com" not in page


def test_promtool_finds_nothing_to_blame_in_what_a_daemon_shows(scene: Scene) -> None:
    with Daemon(scene) as daemon:
        daemon.hear("run.closed")
        text = daemon.look("/metrics").content

    result = promtool("check", "metrics", text=text)

    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_a_config_that_is_read_anew_is_shown_without_a_new_socket(scene: Scene) -> None:
    with Daemon(scene) as daemon:
        daemon.hear("run.closed")
        scene.write_config(links=(CUSTOMERS.replace("customers", "clients"),))
        daemon.signal(signal.SIGHUP)
        daemon.hear("config.read")

        page = daemon.look().text

    assert "clients" in page
    assert "customers" not in page


def test_a_store_that_has_gone_bad_is_told_by_health_and_the_page(scene: Scene) -> None:
    with Daemon(scene) as daemon:
        daemon.hear("run.closed")
        bad = scene.folder / "bad"
        bad.write_bytes(b"not a database" * 1000)
        bad.replace(scene.store)

        health, page = daemon.look("/health"), daemon.look()

    assert health.status_code == page.status_code == 503
    assert [problem["name"] for problem in health.json()["problems"]] == ["store"]
    assert "syncd.db can&#39;t be read" in page.text


def test_the_public_side_shows_nothing_of_it(scene: Scene) -> None:
    with Daemon(scene) as daemon:
        found = [daemon.post(b"", path) for path in ("/", "/metrics", "/health")]

    assert {answer.status_code for answer in found} == {404}
