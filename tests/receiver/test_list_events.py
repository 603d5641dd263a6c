"""What a list service tells of its members: seen by the next run, latched at once."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from syncd import clock
from syncd.app import look
from syncd.app.wiring import account_of, read_config
from syncd.core.address import AddressKey
from syncd.core.people import ContactId, MemberStatus, Person
from syncd.core.report import LinkReport
from syncd.receiver.pushes import UNKNOWN_LIST, Answer, reported
from syncd.simulator.planfix import SimulatedPlanfix
from syncd.wire.email_service import Accepted, Change, MemberReport
from tests.fakes.email_service import Fault
from tests.receiver.conftest import Pushes
from tests.scene import Scene, applied, link, planned

ANNA, BEN = "anna@example.com", "ben@example.com"
BOTH = 'direction = "both"\n'
CREATE = BOTH + 'new_subscribers = "create"\n'
LATER = timedelta(minutes=6)  # when a service no more tells of what we wrote


@dataclass
class Service:
    """The list service, which tells syncd what happened there."""

    scene: Scene
    list_id: str = "1"
    backend: str = "news"

    def tell(
        self,
        change: Change,
        address: str,
        *,
        first: str = "",
        last: str = "",
        old: str = "",
        after: timedelta = timedelta(),
    ) -> Answer:
        settings = read_config(self.scene.config).settings
        report = MemberReport(self.list_id, change, Person.of(address, first, last), old)
        effect = reported(report, (self.backend,), settings.links, at=clock.now() + after)
        with (
            self.scene.world() as world,
            world.store.pushes.batch(account_of(settings)) as batch,
        ):
            return effect(batch)

    def left(self, address: str, *, after: timedelta = timedelta()) -> None:
        assert self.tell(Change.DELETE, address, after=after) == Accepted()

    def joined(
        self, address: str, first: str = "", last: str = "", *, after: timedelta = LATER
    ) -> None:
        told = self.tell(Change.ADD, address, first=first, last=last, after=after)
        assert told == Accepted()

    def changed(self, address: str, first: str, last: str, old: str = "") -> None:
        assert self.tell(Change.UPDATE, address, first=first, last=last, old=old) == Accepted()


Make = Callable[[str], Scene]


@pytest.fixture
def make(make_scene: Callable[..., Scene], planfix: SimulatedPlanfix) -> Make:
    """Return what makes a scene that has run once: Anna and Ben are on the list."""

    def make(more: str = BOTH) -> Scene:
        scene = make_scene(links=[link("customers", more=more)], more="[receiver]\n")
        planfix.add(name="Anna", last_name="Orlova", email=ANNA, id=101)
        planfix.add(name="Ben", last_name="Ozols", email=BEN, id=102)
        assert scene.run().exit_code == 0
        scene.service.requests.clear()
        return scene

    return make


def service_of(scene: Scene) -> Service:
    [list_id] = scene.service.lists
    return Service(scene, str(list_id))


def run(scene: Scene, exit_code: int = 0) -> LinkReport:
    report = scene.run()
    assert report.exit_code == exit_code
    return scene.link_of(report)


def quiet(scene: Scene) -> bool:
    """Whether a run plans nothing, and nothing that was told waits any more."""
    done = run(scene)
    with scene.world() as world:
        number = world.store.links.number("customers")
        assert number is not None
        return planned(done) == {} and not list(world.store.reports.of(number))


def planning_is_over(scene: Scene) -> bool:
    """Whether a run under way has written its plan down, and made no call yet."""
    with closing(sqlite3.connect(scene.store)) as db:
        return bool(db.execute("SELECT 1 FROM operation WHERE state = 'planned'").fetchall())


def latched(scene: Scene, name: str = "customers") -> int:
    with scene.world() as world:
        [found] = [each for each in look.status(world)["links"] if each["link"] == name]
        return int(found["latched"])


# Who leaves.


def test_who_left_is_latched_before_any_run(make: Make) -> None:
    scene = make(BOTH)

    service_of(scene).left(ANNA)

    assert latched(scene) == 1


def test_who_left_is_never_written_again(make: Make) -> None:
    scene = make(BOTH)
    service_of(scene).left(ANNA)

    scene.planfix.edit(101, last_name="Petrova")
    first = run(scene)
    scene.planfix.edit(101, email="anna@example.org")
    second = run(scene)

    assert (applied(first), applied(second)) == ({}, {})
    assert scene.service.requests == []
    assert quiet(scene)


def test_who_left_by_another_spelling_of_the_address_is_the_same_person(make: Make) -> None:
    scene = make(BOTH)
    service_of(scene).left("Anna@EXAMPLE.com")

    scene.planfix.edit(101, last_name="Petrova")

    assert applied(run(scene)) == {}


def test_a_stranger_who_left_stays_out_when_they_become_a_contact(make: Make) -> None:
    scene = make(BOTH)
    service_of(scene).left("cleo@example.com")
    run(scene)
    scene.planfix.add(name="Cleo", email="cleo@example.com", id=103)

    done = run(scene)

    assert (applied(done), done.suppressed) == ({}, 1)


def test_who_leaves_during_a_run_is_left_alone_by_that_run(make: Make) -> None:
    scene = make(BOTH)
    service = service_of(scene)
    scene.planfix.edit(101, last_name="Petrova")
    scene.planfix.edit(102, last_name="Berg")
    told: list[str] = []

    def told_before_the_first_write() -> bool:
        if planning_is_over(scene) and not told:
            told.append(BEN)
            service.left(BEN)
        return False

    report = scene.link_of(scene.run(stop=told_before_the_first_write))

    assert told == [BEN]
    assert applied(report) == {"update": 1}
    assert scene.members()[BEN] == ("Ben", "Ozols")


def test_the_consent_field_is_written_in_planfix(make: Make) -> None:
    scene = make(BOTH + '[links.consent]\nfield = 10124\nunsubscribed = "no"\nsubscribed = "yes"\n')
    service_of(scene).left(ANNA)

    assert applied(run(scene)) == {"consent": 1}
    assert scene.planfix.contacts[101].custom[10124] == "no"


def test_with_scope_account_the_other_lists_are_told(
    make_scene: Callable[..., Scene], planfix: SimulatedPlanfix
) -> None:
    account = '[links.consent]\nscope = "account"\n'
    scene = make_scene(
        links=[link("customers", more=account), link("partners", more=account)],
        more="[receiver]\n",
    )
    planfix.add(name="Anna", email=ANNA)
    scene.run()
    [customers] = [i for i, each in scene.service.lists.items() if each.name == "Customers"]
    Service(scene, str(customers)).left(ANNA)

    scene.run()

    assert scene.members("Partners") == {}


def test_our_own_removal_told_back_latches_nobody(make: Make) -> None:
    scene = make(BOTH)
    scene.planfix.delete(101)
    assert applied(run(scene)) == {"remove": 1}

    service_of(scene).left(ANNA)

    assert latched(scene) == 0
    assert quiet(scene)


def test_whoever_leaves_long_after_our_removal_means_it(make: Make) -> None:
    scene = make(BOTH)
    scene.planfix.delete(101)
    run(scene)

    service_of(scene).left(ANNA, after=LATER)

    assert latched(scene) == 1


@pytest.mark.parametrize("hours", [0, 5])
def test_who_leaves_while_their_new_address_is_on_its_way_stays_out_at_both(
    make: Make, hours: int
) -> None:
    scene = make("")
    scene.planfix.edit(101, email="anna@example.org")
    scene.service.fail(Fault.DROP, times=None)
    assert scene.run().exit_code == 69
    scene.service.opted_out |= {Person.of(ANNA, "", "").key}
    scene.service.lists[service_of(scene).list_id].members.pop(AddressKey(ANNA))

    service_of(scene).left(ANNA, after=timedelta(hours=hours))
    scene.service.recover()
    run(scene)

    assert latched(scene) > 0
    assert scene.members().keys() == {BEN}


@pytest.mark.parametrize("soon", [True, False])
def test_who_left_at_the_address_that_we_took_from_them_just_now_leaves_at_the_new_one(
    make: Make, *, soon: bool
) -> None:
    """The word of it was on its way while we wrote the new address."""
    scene = make("")
    scene.planfix.edit(101, email="anna@example.org")
    assert applied(run(scene)) == {"rename": 1}

    service_of(scene).left(ANNA, after=timedelta(seconds=30) if soon else LATER)

    assert latched(scene) == (2 if soon else 1)
    run(scene)
    assert scene.members().keys() == ({BEN} if soon else {BEN, "anna@example.org"})
    scene.planfix.edit(101, last_name="Petrova")
    assert applied(run(scene)) == ({} if soon else {"update": 1})


def test_a_removal_whose_answer_was_lost_hides_nobodys_leaving_for_long(make: Make) -> None:
    scene = make("")
    scene.planfix.delete(101)
    scene.service.fail(Fault.DROP, times=None)
    assert scene.run().exit_code == 69

    service_of(scene).left(ANNA)
    assert latched(scene) == 0
    service_of(scene).left(ANNA, after=LATER)

    assert latched(scene) == 1


def test_who_was_put_on_again_and_leaves_means_it(make: Make) -> None:
    scene = make("")
    scene.planfix.delete(101)
    run(scene)
    scene.planfix.add(name="Anna", email=ANNA, id=103)
    assert applied(run(scene)) == {"add": 1}

    service_of(scene).left(ANNA, after=timedelta(minutes=2))
    scene.planfix.edit(103, email="anna@example.org")

    assert applied(run(scene)) == {}
    assert latched(scene) > 0


@pytest.mark.parametrize("runs_between", [0, 1])
@pytest.mark.parametrize("who", [ANNA, "cleo@example.com"])
def test_where_somebody_who_left_moves_to_nobody_is_added(
    make: Make, who: str, runs_between: int
) -> None:
    scene = make("")
    service = service_of(scene)
    service.left(who)
    for _ in range(runs_between):
        run(scene)
    service.changed("moved@example.org", "A", "B", who)
    for _ in range(runs_between):
        run(scene)

    scene.planfix.add(name="Somebody", email="moved@example.org", id=103)

    assert applied(run(scene)) == {}


# Who is back.


@pytest.mark.parametrize("runs_between", [0, 1])
def test_who_subscribes_again_is_latched_no_longer(make: Make, runs_between: int) -> None:
    scene = make(BOTH)
    service = service_of(scene)
    service.left(ANNA)
    for _ in range(runs_between):
        run(scene)

    service.joined(ANNA, "Anna", "Orlova")
    run(scene)
    scene.planfix.edit(101, last_name="Petrova")
    done = run(scene)

    assert latched(scene) == 0
    assert applied(done) == {"update": 1}


@pytest.mark.parametrize("runs_between", [0, 1])
def test_a_change_of_somebody_who_left_brings_nobody_back(make: Make, runs_between: int) -> None:
    scene = make(BOTH)
    service = service_of(scene)
    service.left(ANNA)
    for _ in range(runs_between):
        run(scene)

    service.changed(ANNA, "Anna", "Petrova")
    service.changed("anna@example.org", "Anna", "Petrova", ANNA)
    run(scene)
    scene.planfix.edit(101, last_name="Lund")

    assert applied(run(scene)) == {}
    assert latched(scene) > 0
    assert scene.planfix.contacts[101].email == ANNA


def test_our_own_add_told_back_late_is_no_return(make: Make) -> None:
    scene = make(BOTH)
    service = service_of(scene)
    service.left(ANNA)
    service.joined(ANNA, "Anna", "Orlova", after=timedelta(minutes=4))

    assert applied(run(scene)) == {}
    assert latched(scene) == 1


@pytest.mark.parametrize("reachable", [True, False])
@pytest.mark.parametrize("told", ["before", "after"])
def test_a_subscription_does_not_outdo_an_operators_word(
    make: Make, told: str, *, reachable: bool
) -> None:
    """A service may tell of our own add minutes later, as of anybody's."""
    scene = make(BOTH)
    service = service_of(scene)
    if told == "before":
        service.joined(ANNA, "Anna", "Orlova")
    if not reachable:
        scene.service.fail(Fault.UNAVAILABLE, times=None)
    scene.unsubscribe(ANNA)
    scene.service.recover()
    if told == "after":
        service.joined(ANNA, "Anna", "Orlova", after=timedelta(minutes=4))

    run(scene)
    scene.planfix.edit(101, last_name="Petrova")
    done = run(scene)

    assert (applied(done), latched(scene)) == ({}, 1)
    assert ANNA not in scene.members()


