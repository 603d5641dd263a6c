"""Many members who go, come back or change at once wait for a person's word; a few do not."""

from collections.abc import Callable

import pytest

from syncd.core.address import key_of
from syncd.core.link import LinkNumber
from syncd.core.people import ContactId
from syncd.engine.consent import Latches
from syncd.simulator.planfix import SimulatedPlanfix
from tests.lists import PlayedEmbedded, PlayedList
from tests.scene import Scene, add, applied, planned, quiet, scene_of

MAKE = Callable[..., Scene]
PEOPLE = [f"m{number}@example.com" for number in range(12)]  # three may go in a day
NEW = "new@example.com"


def crowd(
    make_scene: MAKE, planfix: SimulatedPlanfix, people: PlayedList, more: str = ""
) -> tuple[Scene, list[ContactId]]:
    """Put twelve people into Planfix and on the list, with nothing left to do."""
    scene = scene_of(make_scene, people, f'direction = "both"\n{more}')
    contacts = add(planfix, *PEOPLE)
    scene.run()
    quiet(scene)
    assert people.members().keys() == set(PEOPLE)
    return scene, contacts


def latched(scene: Scene) -> set[str]:
    """Return who of them must not be subscribed by us."""
    with scene.world() as world:
        consent = world.store.consent
        latches = Latches(*consent.latched(LinkNumber(1)), consent.hashed)
        return {address for address in [*PEOPLE, NEW] if latches.holds_key(key_of(address))}


def writes(planfix: SimulatedPlanfix) -> list[str]:
    """Return the calls to Planfix that change something."""
    reads = {"contact.getList", "contact.get"}
    return [request.method for request in planfix.requests if request.method not in reads]


# Members who vanish.


def test_members_who_vanish_within_the_limit_are_taken_as_having_left(
    make_scene: MAKE, planfix: SimulatedPlanfix, own: PlayedEmbedded
) -> None:
    scene, contacts = crowd(make_scene, planfix, own)
    for address in PEOPLE[:3]:
        own.wipe(address)

    report = scene.run()
    for contact in contacts:
        planfix.edit(contact, last_name="Lund")
    scene.run()

    assert (report.exit_code, planned(scene.link_of(report))) == (0, {})
    assert latched(scene) == set(PEOPLE[:3])
    assert own.members().keys() == set(PEOPLE[3:])


def test_members_who_vanish_beyond_the_limit_wait_and_the_others_do_not(
    make_scene: MAKE, planfix: SimulatedPlanfix, people: PlayedList
) -> None:
    scene, contacts = crowd(make_scene, planfix, people)
    for address in PEOPLE[:4]:
        people.wipe(address)
    add(planfix, NEW)
    planfix.edit(contacts[0], last_name="Lund")
    planfix.edit(contacts[11], last_name="Lund")

    report = scene.run()

    done = scene.link_of(report)
    assert (report.exit_code, done.outcome, done.withheld) == (4, "refused", 4)
    assert planned(done) == {"add": 1, "update": 1, "consent": 4}
    assert applied(done) == {"add": 1, "update": 1}
    assert latched(scene) == set()
    assert people.members().keys() == {*PEOPLE[4:], NEW}


def test_an_approval_takes_exactly_those_who_had_vanished_as_having_left(
    make_scene: MAKE, planfix: SimulatedPlanfix, own: PlayedEmbedded
) -> None:
    scene, _ = crowd(make_scene, planfix, own)
    for address in PEOPLE[:4]:
        own.wipe(address)
    refused = scene.run()

    assert scene.approve(refused.run) == 4
    for address in PEOPLE[4:8]:
        own.wipe(address)
    report = scene.run()

    assert (report.exit_code, scene.link_of(report).withheld) == (4, 4)
    assert latched(scene) == set(PEOPLE[:4])
    scene.approve(report.run)
    assert scene.run().exit_code == 0
    assert latched(scene) == set(PEOPLE[:8])
    assert own.members().keys() == set(PEOPLE[8:])
    quiet(scene)


