"""What fails, the exit code it gives, and that nothing is concluded from it."""

import fcntl
import json
from collections.abc import Callable

import pytest

from syncd.app.run import run_once
from syncd.core.address import key_of
from syncd.errors import ConfigurationError, UsageError
from syncd.simulator.planfix import SimulatedPlanfix
from tests.fakes.email_service import EmailService, Fault
from tests.scene import CUSTOMERS, Scene, applied, counts, link

CRISES: dict[str, tuple[Callable[[Scene], None], int, str]] = {
    "wrong token of Planfix": (
        lambda scene: scene.write_config(planfix_keys={"token": "not-this-one"}),
        77,
        "authentication",
    ),
    "wrong key of Planfix": (
        lambda scene: scene.write_config(planfix_keys={"api_key": "not-this-one"}),
        77,
        "authentication",
    ),
    "wrong account": (
        lambda scene: scene.write_config(planfix_keys={"account": "nobody"}),
        78,
        "configuration",
    ),
    "wrong data centre": (
        lambda scene: scene.planfix.faults.error_code("0024"),
        78,
        "configuration",
    ),
    "no right to the function": (
        lambda scene: scene.planfix.faults.error_code("0020"),
        78,
        "configuration",
    ),
    "unknown filter": (
        lambda scene: scene.write_config(links=[link("customers", selection="filter:404")]),
        78,
        "configuration",
    ),
    "redirect of Planfix": (lambda scene: scene.planfix.faults.redirect(), 78, "configuration"),
    "Planfix 503": (lambda scene: scene.planfix.faults.http_status(503), 69, "temporary"),
    "Planfix 429": (lambda scene: scene.planfix.faults.http_status(429), 69, "temporary"),
    "Planfix HTML": (lambda scene: scene.planfix.faults.html_page(), 69, "temporary"),
    "Planfix gone": (lambda scene: scene.planfix.faults.refuse_connections(), 69, "temporary"),
    "quota": (lambda scene: scene.planfix.faults.quota(0), 69, "temporary"),
    "our own daily calls": (
        lambda scene: scene.write_config(planfix_keys={"daily_calls": 1}),
        69,
        "temporary",
    ),
    "wrong token of the list": (
        lambda scene: scene.write_config(service_token="not-this-one"),
        78,
        "configuration",
    ),
    "unknown list id": (
        lambda scene: scene.write_config(
            links=[CUSTOMERS.replace('list = "Customers"', 'list_id = "lst-404"')]
        ),
        78,
        "configuration",
    ),
    "a list service of another protocol": (
        lambda scene: scene.service.fail(Fault.PAGE, times=None),
        78,
        "configuration",
    ),
    "a list service that moved": (
        lambda scene: scene.service.fail(Fault.REDIRECT, times=None),
        78,
        "configuration",
    ),
    "a list service at another path": (
        lambda scene: scene.write_config(service_url=scene.service.url + "/not-here"),
        78,
        "configuration",
    ),
    "list service 500": (
        lambda scene: scene.service.fail(Fault.ERROR, times=None),
        69,
        "temporary",
    ),
    "list service 502": (
        lambda scene: scene.service.fail(Fault.BAD_GATEWAY, times=None),
        69,
        "temporary",
    ),
    "list service 429": (
        lambda scene: scene.service.fail(Fault.BUSY, times=None),
        69,
        "temporary",
    ),
}


@pytest.mark.parametrize(("crisis", "exit_code", "kind"), CRISES.values(), ids=CRISES)
def test_a_side_that_fails_gives_its_exit_code(
    scene: Scene, crisis: Callable[[Scene], None], exit_code: int, kind: str
) -> None:
    for number in range(101):
        scene.planfix.add(name="Anna", email=f"a{number}@example.com")
    crisis(scene)

    document = scene.run().document()

    [done] = document["links"]
    assert (document["exit_code"], document["outcome"]) == (exit_code, "failed")
    assert document["error"] is None
    assert (done["outcome"], done["error"]["kind"]) == ("failed", kind)
    assert done["applied"] == counts()
    assert "@" not in done["error"]["message"]
    assert "not-this-one" not in done["error"]["message"]


def test_a_list_service_that_refuses_everything_is_a_wrong_set_up(scene: Scene) -> None:
    scene.run()  # the list is there
    scene.service.fail(Fault.REFUSE, times=None)
    for number in range(20):
        scene.planfix.add(name="Anna", email=f"a{number}@example.com")

    report = scene.run()

    assert report.exit_code == 78
    assert scene.service.actions.count("importContacts") <= 8
    scene.service.recover()
    report = scene.run()
    assert (report.exit_code, len(scene.members())) == (0, 20)


def test_a_list_that_the_service_lost_is_a_wrong_set_up(scene: Scene) -> None:
    for number in range(12):
        scene.planfix.add(name="Anna", email=f"a{number}@example.com")
    scene.run()
    scene.service.lists.clear()
    scene.planfix.add(name="Boris", email="boris@example.com")
    for number in range(12):
        scene.planfix.add(name="Anna", email=f"b{number}@example.com")

    assert scene.run().exit_code == 78

    scene.rebase()
    assert scene.run().exit_code == 0
    assert len(scene.members()) == 25