@pytest.mark.parametrize("by", [ANNA, "anna@example.org"])
def test_an_operators_word_reaches_who_was_told_to_have_moved(make: Make, by: str) -> None:
    scene = make(BOTH)
    moved = "anna@example.org"
    members = scene.service.lists[service_of(scene).list_id].members
    members[AddressKey(moved)] = replace(members.pop(AddressKey(ANNA)), email=moved)
    service_of(scene).changed(moved, "Anna", "Orlova", ANNA)

    scene.unsubscribe(by)
    run(scene)
    scene.planfix.edit(101, last_name="Petrova")
    done = run(scene)

    assert applied(done) == {}
    assert scene.members().keys() == {BEN}
    assert latched(scene) > 0


def test_a_subscription_does_not_outdo_who_left_another_list_after_it(
    make_scene: Callable[..., Scene], planfix: SimulatedPlanfix
) -> None:
    account = '[links.consent]\nscope = "account"\n'
    scene = make_scene(
        links=[link("customers", more=account), link("partners", more=account)],
        more="[receiver]\n",
    )
    planfix.add(name="Anna", email=ANNA)
    scene.run()
    customers, partners = (Service(scene, str(number)) for number in scene.service.lists)

    customers.left(ANNA)
    scene.run()
    customers.joined(ANNA, after=LATER)
    partners.left(ANNA, after=2 * LATER)

    scene.run()

    assert latched(scene) == 1
    with scene.world() as world:
        number = world.store.links.number("customers")
        assert number is not None
        found = world.store.pairs.of_key(number, Person.of(ANNA, "", "").key)
    assert found is not None
    assert found[1].status is MemberStatus.UNSUBSCRIBED


