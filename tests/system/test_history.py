"""`syncd history`: what both sides did, told so that whoever answers a person can read it out."""

import json
import re
from collections.abc import Callable

import pytest
from freezegun import freeze_time

from syncd.app import decisions
from syncd.app.history import _SEEN, _STATES, _WORDS, Told, history
from syncd.app.undo import undo
from syncd.core.events import What
from syncd.core.journal import State
from syncd.core.people import ContactId, Person
from syncd.core.plan import Op
from syncd.ports import Entry
from syncd.simulator.planfix import SimulatedPlanfix
from tests.scene import Scene, link

MAKE = Callable[..., Scene]
ANNA = "anna@example.com"
ELSEWHERE = "anna@example.org"
BOTH = 'direction = "both"\n'
CONSENT = '[links.consent]\nfield = 10124\nunsubscribed = "no"\nsubscribed = "yes"\n'


@pytest.fixture
def both(make_scene: MAKE, anna: ContactId) -> Scene:  # noqa: ARG001  (she is there)
    return make_scene(links=[link("customers", backend="own", more=BOTH + CONSENT)])


def run_on(scene: Scene, day: str) -> str:
    with freeze_time(f"{day}T12:00:00", tick=True):
        return scene.run().run


def leave_on(scene: Scene, day: str, address: str = ANNA) -> None:
    with freeze_time(f"{day}T10:00:00", tick=True), scene.embedded() as own:
        own.leave("1", address)


def told(scene: Scene, address: str = ANNA) -> list[Told]:
    with scene.world() as world:
        return history(world, address)


def words(scene: Scene, address: str = ANNA) -> list[str]:
    """Return the sentences of a history, with runs as RUN."""
    return [re.sub(r"\d{8}T\d{6}Z-[0-9a-f]{4}", "RUN", line.what) for line in told(scene, address)]


def test_the_story_of_somebody_who_left_was_edited_and_was_released(
    both: Scene, planfix: SimulatedPlanfix, anna: ContactId
) -> None:
    run_on(both, "2026-05-02")
    leave_on(both, "2026-05-03")
    seen_by = run_on(both, "2026-05-04")
    planfix.edit(anna, last_name="Lund")
    run_on(both, "2026-05-09")
    with freeze_time("2026-05-10T12:00:00", tick=True), both.world() as world:
        decisions.release(world, ANNA, links=(), reason="asked us on the phone")
    run_on(both, "2026-05-11")

    lines = told(both)

    assert words(both) == [
        "added to the list Customers as Anna Orlova anna@example.com: new in the selection",
        "left the list Customers on 3 May 2026 (seen by run RUN); not subscribed again by syncd",
        "told to Planfix in the field for consent: unsubscribed",
        "not added again when the contact was edited (seen on 9 May 2026)",
        "released by an operator, so that syncd may subscribe them again: asked us on the phone",
        "added to the list Customers as Anna Lund anna@example.com: released, and subscribed again",
        "told to Planfix in the field for consent: subscribed again",
    ]
    assert [line.at.day for line in lines] == [2, 4, 4, 9, 10, 11, 11]
    assert seen_by in lines[1].what
    assert lines[1].run == seen_by


def test_what_the_list_changed_is_told_with_the_values_that_planfix_got(both: Scene) -> None:
    both.run()
    both.change_member(ANNA, Person.of(ELSEWHERE, "Anna", "Petrova"))
    wrong = both.run()
    with both.world() as world:
        undo(world, wrong.run)
    both.run()

    why = "changed on the list"
    assert words(both) == words(both, ELSEWHERE)
    assert words(both)[1:] == [
        f"written to Planfix: last name Orlova → Petrova, address {ANNA} → {ELSEWHERE}: {why}",
        "written to Planfix: last name Petrova → Orlova: put back, since run RUN was undone",
        f"written to Planfix: address {ELSEWHERE} → {ANNA}: put back, since run RUN was undone",
        f"moved on the list Customers from {ELSEWHERE} to {ANNA}: address changed in Planfix",
    ]


def test_somebody_who_vanished_and_came_back_by_themselves(both: Scene) -> None:
    both.run()
    with both.embedded() as own:
        own.remove("1", [Entry(ContactId(0), Person.of(ANNA, "", ""))])
    both.run()
    with both.embedded() as own:
        own.join("1", Person.of(ANNA, "Anna", "Orlova"))
    both.run()

    gone = "gone from the list Customers, which doesn't say why (seen by run RUN); taken as leaving"
    assert words(both)[1:] == [
        f"{gone}: not subscribed again by syncd",
        "told to Planfix in the field for consent: unsubscribed",
        "subscribed again on the list Customers by themselves (seen by run RUN)",
        "told to Planfix in the field for consent: subscribed again",
    ]


def test_the_story_is_found_by_every_address_that_the_person_had(
    both: Scene, planfix: SimulatedPlanfix, anna: ContactId
) -> None:
    both.run()
    planfix.edit(anna, email=ELSEWHERE)
    both.run()
    with both.embedded() as own:
        own.leave("1", ELSEWHERE)
    both.run()
    planfix.edit(anna, email="anna@third.example.com")
    both.run()
    with both.world() as world:
        decisions.release(world, "anna@third.example.com", links=(), reason="asked us")

    stories = [words(both, address) for address in (ANNA, ELSEWHERE, "anna@third.example.com")]

    assert stories[0] == stories[1] == stories[2]
    assert [line.split(":")[0].split(" (")[0] for line in stories[0]] == [
        "added to the list Customers as Anna Orlova anna@example.com",
        "moved on the list Customers from anna@example.com to anna@example.org",
        "left the list Customers on " + told(both)[2].what.split(" on ")[1].split(" (")[0],
        "told to Planfix in the field for consent",
        "not added again when the contact was edited",
        "released by an operator, so that syncd may subscribe them again",
    ]


