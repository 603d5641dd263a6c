"""A subscriber whom Planfix knows outside the selection waits, and is looked up once a day."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from freezegun import freeze_time
from freezegun.api import FrozenDateTimeFactory

from syncd.core.people import Person
from syncd.simulator.planfix import SimulatedPlanfix
from tests.scene import Scene, applied, link, planned

MORNING = datetime(2026, 5, 3, 8, tzinfo=UTC)
MORE = 'direction = "both"\nnew_subscribers = "create"\n'
KIM, KIM_TOO = "kim@example.com", "kim@example.org"


@pytest.fixture
def clock() -> Iterator[FrozenDateTimeFactory]:
    with freeze_time(MORNING) as clock:
        assert isinstance(clock, FrozenDateTimeFactory)
        yield clock


@pytest.fixture
def scene(
    make_scene: Callable[..., Scene],
    planfix: SimulatedPlanfix,
    clock: FrozenDateTimeFactory,  # noqa: ARG001  (it is morning)
) -> Scene:
    """Kim subscribed, whom Planfix knows outside the selection; one run has seen it."""
    planfix.add_filter("77", "Newsletter")
    planfix.put_in(planfix.add(name="Anna", email="anna@example.com"), "77")
    made = make_scene(links=[link("customers", backend="own", selection="filter:77", more=MORE)])
    made.run()
    planfix.add(name="Kim", email=KIM)
    planfix.add(name="Kim", email=KIM_TOO)
    with made.embedded() as own:
        own.join("1", Person.of(KIM, "Olga", "Kim"))
    assert looked_up(made) > 0
    return made


def looked_up(scene: Scene) -> int:
    """Run, and return how many calls went to Planfix beyond the reading of the selection."""
    planfix = scene.planfix
    before = len(planfix.requests)
    report = scene.run()
    assert report.exit_code == 0
    assert report.links[0].held == 1
    assert planned(report.links[0]) == {}
    asked = [request for request in planfix.requests[before:] if request.text("target") != "77"]
    assert planfix.calls("contact.add") == 0
    return len(asked)


def test_who_is_known_outside_the_selection_is_looked_up_once_a_day(
    scene: Scene, clock: FrozenDateTimeFactory
) -> None:
    same_day = []
    for _ in range(3):
        clock.tick(timedelta(hours=7))
        same_day.append(looked_up(scene))
    clock.tick(timedelta(hours=3))

    assert same_day == [0, 0, 0]
    assert looked_up(scene) > 0
    assert looked_up(scene) == 0


def test_who_waits_for_the_next_look_up_is_shown_as_waiting_and_told_once(scene: Scene) -> None:
    before = scene.syncd("history", KIM).stdout
    looked_up(scene)

    with scene.world() as world:
        number = world.store.links.number("customers")
        assert number is not None
        reasons = world.store.runs.reasons(number)
    assert reasons == {(0, KIM): "Planfix has the address outside the selection"}
    assert scene.syncd("history", KIM).stdout == before


def test_a_dry_run_plans_the_look_up_that_is_due_and_does_not_delay_it(
    scene: Scene, clock: FrozenDateTimeFactory
) -> None:
    clock.tick(timedelta(hours=25))

    dry = scene.run(dry_run=True)

    assert planned(dry.links[0]) == {"planfix_create": 1}
    assert looked_up(scene) > 0


def test_another_address_is_looked_up_at_once(scene: Scene) -> None:
    scene.change_member(KIM, Person.of(KIM_TOO, "Olga", "Kim"))

    assert looked_up(scene) > 0
    assert looked_up(scene) == 0


def test_whose_contact_comes_into_the_selection_is_adopted_by_the_next_run(scene: Scene) -> None:
    planfix = scene.planfix
    (kim,) = (number for number, contact in planfix.contacts.items() if contact.email == KIM)
    planfix.put_in(kim, "77")

    adopted = scene.run()

    assert adopted.links[0].held == 0
    assert scene.own_members()[KIM] == ("Kim", "")
    assert planfix.calls("contact.add") == 0


def test_whose_contact_was_deleted_gets_one_a_day_later(
    scene: Scene, clock: FrozenDateTimeFactory
) -> None:
    planfix = scene.planfix
    (kim,) = (number for number, contact in planfix.contacts.items() if contact.email == KIM)
    planfix.delete(kim)
    clock.tick(timedelta(hours=25))

    assert applied(scene.run().links[0]) == {"planfix_create": 1}
