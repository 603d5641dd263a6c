"""Pairs and their bases; the comparison of a selection with them."""

import json
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

from syncd.core.address import AddressKey
from syncd.core.link import LinkNumber
from syncd.core.pairs import Known, Pair, Row, Standing
from syncd.core.people import ContactId, MemberStatus, Person
from syncd.core.plan import End, Fields, Operation, Pairing, Repoint
from syncd.store import sightings
from syncd.store.database import Database

# Contacts that differ from their base, and those present without a pair. Everyone else needs
# nothing, and is never looked at outside the database. The index is named, since SQLite would
# rather walk the whole selection for each contact.
_DIFFERENT: Final = f"""
SELECT c.id, c.address, c.key, c.first, c.last, c.fault, c.page,
       p.address, p.key, p.first, p.last, p.status, p.reference,
       COALESCE((SELECT h.contact FROM pair h
                  WHERE h.link = :link AND h.key = c.key AND h.contact <> c.id),
                (SELECT h.contact FROM temp.sighting h
                  WHERE h.key = c.key AND h.contact <> c.id AND h.status <> 'gone')),
       EXISTS (SELECT 1 FROM contact o INDEXED BY contact_key WHERE o.selection = :selection
                AND o.key = c.key AND o.id <> c.id AND o.page IS NOT NULL),
       p.contact IS NOT NULL AND EXISTS (SELECT 1 FROM temp.sighting t WHERE t.key = c.key
                AND t.contact IS NULL AND t.status IN ('active', 'pending', 'disabled')),
       {sightings.COLUMNS}
  FROM contact c LEFT JOIN pair p ON p.link = :link AND p.contact = c.id
       LEFT JOIN temp.sighting s ON s.number = COALESCE(
           (SELECT m.number FROM temp.sighting m WHERE m.contact = c.id),
           CASE WHEN p.contact IS NULL THEN (SELECT m.number FROM temp.sighting m
                                              WHERE m.key = c.key AND m.contact IS NULL) END)
 WHERE c.selection = :selection
   AND CASE WHEN p.contact IS NULL THEN c.page IS NOT NULL AND c.key <> ''
       ELSE c.page IS NULL OR c.address <> p.address OR c.first <> p.first OR c.last <> p.last
            OR s.number IS NOT NULL
       END
 ORDER BY c.id
"""

_KNOWN: Final = """
SELECT key, contact, address, first, last, status, reference FROM pair
 WHERE link = ? AND key > ? ORDER BY key LIMIT ?
"""
_PAGE: Final = 2000

_AT: Final = """
SELECT key, contact, address, first, last, status, reference FROM pair
 WHERE link = ? AND key IN (SELECT value FROM json_each(?)) ORDER BY key
"""

_OF_MEMBER: Final = """
SELECT key, contact, address, first, last, status, reference FROM pair
 WHERE link = ? AND (contact = ? OR key = ?) ORDER BY contact IS ? DESC LIMIT 1
"""

# The index is named, since SQLite would rather walk the whole selection for the few.
_ABSENT: Final = """
SELECT c.id FROM contact c INDEXED BY contact_absent WHERE c.selection = ? AND c.page IS NULL
   AND EXISTS (SELECT 1 FROM pair p WHERE p.link = ? AND p.contact = c.id) ORDER BY c.id
"""

# In no link; each link is asked by itself, so that the primary key answers.
UNPAIRED: Final = (
    "NOT EXISTS (SELECT 1 FROM pair WHERE pair.link IN (SELECT id FROM link)"
    " AND pair.contact = contact.id)"
)

_SETTLE: Final = """
UPDATE pair SET address = iif(?1 & 4, ?2, address), key = iif(?1 & 4, ?3, key),
first = iif(?1 & 1, ?4, first), last = iif(?1 & 2, ?5, last)
WHERE link = ?6 AND contact = ?7
"""
_HAS_IT: Final = "SELECT contact FROM pair WHERE link = ? AND key = ? AND contact <> ?"