def test_who_had_an_address_after_another_is_told_apart(
    both: Scene, planfix: SimulatedPlanfix, anna: ContactId
) -> None:
    both.run()
    planfix.edit(anna, email=ELSEWHERE)
    both.run()
    kim = planfix.add(name="Kim", email=ANNA)
    both.run()

    lines = words(both)

    assert [line.split(":")[0] for line in lines] == [
        f"contact {anna}", f"contact {anna}", f"contact {kim}",
    ]  # fmt: skip
    assert words(both, ELSEWHERE)[0].startswith("added to the list Customers as Anna")


def test_whoever_waits_is_told_why_and_that_it_is_over(
    both: Scene, planfix: SimulatedPlanfix, anna: ContactId
) -> None:
    both.run()
    planfix.edit(anna, email="anna@@example")
    both.run()
    both.run()
    waiting = words(both)[-1]
    planfix.edit(anna, email=ANNA)
    both.run()

    assert waiting.startswith("waits: ")
    assert [line.split(":")[0] for line in words(both)[1:]] == ["waited"]


def test_an_operator_takes_somebody_off(both: Scene) -> None:
    both.run()
    both.unsubscribe(ANNA)
    both.run()

    assert words(both)[1:3] == [
        "not subscribed again by syncd: unsubscribed by an operator, at the person's wish",
        "unsubscribed on the list Customers: unsubscribed by an operator, at the person's wish",
    ]


def test_a_withheld_removal_names_the_command_that_releases_it(
    make_scene: MAKE, planfix: SimulatedPlanfix, anna: ContactId
) -> None:
    limits = "[links.limits]\nremovals = 0\n"
    scene = make_scene(links=[link("customers", backend="own", more=BOTH + limits)])
    scene.run()
    planfix.delete(anna)
    refused = scene.run()
    waits = told(scene)[-1].what
    scene.approve(refused.run)
    scene.run()

    assert waits == (
        f"waits for an approval (syncd approve {refused.run}): removing from the list Customers:"
        " deleted in Planfix"
    )
    assert words(scene)[-1] == "removed from the list Customers: deleted in Planfix"


def test_a_contact_that_was_made_for_a_subscriber_is_named(
    make_scene: MAKE, planfix: SimulatedPlanfix, anna: ContactId
) -> None:
    more = f'{BOTH}new_subscribers = "create"\n'
    scene = make_scene(links=[link("customers", backend="own", more=more)])
    scene.run()
    with scene.embedded() as own:
        own.join("1", Person.of("kim@example.com", "Olga", "Kim"))
    scene.run()
    scene.run()

    kim = next(who.id for who in planfix.contacts.values() if who.last_name == "Kim")
    assert words(scene, "kim@example.com") == [
        f"contact {kim} made in Planfix for Olga Kim kim@example.com: subscribed on the list"
    ]
    assert kim != anna


@pytest.mark.usefixtures("anna")
def test_what_is_met_anew_each_time_is_told_twice_and_no_more(
    make_scene: MAKE, planfix: SimulatedPlanfix
) -> None:
    more = f'{BOTH}new_subscribers = "create"\n'
    scene = make_scene(links=[link("customers", backend="own", selection="filter:77", more=more)])
    planfix.add_filter("77", "Newsletter")
    planfix.put_in(next(iter(planfix.contacts)), "77")
    scene.run()
    planfix.add(name="Kim", email="kim@example.com")
    with scene.embedded() as own:
        own.join("1", Person.of("kim@example.com", "Olga", "Kim"))
    for day in (3, 5, 7, 9):
        run_on(scene, f"2030-05-0{day}")

    first, last = words(scene, "kim@example.com")

    assert first == (
        "given up in this run: making a contact in Planfix for Olga Kim kim@example.com:"
        " subscribed on the list (Planfix has the address outside the selection)"
    )
    assert last == f"again, 3 times by now: {first}"


def test_forget_erases_the_story_with_every_address_in_it(
    both: Scene, planfix: SimulatedPlanfix, anna: ContactId
) -> None:
    both.run()
    leave_on(both, "2026-05-03")
    both.run()
    planfix.edit(anna, last_name="Lund", email=ELSEWHERE)
    both.run()
    with both.world() as world:
        decisions.release(world, ANNA, links=(), reason="asked us")

    both.forget(ELSEWHERE)

    assert words(both) == words(both, ELSEWHERE) == []
    for file in both.folder.glob("syncd.db*"):
        for address in (ANNA, ELSEWHERE):
            assert address.encode() not in file.read_bytes(), file.name


def test_json_gives_time_run_link_and_what(both: Scene) -> None:
    report = both.run()

    (line,) = json.loads(both.syncd("history", ANNA, "--json").stdout)

    assert (line.pop("at") > report.started.isoformat(), line) == (
        True,
        {
            "run": report.run, "link": "customers",
            "what": "added to the list Customers as Anna Orlova anna@example.com: new in the"
            " selection",
        },
    )  # fmt: skip


def test_text_is_a_table_that_a_person_can_read(both: Scene) -> None:
    both.run()

    head, line = both.syncd("history", ANNA).stdout.splitlines()

    assert head.split() == ["WHEN", "RUN", "LINK", "WHAT"]
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ  \S+  customers  added to the list Customers as .*", line
    )


def test_there_are_words_for_everything_that_can_happen() -> None:
    assert (set(_SEEN), set(_WORDS)) == (set(What), set(Op))
    assert set(_STATES) == set(State) - {State.DONE}
