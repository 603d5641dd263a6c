"""One Planfix, several lists: what one of them says or lacks, and what the others make of it."""

from collections.abc import Callable

import pytest

from syncd.app.history import history
from syncd.core.people import ContactId, Person
from syncd.simulator.planfix import SimulatedPlanfix
from tests.fakes.email_service import Fault
from tests.scene import Scene, add, applied, link, planned

MAKE = Callable[..., Scene]
ANNA, BEN, CLARA, ELSEWHERE = (
    f"{name}@example.com" for name in ("anna", "ben", "clara", "elsewhere")
)
ACCOUNT = '[links.consent]\nscope = "account"\n'


# An unsubscribe that counts for the whole account.


@pytest.fixture
def account(make_scene: MAKE, planfix: SimulatedPlanfix) -> tuple[Scene, ContactId]:
    """Give Anna, Ben and Clara on three lists; the last one takes a filter and can't be read."""
    planfix.add_filter("77", "Newsletter")
    contacts = add(planfix, ANNA, BEN, CLARA)
    for contact in contacts:
        planfix.put_in(contact, "77")
    scene = make_scene(
        links=[
            link("customers", backend="own", more=ACCOUNT),
            link("letters", backend="own", more=ACCOUNT),
            link("news", selection="filter:77", more=ACCOUNT),
        ]
    )
    assert scene.run().exit_code == 0
    assert on_lists(scene) == [{ANNA, BEN, CLARA}] * 3
    return scene, contacts[0]


def on_lists(scene: Scene) -> list[set[str]]:
    return [
        set(scene.own_members("1")),
        set(scene.own_members("2")),
        set(scene.members("News")),
    ]


def leave(scene: Scene, list_id: str) -> None:
    """Let Anna leave one list, and two runs see it: a list may come before the one she left."""
    with scene.embedded() as own:
        own.leave(list_id, ANNA)
    assert [scene.run().exit_code for _ in range(2)] == [0, 0]


@pytest.mark.parametrize(("left", "name"), [("1", "customers"), ("2", "letters")])
def test_who_leaves_one_list_is_taken_off_all_of_them(
    account: tuple[Scene, ContactId], left: str, name: str
) -> None:
    scene, _ = account

    leave(scene, left)

    assert on_lists(scene) == [{BEN, CLARA}] * 3
    with scene.world() as world:
        story = [f"{told.link}: {told.what}" for told in history(world, ANNA)]
    for each in ("customers", "letters", "news"):
        words = "left the list" if each == name else "unsubscribed on the list"
        assert sum(line.startswith(f"{each}: {words} {each.title()}") for line in story) == 1


def test_an_unsubscribe_names_the_lists_that_had_the_person_and_reaches_the_others_too(
    account: tuple[Scene, ContactId],
) -> None:
    scene, _ = account
    scene.change_member(ANNA, Person.of(ELSEWHERE, "A", "Berg"))

    said = scene.unsubscribe(ANNA)

    assert said.startswith("Unsubscribed from letters, news;")
    assert on_lists(scene) == [{ELSEWHERE, BEN, CLARA}, {BEN, CLARA}, {BEN, CLARA}]
    assert scene.run().exit_code == 0
    assert on_lists(scene) == [{BEN, CLARA}] * 3


def test_who_left_one_list_of_the_account_stays_out_of_all_whatever_is_done_in_planfix(
    account: tuple[Scene, ContactId], planfix: SimulatedPlanfix
) -> None:
    scene, anna = account
    leave(scene, "1")

    planfix.edit(anna, last_name="Lund")
    scene.run()
    planfix.edit(anna, email=ELSEWHERE)
    scene.run()
    planfix.take_out(anna, "77")
    scene.run()
    planfix.put_in(anna, "77")
    scene.run()
    planfix.delete(anna)
    scene.run()
    again = planfix.add(name="Anna", email=ANNA)
    other = planfix.add(name="Anna", email=ELSEWHERE)
    planfix.put_in(again, "77")
    planfix.put_in(other, "77")
    scene.run()

    assert on_lists(scene) == [{BEN, CLARA}] * 3
    assert [planned(each) for each in scene.run().links] == [{}, {}, {}]


def test_a_list_that_is_added_later_gets_nobody_who_left_another(
    account: tuple[Scene, ContactId],
) -> None:
    scene, _ = account
    leave(scene, "2")

    scene.write_config(links=[*scene.links, link("offers", backend="own", more=ACCOUNT)])
    scene.run()

    assert set(scene.own_members("3")) == {BEN, CLARA}


def test_a_stranger_on_one_list_who_left_another_is_not_taken_for_gone_and_back(
    make_scene: MAKE, planfix: SimulatedPlanfix
) -> None:
    planfix.add_filter("77", "Newsletter")
    creates = f'direction = "both"\nnew_subscribers = "create"\n{ACCOUNT}'
    scene = make_scene(
        links=[
            link("customers", backend="own", more=ACCOUNT),
            link("letters", backend="own", selection="filter:77", more=creates),
        ]
    )
    anna, ben = add(planfix, ANNA, BEN)
    planfix.put_in(ben, "77")
    scene.run()
    numbers = {ANNA in scene.own_members(number): number for number in ("1", "2")}
    with scene.embedded() as own:
        own.join(numbers[False], Person.of(ANNA, "Anna", "Berg"))
    scene.run()  # asks Planfix, which has her outside the selection
    with scene.embedded() as own:
        own.leave(numbers[True], ANNA)

    for _ in range(3):
        scene.run()
        planfix.edit(anna, name=f"{planfix.contacts[anna].name}a")

    with scene.world() as world:
        story = [told.what for told in history(world, ANNA)]
    assert not [what for what in story if what.startswith("gone from") or "their own" in what]
    assert ANNA not in scene.own_members(numbers[True])


# One selection for several lists, some of which are out of reach.


def test_a_list_that_is_down_costs_the_others_nothing_and_catches_up_in_the_next_run(
    make_scene: MAKE, planfix: SimulatedPlanfix
) -> None:
    scene = make_scene(
        links=[link("first"), link("second", backend="own"), link("third", backend="own")]
    )
    anna, ben, _ = add(planfix, ANNA, BEN, CLARA)
    scene.run()
    planfix.edit(anna, email=ELSEWHERE)
    planfix.delete(ben)
    add(planfix, "dora@example.com")
    scene.service.fail(Fault.UNAVAILABLE, times=None)
    sweeps = planfix.calls("contact.getList")

    report = scene.run()

    assert (report.exit_code, planfix.calls("contact.getList")) == (69, sweeps + 1)
    assert [each.outcome for each in report.links] == ["failed", "ok", "ok"]
    all_done = {"add": 1, "rename": 1, "remove": 1}
    assert [applied(each) for each in report.links[1:]] == [all_done, all_done]
    assert set(scene.members("First")) == {ANNA, BEN, CLARA}

    scene.service.recover()
    report = scene.run()

    assert (report.exit_code, planfix.calls("contact.getList")) == (0, sweeps + 2)
    assert [planned(each) for each in report.links[1:]] == [{}, {}]
    assert scene.members("First") == scene.own_members("1") == scene.own_members("2")
    assert [planned(each) for each in scene.run().links] == [{}, {}, {}]
