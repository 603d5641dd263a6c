"""A list that can be read, and Planfix: what people do on either side reaches the other."""

from collections.abc import Callable

import pytest

from syncd.core.people import ContactId, Person
from syncd.simulator.faults import Faults
from syncd.simulator.planfix import SimulatedPlanfix
from tests.lists import PlayedEmbedded, PlayedList, PlayedListmonk
from tests.scene import Scene, add, applied, link, planned, quiet, scene_of

MAKE = Callable[..., Scene]
FIELD = 10124
CONSENT = f'[links.consent]\nfield = {FIELD}\nunsubscribed = "no"\nsubscribed = "yes"\n'
BOTH = 'direction = "both"\n'
CREATES = BOTH + 'new_subscribers = "create"\n'
ANNA, BEN, KIM = "anna@example.com", "ben@example.com", "kim@example.com"


def make(make_scene: MAKE, more: str = "") -> Scene:
    return make_scene(links=[link("customers", backend="own", more=BOTH + more)])


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
@pytest.mark.parametrize("direction", ["both", "to-list"])
@pytest.mark.parametrize("names", ["their own", "the same"])
def test_contacts_who_swap_while_a_member_moves_on_the_list_get_their_members(
    make_scene: MAKE, planfix: SimulatedPlanfix, anna: ContactId, direction: str, names: str
) -> None:
    more = f'direction = "{direction}"\n'
    scene = make_scene(links=[link("customers", backend="own", more=more)])
    [ben] = planfix.contacts.keys() - {anna}
    if names == "the same":
        planfix.edit(ben, name="Anna", last_name=planfix.contacts[anna].last_name)
    scene.run()
    person = planfix.contacts[anna]
    scene.change_member(ANNA, Person.of(KIM, person.name, person.last_name))
    planfix.edit(anna, email=BEN)
    planfix.edit(ben, email=KIM)

    reports = [scene.run() for _ in range(3)]

    assert [report.exit_code for report in reports] == [0, 0, 0]
    assert planned(scene.link_of(reports[-1])) == {}
    assert scene.own_members() == {
        contact.email: (contact.name, contact.last_name) for contact in planfix.contacts.values()
    }
    assert {contact.email for contact in planfix.contacts.values()} == {BEN, KIM}


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


# A new subscriber whose contact may have been made.


@pytest.mark.parametrize(
    ("fault", "made"),
    [(Faults.drop_after_work, 1), (Faults.truncated, 1), (Faults.html_page, 0)],
    ids=["made, and not answered", "made, and the answer cut", "not made"],
)
def test_a_contact_whose_making_was_not_answered_is_there_once_in_the_end(
    make_scene: MAKE,
    planfix: SimulatedPlanfix,
    own: PlayedEmbedded,
    fault: Callable[..., None],
    made: int,
) -> None:
    scene = scene_of(make_scene, own, CREATES)
    add(planfix, ANNA)
    scene.run()
    own.join(KIM, "Olga Kim")
    fault(planfix.faults, method="contact.add")

    unanswered = scene.run()
    planfix.faults.clear()
    scene.run()
    scene.run()

    assert unanswered.exit_code == 69
    assert planfix.calls("contact.add") == 2 - made
    [olga] = [each for each in planfix.contacts.values() if each.email == KIM]
    assert (olga.name, olga.last_name) == ("Olga", "Kim")
    planfix.edit(olga.id, last_name="Lund")
    scene.run()
    assert own.members() == {ANNA: "A Berg", KIM: "Olga Lund"}
    quiet(scene)


@pytest.mark.parametrize("further", [False, True], ids=["main", "additional"])
def test_a_subscriber_whom_planfix_knows_outside_the_selection_gets_no_second_contact(
    make_scene: MAKE, planfix: SimulatedPlanfix, own: PlayedEmbedded, *, further: bool
) -> None:
    scene = scene_of(make_scene, own, CREATES)
    add(planfix, ANNA)
    place = {"secondary_emails": (KIM,)} if further else {"email": KIM}
    planfix.add(name="Office", is_company=True, **place)
    scene.run()
    own.join(KIM, "Olga Kim")

    report = scene.run()

    assert (report.exit_code, scene.link_of(report).held) == (0, 1)
    assert planned(scene.link_of(report)) == {}
    assert (planfix.calls("contact.add"), len(planfix.contacts)) == (0, 2)


@pytest.mark.parametrize("answered", [True, False])
def test_a_new_subscriber_who_is_gone_before_their_contact_is_read_is_not_put_back(
    make_scene: MAKE, planfix: SimulatedPlanfix, own: PlayedEmbedded, *, answered: bool
) -> None:
    scene = scene_of(make_scene, own, CREATES)
    add(planfix, ANNA)
    scene.run()
    own.join(KIM, "Olga Kim")
    if not answered:
        planfix.faults.drop_after_work(method="contact.add")
    scene.run()
    planfix.faults.clear()
    own.wipe(KIM)  # all that many a list shows of somebody who left

    scene.run()
    [olga] = [each for each in planfix.contacts.values() if each.email == KIM]
    planfix.edit(olga.id, email="kim@example.org")
    scene.run()

    assert own.members() == {ANNA: "A Berg"}
    quiet(scene)
    planfix.edit(olga.id, email=KIM)
    own.join(KIM, "Olga Kim")
    scene.run()
    planfix.edit(olga.id, last_name="Lund")
    scene.run()
    assert own.members() == {ANNA: "A Berg", KIM: "Olga Lund"}


