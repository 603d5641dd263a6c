"""The metrics say what the runs did, in a form that Prometheus takes."""

from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from syncd.core.link import Link, Selection
from syncd.core.overview import Overview
from syncd.metrics import CONTENT_TYPE, NAMES, exposition
from syncd.store.overview import overview
from tests.page.samples import BAD_DAY, PULSE, PUSHES
from tests.promtool import promtool
from tests.scene import Scene

CUSTOMERS = Link(
    name="customers", selection=Selection("contact"), backend="news", list_name="Customers"
)

Samples = dict[tuple[str, tuple[str, ...]], float]


def samples(text: bytes) -> Samples:
    """Return each series' value, by its name and its labels' values."""
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def after(scene: Scene) -> Samples:
    found = overview(scene.store, (CUSTOMERS,))
    return samples(exposition(found, None, {}))


def test_a_run_is_seen_in_the_metrics_whichever_process_made_it(scene: Scene) -> None:
    scene.planfix.add(name="Anna", email="anna@example.com")
    scene.planfix.add(name="Boris", email="boris@@example.com")
    assert scene.syncd("--once").returncode == 0
    scene.planfix.add(name="Clara", email="clara@example.com")
    report = scene.run()

    found = after(scene)

    assert report.finished is not None
    ended = found["syncd_link_last_run_timestamp_seconds", ("customers",)]
    assert abs(ended - report.finished.timestamp()) < 5
    assert found["syncd_run_last_timestamp_seconds", ()] == ended
    expected = {
        ("syncd_link_pairs", ("customers",)): 2,
        ("syncd_link_contacts_read", ("customers",)): 3,
        ("syncd_link_held", ("customers",)): 1,
        ("syncd_link_in_step", ("customers",)): 0,
        ("syncd_link_certified", ("customers",)): 1,
        ("syncd_link_last_run_outcome", ("customers", "ok")): 1,
        ("syncd_link_last_run_outcome", ("customers", "failed")): 0,
        ("syncd_link_runs_total", ("customers", "ok")): 2,
        ("syncd_link_operations_planned_total", ("customers", "add")): 2,
        ("syncd_link_operations_applied_total", ("customers", "add")): 2,
        ("syncd_link_operations_applied_total", ("customers", "remove")): 0,
        ("syncd_planfix_calls_total", ()): scene.planfix.calls("contact.getList"),
        ("syncd_run_duration_seconds_count", ()): 2,
    }  # fmt: skip
    assert {key: found[key] for key in expected} == expected
    assert ("syncd_link_members_read", ("customers",)) not in found  # the list can't be read


def test_what_waits_for_a_person_is_seen(scene: Scene) -> None:
    crowd = [scene.planfix.add(email=f"p{number}@example.com") for number in range(20)]
    scene.run()
    for contact in crowd[:8]:
        scene.planfix.delete(contact)
    scene.run()
    scene.unsubscribe("p19@example.com")

    found = after(scene)

    assert found["syncd_link_withheld", ("customers",)] == 8
    assert found["syncd_link_last_run_outcome", ("customers", "refused")] == 1
    assert found["syncd_link_latched", ("customers",)] == 1


def test_the_daemon_shows_its_pulse_and_what_came_in() -> None:
    found = samples(exposition(BAD_DAY, PULSE, PUSHES))

    assert found["syncd_scheduler_beat_age_seconds", ()] == 3.0
    assert found["syncd_run_next_timestamp_seconds", ()] == PULSE.next_run.timestamp()
    assert found["syncd_run_under_way", ()] == 0
    assert found["syncd_runs_failed_in_row", ()] == 0
    assert found["syncd_pushes_total", ("planfix/email", "taken")] == 1204
    assert found["syncd_sms_messages", ("unknown",)] == 1
    assert found["syncd_sms_messages", ("refused",)] == 0


def test_what_is_not_known_is_left_out_rather_than_zero() -> None:
    found = samples(exposition(Overview(), None, {}))

    names = {name for name, _ in found}
    assert "syncd_run_last_timestamp_seconds" not in names
    assert "syncd_scheduler_beat_age_seconds" not in names
    assert found["syncd_planfix_calls_total", ()] == 0


def test_every_metric_has_its_name_and_its_words_once() -> None:
    text = exposition(BAD_DAY, PULSE, PUSHES).decode()

    told = [line.split()[2] for line in text.splitlines() if line.startswith("# HELP")]

    assert told == list(NAMES)


def test_a_name_from_outside_is_quoted() -> None:
    odd = replace(BAD_DAY.links[0], name='a"b\\c\nd')

    found = samples(exposition(Overview(links=(odd,)), None, {}))

    assert found["syncd_link_pairs", ('a"b\\c\nd',)] == 12_834


def test_the_content_type_is_one_that_prometheus_asks_for() -> None:
    assert CONTENT_TYPE.startswith("text/plain; version=")


def test_promtool_finds_nothing_to_blame() -> None:
    result = promtool("check", "metrics", text=exposition(BAD_DAY, PULSE, PUSHES))

    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@pytest.mark.parametrize("secret", ["@", "anna"])
def test_no_person_is_in_the_metrics(scene: Scene, secret: str) -> None:
    scene.planfix.add(name="Anna", email="anna@example.com")
    scene.planfix.add(name="Anna", email="anna@@example.com")
    scene.run()

    found = overview(scene.store, (CUSTOMERS,))

    assert secret not in exposition(found, None, {}).decode().lower()
