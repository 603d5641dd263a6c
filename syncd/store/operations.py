"""Rows of the journal: the words of SQL that its parts share, and what a row is as a value."""

from typing import Any, Final

from syncd.core.journal import Entry
from syncd.core.people import Person
from syncd.core.plan import Fields, Loses, Op, Operation

READ: Final = (
    "SELECT id, contact, op, address, key, first, last, old_address, old_key, loses, after, why,"
    " batch, old_first, old_last, settles, resubscribes FROM operation"
)
"""What `entry_of` takes."""

FOR_PLANFIX: Final = "op IN ('planfix_update', 'planfix_create', 'consent')"
# The index of what is still open serves no other text than its own.
OPEN: Final = "state IN ('planned', 'sent')"
PLANNED: Final = f"{OPEN} AND state = 'planned'"
HOLD: Final = (
    "INSERT INTO held (link, contact, key, why, until) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT (link, contact, key) DO NOTHING"
)
SUBJECT: Final = "link = ? AND contact = ? AND key = ? AND planfix = ?"
"""Who is in quarantine (core.journal.Subject)."""

CHUNK: Final = 500
"""Rows that are written or fetched at a time."""

_ALL_FIELDS: Final = int(Fields.ALL)


def entry_of(row: tuple[Any, ...]) -> Entry:
    """Return a row of `READ` as what it is."""
    (
        number, contact, op, address, key, first, last, old_address, old_key, loses, after, why,
        batch, old_first, old_last, settles, resubscribes,
    ) = row  # fmt: skip
    person = Person(address, key, first, last)
    lost = Loses(loses) if loses else Loses.NOTHING  # a flag is slow to make
    fields = Fields.ALL if settles == _ALL_FIELDS else Fields(settles)
    operation = Operation(
        Op(op), contact, person, why, old_address, old_key, lost, after, old_first, old_last,
        fields, bool(resubscribes),
    )  # fmt: skip
    return Entry(number, operation, batch)
