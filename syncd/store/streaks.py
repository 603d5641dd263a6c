"""How often in a row each link has ended alike, and whether a person was told of that.

A link's row is made of the runs that had it, in the order they ended and whatever the clock
said: runs of other links, as pushes ask for, neither end it nor count in it.
"""

import sqlite3
from collections.abc import Iterable

from syncd.core.report import LinkReport, Outcome
from syncd.store.database import Database


def go_on(raw: sqlite3.Connection, links: Iterable[LinkReport]) -> None:
    """Count how links ended, within the caller's transaction; of a new row nobody was told yet."""
    raw.executemany(
        "INSERT INTO streak (link, outcome, runs, told) VALUES (?, ?, 1, 0)"
        " ON CONFLICT (link) DO UPDATE SET outcome = excluded.outcome,"
        " runs = CASE outcome WHEN excluded.outcome THEN runs + 1 ELSE 1 END,"
        " told = CASE outcome WHEN excluded.outcome THEN told ELSE 0 END",
        [(done.link, done.outcome.value) for done in links],
    )


class Streaks:
    """The rows of a store's links."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def untold(self, after_failures: int) -> dict[str, Outcome]:
        """Return the links that refuse, or failed so often, and of which nobody was told."""
        rows = self._database.rows(
            "SELECT link, outcome FROM streak WHERE NOT told"
            " AND (outcome = ? OR outcome = ? AND runs >= ?)",
            (Outcome.REFUSED.value, Outcome.FAILED.value, after_failures),
        )
        return {link: Outcome(outcome) for link, outcome in rows}

    def mark_told(self, links: Iterable[str]) -> None:
        """Remember that a person was told of these links' rows."""
        with self._database.transaction() as raw:
            raw.executemany(
                "UPDATE streak SET told = 1 WHERE link = ?", [(link,) for link in links]
            )
