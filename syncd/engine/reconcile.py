"""What both halves did → what is to be done."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final, assert_never

from syncd.core.pairs import Pair, Row, Sighting, Standing
from syncd.core.people import NOBODY, ContactId, MemberStatus
from syncd.core.plan import (
    FIELD_NAMES,
    End,
    Held,
    Loses,
    Op,
    Operation,
    Pairing,
    Step,
    Suppressed,
)
from syncd.engine.consent import Latches, still_on
from syncd.engine.diff import (
    ContactChange,
    MemberChange,
    contact_change,
    member_change,
    names_lost,
)
from syncd.engine.merge import Merged, Policy, agreed, merge
from syncd.engine.renames import Tangled, join, resolve
from syncd.engine.table import TABLE, Action

if TYPE_CHECKING:
    from syncd.core.people import Member

TO_LIST: Final = Policy()
"""The policy of a link that says nothing else."""

_WHY = {
    ContactChange.EMPTIED: "address emptied in Planfix",
    ContactChange.LEFT: "left the selection in Planfix",
    ContactChange.DELETED: "deleted in Planfix",
}


def steps(rows: Iterable[Row], latches: Latches, policy: Policy = TO_LIST) -> Iterator[Step]:
    """Yield every step of a link: `reconcile`'s, and what takes latched members off the list."""
    leavers = _Leavers(latches)
    for step in reconcile(leavers.watched(rows), latches, policy):
        if not (isinstance(step, End) and leavers.delay(step)):
            yield step
    yield from leavers.operations()


class _Leavers:
    """Whom a latch takes off the list, met as the rows go by.

    `_behind` are latched ones at an address that another's pair has; `_gone` those whose pair
    ends, or whose contact has no address any more.
    """

    def __init__(self, latches: Latches) -> None:
        self._latches = latches
        self._leaving: dict[ContactId, Operation] = {}
        self._behind: list[Row] = []
        self._gone: set[ContactId] = set()

    def watched(self, rows: Iterable[Row]) -> Iterator[Row]:
        for row in rows:
            leave = still_on(row, self._latches)
            if leave is not None:
                self._leaving[row.contact] = leave
            elif row.holder is not None and self._latches.hold(row):
                self._behind.append(row)
            if _is_nowhere(row):
                self._gone.add(row.contact)
            yield row

    def delay(self, end: End) -> bool:
        """Whether a pair must not end yet, since its member has to leave first."""
        if end.contact in self._leaving:
            return True
        self._gone.add(end.contact)
        return False

    def operations(self) -> Iterator[Operation]:
        """Yield what takes them off, once all steps were seen."""
        yield from self._leaving.values()
        for row in self._behind:
            leave = still_on(row, self._latches, self._gone)
            if leave is not None:
                yield leave


def _is_nowhere(row: Row) -> bool:
    """Whether somebody who left has no address in Planfix any more, or none that is one."""
    left = row.pair is not None and row.pair.status is MemberStatus.UNSUBSCRIBED
    return left and (not row.now.key or bool(row.fault))


def reconcile(rows: Iterable[Row], latches: Latches, policy: Policy = TO_LIST) -> Iterator[Step]:
    """Yield every step that brings both sides in step.

    Rows that stand alone are answered as they come, so that memory doesn't grow with them;
    those whose address another contact has to do with are kept and settled together at the
    end. Latches of this run are expected to be in `latches` already.
    """
    tangled: list[Tangled] = []
    elsewhere: set[ContactId] = set()
    for row in rows:
        if row.is_elsewhere:
            elsewhere.add(row.contact)
        latched = latches.hold(row)
        answer = (
            _newcomer(row, policy, latched=latched)
            if row.pair is None
            else _paired(row, row.pair, policy, latched=latched)
        )
        for step in answer:
            if isinstance(step, Tangled):
                tangled.append(step)
            else:
                yield step
    yield from resolve(tangled, policy, elsewhere)


def strangers(
    sightings: Iterable[Sighting], latches: Latches, policy: Policy
) -> Iterator[Operation]:
    """Answer the members whom no contact of the selection is.

    They become contacts where the policy says so, but not at a latched address; those who had
    left and seem to be back wait for a person, where they are too many.
    """
    for sighting in sightings:
        member = sighting.member
        if member is None or not member.status.on_list:
            continue
        if sighting.returns:
            yield _seems_back(NOBODY, member)
        elif policy.creates and policy.writes_planfix and not latches.holds_key(sighting.key):
            yield Operation(
                Op.PLANFIX_CREATE,
                NOBODY,
                member.person,
                "subscribed on the list",
                loses=Loses.PLANFIX_NEW,
            )


def _newcomer(row: Row, policy: Policy, *, latched: bool) -> Iterator[Step | Tangled]:
    """Answer a contact without a member: the second table of the design."""
    if row.standing is not Standing.PRESENT or not row.now.key:
        return
    seen, alone = row.seen, row.holder is None and not row.contested
    if seen is not None and row.sighting is not None and row.sighting.returns:
        yield _seems_back(row.contact, seen)
    elif latched and alone and seen is not None and not seen.status.on_list:
        why = "unsubscribed"
        yield Pairing(row.contact, row.now, MemberStatus.UNSUBSCRIBED, seen.reference, why)
    elif latched:
        yield Suppressed(row.contact, row.now)
    elif row.fault and seen is None:
        yield Held(row.contact, row.fault)
    elif alone:
        yield from join(row, policy)
    else:
        yield Tangled(row, Action.ADD_NEW, latched=False, wanted=row.now)