@pytest.mark.parametrize("lost", [Fault.DROP_DONE, Fault.CUT, Fault.EMPTY])
def test_a_list_whose_creation_was_not_answered_is_not_made_twice(
    scene: Scene, lost: Fault
) -> None:
    scene.planfix.add(name="Anna", email="anna@example.com")
    scene.service.fail(lost, times=None)
    assert scene.run().exit_code == 69
    scene.service.recover()

    report = scene.run()

    assert report.exit_code == 78
    assert scene.service.actions == ["createList"]

    [list_id] = scene.service.lists
    scene.write_config(links=[CUSTOMERS.replace('list = "Customers"', f'list_id = "{list_id}"')])

    assert scene.run().exit_code == 0
    assert set(scene.members()) == {"anna@example.com"}
    assert scene.service.actions.count("createList") == 1


def test_rebase_has_a_list_of_unknown_fate_made_anew(scene: Scene) -> None:
    scene.planfix.add(name="Anna", email="anna@example.com")
    scene.service.fail(Fault.DROP_DONE, times=None)
    scene.run()
    scene.service.recover()
    assert scene.run().exit_code == 78

    scene.rebase()

    assert scene.run().exit_code == 0
    assert len(scene.service.lists) == 2


def test_an_add_whose_answer_was_lost_is_not_added_twice(scene: Scene) -> None:
    scene.run()
    scene.planfix.add(name="Anna", email="anna@example.com")
    scene.service.fail(Fault.DROP_DONE)

    report = scene.run()

    assert report.exit_code == 0
    assert scene.service.actions[1:] == ["updateContact add", "importContacts"]


def test_several_codes_at_once_give_the_first_in_rank(make_scene: Callable[..., Scene]) -> None:
    scene = make_scene(links=[link("first"), link("second", backend="own")])
    ids = [scene.planfix.add(name="Anna", email=f"a{n}@example.com") for n in range(20)]
    scene.run()
    for contact in ids[:9]:
        scene.planfix.delete(contact)
    scene.planfix.add(name="Boris", email="boris@example.com")
    scene.service.fail(Fault.ERROR, times=None)

    report = scene.run()

    assert [sorted(done.exit_codes) for done in report.links] == [[4, 69], [4]]
    assert report.exit_code == 69
    scene.service.fail(Fault.PAGE, times=None)
    assert scene.run().exit_code == 78


def test_a_second_run_at_a_time_is_refused(scene: Scene) -> None:
    scene.run()
    with scene.store.with_name("syncd.db.lock").open() as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        document = scene.run().document()

    assert (document["exit_code"], document["outcome"], document["links"]) == (75, "failed", [])
    assert document["error"]["kind"] == "temporary"


def test_a_run_asked_to_stop_ends_after_the_batch_and_is_taken_up(scene: Scene) -> None:
    for number in range(1100):
        scene.planfix.add(name="Anna", email=f"a{number}@example.com")

    report = scene.run(stop=lambda: "importContacts" in scene.service.actions)

    assert (report.exit_code, report.outcome) == (75, "partial")
    assert applied(report.links[0]) == {"add": 500}

    report = scene.run()

    assert (report.exit_code, applied(report.links[0])) == (0, {"add": 600})
    assert scene.service.actions.count("importContacts") == 3


def test_an_unknown_link_is_wrong_usage(scene: Scene) -> None:
    with scene.world() as world, pytest.raises(UsageError, match="nobody"):
        run_once(world, links=["nobody"])


def test_an_alert_of_a_link_that_fails_says_what_to_do(scene: Scene) -> None:
    told = scene.folder / "told"
    command = json.dumps(["/bin/sh", "-c", f"cat > {told}"])
    scene.write_config(more=f"[alerts]\ncommand = {command}\nafter_failures = 1\n")
    scene.planfix.faults.error_code("0020")

    report = scene.run()

    failure = report.links[0].failure
    alert = json.loads(told.read_text())
    assert failure is not None
    assert failure.hint.startswith("Give the token this function ")
    assert alert["next"] == alert["links"][0]["hint"] == failure.hint


def test_a_store_that_is_damaged_is_a_wrong_set_up(scene: Scene) -> None:
    scene.planfix.add(name="Anna", email="anna@example.com")
    scene.run()
    scene.store.with_name("syncd.db-wal").unlink(missing_ok=True)
    scene.store.write_bytes(b"no database at all" * 1000)

    with pytest.raises(Exception, match="damaged") as raised, scene.world():
        pass

    assert getattr(raised.value, "exit_code", None) == 78
    document = json.loads(scene.syncd("--once", "--json").stdout)
    assert (document["exit_code"], document["error"]["kind"]) == (78, "configuration")


def test_a_config_with_several_faults_names_them_all(scene: Scene) -> None:
    scene.write_config(links=[CUSTOMERS + 'selektion = "x"\n' + "direction = 3\n"])

    with pytest.raises(ConfigurationError) as raised, scene.world():
        pass

    assert "selektion" in str(raised.value)
    assert "direction" in str(raised.value)


def test_no_failure_leaves_an_address_in_the_document(
    scene: Scene, planfix: SimulatedPlanfix, service: EmailService
) -> None:
    for number in range(12):
        planfix.add(name="Anna", email=f"a{number}@example.com")
    service.poisoned.add(key_of("a3@example.com"))

    document = scene.run().document()

    assert document["exit_code"] == 1
    assert "@" not in json.dumps(document)


def test_a_dry_run_that_fails_shows_an_empty_plan(scene: Scene) -> None:
    scene.planfix.faults.refuse_connections()

    [failed] = scene.run(dry_run=True).document()["links"]

    assert failed["operations"] == []
