"""Moved addresses: named cases first; test_properties.py plays the rest."""

import pytest

from syncd.core.link import Conflict, Direction
from syncd.core.pairs import Row, Standing
from syncd.core.people import ContactId
from syncd.core.plan import End, Held, Loses, Op, Operation, Repoint, Suppressed
from syncd.engine.merge import Policy
from syncd.engine.reconcile import reconcile
from tests.engine.told import told
from tests.engine.world import NO_LATCHES, World, acts, held, latches, person, row, seen

A, B, C, D = (f"{name}@example.com" for name in "abcd")
NEW = "new@example.com"


def ops(steps: object) -> list[tuple[str, int, str]]:
    """Return the operations of a run: kind, contact, address."""
    assert isinstance(steps, list)
    return [(s.op.value, s.contact, s.person.key) for s in steps if isinstance(s, Operation)]


def owners(world: World) -> dict[str, int]:
    return dict(world.owners())


def test_a_chain_runs_from_its_free_end() -> None:
    world = World.of(c1=A, c2=B, c3=C)
    world.move(c1=B, c2=C, c3=NEW)

    steps = world.run()

    assert ops(steps) == [("rename", 3, NEW), ("rename", 2, C), ("rename", 1, B)]
    assert [s.after for s in steps if isinstance(s, Operation)] == [None, 3, 2]


def test_a_newcomer_may_take_what_a_chain_leaves() -> None:
    world = World.of(c1=A, c2=B)
    world.move(c1=B, c2=NEW, c9=A)

    steps = world.run()

    assert ops(steps) == [("rename", 2, NEW), ("rename", 1, B), ("add", 9, A)]
    assert owners(world) == {A: 9, B: 1, NEW: 2}


def test_two_who_swapped_addresses_are_no_rename() -> None:
    world = World.of(c1=A, c2=B)
    world.people |= {1: person(B, "Anna"), 2: person(A, "Ben")}

    steps = world.run()

    assert [(s.member, s.old, s.new, s.swap) for s in steps if isinstance(s, Repoint)] == [
        (B, 2, 1, True),
        (A, 1, 2, True),
    ]
    assert ops(steps) == [("update", 1, B), ("update", 2, A)]
    assert {s.loses for s in steps if isinstance(s, Operation)} == {Loses.OLD_ADDRESS}
    assert owners(world) == {A: 2, B: 1}
    assert acts(world.run()) == []


def test_a_swap_of_namesakes_writes_nothing() -> None:
    world = World.of(c1=A, c2=B)
    world.move(c1=B, c2=A)

    steps = world.run()

    assert ops(steps) == []
    assert owners(world) == {A: 2, B: 1}


def test_a_ring_of_three_is_re_pointed() -> None:
    world = World.of(c1=A, c2=B, c3=C)
    world.move(c1=B, c2=C, c3=A)

    steps = world.run()

    assert ops(steps) == []
    assert owners(world) == {A: 3, B: 1, C: 2}


def test_who_wants_into_a_ring_becomes_a_shadow() -> None:
    world = World.of(c1=A, c2=B, c3=C)
    world.move(c1=B, c2=A, c3=A)

    steps = world.run()

    assert ops(steps) == [("remove", 3, C)]
    assert owners(world) == {A: 2, B: 1}


def test_of_two_who_move_to_one_address_the_lower_id_has_it() -> None:
    world = World.of(c1=A, c2=B)
    world.move(c1=NEW, c2=NEW)

    steps = world.run()

    assert sorted(ops(steps)) == [("remove", 2, B), ("rename", 1, NEW)]
    assert owners(world) == {NEW: 1}


def test_who_has_a_member_goes_before_a_newcomer() -> None:
    world = World.of(c5=A)
    world.move(c1=NEW, c5=NEW)

    steps = world.run()

    assert ops(steps) == [("rename", 5, NEW)]


def test_of_two_newcomers_with_one_address_the_lower_id_is_added() -> None:
    world = World.of(c7=A, c4=A)

    assert owners(world) == {A: 4}


def test_a_mover_to_an_address_another_keeps_becomes_its_shadow() -> None:
    world = World.of(c1=A, c2=B)
    world.move(c1=B)

    [step] = world.run()

    assert isinstance(step, Operation)
    assert (step.op, step.person.key, step.loses) == (Op.REMOVE, A, Loses.OLD_ADDRESS)
    assert world.run() == []


def test_what_a_new_shadow_had_goes_to_a_newcomer_with_that_address() -> None:
    world = World.of(c1=A, c2=B)
    world.move(c1=B, c3=A)

    steps = world.run()

    assert ops(steps) == []
    assert owners(world) == {A: 3, B: 2}


