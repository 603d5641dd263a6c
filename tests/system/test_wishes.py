"""What people do on a list that can be read counts for good, whatever becomes of their contact."""

from collections.abc import Callable
from contextlib import suppress

import pytest

from syncd.app.run import run_once
from syncd.core.people import ContactId, Person
from syncd.simulator.planfix import SimulatedPlanfix
from tests.dying import Crash, dying
from tests.lists import PlayedEmbedded, PlayedList, PlayedListmonk
from tests.scene import Scene, add, applied, planned, quiet, scene_of

MAKE = Callable[..., Scene]
A, B, C = (f"{name}@example.com" for name in "abc")


# Members who change addresses among themselves.


def test_members_who_change_addresses_in_a_chain_are_followed(
    make_scene: MAKE, planfix: SimulatedPlanfix, own: PlayedEmbedded
) -> None:
    scene = scene_of(make_scene, own)
    a, b = add(planfix, A, B)
    scene.run()
    quiet(scene)
    own.rename(B, C)
    own.rename(A, B)

    for _ in range(3):  # Planfix takes an address only once it is free
        scene.run()

    assert own.members() == {B: "A Berg", C: "B Berg"}
    assert (planfix.contacts[a].email, planfix.contacts[b].email) == (B, C)
    assert (planfix.contacts[a].name, planfix.contacts[b].name) == ("A", "B")


def test_members_who_swap_addresses_wait_for_a_person_in_planfix(
    make_scene: MAKE, planfix: SimulatedPlanfix, own: PlayedEmbedded
) -> None:
    """Planfix takes no address twice, so no order of writes makes a swap."""
    scene = scene_of(make_scene, own)
    a, b = add(planfix, A, B)
    scene.run()
    quiet(scene)
    for old, new in ((A, C), (B, A), (C, B)):
        own.rename(old, new)

    report = scene.run()

    assert (report.exit_code, scene.link_of(report).held) == (0, 2)
    assert own.members() == {B: "A Berg", A: "B Berg"}
    assert [planfix.contacts[each].name for each in (a, b)] == ["A", "B"]
    planfix.edit(a, email=B)
    planfix.edit(b, email=A)
    scene.run()
    quiet(scene)
    assert own.members() == {B: "A Berg", A: "B Berg"}


def test_who_took_the_address_of_one_who_is_gone_stays_at_it(
    make_scene: MAKE, planfix: SimulatedPlanfix, own: PlayedEmbedded
) -> None:
    scene = scene_of(make_scene, own, 'direction = "to-list"\n')
    a, b = add(planfix, A, B)
    scene.run()
    quiet(scene)
    own.wipe(B)
    own.rename(A, B)

    scene.run()
    scene.run()

    assert own.members() == {B: "B Berg"}
    planfix.edit(a, last_name="Lund")
    planfix.edit(b, last_name="Lund")
    scene.run()
    assert own.members() == {B: "B Lund"}


# Contacts who share an address.


def test_two_contacts_at_an_address_that_left_are_both_kept_out(
    make_scene: MAKE, planfix: SimulatedPlanfix, people: PlayedList
) -> None:
    scene = scene_of(make_scene, people)
    if not people.tells:
        pytest.skip("a list that forgets who left has nobody of that kind")
    people.join(A, "A Berg")
    people.leave(A)
    add(planfix, A, A, B)

    report = scene.run()

    assert report.exit_code == 0
    assert people.members().keys() == {B}
    quiet(scene)


# Returns.


def come_back(
    make_scene: MAKE, planfix: SimulatedPlanfix, people: PlayedList
) -> tuple[Scene, ContactId]:
    """Let A leave, and be known to have left."""
    scene = scene_of(make_scene, people)
    a, _ = add(planfix, A, B)
    scene.run()
    people.leave(A)
    scene.run()
    assert people.members().keys() == {B}
    return scene, a