def test_many_who_are_back_at_once_wait_for_a_person(make: Make) -> None:
    scene = make(BOTH)
    people = [f"p{number}@example.com" for number in range(5)]
    for number, address in enumerate(people):
        scene.planfix.add(name="P", email=address, id=200 + number)
    run(scene)
    service = service_of(scene)
    for address in people:
        service.left(address)
    run(scene)
    for address in people:
        service.joined(address, "P")

    first = scene.run()
    second = scene.run()
    scene.approve(first.run)
    third = scene.run()

    assert [report.exit_code for report in (first, second, third)] == [4, 4, 0]
    assert latched(scene) == 0
    assert quiet(scene)


# Who changes something.


def test_a_name_reaches_planfix_and_is_settled(make: Make) -> None:
    scene = make(BOTH)

    service_of(scene).changed(ANNA, "Anna", "Petrova")

    assert applied(run(scene)) == {"planfix_update": 1}
    assert scene.planfix.contacts[101].last_name == "Petrova"
    assert quiet(scene)


def test_an_address_reaches_planfix(make: Make) -> None:
    scene = make(BOTH)

    service_of(scene).changed("anna@example.org", "Anna", "Orlova", ANNA)

    assert applied(run(scene)) == {"planfix_update": 1}
    assert scene.planfix.contacts[101].email == "anna@example.org"
    assert quiet(scene)


