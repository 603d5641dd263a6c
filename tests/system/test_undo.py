"""`syncd undo`: what a run wrote over in Planfix is put back, and the lists come after it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from syncd.app.history import history
from syncd.app.run import run_once
from syncd.app.undo import Fate, Undone, undo
from syncd.app.world import World
from syncd.core.people import ContactId, Person
from syncd.core.plan import Fields, ItemResult
from syncd.core.report import RunReport
from syncd.errors import BusyError, ConfigurationError, UsageError
from syncd.ports import Entry
from syncd.simulator.planfix import SimulatedPlanfix
from tests.scene import Scene, applied, link, planned

MAKE = Callable[..., Scene]
ANNA = "anna@example.com"
ELSEWHERE = "anna@example.org"
BOTH = 'direction = "both"\n'


@pytest.fixture
def both(make_scene: MAKE, anna: ContactId) -> Scene:  # noqa: ARG001  (she is there)
    """Two pairs in step."""
    scene = make_scene(links=[link("customers", backend="own", more=BOTH)])
    scene.run()
    scene.run()
    return scene


def changed_on_the_list(scene: Scene, person: Person, *, at: str = ANNA) -> RunReport:
    """Let Anna change what the list has of her, and the run bring it to Planfix."""
    scene.change_member(at, person)
    report = scene.run()
    assert applied(scene.link_of(report)) == {"planfix_update": 1}
    return report


def undone(scene: Scene, report: RunReport) -> Undone:
    with scene.world() as world:
        return undo(world, report.run)


def fates(done: Undone) -> dict[Fields, Fate]:
    return {value.field: value.fate for value in done.values}


@pytest.mark.parametrize("conflict", ["planfix", "list", "hold"])
def test_a_value_is_put_back_and_the_list_comes_after_it(
    make_scene: MAKE, planfix: SimulatedPlanfix, anna: ContactId, conflict: str
) -> None:
    more = f'{BOTH}conflict = "{conflict}"\n'
    scene = make_scene(links=[link("customers", backend="own", more=more)])
    scene.run()
    wrong = changed_on_the_list(scene, Person.of(ELSEWHERE, "Anna", "Petrova"))

    done = undone(scene, wrong)
    after = [scene.run() for _ in range(3)]

    assert fates(done) == {Fields.LAST: Fate.PUT_BACK, Fields.ADDRESS: Fate.PUT_BACK}
    assert (planfix.contacts[anna].last_name, planfix.contacts[anna].email) == ("Orlova", ANNA)
    assert scene.own_members()[ANNA] == ("Anna", "Orlova")
    assert [planned(scene.link_of(report)) for report in after] == [{"rename": 1}, {}, {}]
    assert planfix.notified == []


def test_where_the_list_is_not_written_it_keeps_its_value_and_planfix_the_old_one(
    make_scene: MAKE, planfix: SimulatedPlanfix, anna: ContactId
) -> None:
    more = 'direction = "to-planfix"\n'
    scene = make_scene(links=[link("customers", backend="own", more=more)])
    with scene.embedded() as own:
        own.ensure_list("Customers")
        own.join("1", Person.of(ANNA, "Anna", "Orlova"))
    scene.run()
    scene.run()
    wrong = changed_on_the_list(scene, Person.of(ANNA, "Anna", "Petrova"))

    undone(scene, wrong)
    after = [planned(scene.link_of(scene.run())) for _ in range(3)]

    assert after == [{}, {}, {}]
    assert planfix.contacts[anna].last_name == "Orlova"
    assert scene.own_members()[ANNA] == ("Anna", "Petrova")


def test_values_that_two_links_wrote_one_after_the_other_are_put_back_in_reverse(
    make_scene: MAKE, planfix: SimulatedPlanfix, anna: ContactId
) -> None:
    planfix.add_filter("77", "Letters")
    planfix.put_in(anna, "77")
    more = f'{BOTH}conflict = "list"\n'
    scene = make_scene(
        links=[
            link("customers", backend="own", more=more),
            link("letters", backend="own", selection="filter:77", more=more),
        ]
    )
    scene.run()
    scene.run()
    with scene.embedded() as own:
        for number, last in (("1", "Petrova"), ("2", "Lund")):
            entry = Entry(ContactId(0), Person.of(ANNA, "Anna", last))
            own.upsert(number, [entry], known=True)
    wrong = scene.run()
    written = planfix.contacts[anna].last_name

    undone(scene, wrong)

    assert (written, planfix.contacts[anna].last_name) == ("Lund", "Orlova")


def test_a_first_name_is_put_back_beside_its_patronymic(
    both: Scene, planfix: SimulatedPlanfix, anna: ContactId
) -> None:
    planfix.edit(anna, mid_name="Petrovna")
    both.run()
    wrong = changed_on_the_list(both, Person.of(ANNA, "Anja", "Orlova"))

    undone(both, wrong)
    both.run()

    assert (planfix.contacts[anna].name, planfix.contacts[anna].mid_name) == ("Anna", "Petrovna")
    assert both.own_members()[ANNA] == ("Anna Petrovna", "Orlova")
    assert planned(both.link_of(both.run())) == {}


def test_a_value_that_somebody_changed_since_is_left_and_the_others_are_put_back(
    both: Scene, planfix: SimulatedPlanfix, anna: ContactId
) -> None:
    wrong = changed_on_the_list(both, Person.of(ANNA, "Anja", "Petrova"))
    planfix.edit(anna, last_name="Lund")

    done = undone(both, wrong)
    both.run()

    assert fates(done) == {Fields.FIRST: Fate.PUT_BACK, Fields.LAST: Fate.CHANGED}
    assert (planfix.contacts[anna].name, planfix.contacts[anna].last_name) == ("Anna", "Lund")
    assert both.own_members()[ANNA] == ("Anna", "Lund")


def test_only_the_fields_that_the_run_wrote_are_put_back(
    both: Scene, planfix: SimulatedPlanfix, anna: ContactId
) -> None:
    wrong = changed_on_the_list(both, Person.of(ANNA, "Anna", "Petrova"))
    planfix.edit(anna, name="Anne")

    done = undone(both, wrong)

    assert fates(done) == {Fields.LAST: Fate.PUT_BACK}
    assert (planfix.contacts[anna].name, planfix.contacts[anna].last_name) == ("Anne", "Orlova")


def test_what_was_empty_before_is_left_and_named(
    both: Scene, planfix: SimulatedPlanfix, anna: ContactId
) -> None:
    planfix.edit(anna, last_name="")
    both.run()
    wrong = changed_on_the_list(both, Person.of(ANNA, "Anna", "Petrova"))

    told = both.syncd("undo", wrong.run)

    assert told.returncode == 0, told.stderr
    assert "nothing was there before the run:\n  contact " in told.stdout
    assert planfix.contacts[anna].last_name == "Petrova"


def test_a_value_that_planfix_refuses_is_named_and_the_next_is_put_back(
    both: Scene, planfix: SimulatedPlanfix, anna: ContactId
) -> None:
    wrong = changed_on_the_list(both, Person.of(ELSEWHERE, "Anna", "Petrova"))
    planfix.add(name="Kim", email=ANNA)

    told = both.syncd("undo", wrong.run)

    assert told.returncode == 1
    assert f"Refused by Planfix:\n  contact {anna}: address (" in told.stdout
    assert (planfix.contacts[anna].last_name, planfix.contacts[anna].email) == ("Orlova", ELSEWHERE)


def test_an_undo_may_be_repeated_and_undone_itself(
    both: Scene, planfix: SimulatedPlanfix, anna: ContactId
) -> None:
    wrong = changed_on_the_list(both, Person.of(ANNA, "Anna", "Petrova"))

    first, second = undone(both, wrong), undone(both, wrong)
    assert planfix.contacts[anna].last_name == "Orlova"
    with both.world() as world:
        undo(world, first.run)

    assert fates(first) == fates(second) == {Fields.LAST: Fate.PUT_BACK}
    assert planfix.contacts[anna].last_name == "Petrova"
    assert planned(both.link_of(both.run())) == {}


@pytest.mark.usefixtures("anna")
def test_contacts_that_the_run_made_are_named_and_stay(
    make_scene: MAKE, planfix: SimulatedPlanfix
) -> None:
    more = f'{BOTH}new_subscribers = "create"\n'
    scene = make_scene(links=[link("customers", backend="own", more=more)])
    scene.run()
    with scene.embedded() as own:
        own.join("1", Person.of("kim@example.com", "Olga", "Kim"))
    report = scene.run()

    told = scene.syncd("undo", report.run)

    (kim,) = [contact.id for contact in planfix.contacts.values() if contact.last_name == "Kim"]
    assert told.returncode == 0, told.stderr
    assert "wrote over nothing in Planfix" in told.stdout
    assert f"unless you delete them in Planfix:\n  contact {kim}\n" in told.stdout


def test_consent_is_untouched(make_scene: MAKE, planfix: SimulatedPlanfix, anna: ContactId) -> None:
    field = '[links.consent]\nfield = 10124\nunsubscribed = "no"\nsubscribed = "yes"\n'
    scene = make_scene(links=[link("customers", backend="own", more=BOTH + field)])
    scene.run()
    with scene.embedded() as own:
        own.leave("1", ANNA)
    report = scene.run()

    told = scene.syncd("undo", report.run)
    scene.run()

    assert (told.returncode, "nothing to put back" in told.stdout) == (0, True)
    assert planfix.contacts[anna].custom[10124] == "no"
    assert ANNA not in scene.own_members()


def test_whoever_left_stays_out_when_their_old_address_is_put_back(
    both: Scene, planfix: SimulatedPlanfix, anna: ContactId
) -> None:
    wrong = changed_on_the_list(both, Person.of(ELSEWHERE, "Anna", "Orlova"))
    with both.embedded() as own:
        own.leave("1", ELSEWHERE)
    both.run()

    undone(both, wrong)
    both.run()
    both.run()

    assert planfix.contacts[anna].email == ANNA
    assert list(both.own_members()) == ["ben@example.com"]


def test_a_run_that_wrote_nothing_to_planfix_gets_a_plain_sentence(both: Scene) -> None:
    report = both.run()

    told = both.syncd("undo", report.run)

    assert told.returncode == 0
    assert told.stdout == (
        f"Run {report.run} wrote over nothing in Planfix: there is nothing to put back.\n"
    )


def test_an_unknown_run_is_wrong_usage(both: Scene) -> None:
    told = both.syncd("undo", "20260101T000000Z-0000")

    assert told.returncode == 2
    assert "There is no run" in told.stderr


def test_nothing_is_undone_while_a_run_is_under_way(both: Scene) -> None:
    wrong = changed_on_the_list(both, Person.of(ANNA, "Anna", "Petrova"))

    with both.world() as world, world.store.lock(), pytest.raises(BusyError):
        undone(both, wrong)


@pytest.mark.parametrize(
    "now", [link("others", backend="own", more=BOTH), link("customers", backend="own")]
)
def test_nothing_is_undone_for_a_link_that_the_config_no_longer_has_as_it_was(
    both: Scene, planfix: SimulatedPlanfix, now: str
) -> None:
    wrong = changed_on_the_list(both, Person.of(ANNA, "Anna", "Petrova"))
    both.write_config(links=[now.replace("Customers", "Others")])

    with pytest.raises(ConfigurationError, match="the config doesn't have"):
        undone(both, wrong)

    assert [c.last_name for c in planfix.contacts.values()] == ["Petrova", "Ozols"]


class Crash(BaseException):
    """The process died: no code of ours may catch it."""


class Dying:
    """Planfix, as far as it is reached."""

    def __init__(self, world: World, calls: int, *, done: bool) -> None:
        self._planfix = world.planfix
        self._left = calls
        self._done = done

    def correct(self, contact: ContactId, *, was: Person, wanted: Person) -> ItemResult:
        self._left -= 1
        if self._left == 0 and not self._done:
            raise Crash
        result = self._planfix.correct(contact, was=was, wanted=wanted)
        if self._left == 0:
            raise Crash
        return result

    def __getattr__(self, name: str) -> Any:
        return getattr(self._planfix, name)


def dying(world: World, calls: int, *, done: bool) -> World:
    """Return a world that dies before or after its n-th correction in Planfix."""
    planfix: Any = Dying(world, calls, done=done)
    return replace(world, planfix=planfix)


@pytest.mark.parametrize("run_between", [False, True], ids=["at once", "after a run"])
@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("calls", [1, 2, 3])
def test_an_undo_that_was_killed_is_finished_by_another(
    both: Scene, planfix: SimulatedPlanfix, anna: ContactId,
    calls: int, *, done: bool, run_between: bool,
) -> None:  # fmt: skip
    wrong = changed_on_the_list(both, Person.of(ELSEWHERE, "Anja", "Petrova"))
    with both.world() as world, pytest.raises(Crash):
        undo(dying(world, calls, done=done), wrong.run)
    if run_between:
        both.run()

    undone(both, wrong)
    both.run()

    found = planfix.contacts[anna]
    assert (found.name, found.last_name, found.email) == ("Anna", "Orlova", ANNA)
    assert both.own_members()[ANNA] == ("Anna", "Orlova")
    assert planned(both.link_of(both.run())) == {}


def test_a_run_that_was_cut_short_is_settled_before_it_is_undone(
    both: Scene, planfix: SimulatedPlanfix, anna: ContactId
) -> None:
    both.change_member(ANNA, Person.of(ANNA, "Anna", "Petrova"))
    with both.world() as world, pytest.raises(Crash):
        run_once(dying(world, 1, done=True))
    with both.world() as world:
        run = history(world, ANNA)[-1].run
        with pytest.raises(UsageError, match="cut short"):
            undo(world, run)

    both.run()
    with both.world() as world:
        undo(world, run)

    assert planfix.contacts[anna].last_name == "Orlova"