@pytest.mark.parametrize("people", ["embedded", "listmonk"], indirect=True)
@pytest.mark.parametrize("more", ["", 'new_subscribers = "create"\n', 'vanished = "restore"\n'])
def test_who_is_unsubscribed_at_an_address_they_had_left_leaves_at_the_one_they_have(
    make_scene: MAKE, planfix: SimulatedPlanfix, people: PlayedList, more: str
) -> None:
    """An operator knows the address that Planfix has; the list's is another by then."""
    scene = scene_of(make_scene, people, f'direction = "both"\n{more}')
    add(planfix, A, B)
    scene.run()
    quiet(scene)
    people.rename(A, C)

    said = scene.unsubscribe(A)
    scene.run()

    assert "no member" in said
    assert list(people.members()) == [B]
    quiet(scene)
    assert len(planfix.contacts) == 2


def test_who_is_unsubscribed_while_their_change_of_address_waits_leaves_at_the_new_one(
    make_scene: MAKE, planfix: SimulatedPlanfix, own: PlayedEmbedded
) -> None:
    scene = scene_of(make_scene, own, 'direction = "both"\nconflict = "hold"\n')
    [a, _] = add(planfix, A, B)
    scene.run()
    own.rename(A, C)
    planfix.edit(a, email="x@example.com")
    scene.run()
    assert scene.link_of(scene.run()).held == 1

    scene.unsubscribe(A)
    scene.run()

    assert (list(own.members()), own.gone()) == ([B], {C})
    quiet(scene)


def test_who_is_unsubscribed_and_was_not_on_the_list_is_gone_without_counting_as_lost(
    make_scene: MAKE, planfix: SimulatedPlanfix, people: PlayedList
) -> None:
    scene = scene_of(make_scene, people, 'direction = "both"\n[links.limits]\nremovals = 0\n')
    [a, _] = add(planfix, A, B)
    scene.run()
    quiet(scene)
    people.wipe(A)
    scene.unsubscribe(A)

    quiet(scene)

    planfix.edit(a, last_name="Lund")
    quiet(scene)
    assert list(people.members()) == [B]


def test_who_comes_back_after_their_contact_moved_is_a_member_at_the_new_address(
    make_scene: MAKE, planfix: SimulatedPlanfix, people: PlayedList
) -> None:
    scene, a = come_back(make_scene, planfix, people)
    planfix.edit(a, email=C)
    scene.run()
    people.join(A, "A Berg")

    scene.run()
    scene.run()

    assert people.members().keys() == {B, C}
    quiet(scene)


def test_a_stranger_at_the_new_address_of_one_who_left_is_left_alone(
    make_scene: MAKE, planfix: SimulatedPlanfix, people: PlayedList
) -> None:
    scene, a = come_back(make_scene, planfix, people)
    people.join(C, "C Berg")
    planfix.edit(a, email=C)

    report = scene.run()

    assert (report.exit_code, planned(scene.link_of(report))) == (0, {})
    assert scene.link_of(report).held == 0
    assert people.members().keys() == {B, C}
    quiet(scene)


def test_a_return_that_was_approved_is_one_though_the_contact_had_no_pair(
    make_scene: MAKE, planfix: SimulatedPlanfix, people: PlayedList
) -> None:
    limits = 'direction = "both"\n[links.limits]\nremovals = 2\n'
    scene = scene_of(make_scene, people, limits)
    addresses = [f"m{n}@example.com" for n in range(8)]
    planfix.add_filter("77", "Newsletter")
    contacts = add(planfix, *addresses)
    for contact in contacts:
        planfix.put_in(contact, "77")
    scene.write_config(links=[scene.links[0].replace("contact", "filter:77", 1)])
    scene.run()
    quiet(scene)
    backup = people.kept()
    leaving = 3 if people.tells else 2  # where leaving counts like a removal
    for address in addresses[:leaving]:
        people.leave(address)
    scene.run()
    planfix.take_out(contacts[0], "77")
    scene.run()
    planfix.put_in(contacts[0], "77")
    scene.run()
    backup()

    refused = scene.run()
    again = scene.run()
    scene.approve(refused.run)
    report = scene.run()

    assert (refused.exit_code, scene.link_of(refused).withheld) == (4, leaving)
    assert (again.exit_code, scene.link_of(again).withheld) == (4, leaving)
    assert report.exit_code == 0
    assert people.members().keys() == set(addresses)
    quiet(scene)


# A link that points elsewhere.


