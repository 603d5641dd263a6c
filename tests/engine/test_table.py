"""The decision table of docs/decisions.md, cell by cell."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Final

import pytest

from syncd.core.link import Conflict, Direction
from syncd.core.pairs import Row, Sighting, Standing
from syncd.core.people import ContactId, MemberStatus, Names, Person
from syncd.core.plan import Loses, Op, Operation, Suppressed
from syncd.engine.consent import Latches
from syncd.engine.diff import ContactChange, MemberChange
from syncd.engine.merge import Policy
from syncd.engine.reconcile import reconcile, strangers
from syncd.engine.table import TABLE
from tests.engine.told import told
from tests.engine.world import NO_LATCHES, latches, person, row, seen

PAGE: Final = Path(__file__).parents[2] / "docs" / "decisions.md"
ANNA: Final = person("anna@example.com", "Anna", "Orlova")
MOVED: Final = person("anna@example.org", "Anna", "Orlova")
CONTACT: Final = ContactId(7)


def cells() -> dict[tuple[str, str], str]:
    """Return the table as the page has it: row and column → cell."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("| contact \\ member |"))
    head = _split(lines[start])[1:]
    found: dict[tuple[str, str], str] = {}
    for line in lines[start + 2 :]:
        if not line:
            break
        name, *rest = _split(line)
        found |= {(name, column): cell for column, cell in zip(head, rest, strict=True)}
    return found