@pytest.mark.parametrize("standing", [Standing.LEFT, Standing.DELETED])
def test_a_shadow_takes_over_when_the_owner_goes(standing: Standing) -> None:
    world = World.of(c1=A)
    world.people[2] = person(A, "Ben")
    assert acts(world.run()) == []
    world.lose(1, standing)

    steps = world.run()

    assert ops(steps) == [("update", 2, A)]
    assert owners(world) == {A: 2}


def test_a_contact_made_anew_keeps_its_member() -> None:
    world = World.of(c1=A)
    world.lose(1, Standing.DELETED)
    world.move(c8=A)

    steps = world.run()

    assert steps == [
        Repoint(person(A).key, ContactId(1), ContactId(8), "took over the address from another"
                " contact")
    ]  # fmt: skip


def test_a_shadow_takes_over_when_the_owner_moves() -> None:
    world = World.of(c1=A, c2=A)
    world.move(c1=NEW)

    assert ops(world.run()) == [("rename", 1, NEW), ("add", 2, A)]


def test_a_shadow_takes_over_when_the_owner_loses_its_address() -> None:
    world = World.of(c1=A, c2=A)
    world.move(c1="")

    assert ops(world.run()) == []
    assert owners(world) == {A: 2}


def test_a_mover_takes_the_address_of_an_owner_who_left() -> None:
    world = World.of(c1=A, c2=B)
    world.lose(2)
    world.move(c1=B)

    assert ops(world.run()) == [("remove", 2, B), ("rename", 1, B)]


def test_while_an_owner_is_unusable_whoever_wants_its_address_waits() -> None:
    world = World.of(c1=A, c2=B)
    world.move(c1=B, c2="nobody knows", c3=A)

    steps = world.run()

    assert acts(steps) == []
    assert held(steps) == {1, 2, 3}


def test_while_a_person_must_choose_for_a_mover_whoever_wants_its_address_waits() -> None:
    policy = Policy(direction=Direction.BOTH, conflict=Conflict.HOLD)
    called = seen(1, person(A, "Anne"))
    mover = row(1, person(NEW, "Hanna"), person(A, "Anna"), sighting=called)

    steps = list(
        reconcile([mover, row(2, A, B, holder=1), row(3, A, holder=1)], NO_LATCHES, policy)
    )

    assert acts(steps) == []
    assert held(steps) == {1, 2}
    assert Held(ContactId(1), "both sides changed the first name") in steps


def test_who_moves_to_the_address_of_one_for_whom_a_person_must_choose_is_a_shadow() -> None:
    policy = Policy(direction=Direction.BOTH, conflict=Conflict.HOLD)
    called = seen(1, person(A, "Anne"))
    stays = row(1, person(A, "Hanna"), person(A, "Anna"), sighting=called)

    assert (
        told(reconcile([stays, row(2, A, B, holder=1)], NO_LATCHES, policy)) == "hold; remove com"
    )


def test_an_absence_that_proves_nothing_frees_no_address() -> None:
    world = World.of(c1=A, c2=B)
    world.lose(1, Standing.MISSING)
    world.move(c2=A, c3=A)

    steps = world.run()

    assert acts(steps) == []
    assert held(steps) == {1, 2}


def test_an_owner_nobody_asked_about_hands_nothing_over() -> None:
    world = World.of(c1=A)
    world.lose(1, Standing.UNASKED)
    world.move(c2=A)

    steps = world.run()

    assert acts(steps) == []
    assert held(steps) == {1, 2}


def test_who_moves_behind_an_owner_nobody_asked_about_waits_for_the_removal() -> None:
    world = World.of(c1=A, c2=B)
    world.lose(1, Standing.UNASKED)
    world.move(c2=A)

    first, second = world.run()

    assert isinstance(first, Operation)
    assert isinstance(second, Operation)
    assert (first.op, first.loses) == (Op.REMOVE, Loses.UNASKED)
    assert (second.op, second.after) == (Op.RENAME, 1)


UNCERTIFIED = Policy(certified=False)


@pytest.mark.parametrize(
    "rows",
    [
        [row(1, "", A)],  # emptied
        [row(1, NEW, A, holder=2)],  # behind one who keeps that address
        [row(1, NEW, A)._replace(taken=True)],  # to a member whose contact nobody knows
    ],
    ids=["emptied", "shadow", "there already"],
)
def test_nobody_is_removed_by_a_reading_that_is_not_certified(rows: list[Row]) -> None:
    assert told(reconcile(rows, NO_LATCHES)).startswith("remove")
    assert told(reconcile(rows, NO_LATCHES, UNCERTIFIED)) == "hold"


def test_who_wants_an_address_that_is_not_given_up_yet_waits() -> None:
    rows = [row(1, "", A), row(2, A, B, holder=1)]

    assert told(reconcile(rows, NO_LATCHES)) == "remove com; rename com→com"
    assert told(reconcile(rows, NO_LATCHES, UNCERTIFIED)) == "hold; hold"