_SET: Final = """
INSERT INTO pair (link, contact, address, key, first, last, status, reference)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (link, contact) DO UPDATE SET address = excluded.address, key = excluded.key,
first = excluded.first, last = excluded.last, status = excluded.status,
reference = excluded.reference
"""


class Pairs:
    """What is asked of pairs outside a plan."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def count(self, link: LinkNumber) -> int:
        """Return how many pairs a link has."""
        return int(self._database.rows("SELECT COUNT(*) FROM pair WHERE link = ?", (link,))[0][0])

    def known(self, link: LinkNumber) -> Iterator[Known]:
        """Yield every pair by key, a page at a time: nothing is held while a list is read."""
        after = ""
        while page := self._database.rows(_KNOWN, (link, after, _PAGE)):
            yield from map(Known._make, page)
            after = page[-1][0]

    def at(self, link: LinkNumber, keys: Collection[AddressKey]) -> list[Known]:
        """Return the pairs that have these addresses, by key."""
        rows = self._database.rows(_AT, (link, json.dumps(list(keys))))
        return list(map(Known._make, rows))

    def active(self, link: LinkNumber) -> Iterator[tuple[ContactId, Person]]:
        """Yield the contact and the base of every active pair."""
        for known in self.known(link):
            if known.status == MemberStatus.ACTIVE:
                yield known.contact, Person(known.address, known.key, known.first, known.last)

    def absent(self, link: LinkNumber, selection: int) -> list[ContactId]:
        """Return the paired contacts that the last sweep missed, by id."""
        return [ContactId(row[0]) for row in self._database.rows(_ABSENT, (selection, link))]

    def of_key(self, link: LinkNumber, key: AddressKey) -> tuple[ContactId, Pair] | None:
        """Return the pair that has an address, with its contact."""
        rows = self._database.rows(
            "SELECT contact, address, key, first, last, status, reference FROM pair"
            " WHERE link = ? AND key = ?",
            (link, key),
        )
        if not rows:
            return None
        contact, address, found, first, last, status, reference = rows[0]
        person = Person(address, found, first, last)
        return ContactId(contact), Pair(person, MemberStatus(status), reference)

    def of_member(
        self, link: LinkNumber, contact: ContactId | None, key: AddressKey
    ) -> Known | None:
        """Return the pair of a contact, or else the one that has an address."""
        rows = self._database.rows(_OF_MEMBER, (link, contact, key, contact))
        return Known._make(rows[0]) if rows else None

    def keys_of(self, link: LinkNumber, contacts: Sequence[ContactId]) -> list[AddressKey]:
        """Return the addresses that contacts have now, or their members had in a link."""
        marks = ",".join("?" * len(contacts)) or "NULL"
        rows = self._database.rows(
            "SELECT key FROM contact WHERE selection = (SELECT selection FROM link WHERE id = ?)"
            f" AND id IN ({marks}) AND fault = '' AND key <> ''"
            f" UNION SELECT key FROM pair WHERE link = ? AND contact IN ({marks})",
            (link, *contacts, link, *contacts),
        )
        return [AddressKey(row[0]) for row in rows]


def different(
    raw: sqlite3.Connection,
    link: LinkNumber,
    selection: int,
    standing: Mapping[ContactId, Standing],
) -> Iterator[Row]:
    """Yield every row of a link that may need something, by contact id.

    `standing` holds what is known of those that the sweep missed; any other is missing.
    """
    rows = raw.execute(_DIFFERENT, {"link": link, "selection": selection})
    for (
        contact, address, key, first, last, fault, page,
        base_address, base_key, base_first, base_last, status, reference,
        holder, contested, taken, *seen, returns,
    ) in rows:  # fmt: skip
        pair = None
        if base_address is not None:
            base = Person(base_address, base_key, base_first, base_last)
            pair = Pair(base, MemberStatus(status), reference)
        yield Row(
            contact,
            Person(address, key, first, last),
            fault,
            Standing.PRESENT if page is not None else standing.get(contact, Standing.MISSING),
            pair,
            holder,
            bool(contested),
            sightings.sighting(seen, returns=bool(returns)) if seen[0] is not None else None,
            bool(taken),
        )


def keep(
    raw: sqlite3.Connection,
    link: LinkNumber,
    people: list[tuple[ContactId, Person, MemberStatus, str]],
) -> None:
    """Remember what both halves now agree on."""
    raw.executemany(
        _SET,
        [
            (link, contact, p.address, p.key, p.first, p.last, status.value, reference)
            for contact, p, status, reference in people
        ],
    )


def settle(raw: sqlite3.Connection, link: LinkNumber, done: list[Operation]) -> None:
    """Remember the fields on which both halves agree since an operation was done.

    An address that is still another pair's stays unsettled until that one has moved on.
    """
    for op in done:
        person, settles = op.person, op.settles
        if Fields.ADDRESS in settles:
            taken = raw.execute(_HAS_IT, (link, person.key, op.contact)).fetchone()
            settles &= ~Fields.ADDRESS if taken else Fields.ALL
        values = (person.address, person.key, person.first, person.last)
        raw.execute(_SETTLE, (int(settles), *values, link, op.contact))


def agree(raw: sqlite3.Connection, link: LinkNumber, pairings: list[Pairing]) -> None:
    """Remember pairs that agree without a write, all at once: they may exchange addresses.

    One whose address is still another pair's waits until that one has moved on.
    """
    agreeing = {pairing.contact: pairing for pairing in pairings}
    while True:
        waiting = [
            contact
            for contact, pairing in agreeing.items()
            for (owner,) in raw.execute(_HAS_IT, (link, pairing.base.key, contact))
            if owner not in agreeing
        ]
        if not waiting:
            break
        for contact in waiting:
            del agreeing[contact]
    raw.executemany(
        "DELETE FROM pair WHERE link = ? AND contact = ?", [(link, each) for each in agreeing]
    )
    keep(raw, link, [(p.contact, p.base, p.status, p.reference) for p in agreeing.values()])


def mark(
    raw: sqlite3.Connection, link: LinkNumber, marked: list[tuple[ContactId, MemberStatus]]
) -> None:
    """Remember what became of members whose values stay as they are; who left stays out."""
    raw.executemany(
        "UPDATE pair SET status = ? WHERE link = ? AND contact = ? AND status <> 'unsubscribed'",
        [(status.value, link, contact) for contact, status in marked],
    )


def end(raw: sqlite3.Connection, link: LinkNumber, ended: list[ContactId]) -> None:
    """End pairs; contacts that no page shows and nobody is paired with go too."""
    raw.executemany("DELETE FROM pair WHERE link = ? AND contact = ?", [(link, c) for c in ended])
    raw.executemany(
        "DELETE FROM contact WHERE selection IN (SELECT id FROM selection) AND id = ?"
        f" AND page IS NULL AND {UNPAIRED}",
        [(contact,) for contact in ended],
    )


def repoint(raw: sqlite3.Connection, link: LinkNumber, steps: list[Repoint | End]) -> None:
    """Give members to other contacts, all at once, since they may exchange them."""
    moves = [step for step in steps if isinstance(step, Repoint)]
    taken = [
        raw.execute(
            "SELECT address, key, first, last, status, reference FROM pair"
            " WHERE link = ? AND contact = ? AND key = ?",
            (link, move.old, move.member),
        ).fetchone()
        for move in moves
    ]
    end(raw, link, [move.old for move in moves])
    end(raw, link, [step.contact for step in steps if isinstance(step, End)])
    raw.executemany(
        _SET,
        [(link, move.new, *member) for move, member in zip(moves, taken, strict=True)],
    )
