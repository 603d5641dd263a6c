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
    MERGE = "merge by field"
    RENAME = "→L rename"
    MOVE = "→P e-mail"
    REMOVE = "remove"
    ADD_NEW = "add the new address, leave the old"
    HOLD = "hold"
    LATCH = "latch"
    LATCH_END = "latch, end the pair"
    GONE = "latch; restore: add"


NOTHING, UPDATE, MERGE, RENAME, MOVE, REMOVE, ADD_NEW, HOLD, LATCH, LATCH_END, GONE = Action


def row(*cells: Action) -> dict[MemberChange, Action]:
    """Lay one row of the table under its columns."""
    return dict(zip(MemberChange, cells, strict=True))


# fmt: off
TABLE: Final = {                     # SAME     CHANGED  MOVED   UNSUBSCRIBED  VANISHED   BLOCKED
    ContactChange.SAME:          row(NOTHING,  MERGE,   MERGE,  LATCH,        GONE,      NOTHING),
    ContactChange.CHANGED:       row(UPDATE,   MERGE,   MERGE,  LATCH,        GONE,      NOTHING),
    ContactChange.MOVED:         row(RENAME,   MERGE,   MERGE,  LATCH,        GONE,      ADD_NEW),
    ContactChange.EMPTIED:       row(REMOVE,   REMOVE,  MOVE,   LATCH,        LATCH,     REMOVE),
    ContactChange.UNUSABLE:      row(HOLD,     HOLD,    MOVE,   LATCH,        LATCH,     HOLD),
    ContactChange.LEFT:          row(REMOVE,   REMOVE,  REMOVE, LATCH_END,    LATCH_END, REMOVE),
    ContactChange.DELETED:       row(REMOVE,   REMOVE,  REMOVE, LATCH_END,    LATCH_END, REMOVE),
    ContactChange.MISSING:       row(HOLD,     HOLD,    HOLD,   LATCH,        LATCH,     HOLD),
}
# fmt: on