def _split(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


NOW: Final = {
    ContactChange.CHANGED: person(ANNA.address, "Anna", "Petrova"),
    ContactChange.MOVED: MOVED,
    ContactChange.EMPTIED: person("", "Anna", "Orlova"),
    ContactChange.UNUSABLE: person("anna at home", "Anna", "Orlova"),
}
STANDING: Final = {
    ContactChange.LEFT: Standing.LEFT,
    ContactChange.DELETED: Standing.DELETED,
    ContactChange.MISSING: Standing.MISSING,
}
SIGHTED: Final = {
    MemberChange.CHANGED: seen(7, person(ANNA.address, "Anya", "Orlova")),
    MemberChange.MOVED: seen(7, person("anna@example.net", "Anna", "Orlova")),
    MemberChange.VANISHED: Sighting(ANNA.key, CONTACT, None),
}
STATUS: Final = {
    MemberChange.UNSUBSCRIBED: MemberStatus.UNSUBSCRIBED,
    MemberChange.BLOCKED: MemberStatus.BLOCKED,
}


def pair_that(change: ContactChange, member: MemberChange) -> Row:
    """Make a pair of which both halves did what a row and a column say."""
    return row(
        CONTACT,
        NOW.get(change, ANNA),
        ANNA,
        standing=STANDING.get(change, Standing.PRESENT),
        status=STATUS.get(member, MemberStatus.ACTIVE),
        sighting=SIGHTED.get(member),
    )


# What becomes of anna@example.com, Anna Orlova, in each cell: the contact's last name changed to
# Petrova or its address to .org, the member's first name to Anya or its address to .net; who
# vanished, and nobody latched them, waits for a person's word ("ask").
# fmt: off
OUTCOMES: Final = """
contact               | member       | to-list                    | both                                             | to-planfix
same                  | same         | nothing                    | nothing                                          | nothing
same                  | changed      | update com Anna Orlova     | →P com Anya Orlova                               | →P com Anya Orlova
same                  | moved        | rename net→com Anna Orlova | →P net Anna Orlova                               | →P net Anna Orlova
same                  | unsubscribed | suppressed                 | suppressed                                       | suppressed
same                  | vanished     | ask: vanished              | ask: vanished                                    | ask: vanished
same                  | blocked      | nothing                    | nothing                                          | nothing
changed               | same         | update com Anna Petrova    | update com Anna Petrova                          | nothing
changed               | changed      | update com Anna Petrova    | update com Anya Petrova; →P com Anya Petrova     | →P com Anya Petrova
changed               | moved        | rename net→com Anna Petrova | update net Anna Petrova; →P net Anna Petrova    | →P net Anna Petrova
changed               | unsubscribed | suppressed                 | suppressed                                       | suppressed
changed               | vanished     | ask: vanished              | ask: vanished                                    | ask: vanished
changed               | blocked      | nothing                    | nothing                                          | nothing
moved                 | same         | rename com→org Anna Orlova | rename com→org Anna Orlova                       | nothing
moved                 | changed      | rename com→org Anna Orlova | →P org Anya Orlova; rename com→org Anya Orlova   | →P org Anya Orlova
moved                 | moved        | rename net→org Anna Orlova | rename net→org Anna Orlova                       | nothing
moved                 | unsubscribed | suppressed                 | suppressed                                       | suppressed
moved                 | vanished     | ask: vanished              | ask: vanished                                    | ask: vanished
moved                 | blocked      | add org Anna Orlova        | add org Anna Orlova                              | nothing
emptied               | same         | remove com                 | remove com                                       | hold
emptied               | changed      | remove com                 | remove com                                       | hold
emptied               | moved        | remove net                 | →P net Anna Orlova                               | →P net Anna Orlova
emptied               | unsubscribed | suppressed                 | suppressed                                       | suppressed
emptied               | vanished     | ask: vanished              | ask: vanished                                    | ask: vanished
emptied               | blocked      | remove com                 | remove com                                       | hold
unusable address      | same         | hold                       | hold                                             | hold
unusable address      | changed      | hold                       | hold                                             | hold
unusable address      | moved        | hold                       | →P net Anna Orlova                               | →P net Anna Orlova
unusable address      | unsubscribed | suppressed                 | suppressed                                       | suppressed
unusable address      | vanished     | ask: vanished              | ask: vanished                                    | ask: vanished
unusable address      | blocked      | hold                       | hold                                             | hold
left the selection    | same         | remove com                 | remove com                                       | hold
left the selection    | changed      | remove com                 | remove com                                       | hold
left the selection    | moved        | remove net                 | remove net                                       | hold
left the selection    | unsubscribed | end                        | end                                              | end
left the selection    | vanished     | ask: vanished              | ask: vanished                                    | ask: vanished
left the selection    | blocked      | remove com                 | remove com                                       | hold
deleted in Planfix    | same         | remove com                 | remove com                                       | hold
deleted in Planfix    | changed      | remove com                 | remove com                                       | hold
deleted in Planfix    | moved        | remove net                 | remove net                                       | hold
deleted in Planfix    | unsubscribed | end                        | end                                              | end
deleted in Planfix    | vanished     | ask: vanished              | ask: vanished                                    | ask: vanished
deleted in Planfix    | blocked      | remove com                 | remove com                                       | hold
not read, unconfirmed | same         | hold                       | hold                                             | hold
not read, unconfirmed | changed      | hold                       | hold                                             | hold
not read, unconfirmed | moved        | hold                       | hold                                             | hold
not read, unconfirmed | unsubscribed | suppressed                 | suppressed                                       | suppressed
not read, unconfirmed | vanished     | ask: vanished              | ask: vanished                                    | ask: vanished
not read, unconfirmed | blocked      | hold                       | hold                                             | hold
"""  # noqa: E501  (a table is read across)
# fmt: on


def outcomes() -> Iterator[tuple[ContactChange, MemberChange, Direction, str]]:
    """Yield row, column, direction and outcome of each cell."""
    head, *lines = OUTCOMES.strip().splitlines()
    directions = [Direction(name) for name in _split(head)[2:]]
    for line in lines:
        change, member, *cells_here = _split(line)
        for direction, cell in zip(directions, cells_here, strict=True):
            yield ContactChange(change), MemberChange(member), direction, cell


@pytest.mark.parametrize(
    ("change", "member", "direction", "outcome"),
    [pytest.param(*case, id="-".join(case[:3])) for case in outcomes()],
)
def test_the_cell_says_what_becomes_of_the_pair(
    change: ContactChange, member: MemberChange, direction: Direction, outcome: str
) -> None:
    pair = pair_that(change, member)

    steps = reconcile([pair], NO_LATCHES, Policy(direction=direction))

    assert told(steps) == outcome


def test_every_cell_is_tried_in_every_direction() -> None:
    tried = [case[:3] for case in outcomes()]

    assert sorted(tried) == sorted(product(ContactChange, MemberChange, Direction))


# Both halves changed the same field: Anna Orlova is Anna Petrova in Planfix, Anna Somova on the
# list; or anna@example.com went to .org in Planfix, to .net on the list.
# fmt: off
CONFLICTS: Final = """
field   | conflict | to-list                    | both                       | to-planfix
name    | planfix  | update com Anna Petrova    | update com Anna Petrova    | nothing
name    | list     | update com Anna Petrova    | →P com Anna Somova         | →P com Anna Somova
name    | hold     | update com Anna Petrova    | hold                       | hold
address | planfix  | rename net→org Anna Orlova | rename net→org Anna Orlova | nothing
address | list     | rename net→org Anna Orlova | →P net Anna Orlova         | →P net Anna Orlova
address | hold     | rename net→org Anna Orlova | hold                       | hold
"""
# fmt: on


def conflicts() -> Iterator[tuple[str, Conflict, Direction, str]]:
    head, *lines = CONFLICTS.strip().splitlines()
    directions = [Direction(name) for name in _split(head)[2:]]
    for line in lines:
        field, conflict, *cells_here = _split(line)
        for direction, cell in zip(directions, cells_here, strict=True):
            yield field, Conflict(conflict), direction, cell


@pytest.mark.parametrize(
    ("field", "conflict", "direction", "outcome"),
    [pytest.param(*case, id="-".join(case[:3])) for case in conflicts()],
)
def test_a_field_that_both_changed_goes_by_the_links_word(
    field: str, conflict: Conflict, direction: Direction, outcome: str
) -> None:
    here, there = {
        "name": (person(ANNA.address, "Anna", "Petrova"), person(ANNA.address, "Anna", "Somova")),
        "address": (MOVED, person("anna@example.net", "Anna", "Orlova")),
    }[field]
    pair = row(7, here, ANNA, sighting=seen(7, there))

    steps = reconcile([pair], NO_LATCHES, Policy(direction=direction, conflict=conflict))

    assert told(steps) == outcome


def test_every_conflict_is_tried_in_every_direction() -> None:
    tried = {case[1:3] for case in conflicts()}

    assert tried == set(product(Conflict, Direction))


@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize(
    ("change", "restored"),
    [
        (ContactChange.SAME, "add com Anna Orlova"),
        (ContactChange.CHANGED, "add com Anna Petrova"),
        (ContactChange.MOVED, "add org Anna Orlova"),
    ],
)
def test_who_vanished_is_put_back_where_the_link_says_so_and_the_list_is_written(
    change: ContactChange, restored: str, direction: Direction
) -> None:
    pair = pair_that(change, MemberChange.VANISHED)

    steps = reconcile([pair], NO_LATCHES, Policy(direction=direction, restore=True))

    assert told(steps) == ("nothing" if direction is Direction.TO_PLANFIX else restored)


@pytest.mark.parametrize("change", ContactChange)
def test_who_vanished_and_was_latched_is_not_put_back(change: ContactChange) -> None:
    pair = pair_that(change, MemberChange.VANISHED)

    steps = reconcile([pair], latches(contacts=[CONTACT]), Policy(restore=True))

    assert told(steps) in {"suppressed", "end"}


@pytest.mark.parametrize(("change", "member"), list(product(ContactChange, MemberChange)))
def test_a_first_run_writes_nothing_to_planfix(change: ContactChange, member: MemberChange) -> None:
    policy = Policy(direction=Direction.BOTH, conflict=Conflict.LIST, first_run=True)

    steps = reconcile([pair_that(change, member)], NO_LATCHES, policy)

    assert "→P" not in told(steps)


def test_both_made_the_same_change_and_nothing_is_written() -> None:
    new = person("anna@example.org", "Anna", "Petrova")
    pair = row(7, new, ANNA, sighting=seen(7, new))

    steps = reconcile([pair], NO_LATCHES, Policy(direction=Direction.BOTH))

    assert told(steps) == "pair active org Anna Petrova"


@pytest.mark.parametrize(
    ("there", "outcome"),
    [
        pytest.param(person(ANNA.address, "", "Orlova"), "update com Anna Orlova", id="emptied"),
        pytest.param(
            person("no address", "Anna", "Orlova"),
            "rename no address→com Anna Orlova",
            id="unusable",
        ),
    ],
)
def test_nothing_empty_or_unusable_is_written_to_planfix(there: Person, outcome: str) -> None:
    pair = row(7, ANNA, ANNA, sighting=seen(7, there))

    steps = reconcile([pair], NO_LATCHES, Policy(direction=Direction.BOTH))

    assert told(steps) == outcome


def test_a_name_held_as_one_text_is_not_written_to_planfix() -> None:
    pair = row(7, ANNA, ANNA, sighting=seen(7, person(ANNA.address, "Anya Orlova")))

    steps = reconcile([pair], NO_LATCHES, Policy(direction=Direction.BOTH, names=Names.ONE))

    assert told(steps) == "update com Anna Orlova"


@pytest.mark.parametrize("change", [change for change, column in cells() if column == "same"])
def test_who_is_latched_by_the_address_alone_counts_as_unsubscribed(change: str) -> None:
    pair = pair_that(ContactChange(change), MemberChange.SAME)
    unsubscribed = pair_that(ContactChange(change), MemberChange.UNSUBSCRIBED)

    steps = reconcile([pair], latches(addresses=[ANNA.address]))

    assert told(steps) == told(reconcile([unsubscribed], NO_LATCHES))


def test_no_cell_is_missing_and_page_and_code_agree() -> None:
    code = {
        (change.value, member.value): action.value
        for change, columns in TABLE.items()
        for member, action in columns.items()
    }

    assert cells() == code
    assert set(code) == {(c.value, m.value) for c in ContactChange for m in MemberChange}


def test_a_pair_in_which_nothing_happened_costs_no_step() -> None:
    assert list(reconcile([row(7, ANNA, ANNA)], NO_LATCHES)) == []


UNSUBSCRIBED, BLOCKED = MemberStatus.UNSUBSCRIBED, MemberStatus.BLOCKED


@pytest.mark.parametrize(
    ("newcomer", "outcome"),
    [
        pytest.param(row(7, ANNA), "add com Anna Orlova", id="usable"),
        pytest.param(row(7, "anna at home"), "hold", id="unusable"),
        pytest.param(row(7, ""), "nothing", id="empty"),
        pytest.param(row(7, ANNA, standing=Standing.LEFT), "nothing", id="gone"),
        pytest.param(row(7, ANNA, holder=3), "nothing", id="shadow"),
        pytest.param(row(7, ANNA, contested=True), "add com Anna Orlova", id="contested"),
        pytest.param(
            row(7, ANNA, sighting=seen(None, ANNA)), "pair active com Anna Orlova", id="adopted"
        ),
        pytest.param(
            row(7, ANNA, sighting=seen(None, person(ANNA.address, "Anya"))),
            "update com Anna Orlova",
            id="adopted-under-another-name",
        ),
        pytest.param(
            row(7, ANNA, sighting=seen(None, ANNA, BLOCKED)),
            "pair blocked com Anna Orlova",
            id="bounced",
        ),
        pytest.param(
            row(7, ANNA, sighting=seen(None, ANNA, MemberStatus.UNKNOWN)), "hold", id="strange"
        ),
    ],
)
@pytest.mark.parametrize("direction", [Direction.TO_LIST, Direction.BOTH])
def test_a_contact_without_a_pair(newcomer: Row, outcome: str, direction: Direction) -> None:
    steps = reconcile([newcomer], NO_LATCHES, Policy(direction=direction))

    assert told(steps) == outcome


@pytest.mark.parametrize(
    ("newcomer", "outcome"),
    [
        pytest.param(row(7, ANNA), "nothing", id="never added"),
        pytest.param(
            row(7, ANNA, sighting=seen(None, person(ANNA.address, "Anya"))),
            "pair active com Anya",
            id="adopted as it is",
        ),
    ],
)
def test_a_link_to_planfix_adds_nobody_to_the_list(newcomer: Row, outcome: str) -> None:
    steps = reconcile([newcomer], NO_LATCHES, Policy(direction=Direction.TO_PLANFIX))

    assert told(steps) == outcome


def test_an_unsubscribed_member_is_paired_and_never_added() -> None:
    newcomer = row(7, ANNA, sighting=seen(None, ANNA, UNSUBSCRIBED))

    steps = reconcile([newcomer], latches(addresses=[ANNA.address]))

    assert told(steps) == "pair unsubscribed com Anna Orlova"


def test_who_was_released_is_subscribed_again() -> None:
    newcomer = row(7, ANNA, sighting=seen(None, ANNA, UNSUBSCRIBED))

    assert told(reconcile([newcomer], NO_LATCHES)) == "re-add com Anna Orlova"


CREATES: Final = Policy(direction=Direction.BOTH, creates=True)


@pytest.mark.parametrize(
    ("policy", "outcome"),
    [
        pytest.param(Policy(direction=Direction.BOTH), "nothing", id="ignore"),
        pytest.param(CREATES, "→P create com Anna Orlova", id="create"),
        pytest.param(replace(CREATES, direction=Direction.TO_LIST), "nothing", id="to-list"),
        pytest.param(
            replace(CREATES, direction=Direction.TO_PLANFIX),
            "→P create com Anna Orlova",
            id="to-planfix",
        ),
        pytest.param(replace(CREATES, first_run=True), "nothing", id="first run"),
    ],
)
def test_a_member_without_a_contact(policy: Policy, outcome: str) -> None:
    assert told(strangers([seen(None, ANNA)], NO_LATCHES, policy)) == outcome


@pytest.mark.parametrize("status", [UNSUBSCRIBED, BLOCKED, MemberStatus.UNKNOWN])
def test_only_who_is_on_the_list_becomes_a_contact(status: MemberStatus) -> None:
    assert told(strangers([seen(None, ANNA, status)], NO_LATCHES, CREATES)) == "nothing"


def test_a_member_at_a_latched_address_becomes_no_contact() -> None:
    latched = latches(addresses=[ANNA.address])

    assert told(strangers([seen(None, ANNA)], latched, CREATES)) == "nothing"


def test_who_seems_to_be_back_with_too_many_others_waits_for_a_person() -> None:
    back = seen(None, ANNA)._replace(returns=True)
    latched = latches(addresses=[ANNA.address])

    assert told(strangers([back], latched, CREATES)) == "ask: returned"
    assert told(reconcile([row(7, ANNA, sighting=back)], latched)) == "ask: returned"


@pytest.mark.parametrize("latched", [latches(contacts=[7]), latches(addresses=[MOVED.address])])
def test_a_latched_contact_without_a_member_is_suppressed(latched: Latches) -> None:
    assert list(reconcile([row(7, MOVED)], latched)) == [Suppressed(CONTACT)]


def test_a_contact_that_nobody_asked_about_is_removed_only_with_a_mark() -> None:
    gone = row(7, ANNA, ANNA, standing=Standing.UNASKED)

    [step] = reconcile([gone], NO_LATCHES)

    assert isinstance(step, Operation)
    assert (step.op, step.loses) == (Op.REMOVE, Loses.UNASKED)


def test_the_pair_of_a_latched_contact_stays_while_nobody_asked() -> None:
    gone = row(7, ANNA, ANNA, standing=Standing.UNASKED)

    assert list(reconcile([gone], latches(contacts=[7]))) == [Suppressed(CONTACT)]


def test_a_removal_for_want_of_an_address_says_what_is_lost() -> None:
    [step] = reconcile([row(7, "", ANNA)], NO_LATCHES)

    assert isinstance(step, Operation)
    assert step.loses is Loses.ADDRESS


def test_a_change_that_empties_names_says_so() -> None:
    [step] = reconcile([row(7, person(ANNA.address), ANNA)], NO_LATCHES)

    assert isinstance(step, Operation)
    assert step.loses == Loses.FIRST | Loses.LAST