def test_an_emptied_list_stops_the_link_until_it_is_approved(
    make_scene: MAKE, planfix: SimulatedPlanfix, people: PlayedList
) -> None:
    scene, contacts = crowd(make_scene, planfix, people, "[links.limits]\nremovals_floor = 50\n")
    for address in PEOPLE:
        people.wipe(address)
    add(planfix, NEW)
    planfix.edit(contacts[0], last_name="Lund")
    planfix.delete(contacts[1])

    refused = scene.run()

    done = scene.link_of(refused)
    assert (refused.exit_code, planned(done), applied(done)) == (4, {"consent": 12}, {})
    assert "without a single member" in done.findings[0].message
    assert people.members() == {}
    assert (latched(scene), writes(planfix)) == (set(), [])

    assert scene.approve(refused.run) == 12
    report = scene.run()

    assert (report.exit_code, applied(scene.link_of(report))) == (0, {"add": 1})
    assert people.members().keys() == {NEW}
    assert latched(scene) == set(PEOPLE)
    quiet(scene)


@pytest.mark.parametrize("gone", [4, 12])
def test_a_damaged_list_that_is_put_right_goes_on_as_if_nothing_had_been(
    make_scene: MAKE, planfix: SimulatedPlanfix, own: PlayedEmbedded, gone: int
) -> None:
    scene, contacts = crowd(make_scene, planfix, own)
    backup = own.kept()
    for address in PEOPLE[:gone]:
        own.wipe(address)
    planfix.edit(contacts[0], last_name="Lund")
    assert scene.run().exit_code == 4

    backup()
    report = scene.run()

    assert (report.exit_code, applied(scene.link_of(report))) == (0, {"update": 1})
    assert own.members().keys() == set(PEOPLE)
    assert latched(scene) == set()


# A list that was restored from a backup.


def restored(scene: Scene, people: PlayedList, *, leaving: int) -> list[str]:
    """Let people leave, then put a backup back in which all but the first are members."""
    people.leave(PEOPLE[0])
    scene.run()
    backup = people.kept()
    left = PEOPLE[1 : 1 + leaving]
    for address in left:
        people.leave(address)
    scene.run()
    assert latched(scene) == {PEOPLE[0], *left}
    backup()
    return left


def test_returns_within_the_limit_are_taken_as_their_own(
    make_scene: MAKE, planfix: SimulatedPlanfix, own: PlayedEmbedded
) -> None:
    scene, contacts = crowd(make_scene, planfix, own)
    left = restored(scene, own, leaving=3)

    report = scene.run()
    for contact in contacts[:5]:
        planfix.edit(contact, last_name="Lund")
    scene.run()

    assert (report.exit_code, planned(scene.link_of(report))) == (0, {})
    assert latched(scene) == {PEOPLE[0]}
    assert {address: own.members()[address] for address in left} == dict.fromkeys(left, "M Lund")


def test_returns_beyond_the_limit_wait_and_an_approval_ends_exactly_their_latches(
    make_scene: MAKE, planfix: SimulatedPlanfix, people: PlayedList
) -> None:
    scene, contacts = crowd(make_scene, planfix, people)
    # Where leaving can't be told from vanishing, it has used up a part of the limit.
    left = restored(scene, people, leaving=4 if people.tells else 2)
    for contact in (contacts[1], contacts[11]):
        planfix.edit(contact, last_name="Lund")

    refused = scene.run()

    done = scene.link_of(refused)
    assert (refused.exit_code, done.withheld) == (4, len(left))
    assert (planned(done), applied(done)) == ({"update": 1, "consent": len(left)}, {"update": 1})
    assert latched(scene) == {PEOPLE[0], *left}
    assert people.members()[PEOPLE[1]] == "M Berg"

    assert scene.approve(refused.run) == len(left)
    report = scene.run()
    scene.run()

    assert report.exit_code == 0
    assert latched(scene) == {PEOPLE[0]}
    assert people.members().keys() == set(PEOPLE[1:])
    assert people.members()[PEOPLE[1]] == "M Lund"
    quiet(scene)


# Writes to Planfix.


