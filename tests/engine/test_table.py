"""The decision table of docs/decisions.md, cell by cell."""

from pathlib import Path
from typing import Final

import pytest

from syncd.core.pairs import Row, Standing
from syncd.core.people import ContactId, MemberStatus
from syncd.core.plan import End, Held, Loses, Op, Operation, Step, Suppressed
from syncd.engine.consent import Latches
from syncd.engine.diff import ContactChange, MemberChange
from syncd.engine.reconcile import reconcile
from syncd.engine.table import TABLE, Action
from tests.engine.world import NO_LATCHES, latches, person, row

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


def pair_that(change: ContactChange, member: MemberChange) -> Row:
    """Make a pair of which both halves did what a row and a column say."""
    now, standing = ANNA, Standing.PRESENT
    match change:
        case ContactChange.CHANGED:
            now = person(ANNA.address, "Anna", "Petrova")
        case ContactChange.MOVED:
            now = MOVED
        case ContactChange.EMPTIED:
            now = person("", "Anna", "Orlova")
        case ContactChange.UNUSABLE:
            now = person("anna at home", "Anna", "Orlova")
        case ContactChange.LEFT:
            standing = Standing.LEFT
        case ContactChange.DELETED:
            standing = Standing.DELETED
        case ContactChange.MISSING:
            standing = Standing.MISSING
        case ContactChange.SAME:
            pass
    return row(CONTACT, now, ANNA, standing=standing, status=MemberStatus(_STATUS[member]))


_STATUS: Final = {
    MemberChange.SAME: "active",
    MemberChange.UNSUBSCRIBED: "unsubscribed",
    MemberChange.BLOCKED: "blocked",
}


def shape(steps: list[Step]) -> list[object]:
    """Return what steps come to: the kind of step, or an operation without its reason."""
    return [
        (step.op, step.person, step.old_address) if isinstance(step, Operation) else type(step)
        for step in steps
    ]


def expected(action: Action, now: Row) -> list[object]:
    """Return the shape of the steps that an action stands for."""
    steps: dict[Action, list[object]] = {
        Action.NOTHING: [],
        Action.UPDATE: [(Op.UPDATE, now.now, "")],
        Action.RENAME: [(Op.RENAME, now.now, ANNA.address)],
        Action.REMOVE: [(Op.REMOVE, ANNA, "")],
        Action.ADD_NEW: [(Op.ADD, now.now, "")],
        Action.HOLD: [Held],
        Action.LATCH: [Suppressed],
        Action.LATCH_END: [End],
    }
    return steps[action]


@pytest.mark.parametrize(
    ("change", "member", "cell"),
    [pytest.param(*place, cell, id="-".join(place)) for place, cell in cells().items()],
)
def test_the_cell_says_what_becomes_of_the_pair(change: str, member: str, cell: str) -> None:
    pair = pair_that(ContactChange(change), MemberChange(member))

    steps = list(reconcile([pair], NO_LATCHES))

    assert shape(steps) == expected(Action(cell), pair)


@pytest.mark.parametrize("change", [change for change, column in cells() if column == "same"])
def test_who_is_latched_by_the_address_alone_counts_as_unsubscribed(change: str) -> None:
    pair = pair_that(ContactChange(change), MemberChange.SAME)
    cell = cells()[change, "unsubscribed"]

    steps = list(reconcile([pair], latches(addresses=[ANNA.address])))

    assert shape(steps) == expected(Action(cell), pair)


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


@pytest.mark.parametrize(
    ("newcomer", "steps"),
    [
        pytest.param(row(7, MOVED), [(Op.ADD, MOVED, "")], id="usable"),
        pytest.param(row(7, "anna at home"), [Held], id="unusable"),
        pytest.param(row(7, ""), [], id="empty"),
        pytest.param(row(7, MOVED, standing=Standing.LEFT), [], id="gone"),
        pytest.param(row(7, MOVED, holder=3), [], id="shadow"),
        pytest.param(row(7, MOVED, contested=True), [(Op.ADD, MOVED, "")], id="contested"),
    ],
)
def test_a_contact_without_a_member(newcomer: Row, steps: list[object]) -> None:
    assert shape(list(reconcile([newcomer], NO_LATCHES))) == steps


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