def test_one_who_moved_twice_is_followed(make: Make) -> None:
    scene = make(BOTH)
    service = service_of(scene)
    service.changed("anna@example.org", "Anna", "Orlova", ANNA)
    service.changed("a.orlova@example.org", "Anna", "Orlova", "anna@example.org")

    run(scene)

    assert scene.planfix.contacts[101].email == "a.orlova@example.org"


def test_two_members_who_exchange_their_addresses_leave_nobody_latched(make: Make) -> None:
    scene = make(BOTH)
    service = service_of(scene)
    service.changed("free@example.com", "Anna", "Orlova", ANNA)
    service.changed(ANNA, "Ben", "Ozols", BEN)
    service.changed(BEN, "Anna", "Orlova", "free@example.com")

    done = run(scene)

    assert done.held == 2  # Planfix takes no address that another contact has
    assert latched(scene) == 0
    assert scene.members().keys() == {ANNA, BEN}


def test_with_to_list_planfixs_value_is_put_back_once(make: Make) -> None:
    scene = make("")
    service_of(scene).changed(ANNA, "Anna", "Petrova")

    assert applied(run(scene)) == {"update": 1}
    assert scene.planfix.contacts[101].last_name == "Orlova"
    assert quiet(scene)


def test_what_we_wrote_told_back_is_no_news(make: Make) -> None:
    scene = make(BOTH)
    scene.planfix.edit(101, email="anna@example.org", last_name="Petrova")
    assert applied(run(scene)) == {"rename": 1}
    service = service_of(scene)

    service.changed("anna@example.org", "Anna", "Petrova", ANNA)
    service.joined(BEN, "Ben", "Ozols")

    assert quiet(scene)


def test_a_run_that_fails_loses_no_report(make: Make) -> None:
    scene = make("")
    service_of(scene).changed(ANNA, "Anna", "Petrova")
    scene.service.fail(Fault.ERROR, times=None)
    run(scene, exit_code=69)
    scene.service.recover()

    assert applied(run(scene)) == {"update": 1}
    assert quiet(scene)


