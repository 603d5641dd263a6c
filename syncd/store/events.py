"""What was seen of people, for `history`."""

import sqlite3
from collections.abc import Iterable

from syncd.core.events import Event
from syncd.core.link import LinkNumber
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

    def count(self, link: LinkNumber, what: str, since: str) -> int:
        """Return how often something was seen on a link since then."""
        rows = self._database.rows(
            "SELECT COUNT(*) FROM event WHERE link = ? AND what = ? AND at >= ?",
            (link, what, since),
        )
        return int(rows[0][0])