def test_who_left_one_list_is_not_back_when_the_link_gets_another_list_that_has_them(
    make_scene: MAKE, planfix: SimulatedPlanfix, own: PlayedEmbedded
) -> None:
    scene, a = come_back(make_scene, planfix, own)
    with own._open() as lists:
        lists.ensure_list("Elsewhere")
        lists.join("2", Person.of(A, "A", "Berg"))
    elsewhere = (
        'name = "customers"\nselection = "contact"\nbackend = "played"\nlist = "Elsewhere"\n'
    )
    scene.write_config(links=[elsewhere + 'direction = "both"\n'])
    scene.rebase()

    scene.run()
    planfix.edit(a, email=C)
    scene.run()
    scene.run()

    with own._open() as lists:
        assert [m.person.key for m in lists.read("2")] == [A, B]


# Addresses that a list has already.


def test_a_contact_who_moves_to_an_address_that_subscribed_by_itself_is_that_member(
    make_scene: MAKE, planfix: SimulatedPlanfix, people: PlayedList
) -> None:
    scene = scene_of(make_scene, people)
    a, _ = add(planfix, A, B)
    scene.run()
    people.join(C, "A Berg")
    planfix.edit(a, email=C)

    scene.run()
    scene.run()

    assert people.members().keys() == {B, C}
    quiet(scene)


def test_a_contact_who_moves_to_an_address_that_bounces_waits_with_the_old_one(
    make_scene: MAKE, planfix: SimulatedPlanfix, people: PlayedList
) -> None:
    scene = scene_of(make_scene, people)
    a, _ = add(planfix, A, B)
    scene.run()
    people.join(C, "A Berg")
    people.bounce(C)
    planfix.edit(a, email=C)

    report = scene.run()
    later = scene.run()

    assert (report.exit_code, scene.link_of(report).quarantined) == (1, 1)
    assert (later.exit_code, planned(scene.link_of(later))) == (1, {})
    assert people.members().keys() == {A, B}


# What was not done yet counts as planned in no run.


def test_what_waits_for_planfix_is_held_and_not_planned(
    make_scene: MAKE, planfix: SimulatedPlanfix, own: PlayedEmbedded
) -> None:
    scene = scene_of(make_scene, own)
    add(planfix, A, B)
    planfix.add(name="Office", email=C, is_company=True)
    scene.run()
    own.rename(A, C)

    link_report = scene.link_of(scene.run())

    assert (planned(link_report), applied(link_report), link_report.held) == ({}, {}, 1)


# Who is released is put back once.


def test_who_left_again_while_nobody_knew_whether_they_were_put_back_stays_out(
    make_scene: MAKE, planfix: SimulatedPlanfix, people: PlayedList
) -> None:
    if not people.tells:
        pytest.skip("a list that forgets who left can't tell this from a call that failed")
    scene, _ = come_back(make_scene, planfix, people)
    scene.syncd("release", A, "--reason", "asked us on the phone")
    if isinstance(people, PlayedListmonk):
        people.server.welcome.add(people.server.person(A).id)
    with scene.world() as world, suppress(Crash):
        run_once(dying(world, 1, done=True))
    assert A in people.members()
    people.leave(A)

    report = scene.run()

    assert (report.exit_code, planned(scene.link_of(report))) == (0, {})
    assert people.members().keys() == {B}
    quiet(scene)


def test_who_was_released_is_put_back_though_a_first_try_died(
    make_scene: MAKE, planfix: SimulatedPlanfix, people: PlayedList
) -> None:
    """Where the list can't tell whether that try was made, it takes another word."""
    scene, _ = come_back(make_scene, planfix, people)
    if isinstance(people, PlayedListmonk):
        people.server.welcome.add(people.server.person(A).id)
    release = ("release", A, "--reason", "asked us on the phone")
    scene.syncd(*release)
    with scene.world() as world, suppress(Crash):
        run_once(dying(world, 1, done=False))

    scene.run()
    if isinstance(people, PlayedListmonk):
        assert people.members().keys() == {B}
        scene.syncd(*release)
        scene.run()

    assert people.members().keys() == {A, B}
    quiet(scene)