def _paired(  # noqa: C901, PLR0912  (the table has so many answers)
    row: Row, pair: Pair, policy: Policy, *, latched: bool
) -> Iterator[Step | Tangled]:
    """Answer a pair as the decision table says."""
    change = contact_change(row, pair.base)
    member = member_change(row, pair, latched=latched)
    action = TABLE[change][member]
    if row.seen is not None and row.sighting is not None and row.sighting.returns:
        yield _seems_back(row.contact, row.seen)
        return
    if action is Action.LATCH_END and row.standing is Standing.UNASKED:
        action = Action.LATCH
    if member is MemberChange.VANISHED and not (action is Action.GONE and policy.restore):
        yield Operation(
            Op.CONSENT, row.contact, pair.base, "gone from the list", loses=Loses.VANISHED
        )
        return
    if action is Action.MOVE and policy.direction is TO_LIST.direction:
        action = Action.REMOVE if change is ContactChange.EMPTIED else Action.HOLD
    match action:
        case Action.NOTHING:
            return
        case Action.UPDATE | Action.MERGE | Action.RENAME | Action.MOVE:
            yield from _merged(row, pair, policy)
        case Action.LATCH:
            if change is ContactChange.MOVED:  # its whole exchange of addresses waits with it
                yield Tangled(row, Action.RENAME, latched=True, wanted=row.now)
            else:
                edited = change is ContactChange.CHANGED  # else their leaving says it all
                yield Suppressed(row.contact, row.now if edited else None, edited)
        case Action.LATCH_END:
            yield End(row.contact, "unsubscribed, and " + _WHY[change])
        case Action.REMOVE if not policy.writes_list:
            yield Held(row.contact, f"{_WHY[change]}; this link writes nothing to the list")
        case Action.ADD_NEW | Action.GONE if not policy.writes_list:
            return
        case Action.GONE:
            yield Tangled(row, Action.ADD_NEW, latched=latched, wanted=row.now)
        case Action.REMOVE:
            removal = _removal(row, change)
            yield Tangled(row, action, latched=latched, wanted=row.now, removal=removal)
        case Action.ADD_NEW | Action.HOLD:
            yield Tangled(row, action, latched=latched, wanted=row.now)
        case _:
            assert_never(action)


def _merged(row: Row, pair: Pair, policy: Policy) -> Iterator[Step | Tangled]:
    """Settle a pair field by field: at most one write to each side."""
    outcome = merge(row, pair.base, policy)
    if outcome.conflicts:
        fields = " and ".join(name for f, name in FIELD_NAMES.items() if f in outcome.conflicts)
        cause = f"both sides changed the {fields}"
        if row.now.key == pair.base.key:
            yield Held(row.contact, cause)
        else:  # whoever wants the address that it leaves waits, too
            yield Tangled(row, Action.HOLD, latched=False, wanted=row.now, cause=cause)
        return
    yield from _for_the_list(row, pair, outcome)
    if outcome.in_planfix != row.now:
        yield Operation(
            Op.PLANFIX_UPDATE,
            row.contact,
            outcome.in_planfix,
            "changed on the list",
            old_address=row.now.address,
            old_key=row.now.key,
            old_first=row.now.first,
            old_last=row.now.last,
            loses=Loses.PLANFIX_VALUES,
            settles=agreed(outcome.in_planfix, row.member),
        )


def _for_the_list(row: Row, pair: Pair, outcome: Merged) -> Iterator[Step | Tangled]:
    on_list = outcome.on_list
    if on_list.key != row.member.key:
        yield Tangled(row, Action.RENAME, latched=False, wanted=on_list)
    elif on_list != row.member:
        yield Operation(
            Op.UPDATE,
            row.contact,
            on_list,
            "changed in Planfix" if row.seen is None else "Planfix's values put on the list",
            loses=names_lost(pair.base, on_list),
            settles=agreed(on_list, row.now),
        )
    elif row.now == row.member != pair.base:
        reference = row.seen.reference if row.seen is not None else pair.reference
        why = "both sides made the same change"
        yield Pairing(row.contact, row.now, pair.status, reference, why)


def _removal(row: Row, change: ContactChange) -> Operation:
    loses = Loses.NOTHING
    if change is ContactChange.EMPTIED:
        loses = Loses.ADDRESS
    elif row.standing is Standing.UNASKED:
        loses = Loses.UNASKED
    return Operation(Op.REMOVE, row.contact, row.member, _WHY[change], loses=loses)


def _seems_back(contact: ContactId, seen: "Member") -> Operation:
    """Too many seem to be back at once, and nothing proves it: a person must say so."""
    why = "active on the list again, after having left"
    return Operation(Op.CONSENT, contact, seen.person, why, loses=Loses.RETURNED)