def test_a_reading_that_is_not_certified_shows_well_enough_who_took_over() -> None:
    rows = [row(1, "", A), row(2, A, holder=1)]

    assert told(reconcile(rows, NO_LATCHES, UNCERTIFIED)) == "repoint 1→2"


@pytest.mark.parametrize("latched", [1, 2, 3])
def test_one_latch_anywhere_holds_a_whole_chain(latched: int) -> None:
    rows = [
        row(1, B, A, holder=2, contested=True),
        row(2, C, B, holder=3, contested=True),
        row(3, NEW, C),
    ]

    steps = list(reconcile(rows, latches(contacts=[latched])))

    assert held(steps) == {1, 2, 3}
    assert acts(steps) == []


@pytest.mark.parametrize("latched", [A, B])
def test_one_latch_holds_a_whole_ring(latched: str) -> None:
    world = World.of(c1=A, c2=B, c3=C)
    world.latches = latches(addresses=[latched])
    world.move(c1=B, c2=A, c3=D)

    steps = world.run()

    assert ops(steps) == [("rename", 3, D)]
    assert held(steps) == {1, 2}


def test_who_unsubscribed_and_moved_alone_is_suppressed() -> None:
    world = World.of(c1=A)
    world.latches = latches(contacts=[1])
    world.move(c1=NEW)

    assert world.run() == [Suppressed(ContactId(1))]


def test_rivals_of_a_latched_mover_wait_too() -> None:
    rows = [row(1, NEW, A, contested=True), row(2, NEW, B, contested=True)]

    steps = list(reconcile(rows, latches(contacts=[1])))

    assert held(steps) == {1, 2}


def test_a_member_that_bounced_stays_where_its_contact_moved_away() -> None:
    world = World.of(c1=A)
    world.block(A)
    world.move(c1=NEW)

    steps = world.run()

    assert ops(steps) == [("add", 1, NEW)]
    assert owners(world) == {A: 0, NEW: 1}
    assert world.run() == []


def test_a_swap_with_a_bounced_address_names_only_the_living() -> None:
    world = World.of(c1=A, c2=B)
    world.block(A)
    world.people |= {1: person(B, "Anna"), 2: person(A, "Ben")}

    assert ops(world.run()) == [("update", 1, B)]
    assert owners(world) == {A: 2, B: 1}
    assert acts(world.run()) == []


def test_a_bounced_mover_to_an_address_another_keeps_changes_nothing() -> None:
    world = World.of(c1=A, c2=B)
    world.block(A)
    world.move(c1=B)

    assert world.run() == []


def test_who_leaves_after_bouncing_hands_the_member_over_unwritten() -> None:
    world = World.of(c1=A)
    world.block(A)
    world.lose(1)
    world.people[2] = person(A, "Ben")

    steps = world.run()

    assert ops(steps) == []
    assert owners(world) == {A: 2}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("anna@example.com", "Anna@Example.COM"),
        ("anna@xn--bcher-kva.example.com", "anna@bücher.example.com"),
    ],
)
def test_another_spelling_alone_is_an_update(before: str, after: str) -> None:
    world = World.of(c1=before)
    world.move(c1=after)

    [step] = world.run()

    assert isinstance(step, Operation)
    assert (step.op, step.person.address, step.loses) == (Op.UPDATE, after, Loses.NOTHING)


def test_the_pair_of_a_latched_contact_ends_with_it() -> None:
    world = World.of(c1=A)
    world.latches = latches(contacts=[1], addresses=[A])
    world.lose(1)

    assert world.run() == [End(ContactId(1), "unsubscribed, and left the selection in Planfix")]


def test_a_slipped_column_of_5000_is_no_recursion() -> None:
    count = 5000
    addresses = [f"p{number}@example.com" for number in range(count + 1)]
    rows = [
        row(number, addresses[number], addresses[number - 1], holder=number + 1, contested=True)
        for number in range(1, count)
    ]
    rows.append(row(count, addresses[count], addresses[count - 1]))

    steps = list(reconcile(rows, latches()))

    assert [s.contact for s in steps if isinstance(s, Operation)] == list(range(count, 0, -1))
    assert not [s for s in steps if isinstance(s, Held)]


def test_a_ring_of_5000_is_no_recursion() -> None:
    count = 5000
    rows = [
        row(n, f"p{(n + 1) % count}@example.com", f"p{n}@example.com", holder=(n + 1) % count)
        for n in range(count)
    ]

    steps = list(reconcile(rows, latches()))

    assert len([s for s in steps if isinstance(s, Repoint)]) == count == len(steps)
