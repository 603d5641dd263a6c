"""A consent field that was set back by hand ends a latch, where the link's config says so."""

from collections.abc import Callable

import pytest

from syncd.core.people import ContactId, Person
from syncd.simulator.planfix import SimulatedPlanfix
from tests.scene import Scene, applied, link, planned

MAKE = Callable[..., Scene]
FIELD = 10124
ANNA, BEN = "anna@example.com", "ben@example.com"
CONSENT = f'[links.consent]\nfield = {FIELD}\nunsubscribed = "no"\nsubscribed = "yes"\n'
ALLOWED = "allow_planfix_release = true\n"


def customers(more: str = CONSENT + ALLOWED) -> str:
    return link("customers", backend="own", more=more)


@pytest.fixture
def anna(planfix: SimulatedPlanfix) -> ContactId:
    number = planfix.add(name="Anna", last_name="Orlova", email=ANNA, custom={FIELD: "yes"})
    planfix.add(name="Ben", last_name="Ozols", email=BEN)
    return ContactId(number)


def left(make_scene: MAKE, links: str) -> Scene:
    """Let Anna leave, and Planfix be told."""
    scene = make_scene(links=[links])
    scene.run()
    with scene.embedded() as own:
        own.leave("1", ANNA)
    scene.run()
    return scene


def set_back(planfix: SimulatedPlanfix, contact: ContactId, value: str = "yes") -> None:
    planfix.edit(contact, custom={FIELD: value})


def who(scene: Scene) -> tuple[set[str], set[str]]:
    """Return who is active on the two lists."""
    return set(scene.own_members("1")), set(scene.own_members("2"))


def quiet(scene: Scene) -> None:
    report = scene.run()
    assert (report.exit_code, planned(scene.link_of(report))) == (0, {})


def test_a_field_that_is_set_back_subscribes_them_again(
    make_scene: MAKE, planfix: SimulatedPlanfix, anna: ContactId
) -> None:
    scene = left(make_scene, customers())
    assert planfix.contacts[anna].custom[FIELD] == "no"
    quiet(scene)
    set_back(planfix, anna)

    report = scene.run()

    assert applied(scene.link_of(report))["add"] == 1
    assert scene.own_members().keys() == {ANNA, BEN}
    assert planfix.contacts[anna].custom[FIELD] == "yes"
    quiet(scene)


def test_it_may_be_set_back_before_the_next_read(
    make_scene: MAKE, planfix: SimulatedPlanfix, anna: ContactId
) -> None:
    """The page then has the bytes it had before we wrote."""
    scene = left(make_scene, customers())
    set_back(planfix, anna)

    scene.run()

    assert scene.own_members().keys() == {ANNA, BEN}


def test_without_leave_a_field_that_is_set_back_subscribes_nobody(
    make_scene: MAKE, planfix: SimulatedPlanfix, anna: ContactId
) -> None:
    scene = left(make_scene, customers(CONSENT))
    set_back(planfix, anna)

    scene.run()
    scene.run()

    assert scene.own_members().keys() == {BEN}


def test_a_value_that_was_there_before_we_wrote_releases_nobody(
    make_scene: MAKE, planfix: SimulatedPlanfix, anna: ContactId
) -> None:
    """Anna's field said yes all along; only a hand that sets it after us counts."""
    scene = left(make_scene, customers())

    for _ in range(3):
        scene.run()

    assert scene.own_members().keys() == {BEN}
    assert planfix.contacts[anna].custom[FIELD] == "no"


@pytest.mark.parametrize("value", ["", "maybe", "no"])
def test_another_value_releases_nobody(
    make_scene: MAKE, planfix: SimulatedPlanfix, anna: ContactId, value: str
) -> None:
    scene = left(make_scene, customers())
    set_back(planfix, anna, value)

    scene.run()

    assert scene.own_members().keys() == {BEN}


def test_leave_that_is_given_later_reads_pages_that_did_not_change(
    make_scene: MAKE, planfix: SimulatedPlanfix, anna: ContactId
) -> None:
    scene = left(make_scene, customers(CONSENT))
    set_back(planfix, anna)
    scene.run()
    scene.write_config(links=[customers()])

    scene.run()

    assert scene.own_members().keys() == {ANNA, BEN}
    quiet(scene)


def test_who_left_again_after_we_wrote_stays_out(
    make_scene: MAKE, planfix: SimulatedPlanfix, anna: ContactId
) -> None:
    """Nobody knows which came last, the hand in Planfix or the wish on the list."""
    scene = left(make_scene, customers())
    with scene.embedded() as own:
        own.join("1", Person.of(ANNA, "Anna", "Orlova"))
        own.leave("1", ANNA)
    set_back(planfix, anna)

    scene.run()

    assert scene.own_members().keys() == {BEN}
    assert planfix.contacts[anna].custom[FIELD] == "no"


def test_a_wish_told_to_us_after_the_field_was_set_back_counts(
    make_scene: MAKE, planfix: SimulatedPlanfix, anna: ContactId
) -> None:
    scene = left(make_scene, customers())
    set_back(planfix, anna)
    scene.unsubscribe(ANNA)

    scene.run()

    assert scene.own_members().keys() == {BEN}
    assert planfix.contacts[anna].custom[FIELD] == "no"


def test_our_own_word_in_a_shared_field_releases_nobody_elsewhere(
    make_scene: MAKE, planfix: SimulatedPlanfix, anna: ContactId
) -> None:
    """Anna comes back to one list by herself; the other is told nothing by our own "yes"."""
    shared = CONSENT + ALLOWED + 'scope = "account"\n'
    scene = left(
        make_scene,
        customers(shared) + "[[links]]\n" + link("partners", backend="own", more=shared),
    )
    assert who(scene) == ({BEN}, {BEN})
    with scene.embedded() as own:
        own.join("1", Person.of(ANNA, "Anna", "Orlova"))

    for _ in range(3):
        scene.run()

    assert planfix.contacts[anna].custom[FIELD] == "yes"
    assert who(scene) == ({ANNA, BEN}, {BEN})


def test_a_shared_field_that_is_set_back_counts_for_all_its_lists(
    make_scene: MAKE, planfix: SimulatedPlanfix, anna: ContactId
) -> None:
    shared = CONSENT + ALLOWED + 'scope = "account"\n'
    scene = left(
        make_scene,
        customers(shared) + "[[links]]\n" + link("partners", backend="own", more=shared),
    )
    set_back(planfix, anna)

    scene.run()
    scene.run()

    assert who(scene) == ({ANNA, BEN}, {ANNA, BEN})
    quiet(scene)


def test_a_link_without_leave_reads_no_field(
    make_scene: MAKE, planfix: SimulatedPlanfix, anna: ContactId
) -> None:
    scene = left(make_scene, customers(CONSENT))

    with scene.world() as world:
        assert world.store._database.rows("SELECT * FROM custom") == []
    assert planfix.contacts[anna].custom[FIELD] == "no"
