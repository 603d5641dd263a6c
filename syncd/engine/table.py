"""The decision table, as data: what becomes of a pair.

`docs/decisions.md` shows the same table to people; a test compares the two.
"""

from enum import StrEnum
from typing import Final

from syncd.engine.diff import ContactChange, MemberChange


class Action(StrEnum):
    """What the decision table asks for."""

    NOTHING = "nothing"
    UPDATE = "→L update"
    RENAME = "→L rename"
    REMOVE = "remove"
    ADD_NEW = "add the new address, leave the old"
    HOLD = "hold"
    LATCH = "latch"
    LATCH_END = "latch, end the pair"


NOTHING, UPDATE, RENAME, REMOVE, ADD_NEW, HOLD, LATCH, LATCH_END = Action


def row(*cells: Action) -> dict[MemberChange, Action]:
    """Lay one row of the table under its columns."""
    return dict(zip(MemberChange, cells, strict=True))


# fmt: off
TABLE: Final = {                      # SAME     UNSUBSCRIBED  BLOCKED
    ContactChange.SAME:           row(NOTHING,  LATCH,        NOTHING),
    ContactChange.CHANGED:        row(UPDATE,   LATCH,        NOTHING),
    ContactChange.MOVED:          row(RENAME,   LATCH,        ADD_NEW),
    ContactChange.EMPTIED:        row(REMOVE,   LATCH,        REMOVE),
    ContactChange.UNUSABLE:       row(HOLD,     LATCH,        HOLD),
    ContactChange.LEFT:           row(REMOVE,   LATCH_END,    REMOVE),
    ContactChange.DELETED:        row(REMOVE,   LATCH_END,    REMOVE),
    ContactChange.MISSING:        row(HOLD,     LATCH,        HOLD),
}
# fmt: on
