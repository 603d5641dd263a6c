"""What reading a list came to, for as long as neither the list nor its pairs are changed.

Two editions of a list with one name are the same list, and a pair that is written takes the
comparison of its link with it (a trigger of the database, so that no way of writing a pair can
forget to). What is left stands for the same two halves as when it was made: comparing them
again would say the same again, about whom it misses too.
"""

import json
from collections.abc import Sequence
from typing import Final

from syncd.core.link import LinkNumber
from syncd.core.pairs import Compared, Sighting
from syncd.store.database import Database
from syncd.store.sightings import line_of, sighting

_UNDER_WAY: Final = ""


class Comparisons:
    """The last comparison of each link."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, link: LinkNumber, edition: str) -> Compared | None:
        """Return what comparing this edition with the pairs as they are came to."""
        rows = self._database.rows(
            "SELECT members, differences FROM compared WHERE link = ? AND edition = ?",
            (link, edition),
        )
        if not rows or edition == _UNDER_WAY:
            return None
        members, differences = rows[0]
        return Compared(members, tuple(sighting(line) for line in json.loads(differences)))

    def begin(self, link: LinkNumber) -> None:
        """Note that a comparison begins; a pair that is written meanwhile erases the note."""
        with self._database.transaction() as raw:
            raw.execute(
                "INSERT INTO compared (link, edition, members, differences) VALUES (?, ?, 0, '[]')"
                " ON CONFLICT (link) DO UPDATE SET edition = excluded.edition",
                (link, _UNDER_WAY),
            )

    def keep(
        self, link: LinkNumber, edition: str, members: int, differences: Sequence[Sighting]
    ) -> None:
        """Remember what a comparison came to, unless a pair was written since it began."""
        lines = json.dumps([line_of(seen) for seen in differences], ensure_ascii=False)
        with self._database.transaction() as raw:
            raw.execute(
                "UPDATE compared SET edition = ?, members = ?, differences = ?"
                " WHERE link = ? AND edition = ?",
                (edition, members, lines, link, _UNDER_WAY),
            )
