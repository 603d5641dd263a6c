"""What was seen of people, for `history`."""

import sqlite3
from collections.abc import Iterable, Sequence

from syncd.core.address import AddressKey
from syncd.core.events import Event
from syncd.core.link import LinkNumber
from syncd.core.people import ContactId
from syncd.store.database import Database


def tell(
    raw: sqlite3.Connection, link: LinkNumber, events: Iterable[Event], *, run: str, at: str
) -> None:
    """Keep events; the same thing is kept once."""
    raw.executemany(
        "INSERT INTO event (run, link, contact, key, at, what, detail)"
        " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        [(run, link, e.contact or 0, e.key, at, e.what.value, e.detail) for e in events],
    )


class Events:
    """What was seen of people."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(
        self, key: AddressKey, contacts: Sequence[ContactId]
    ) -> list[tuple[str, str, str, str, str]]:
        """Return what was seen of a person: time, run, link's name, what, detail."""
        marks = ",".join("?" * len(contacts)) or "NULL"
        rows = self._database.rows(
            "SELECT e.at, e.run, l.name, e.what, e.detail FROM event e JOIN link l ON l.id = e.link"
            f" WHERE e.key = ? OR e.contact IN ({marks}) ORDER BY e.id",
            (key, *contacts),
        )
        return [(at, run, link, what, detail) for at, run, link, what, detail in rows]

    def count(self, link: LinkNumber, what: str, since: str) -> int:
        """Return how often something was seen on a link since then."""
        rows = self._database.rows(
            "SELECT COUNT(*) FROM event WHERE link = ? AND what = ? AND at >= ?",
            (link, what, since),
        )
        return int(rows[0][0])
