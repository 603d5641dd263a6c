"""What reading a list came to, and which of its pairs were written since.

A pair that is written leaves a note of its address, by triggers of the database, so that no way
of writing a pair can forget to. What was concluded of an address where neither the member nor
the pair changed still holds: comparing them again would say the same, about whom it misses too.
"""

import json
import sqlite3
from collections.abc import Sequence
from typing import Final

from syncd.core.link import LinkNumber
from syncd.core.pairs import Compared, Sighting
from syncd.store.database import Database
from syncd.store.sightings import line_of, sighting

_UNDER_WAY: Final = ""

_KEEP: Final = """
UPDATE compared SET edition = ?, members = ?, differences = ? WHERE link = ? AND edition = ?
"""


class Comparisons:
    """The last comparison of each link."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def last(self, link: LinkNumber, most: int) -> Compared | None:
        """Return what the last comparison came to.

        None where there is none that was ended, or more than `most` pairs were written since.
        """
        rows = self._database.rows(
            "SELECT edition, members, differences FROM compared WHERE link = ?", (link,)
        )
        if not rows or rows[0][0] == _UNDER_WAY:
            return None
        edition, members, differences = rows[0]
        notes = self._database.rows(
            "SELECT key, number FROM rewritten WHERE link = ? LIMIT ?", (link, most + 1)
        )
        if len(notes) > most:
            return None
        return Compared(
            edition,
            members,
            tuple(map(sighting, json.loads(differences))),
            frozenset(key for key, _ in notes),
            max((number for _, number in notes), default=0),
        )

    def begin(self, link: LinkNumber) -> None:
        """Note that a whole list is being compared; pairs written meanwhile are noted."""
        with self._database.transaction() as raw:
            raw.execute("DELETE FROM rewritten WHERE link = ?", (link,))
            raw.execute(
                "INSERT INTO compared (link, edition, members, differences) VALUES (?, ?, 0, '[]')"
                " ON CONFLICT (link) DO UPDATE SET edition = excluded.edition",
                (link, _UNDER_WAY),
            )

    def keep(
        self, link: LinkNumber, edition: str, members: int, differences: Sequence[Sighting]
    ) -> None:
        """Remember what comparing a whole list came to, unless it was forgotten meanwhile."""
        with self._database.transaction() as raw:
            _keep(raw, link, _UNDER_WAY, Compared(edition, members, tuple(differences)))

    def drop(self, link: LinkNumber) -> None:
        """Remember nothing, and note no pair that is written, until the next comparison begins."""
        with self._database.transaction() as raw:
            raw.execute("DELETE FROM compared WHERE link = ?", (link,))
            raw.execute("DELETE FROM rewritten WHERE link = ?", (link,))

    def renew(self, link: LinkNumber, before: Compared, now: Compared) -> None:
        """Put in the place of a comparison what it comes to since what was rewritten then."""
        with self._database.transaction() as raw:
            _keep(raw, link, before.edition, now)
            raw.execute(
                "DELETE FROM rewritten WHERE link = ? AND number <= ?", (link, before.until)
            )


def _keep(raw: sqlite3.Connection, link: LinkNumber, instead_of: str, now: Compared) -> None:
    lines = json.dumps([line_of(seen) for seen in now.differences], ensure_ascii=False)
    raw.execute(_KEEP, (now.edition, now.members, lines, link, instead_of))