def test_a_dry_run_settles_no_report(make: Make) -> None:
    scene = make(BOTH)
    service_of(scene).changed(ANNA, "Anna", "Petrova")

    shown = scene.link_of(scene.run(dry_run=True))

    assert planned(shown) == {"planfix_update": 1}
    assert applied(run(scene)) == {"planfix_update": 1}


def test_what_is_told_while_a_run_works_is_for_the_next(make: Make) -> None:
    scene = make(BOTH)
    service = service_of(scene)
    service.changed(ANNA, "Anna", "Petrova")

    def told_before_the_write() -> bool:
        if planning_is_over(scene):
            service.changed(ANNA, "Anna", "Lund")
        return False

    first = scene.link_of(scene.run(stop=told_before_the_write))
    second = run(scene)

    assert (applied(first), applied(second)) == ({"planfix_update": 1}, {"planfix_update": 1})
    assert scene.planfix.contacts[101].last_name == "Lund"
    assert quiet(scene)


# Who is new.


def test_a_new_subscriber_becomes_a_contact(make: Make) -> None:
    scene = make(CREATE)
    service_of(scene).joined("cleo@example.com", "Cleo", "Berg")

    assert applied(run(scene)) == {"planfix_create": 1}
    [cleo] = [each for each in scene.planfix.contacts.values() if each.email == "cleo@example.com"]
    assert (cleo.name, cleo.last_name) == ("Cleo", "Berg")
    run(scene)
    assert quiet(scene)
    assert len(scene.planfix.contacts) == 3


def test_a_new_subscriber_is_none_of_our_business_unless_asked(make: Make) -> None:
    scene = make(BOTH)
    service_of(scene).joined("cleo@example.com", "Cleo", "Berg")

    assert quiet(scene)
    assert len(scene.planfix.contacts) == 2


# Whose list.


def test_a_list_that_no_link_feeds_is_unknown(make: Make) -> None:
    scene = make(BOTH)
    service = Service(scene, "999")

    assert service.tell(Change.DELETE, ANNA) == UNKNOWN_LIST


def test_a_list_of_another_service_is_unknown(make: Make) -> None:
    scene = make(BOTH)
    service = service_of(scene)
    service.backend = "own"

    assert service.tell(Change.DELETE, ANNA) == UNKNOWN_LIST
    assert latched(scene) == 0


def test_a_link_that_never_ran_is_known_by_its_list_id(
    make_scene: Callable[..., Scene], planfix: SimulatedPlanfix
) -> None:
    by_id = 'name = "customers"\nselection = "contact"\nbackend = "news"\nlist_id = "lst-7"\n'
    scene = make_scene(links=[by_id])
    planfix.add(name="Anna", email=ANNA)

    Service(scene, "lst-7").left(ANNA)
    [done] = scene.run(dry_run=True).links

    assert (planned(done), done.suppressed) == ({}, 1)


def test_a_member_of_a_pushed_list_who_leaves_stays_out(make_scene: Callable[..., Scene]) -> None:
    scene = make_scene(links=())
    planfix = Pushes(scene)
    list_id = planfix.create("News")
    planfix.bring(list_id, {101: ANNA, 102: BEN})
    scene.run()
    service_of(scene).left(ANNA)

    planfix.delete(list_id, 101, ANNA)
    planfix.add(list_id, 101, ANNA)
    [done] = scene.run().links

    assert applied(done) == {}
    assert latched(scene, "News") == 1


def test_what_was_told_of_a_pair_outlasts_a_first_run_that_broke_off(
    make_scene: Callable[..., Scene], planfix: SimulatedPlanfix
) -> None:
    scene = make_scene(links=[link("customers", more=BOTH)], more="[receiver]\n")
    planfix.add(name="Anna", last_name="Orlova", email=ANNA, id=101)
    planfix.add(name="Ben", last_name="Ozols", email=BEN, id=102)
    scene.service.fail(Fault.ERROR, times=None, after=2)  # the list, and one of two
    run(scene, 69)
    scene.service.recover()
    [on_it] = scene.members()
    contact = {ANNA: 101, BEN: 102}[on_it]
    service_of(scene).changed("moved@example.com", *scene.members()[on_it], old=on_it)

    first, second = run(scene), run(scene)

    assert planned(first) == {}  # the other one was on the way, and came through
    assert planned(second) == {"planfix_update": 1}
    assert planfix.contacts[ContactId(contact)].email == "moved@example.com"
    assert quiet(scene)
