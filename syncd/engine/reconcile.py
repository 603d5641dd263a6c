"""What both halves did → what is to be done."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, assert_never

from syncd.core.pairs import Pair, Row, Standing
from syncd.core.plan import End, Held, Loses, Op, Operation, Step, Suppressed
from syncd.engine.consent import Latches, still_on
from syncd.engine.diff import (
    ContactChange,
    contact_change,
    member_change,
    names_lost,
)
from syncd.engine.renames import Tangled, resolve
from syncd.engine.table import TABLE, Action

if TYPE_CHECKING:
    from syncd.core.people import ContactId

_WHY = {
    ContactChange.EMPTIED: "address emptied in Planfix",
    ContactChange.LEFT: "left the selection in Planfix",
    ContactChange.DELETED: "deleted in Planfix",
}


def steps(rows: Iterable[Row], latches: Latches) -> Iterator[Step]:
    """Yield every step of a link: `reconcile`'s, and what takes latched members off the list."""
    leaving: dict[ContactId, Operation] = {}

    def noted() -> Iterator[Row]:
        for row in rows:
            leave = still_on(row, latches)
            if leave is not None:
                leaving[row.contact] = leave
            yield row

    for step in reconcile(noted(), latches):
        if not (isinstance(step, End) and step.contact in leaving):  # first it leaves
            yield step
    yield from leaving.values()


def reconcile(rows: Iterable[Row], latches: Latches) -> Iterator[Step]:
    """Yield every step that brings the list after the contacts.

    Rows that stand alone are answered as they come, so that memory doesn't grow with them;
    those whose address another contact has to do with are kept and settled together at the
    end. Latches of this run are expected to be in `latches` already.
    """
    tangled: list[Tangled] = []
    for row in rows:
        latched = latches.hold(row)
        if row.pair is None:
            step = _newcomer(row, latched=latched)
        else:
            step = _paired(row, row.pair, latched=latched)
        if isinstance(step, Tangled):
            tangled.append(step)
        elif step is not None:
            yield step
    yield from resolve(tangled)


def _newcomer(row: Row, *, latched: bool) -> Step | Tangled | None:
    """Answer a contact without a member: the second table of the design."""
    if row.standing is not Standing.PRESENT or not row.now.key:
        return None
    if latched:
        return Suppressed(row.contact)
    if row.fault:
        return Held(row.contact, row.fault)
    if row.holder is None and not row.contested:
        return Operation(Op.ADD, row.contact, row.now, "new in the selection")
    return Tangled(row, Action.ADD_NEW, latched=False)


def _paired(row: Row, pair: Pair, *, latched: bool) -> Step | Tangled | None:
    """Answer a pair as the decision table says."""
    change = contact_change(row, pair.base)
    member = member_change(pair, latched=latched)
    action = TABLE[change][member]
    if action is Action.LATCH_END and row.standing is Standing.UNASKED:
        action = Action.LATCH
    match action:
        case Action.NOTHING:
            return None
        case Action.UPDATE:
            return Operation(
                Op.UPDATE,
                row.contact,
                row.now,
                "changed in Planfix",
                loses=names_lost(pair.base, row.now),
            )
        case Action.LATCH:
            if change is ContactChange.MOVED:  # its whole exchange of addresses waits with it
                return Tangled(row, Action.RENAME, latched=True)
            return Suppressed(row.contact)
        case Action.LATCH_END:
            return End(row.contact, "unsubscribed, and " + _WHY[change])
        case Action.REMOVE | Action.RENAME | Action.ADD_NEW | Action.HOLD:
            removal = _removal(row, pair, change) if action is Action.REMOVE else None
            return Tangled(row, action, latched=latched, removal=removal)
        case _:
            assert_never(action)


def _removal(row: Row, pair: Pair, change: ContactChange) -> Operation:
    loses = Loses.NOTHING
    if change is ContactChange.EMPTIED:
        loses = Loses.ADDRESS
    elif row.standing is Standing.UNASKED:
        loses = Loses.UNASKED
    return Operation(Op.REMOVE, row.contact, pair.base, _WHY[change], loses=loses)
