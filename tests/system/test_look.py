"""`check`, `status` and `lists` of a list that is read: what an operator sees of both sides."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from syncd.app import look
from syncd.app.world import World
from syncd.core.people import ContactId, Person
from syncd.ports import Entry
from syncd.simulator.planfix import SimulatedPlanfix
from tests.scene import Scene, link

MAKE = Callable[..., Scene]
ANNA = "anna@example.com"
KIM = "kim@example.com"
BOTH = 'direction = "both"\nnew_subscribers = "create"\n'


@pytest.fixture
def anna(planfix: SimulatedPlanfix) -> ContactId:
    planfix.add_filter("77", "Newsletter")
    numbers = [
        planfix.add(name="Anna", last_name="Orlova", email=ANNA),
        planfix.add(name="Ben", last_name="Ozols", email="ben@example.com"),
    ]
    for number in numbers:
        planfix.put_in(number, "77")
    return ContactId(numbers[0])


@pytest.fixture
def both(make_scene: MAKE, anna: ContactId) -> Scene:  # noqa: ARG001  (she is there)
    made = make_scene(links=[link("customers", backend="own", selection="filter:77", more=BOTH)])
    made.run()
    return made


@pytest.fixture
def kim_waits(both: Scene, planfix: SimulatedPlanfix) -> Scene:
    """Somebody subscribed whom Planfix knows outside the selection; and Anna left."""
    planfix.add(name="Kim", email=KIM)
    with both.embedded() as own:
        own.join("1", Person.of(KIM, "Olga", "Kim"))
        own.leave("1", ANNA)
    both.run()
    return both


def lines_of(scene: Scene, subject: str) -> list[look.Checked]:
    with scene.world() as world:
        return [line for line in look.check(world) if line.subject == subject]


def test_status_says_how_many_members_wait_without_a_contact_and_where_to_see_who(
    kim_waits: Scene,
) -> None:
    told = kim_waits.syncd("status").stdout
    [found] = json.loads(kim_waits.syncd("status", "--json").stdout)["links"]

    reason = (
        "members of the list without a contact (1): Planfix has the address outside the selection;"
        " to see who: syncd lists members customers"
    )
    assert found["reasons"] == [reason]
    assert (found["held"], found["latched"]) == (1, 1)
    assert f"customers: {reason}" in told
    assert KIM not in told


def test_members_are_shown_with_their_contact_and_with_what_they_wait_for(
    kim_waits: Scene, anna: ContactId
) -> None:
    members = json.loads(kim_waits.syncd("lists", "members", "customers", "--json").stdout)
    table = kim_waits.syncd("lists", "members", "customers").stdout

    assert [(m["email"], m["status"], m["contact"], m["waits"]) for m in members] == [
        (ANNA, "unsubscribed", anna, None),
        ("ben@example.com", "active", anna + 1, None),
        (KIM, "active", None, "Planfix has the address outside the selection"),
    ]
    assert table.splitlines()[0].split() == [
        "E-MAIL", "FIRST", "NAME", "LAST", "NAME", "STATUS", "CONTACT", "WAITS", "FOR",
    ]  # fmt: skip


def test_lists_count_who_is_on_them_and_who_left(kim_waits: Scene) -> None:
    [line] = json.loads(kim_waits.syncd("lists", "--json").stdout)

    assert line == {
        "link": "customers", "backend": "own", "name": "Customers", "list_id": "1", "pairs": 2,
        "members": 2, "unsubscribed": 1, "blocked": 0, "error": None,
    }  # fmt: skip


def test_a_service_that_is_away_hides_no_other_list(make_scene: MAKE, anna: ContactId) -> None:
    more = 'list_id = "9"\n'
    scene = make_scene(
        links=[link("customers", backend="own"), link("gone", backend="own", more=more)]
    )
    scene.run("customers")

    told = scene.syncd("lists")

    assert told.returncode == 78
    assert told.stdout.splitlines()[1].split() == [
        "customers", "own", "Customers", "1", "2", "2", "0", "0",
    ]  # fmt: skip
    assert told.stderr.startswith("Error: gone: ")
    assert anna


def test_a_pushed_link_whose_service_left_the_config_hides_no_other_list(scene: Scene) -> None:
    scene.run()
    with scene.world() as world, world.store.pushes.batch(scene.planfix.account) as pushes:
        pushes.create("before", "Guests", taken=(), at=datetime.now(UTC))

    told = scene.syncd("lists")

    assert told.returncode == 78
    assert [line.split()[0] for line in told.stdout.splitlines()] == ["LINK", "customers", "Guests"]
    assert told.stderr.startswith("Error: Guests: ")


def test_check_lets_a_link_without_pairs_point_elsewhere_as_a_run_does(make_scene: MAKE) -> None:
    scene = make_scene()
    scene.run()
    scene.write_config(links=(scene.links[0].replace('"Customers"', '"Others"'),))

    told = scene.syncd("check")
    [line] = lines_of(scene, "link customers")

    assert line.ok
    assert line.message == "0 pairs; removals in 24 hours: 3"
    assert told.returncode == scene.run().exit_code == 0


def test_check_finds_each_list_and_counts_it(kim_waits: Scene) -> None:
    [line] = lines_of(kim_waits, "list of customers")

    assert line == look.Checked(
        "list of customers", ok=True, message="Customers (id 1): 2 members, 1 unsubscribed"
    )


@pytest.mark.usefixtures("anna")
def test_check_says_of_a_list_that_is_not_there_what_makes_it(make_scene: MAKE) -> None:
    scene = make_scene(links=[link("customers", backend="own"), link("news")])

    messages = [lines_of(scene, f"list of {name}")[0].message for name in ("customers", "news")]
    before = scene.service.actions[:]
    scene.run()

    assert messages == [
        "Customers: not there yet; the first run makes it",
        "News: not made yet; the first run makes it",
    ]
    assert before == []
    [after] = lines_of(scene, "list of news")
    assert after.message.endswith("its service only takes, and can't be read")


def test_check_fails_where_the_config_names_a_list_that_is_not_there(make_scene: MAKE) -> None:
    scene = make_scene(links=[link("customers", backend="own", more='list_id = "9"\n')])

    told = scene.syncd("check")

    assert told.returncode == 78
    assert "FAIL  list of customers: " in told.stdout


def test_check_names_the_rights_that_writing_to_planfix_needs(make_scene: MAKE) -> None:
    consent = '[links.consent]\nfield = 10124\nunsubscribed = "no"\nsubscribed = "yes"\n'
    scene = make_scene(
        links=[link("customers", backend="own", more=BOTH), link("firms", more=consent)]
    )

    messages = [line.message for line in lines_of(scene, "Planfix")]

    functions = "contact.update, contact.add, contact.updateCustomData"
    assert messages[1:] == [
        f"written to by customers, firms; the token must be allowed {functions}"
    ]


def test_check_says_nothing_of_rights_where_nothing_is_written(scene: Scene) -> None:
    assert len(lines_of(scene, "Planfix")) == 1


def blind(world: World) -> World:
    """Return a world whose lists are read, but don't tell who left from who was taken off."""

    def open_backend(name: str) -> Any:
        backend: Any = world.open_backend(name)
        backend.capabilities = replace(backend.capabilities, tells_unsubscribe=False)
        return backend

    return replace(world, open_backend=open_backend)


def test_check_warns_of_restoring_people_on_a_list_that_does_not_tell_who_left(
    make_scene: MAKE,
) -> None:
    scene = make_scene(links=[link("customers", backend="own", more='vanished = "restore"\n')])
    with scene.world() as world:
        warned = [line for line in look.check(blind(world)) if line.hint]
        seeing = [line for line in look.check(world) if line.hint]

    assert [(line.ok, line.subject, line.hint) for line in warned] == [
        (True, "list of customers", 'Set vanished = "unsubscribe".')
    ]
    assert seeing == []


def test_an_administrators_removal_is_seen_as_vanished(kim_waits: Scene) -> None:
    with kim_waits.embedded() as own:
        own.remove("1", [Entry(ContactId(0), Person.of("ben@example.com", "", ""))])
    kim_waits.run()

    [line] = json.loads(kim_waits.syncd("lists", "--json").stdout)
    [found] = json.loads(kim_waits.syncd("status", "--json").stdout)["links"]

    assert (line["members"], found["latched"]) == (1, 2)
