"""Base × now: what each half of a pair did since both last agreed."""

from enum import StrEnum

from syncd.core.pairs import Pair, Row, Standing
from syncd.core.people import MemberStatus, Person
from syncd.core.plan import Loses


class ContactChange(StrEnum):
    """What the contact half did since the base: the rows of the decision table."""

    SAME = "same"
    CHANGED = "changed"
    MOVED = "moved"
    EMPTIED = "emptied"
    UNUSABLE = "unusable address"
    LEFT = "left the selection"
    DELETED = "deleted in Planfix"
    MISSING = "not read, unconfirmed"


class MemberChange(StrEnum):
    """What the member half did since the base: the columns of the decision table.

    Of a list that isn't read, this is what the store knows: `SAME` unless the person is
    latched or the list refused them. `VANISHED` is a member of whom nobody knows yet whether
    they left: who vanished and was latched counts as unsubscribed.
    """

    SAME = "same"
    CHANGED = "changed"
    MOVED = "moved"
    UNSUBSCRIBED = "unsubscribed"
    VANISHED = "vanished"
    BLOCKED = "blocked"


def contact_change(row: Row, base: Person) -> ContactChange:  # noqa: PLR0911  (one row each)
    """Say what the contact of a pair did since its base."""
    match row.standing:
        case Standing.MISSING:
            return ContactChange.MISSING
        case Standing.DELETED:
            return ContactChange.DELETED
        case Standing.LEFT | Standing.UNASKED:
            return ContactChange.LEFT
        case Standing.PRESENT:
            pass
    if row.now == base:
        return ContactChange.SAME
    if not row.now.key:
        return ContactChange.EMPTIED
    if row.fault and row.now.address != base.address:
        return ContactChange.UNUSABLE
    if row.now.key != base.key:
        return ContactChange.MOVED
    return ContactChange.CHANGED


def member_change(row: Row, pair: Pair, *, latched: bool) -> MemberChange:
    """Say what the member of a pair did since its base."""
    if latched or pair.status is MemberStatus.UNSUBSCRIBED:
        return MemberChange.UNSUBSCRIBED
    if row.sighting is not None and row.sighting.member is None:
        return MemberChange.VANISHED
    if pair.status is MemberStatus.BLOCKED:
        return MemberChange.BLOCKED
    if row.member.key != pair.base.key:
        return MemberChange.MOVED
    return MemberChange.CHANGED if row.member != pair.base else MemberChange.SAME


def names_lost(base: Person, now: Person) -> Loses:
    """Say which names a change would empty (guard 5 counts them)."""
    lost = Loses.NOTHING
    if base.first and not now.first:
        lost |= Loses.FIRST
    if base.last and not now.last:
        lost |= Loses.LAST
    return lost
