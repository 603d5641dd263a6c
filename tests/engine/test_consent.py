"""Who is under a latch, and how latches travel on."""

import pytest

from syncd.core.pairs import NewLatch, Standing
from syncd.core.people import MemberStatus
from syncd.core.plan import End, Loses, Op, Operation, Suppressed
from syncd.engine.consent import spread, still_on
from syncd.engine.reconcile import steps
from tests.engine.world import NO_LATCHES, World, acts, latches, person, row

A, B, C, NEW = (f"{name}@example.com" for name in ("a", "b", "c", "new"))


def found(new: list[NewLatch]) -> tuple[set[int], set[str]]:
    return {n.contact for n in new if n.contact}, {n.key for n in new if n.key}


def test_a_latch_holds_by_contact_by_address_and_by_the_members_address() -> None:
    pair = row(1, NEW, A)

    assert latches(contacts=[1]).hold(pair)
    assert latches(addresses=[NEW]).hold(pair)
    assert latches(addresses=[A]).hold(pair)
    assert not latches(contacts=[2], addresses=[B]).hold(pair)
    assert not NO_LATCHES.hold(pair)


def test_an_address_is_held_in_every_spelling_and_the_empty_one_never() -> None:
    held = latches(addresses=["Anna@Example.com"])

    assert held.holds_key(person("anna@example.COM").key)
    assert not held.holds_key(person("").key)


def test_without_a_latch_nothing_spreads() -> None:
    assert list(spread([row(1, A)], NO_LATCHES)) == []


def test_a_contact_met_at_a_latched_address_is_latched() -> None:
    assert found(list(spread([row(5, A)], latches(addresses=[A])))) == ({5}, set())


def test_the_new_address_of_a_latched_contact_is_latched_and_so_is_the_old() -> None:
    assert found(list(spread([row(1, NEW, A)], latches(contacts=[1])))) == (set(), {A, NEW})


def test_a_second_pass_finds_nothing_new() -> None:
    assert list(spread([row(1, NEW, A)], latches(contacts=[1], addresses=[A, NEW]))) == []


def test_what_is_no_address_passes_no_latch_on() -> None:
    """An operator wrote "none" over the address of one who left: others have that, too."""
    rows = [row(1, "none", A), row(2, "none", B)]

    assert found(list(spread(rows, latches(contacts=[1])))) == (set(), {A})


def test_a_latch_travels_back_along_movers_that_came_before() -> None:
    rows = [row(1, NEW, C), row(2, C, B), row(3, B, A)]

    assert found(list(spread(rows, latches(contacts=[3])))) == ({1, 2}, {A, B, C, NEW})


def test_a_missing_contact_passes_its_latch_to_its_members_address() -> None:
    gone = row(1, A, A, standing=Standing.MISSING)

    assert found(list(spread([gone], latches(contacts=[1])))) == (set(), {A})


def test_the_next_address_of_whoever_was_met_at_a_latched_one_stays_out() -> None:
    world = World.of(c1=A)
    world.latches = latches(contacts=[1], addresses=[A])
    world.move(c2=A)
    world.run()

    world.move(c2=NEW)

    assert world.run() == [Suppressed(2)]  # type: ignore[arg-type]  # a bare number will do


def test_an_edit_in_planfix_does_not_lift_a_latch() -> None:
    world = World.of(c1=A)
    world.latches = latches(contacts=[1], addresses=[A])
    for address in (NEW, "", B, A):
        world.move(c1=address)
        world.run()

    assert set(world.members) == {A}


def test_a_latched_contact_who_went_takes_the_member_along() -> None:
    held = latches(contacts=[1])

    for standing in (Standing.LEFT, Standing.DELETED):
        leave = still_on(row(1, A, A, standing=standing), held)
        assert leave is not None
        assert (leave.op, leave.person.key, leave.loses) == (Op.UNSUBSCRIBE, A, Loses.NOTHING)
    assert still_on(row(1, "", A), held) is not None


def test_a_latched_contact_who_moved_alone_takes_the_member_along() -> None:
    leave = still_on(row(1, NEW, A), latches(addresses=[NEW]))

    assert leave is not None
    assert (leave.op, leave.person.key, leave.loses) == (Op.UNSUBSCRIBE, A, Loses.OLD_ADDRESS)


def test_the_member_of_a_latched_contact_waits_where_others_have_the_address_too() -> None:
    held = latches(addresses=[NEW])

    assert still_on(row(1, NEW, A, holder=2), held) is None
    assert still_on(row(1, NEW, A, contested=True), held) is None


def test_who_moved_to_the_address_of_one_who_left_and_is_deleted_is_alone_there() -> None:
    """They swapped; in the same run the pair of the deleted one ends."""
    rows = [
        row(1, B, A, standing=Standing.DELETED, status=MemberStatus.UNSUBSCRIBED),
        row(2, A, B, holder=1),
    ]

    found = acts(steps(rows, latches(contacts=[1, 2], addresses=[A, B])))

    ended, leave = found
    assert isinstance(ended, End)
    assert isinstance(leave, Operation)
    assert (ended.contact, leave.contact) == (1, 2)
    assert (leave.op, leave.person.key) == (Op.UNSUBSCRIBE, B)


def test_who_moved_to_the_address_of_one_who_left_and_moved_on_waits() -> None:
    """They exchange addresses: both are told apart by a person alone."""
    rows = [row(1, C, A, status=MemberStatus.UNSUBSCRIBED), row(2, A, B, holder=1)]

    assert acts(steps(rows, latches(contacts=[1, 2], addresses=[A, B, C]))) == []


@pytest.mark.parametrize("now", ["", "no address"])
def test_who_moved_to_the_address_that_one_who_left_gave_up_is_alone_there(now: str) -> None:
    rows = [row(1, now, A, status=MemberStatus.UNSUBSCRIBED), row(2, A, B, holder=1)]

    found = acts(steps(rows, latches(contacts=[1, 2], addresses=[A, B])))

    assert [step.op for step in found if isinstance(step, Operation)] == [Op.UNSUBSCRIBE]
    assert found[0] == still_on(row(2, A, B), latches(addresses=[A]))


def test_nobody_leaves_who_is_missing_unlatched_or_off_the_list_already() -> None:
    held = latches(contacts=[1])

    for standing in (Standing.MISSING, Standing.UNASKED):
        assert still_on(row(1, A, A, standing=standing), held) is None
    assert still_on(row(1, A, A), held) is None
    assert still_on(row(1, A), held) is None
    assert still_on(row(1, NEW, A), NO_LATCHES) is None
    assert still_on(row(1, NEW, A, status=MemberStatus.UNSUBSCRIBED), held) is None