def test_half_of_the_pairs_may_be_written_over_in_planfix_and_more_wait(
    make_scene: MAKE, planfix: SimulatedPlanfix, own: PlayedEmbedded
) -> None:
    scene = scene_of(make_scene, own)
    everybody = [*PEOPLE, *(f"n{number}@example.com" for number in range(8))]
    contacts = add(planfix, *everybody)
    scene.run()
    for address in everybody[:10]:
        own.call(address, "M Lund")
    half = scene.run()
    for address in everybody[:11]:
        own.call(address, "M Holm")
    planfix.edit(contacts[19], last_name="Lind")

    report = scene.run()

    assert (half.exit_code, applied(scene.link_of(half))) == (0, {"planfix_update": 10})
    done = scene.link_of(report)
    assert (report.exit_code, done.withheld, applied(done)) == (4, 11, {"update": 1})
    assert {planfix.contacts[each].last_name for each in contacts[:10]} == {"Lund"}
    assert own.members()[everybody[0]] == "M Holm"


def test_an_approval_lets_exactly_the_writes_to_planfix_through_that_waited(
    make_scene: MAKE, planfix: SimulatedPlanfix, own: PlayedEmbedded
) -> None:
    scene, contacts = crowd(make_scene, planfix, own)
    for address in PEOPLE[:11]:
        own.call(address, "M Lund")
    refused = scene.run()
    own.call(PEOPLE[0], "M Holm")  # another value than the one that waited
    own.call(PEOPLE[11], "M Holm")

    assert scene.approve(refused.run) == 11
    report = scene.run()

    assert (refused.exit_code, scene.link_of(refused).withheld) == (4, 11)
    assert (report.exit_code, applied(scene.link_of(report))) == (0, {"planfix_update": 12})
    names = [planfix.contacts[each].last_name for each in contacts]
    assert names == ["Holm", *["Lund"] * 10, "Holm"]
    quiet(scene)


def test_writes_to_planfix_with_other_values_than_the_approved_ones_wait_anew(
    make_scene: MAKE, planfix: SimulatedPlanfix, own: PlayedEmbedded
) -> None:
    scene, contacts = crowd(make_scene, planfix, own)
    for address in PEOPLE:
        own.call(address, "M Lund")
    scene.approve(scene.run().run)
    for address in PEOPLE:
        own.call(address, "M Holm")

    report = scene.run()

    assert (report.exit_code, scene.link_of(report).withheld) == (4, 12)
    assert {planfix.contacts[each].last_name for each in contacts} == {"Berg"}


def test_many_new_subscribers_become_contacts_once_that_is_approved(
    make_scene: MAKE, planfix: SimulatedPlanfix, own: PlayedEmbedded
) -> None:
    scene, _ = crowd(make_scene, planfix, own, 'new_subscribers = "create"\n')
    strangers = [f"s{number}@example.com" for number in range(10)]
    for address in strangers:
        own.join(address, "S Lund")

    refused = scene.run()
    assert (refused.exit_code, scene.link_of(refused).withheld) == (4, 10)
    assert writes(planfix) == []
    scene.approve(refused.run)
    report = scene.run()
    scene.run()

    assert (report.exit_code, applied(scene.link_of(report))) == (0, {"planfix_create": 10})
    made = [each.email for each in planfix.contacts.values() if each.last_name == "Lund"]
    assert sorted(made) == strangers
    quiet(scene)


# A first run.


def test_a_first_run_removes_nobody_and_writes_nothing_to_planfix(
    make_scene: MAKE, planfix: SimulatedPlanfix, own: PlayedEmbedded
) -> None:
    consent = '[links.consent]\nfield = 10124\nunsubscribed = "no"\nsubscribed = "yes"\n'
    more = f'direction = "both"\nnew_subscribers = "create"\nconflict = "list"\n{consent}'
    scene = scene_of(make_scene, own, more)
    for address in PEOPLE:
        own.join(address, "X Holm")
    own.leave(PEOPLE[0])
    here = own.members().keys()
    add(planfix, *PEOPLE[:3])
    before = dict(planfix.contacts)

    report = scene.run()

    assert report.exit_code == 0
    assert planned(scene.link_of(report)).keys() <= {"add", "update"}
    assert (writes(planfix), dict(planfix.contacts)) == ([], before)
    assert own.members().keys() >= here