def test_a_subscriber_who_is_gone_before_their_contact_enters_the_selection_stays_out(
    make_scene: MAKE, planfix: SimulatedPlanfix, own: PlayedEmbedded
) -> None:
    planfix.add_filter("77", "Newsletter")
    anna, kim = add(planfix, ANNA, KIM)
    planfix.put_in(anna, "77")
    scene = scene_of(make_scene, own, CREATES)
    scene.write_config(links=[scene.links[0].replace("contact", "filter:77", 1)])
    scene.run()
    own.join(KIM, "Olga Kim")
    assert scene.link_of(scene.run()).held == 1
    own.wipe(KIM)

    scene.run()
    planfix.put_in(kim, "77")
    scene.run()

    assert own.members() == {ANNA: "A Berg"}
    quiet(scene)


def test_a_new_subscriber_who_moves_before_their_contact_is_read_is_at_the_new_address_alone(
    make_scene: MAKE, planfix: SimulatedPlanfix, own: PlayedEmbedded
) -> None:
    scene = scene_of(make_scene, own, CREATES)
    add(planfix, ANNA)
    scene.run()
    own.join(KIM, "Olga Kim")
    scene.run()
    own.rename(KIM, BEN)

    scene.run()
    scene.run()

    assert own.members() == {ANNA: "A Berg", BEN: "Olga Kim"}
    quiet(scene)


def test_nothing_in_the_store_names_a_subscriber_who_waited_and_was_forgotten(
    make_scene: MAKE, planfix: SimulatedPlanfix, own: PlayedEmbedded
) -> None:
    scene = scene_of(make_scene, own, CREATES)
    planfix.add(name="Office", is_company=True, email=KIM)
    add(planfix, ANNA)
    scene.run()
    own.join(KIM, "Olga Kim")
    scene.run()

    scene.forget(KIM)

    for file in scene.folder.glob("syncd.db*"):
        assert KIM.encode() not in file.read_bytes(), file.name


# What a list may not tell Planfix.


def test_a_name_that_a_list_holds_as_one_text_is_put_back_and_never_written_to_planfix(
    make_scene: MAKE, planfix: SimulatedPlanfix, people: PlayedList
) -> None:
    if people.splits:
        pytest.skip("this list holds first and last name apart")
    scene = scene_of(make_scene, people)
    [anna, _] = add(planfix, ANNA, BEN)
    scene.run()
    people.call(ANNA, "Anna Maria Lund")

    report = scene.run()

    assert (report.exit_code, applied(scene.link_of(report))) == (0, {"update": 1})
    assert people.members() == {ANNA: "A Berg", BEN: "B Berg"}
    assert (planfix.contacts[anna].name, planfix.contacts[anna].last_name) == ("A", "Berg")
    assert planfix.calls("contact.update") == 0
    quiet(scene)


def test_nothing_is_written_to_a_member_whose_address_bounces_until_the_contact_moves(
    make_scene: MAKE, planfix: SimulatedPlanfix, people: PlayedList
) -> None:
    scene = scene_of(make_scene, people)
    [anna, _] = add(planfix, ANNA, BEN)
    scene.run()
    people.bounce(ANNA)

    bounced = scene.run()
    planfix.edit(anna, last_name="Lund")
    edited = scene.run()

    assert [report.exit_code for report in (bounced, edited)] == [0, 0]
    assert [planned(scene.link_of(report)) for report in (bounced, edited)] == [{}, {}]
    assert people.members() == {BEN: "B Berg"}

    planfix.edit(anna, email=KIM)
    report = scene.run()

    assert (report.exit_code, applied(scene.link_of(report))) == (0, {"add": 1})
    assert people.members() == {BEN: "B Berg", KIM: "A Lund"}
    assert people.gone() == set()
    quiet(scene)


def test_a_complaint_is_an_unsubscribe(
    make_scene: MAKE, planfix: SimulatedPlanfix, listmonk: PlayedListmonk
) -> None:
    scene = scene_of(make_scene, listmonk, BOTH + CONSENT)
    [anna, _] = add(planfix, ANNA, BEN)
    scene.run()
    listmonk.complain(ANNA)

    scene.run()
    planfix.edit(anna, email=KIM)
    report = scene.run()

    assert (report.exit_code, planned(scene.link_of(report))) == (0, {})
    assert planfix.contacts[anna].custom[FIELD] == "no"
    assert listmonk.server.people.keys() == {
        listmonk.server.person(address).id for address in (ANNA, BEN)
    }
    assert listmonk.members() == {BEN: "B Berg"}
