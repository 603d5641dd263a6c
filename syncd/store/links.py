"""Links as remembered: what their pairs were made with, and their list's id."""

import json
import sqlite3

from syncd.core.link import LinkNumber
from syncd.ports import ListId
from syncd.store.database import Database

_FOLLOW = (
    "INSERT INTO contact (selection, id, address, key, first, last, fault, page)"
    " SELECT ?, contact, address, key, first, last, '', NULL FROM pair WHERE link = ?"
    " ON CONFLICT (selection, id) DO NOTHING"
)

# Who left one list and is active on another has not come back: their latch stays.
_FORGET_GONE = "DELETE FROM gone WHERE link = ?"


class Links:
    """The links a store has known."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def number(self, name: str) -> LinkNumber | None:
        """Return a link's number, or None where no run has met it."""
        rows = self._database.rows("SELECT id FROM link WHERE name = ?", (name,))
        return LinkNumber(rows[0][0]) if rows else None

    def open(self, name: str, scope: str, selection: int, *, follow: bool = True) -> LinkNumber:
        """Return a link's number; a new link, or one without pairs, takes this scope.

        Where the selection changed, the paired contacts become ones that the new selection
        has not shown, so that they are judged like any that is missing. Without `follow`, it is
        a new beginning: the pairs end.
        """
        with self._database.transaction() as raw:
            raw.execute(
                "INSERT INTO link (name, scope, selection, asked) VALUES (?, ?, ?, 0)"
                " ON CONFLICT (name) DO NOTHING",
                (name, scope, selection),
            )
            number, known_scope, known_selection = raw.execute(
                "SELECT id, scope, selection FROM link WHERE name = ?", (name,)
            ).fetchone()
            paired = raw.execute("SELECT 1 FROM pair WHERE link = ? LIMIT 1", (number,)).fetchone()
            if known_scope != scope and not paired:
                raw.execute(
                    "UPDATE link SET scope = ?, list_id = NULL, asked = 0 WHERE id = ?",
                    (scope, number),
                )
                raw.execute(_FORGET_GONE, (number,))
            if known_selection != selection:
                if follow:
                    raw.execute(_FOLLOW, (selection, number))
                else:
                    _end_pairs(raw, number)
                raw.execute("UPDATE link SET selection = ? WHERE id = ?", (selection, number))
        return LinkNumber(number)

    def scope(self, link: LinkNumber) -> str:
        """Return what the pairs of a link were made with."""
        return str(self._database.rows("SELECT scope FROM link WHERE id = ?", (link,))[0][0])

    def list_id(self, link: LinkNumber) -> ListId | None:
        """Return the list's id as its service gave it, or None while there is none."""
        rows = self._database.rows("SELECT list_id FROM link WHERE id = ?", (link,))
        if not rows or rows[0][0] is None:
            return None
        found: ListId = json.loads(rows[0][0])
        return found

    def creation_unknown(self, link: LinkNumber) -> bool:
        """Whether a list's creation was sent and its answer never came."""
        return bool(self._database.rows("SELECT asked FROM link WHERE id = ?", (link,))[0][0])

    def ask(self, link: LinkNumber) -> None:
        """Remember, before the call, that a list is being created."""
        self._set(link, list_id=None, asked=True)

    def answered(self, link: LinkNumber, list_id: ListId | None) -> None:
        """Remember the list's id; None: it certainly was not created."""
        self._set(link, list_id=list_id, asked=False)

    def has_run(self, link: LinkNumber) -> bool:
        """Whether a link's first run, which writes nothing to Planfix, is over."""
        return bool(self._database.rows("SELECT ran FROM link WHERE id = ?", (link,))[0][0])

    def ran(self, link: LinkNumber) -> None:
        """Remember that a run of the link came to its end."""
        with self._database.transaction() as raw:
            raw.execute("UPDATE link SET ran = 1 WHERE id = ? AND NOT ran", (link,))

    def latch_met(self, link: LinkNumber) -> int:
        """Return the newest latch of the account that was looked for among the pairs."""
        return int(self._database.rows("SELECT latch_met FROM link WHERE id = ?", (link,))[0][0])

    def _set(self, link: LinkNumber, *, list_id: ListId | None, asked: bool) -> None:
        with self._database.transaction() as raw:
            raw.execute(
                "UPDATE link SET list_id = ?, asked = ? WHERE id = ?",
                (None if list_id is None else json.dumps(list_id), asked, link),
            )

    def rebase(self, link: LinkNumber, scope: str) -> int:
        """Forget the pairs of a link and its list; return how many.

        Consent stays, and so do people's wishes to leave that were not told yet.
        """
        with self._database.transaction() as raw:
            known = raw.execute("SELECT scope FROM link WHERE id = ?", (link,)).fetchone()
            if known != (scope,):
                raw.execute(_FORGET_GONE, (link,))
            raw.execute(
                "UPDATE link SET scope = ?, list_id = NULL, asked = 0 WHERE id = ?", (scope, link)
            )
            return _end_pairs(raw, link)


def _end_pairs(raw: sqlite3.Connection, link: LinkNumber) -> int:
    """Forget a link's pairs, and drop what was to be done for them; return how many they were.

    Who asked to leave, and whom the list has not been told of, still asks.
    """
    ended = raw.execute("DELETE FROM pair WHERE link = ?", (link,)).rowcount
    raw.execute("UPDATE link SET ran = 0, latch_met = 0 WHERE id = ?", (link,))
    for table in ("held", "quarantine", "subscriber"):
        raw.execute(f"DELETE FROM {table} WHERE link = ?", (link,))
    raw.execute(
        "UPDATE operation SET state = 'dropped' WHERE link = ?"
        " AND state IN ('planned', 'sent', 'withheld') AND op <> 'unsubscribe'",
        (link,),
    )
    return ended
