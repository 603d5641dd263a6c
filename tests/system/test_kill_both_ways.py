"""Killed at any step between two sides that are both written, the next run makes it good."""

from collections.abc import Callable, Container
from typing import NamedTuple

import pytest

from syncd.app import decisions
from syncd.app.undo import undo
from syncd.core.people import ContactId, MemberStatus, Person
from syncd.errors import UsageError
from syncd.ports import Entry
from tests.scene import Scene, applied, link, planned
from tests.system.killing import Kept, Killer

MAKE = Callable[..., Scene]
FIELD = 10124
MORE = (
    'direction = "both"\nnew_subscribers = "create"\n'
    "[links.limits]\nremovals_floor = 10\n"
    f'[links.consent]\nfield = {FIELD}\nunsubscribed = "no"\nsubscribed = "yes"\n'
    "allow_planfix_release = true\n"
)
PEOPLE = ("moved", "merged", "renamed", "left", "gone", "released", "freed", "back")
LEFT_BEFORE = ("released", "freed", "back")


class Stand(NamedTuple):
    """How things stand on both sides and in the store; `pairs` are those of contacts asked for."""

    members: dict[str, tuple[str, str, MemberStatus]]
    contacts: list[tuple[str, str, str, str]]
    latches: tuple[frozenset[ContactId], frozenset[bytes]]
    pairs: list[tuple[ContactId, str, str, str, str]]


def stand(scene: Scene, contacts: Container[int]) -> Stand:
    with scene.embedded() as own:
        members = {
            member.person.address: (member.person.first, member.person.last, member.status)
            for member in own.read("1")
        }
    in_planfix = sorted(
        (contact.email, contact.name, contact.last_name, contact.custom.get(FIELD, ""))
        for contact in scene.planfix.contacts.values()
    )
    with scene.world() as world:
        store, number = world.store, world.store.links.number("customers")
        assert number is not None
        pairs = [
            (pair.contact, pair.address, pair.first, pair.last, pair.status)
            for pair in store.pairs.known(number)
            if pair.contact in contacts
        ]
        return Stand(members, in_planfix, store.consent.latched(number), pairs)


def at(who: str) -> str:
    return f"{who}@example.com"


def in_step(make_scene: MAKE, people: tuple[str, ...]) -> tuple[Scene, dict[str, int]]:
    """Return a scene with people on both sides, and their contacts."""
    scene = make_scene(links=[link("customers", backend="own", more=MORE)])
    ids = {who: scene.planfix.add(name="P", last_name="Berg", email=at(who)) for who in people}
    assert scene.run().exit_code == 0
    return scene, ids


def leave(scene: Scene, *people: str) -> None:
    """Let members leave the list by themselves."""
    with scene.embedded() as own:
        for who in people:
            own.leave("1", at(who))


def release(scene: Scene, who: str) -> None:
    """Release somebody, unless that is done."""
    with scene.world() as world:
        try:
            decisions.release(world, at(who), links=(), reason="asked us")
        except UsageError:
            return


def a_busy_day(scene: Scene, ids: dict[str, int]) -> None:
    """Let every kind of thing happen on either side since they were in step."""
    release(scene, "released")
    edit = scene.planfix.edit
    edit(ids["freed"], custom={FIELD: "yes"})
    scene.change_member(at("moved"), Person.of("moved@example.org", "P", "Berg"))
    scene.change_member(at("merged"), Person.of(at("merged"), "P", "Lund"))
    edit(ids["merged"], name="Q")
    edit(ids["renamed"], email="renamed@example.org")
    scene.planfix.add(name="New", email=at("new"))
    leave(scene, "left")
    with scene.embedded() as own:
        own.remove("1", [Entry(ContactId(0), Person.of(at("gone"), "P", "Berg"))])
        own.join("1", Person.of(at("back"), "P", "Berg"))
        own.join("1", Person.of(at("joined"), "Olga", "Kim"))


@pytest.mark.timeout(300)  # a hundred deaths, on a machine that is busy
def test_a_run_killed_at_any_step_is_made_good_on_both_sides(
    make_scene: MAKE, killer: Killer
) -> None:
    scene, ids = in_step(make_scene, PEOPLE)
    leave(scene, *LEFT_BEFORE)
    assert scene.run().exit_code == 0
    a_busy_day(scene, ids)
    begin, before = Kept(scene), set(scene.planfix.contacts)
    undisturbed = scene.run()
    assert applied(undisturbed.links[0]) == {
        "add": 3, "update": 1, "rename": 1, "planfix_update": 2, "planfix_create": 1, "consent": 4,
    }  # fmt: skip
    expected, made = stand(scene, before), scene.planfix.calls("contact.add")
    for step in killer.at_each_step(scene, begin):
        report = scene.run()

        assert report.exit_code == 0, step
        assert stand(scene, before) == expected, step
        assert scene.planfix.calls("contact.add") == made + step, step
    assert planned(scene.run().links[0]) == {}


def test_a_release_killed_at_any_step_puts_nobody_back_who_left_again(
    make_scene: MAKE, killer: Killer
) -> None:
    """Where it isn't known whether they were put back, their next wish to leave counts."""
    scene, _ = in_step(make_scene, ("released", "stays"))
    leave(scene, "released")
    scene.run()
    release(scene, "released")
    begin, left_again = Kept(scene), 0
    for step in killer.at_each_step(scene, begin):
        on_list = at("released") in scene.own_members()
        leave(scene, "released")
        left_again += on_list

        assert scene.run().exit_code == 0, step
        assert (at("released") in scene.own_members()) is not on_list, step
    assert left_again > 0


def test_a_release_by_an_operator_killed_at_any_step_can_be_said_again(
    make_scene: MAKE, killer: Killer
) -> None:
    scene, _ = in_step(make_scene, ("released", "stays"))
    leave(scene, "released")
    scene.run()
    begin = Kept(scene)
    for step in killer.at_each_step(scene, begin, f"release {at('released')}"):
        release(scene, "released")

        assert scene.run().exit_code == 0, step
        assert at("released") in scene.own_members(), step
    assert step > 2


@pytest.mark.parametrize("runs_between", [0, 1])
def test_an_undo_killed_at_any_step_can_be_made_again(
    make_scene: MAKE, killer: Killer, runs_between: int
) -> None:
    scene, _ = in_step(make_scene, ("moved",))
    scene.run()
    scene.change_member(at("moved"), Person.of("moved@example.org", "P", "Lund"))
    wrong = scene.run()
    assert applied(wrong.links[0]) == {"planfix_update": 1}
    begin = Kept(scene)
    for step in killer.at_each_step(scene, begin, f"undo {wrong.run}"):
        for _ in range(runs_between):
            assert scene.run().exit_code == 0, step
        with scene.world() as world:
            undo(world, wrong.run)

        assert scene.run().exit_code == 0, step
        assert scene.own_members() == {at("moved"): ("P", "Berg")}, step
        [contact] = scene.planfix.contacts.values()
        assert (contact.email, contact.last_name) == (at("moved"), "Berg"), step
        assert planned(scene.run().links[0]) == {}, step
    assert step > 10
