"""A list that can be read, and Planfix: what people do on either side reaches the other."""

from collections.abc import Callable

import pytest

from syncd.core.people import ContactId, Person
from syncd.simulator.planfix import SimulatedPlanfix
from tests.scene import Scene, applied, link, planned

MAKE = Callable[..., Scene]
FIELD = 10124
CONSENT = f'[links.consent]\nfield = {FIELD}\nunsubscribed = "no"\nsubscribed = "yes"\n'
BOTH = 'direction = "both"\n'


def make(make_scene: MAKE, more: str = "") -> Scene:
    return make_scene(links=[link("customers", backend="own", more=BOTH + more)])


@pytest.fixture
def anna(planfix: SimulatedPlanfix) -> ContactId:
    number = planfix.add(name="Anna", last_name="Orlova", email="anna@example.com")
    planfix.add(name="Ben", last_name="Ozols", email="ben@example.com")
    return ContactId(number)


def leave(scene: Scene, address: str) -> None:
    with scene.embedded() as own:
        own.leave("1", address)


def test_who_leaves_the_list_stays_out_however_often_their_contact_is_edited(
    make_scene: MAKE, planfix: SimulatedPlanfix, anna: ContactId
) -> None:
    scene = make(make_scene, CONSENT)
    scene.run()
    leave(scene, "anna@example.com")

    first = scene.run()
    planfix.edit(anna, last_name="Petrova")
    second = scene.run()
    planfix.edit(anna, email="anna@example.org")
    third = scene.run()

    assert [report.exit_code for report in (first, second, third)] == [0, 0, 0]
    assert list(scene.own_members()) == ["ben@example.com"]
    assert planfix.contacts[anna].custom[FIELD] == "no"
    assert applied(scene.link_of(first)) == {"consent": 1}


def test_a_name_changed_on_the_list_reaches_planfix(
    make_scene: MAKE, planfix: SimulatedPlanfix, anna: ContactId
) -> None:
    scene = make(make_scene)
    scene.run()
    scene.change_member("anna@example.com", Person.of("anna@example.com", "Anna", "Petrova"))

    report = scene.run()

    assert applied(scene.link_of(report)) == {"planfix_update": 1}
    assert planfix.contacts[anna].last_name == "Petrova"
    assert planned(scene.link_of(scene.run())) == {}


def test_an_address_changed_on_the_list_reaches_planfix(
    make_scene: MAKE, planfix: SimulatedPlanfix, anna: ContactId
) -> None:
    scene = make(make_scene)
    scene.run()
    scene.change_member("anna@example.com", Person.of("anna@example.org", "Anna", "Orlova"))

    report = scene.run()

    assert applied(scene.link_of(report)) == {"planfix_update": 1}
    assert planfix.contacts[anna].email == "anna@example.org"
    assert planned(scene.link_of(scene.run())) == {}


@pytest.mark.usefixtures("anna")
def test_a_new_subscriber_becomes_a_contact_once(
    make_scene: MAKE, planfix: SimulatedPlanfix
) -> None:
    scene = make(make_scene, 'new_subscribers = "create"\n')
    scene.run()
    with scene.embedded() as own:
        own.join("1", Person.of("kim@example.com", "Olga", "Kim"))

    report = scene.run()
    after = scene.run()

    assert applied(scene.link_of(report)) == {"planfix_create": 1}
    assert [c.last_name for c in planfix.contacts.values() if c.email == "kim@example.com"] == [
        "Kim"
    ]
    assert planned(scene.link_of(after)) == {}
    assert planned(scene.link_of(scene.run())) == {}


def test_who_is_released_is_subscribed_again_and_planfix_is_told(
    make_scene: MAKE, planfix: SimulatedPlanfix, anna: ContactId
) -> None:
    scene = make(make_scene, CONSENT)
    scene.run()
    leave(scene, "anna@example.com")
    scene.run()

    released = scene.syncd("release", "anna@example.com", "--reason", "asked us on the phone")
    report = scene.run()

    assert released.returncode == 0, released.stderr
    assert list(scene.own_members()) == ["anna@example.com", "ben@example.com"]
    assert applied(scene.link_of(report)) == {"add": 1, "consent": 1}
    assert planfix.contacts[anna].custom[FIELD] == "yes"
    assert planned(scene.link_of(scene.run())) == {}


def test_who_comes_back_by_themselves_is_a_member_again(
    make_scene: MAKE, planfix: SimulatedPlanfix, anna: ContactId
) -> None:
    scene = make(make_scene, CONSENT)
    scene.run()
    leave(scene, "anna@example.com")
    scene.run()
    with scene.embedded() as own:
        own.join("1", Person.of("anna@example.com", "Anna", "Orlova"))

    report = scene.run()
    planfix.edit(anna, last_name="Petrova")
    scene.run()

    assert applied(scene.link_of(report)) == {"consent": 1}
    assert scene.own_members()["anna@example.com"] == ("Anna", "Petrova")
    assert planfix.contacts[anna].custom[FIELD] == "yes"
