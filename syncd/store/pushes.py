"""What Planfix pushed to us: its lists, with their contacts.

A pushed list's contacts are those of a selection of its own, all on page 1: what a sweep reads
from other selections, Planfix tells of this one. A change that says nothing new writes nothing.
"""

import secrets
import sqlite3
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import chain, count
from typing import Final

from syncd.core.address import fault_of
from syncd.core.link import Selection
from syncd.core.people import Contact, ContactId
from syncd.core.pushes import PushedList
from syncd.ports import ListId
from syncd.store.consent import ConsentStore
from syncd.store.database import Database
from syncd.store.reports import ReportBatch

# No row where there is no such list; null where nothing was ever put into it.
_FIND_SELECTION: Final = """
SELECT s.id FROM pushed_list p LEFT JOIN selection s ON s.account = ? AND s.target = ?
 WHERE p.id = ? AND p.backend = ? AND p.ended IS NULL
"""

_MAKE_SELECTION: Final = "INSERT INTO selection (account, target) VALUES (?, ?) RETURNING id"

_ASKED_AGAIN: Final = timedelta(hours=3)
"""So long after the first time Planfix may ask again for what it got no answer to."""

_UNUSED: Final = """
SELECT id FROM pushed_list WHERE backend = ? AND name = ? AND at >= ? AND ended IS NULL
   AND NOT EXISTS (SELECT 1 FROM selection s JOIN contact ON contact.selection = s.id
                    WHERE s.account = ? AND s.target = ? || pushed_list.id)
"""

# Of the links of lists that were given up, those that no list has now.
_ENDED: Final = """
SELECT DISTINCT link FROM pushed_list WHERE backend = ? AND name = ?
   AND link NOT IN (SELECT link FROM pushed_list WHERE ended IS NULL) ORDER BY link
"""

_PUT: Final = """
INSERT INTO contact (selection, id, address, key, first, last, fault, page)
VALUES (?, ?, ?, ?, ?, ?, ?, 1)
ON CONFLICT (selection, id) DO UPDATE SET address = excluded.address, key = excluded.key,
first = excluded.first, last = excluded.last, fault = excluded.fault, page = 1
WHERE contact.page IS NULL OR contact.address <> excluded.address
OR contact.first <> excluded.first OR contact.last <> excluded.last
"""


class Pushes:
    """The pushes of a store."""

    def __init__(self, database: Database, consent: ConsentStore) -> None:
        self._database = database
        self._consent = consent

    def lists(self) -> list[PushedList]:
        """Return every list that Planfix ever made on us, the oldest first."""
        rows = self._database.rows(
            "SELECT id, backend, name, link, ended IS NOT NULL FROM pushed_list ORDER BY at, id"
        )
        return [
            PushedList(number, backend, name, link, ended=bool(ended))
            for number, backend, name, link, ended in rows
        ]

    def end(self, link: str, *, at: str) -> None:
        """End the list of a link: it takes no more pushes."""
        with self._database.transaction() as raw:
            raw.execute(
                "UPDATE pushed_list SET ended = ? WHERE link = ? AND ended IS NULL", (at, link)
            )

    @contextmanager
    def batch(self, account: str) -> Iterator["PushBatch"]:
        """Commit what is taken in inside, all of it or nothing.

        `account` is the one whose selections the pushed contacts belong to.

        Raises:
            TemporaryError: the disk is full, or a run holds the file too long.
        """
        hashed = self._consent.hashed  # before the transaction: its first use is one of its own
        with self._database.transaction() as raw:
            batch = PushBatch(raw, account, ReportBatch(raw, hashed))
            yield batch
            batch.write()


class PushBatch:
    """Several pushes in one transaction; `reports` takes those of list services."""

    def __init__(self, raw: sqlite3.Connection, account: str, reports: ReportBatch) -> None:
        self.reports = reports
        self._raw = raw
        self._account = account
        self._selections: dict[tuple[str, str], int | None] = {}
        self._rows: list[tuple[object, ...]] = []
        self._changes = raw.total_changes

    @property
    def changed(self) -> bool:
        """Whether what was pushed so far was news."""
        self.write()
        return self._raw.total_changes != self._changes

    def create(self, backend: str, name: str, *, taken: Collection[str], at: datetime) -> str:
        """Make a list on a backend, and return its id.

        One that Planfix asked for lately and never used is the same, asked for again. One that
        it had given up comes back with its link, and so with the consent of its people. `taken`
        are the names, casefolded, that its link can't have.
        """
        self.write()
        since, targets = _stamp(at - _ASKED_AGAIN), Selection.pushed("").target
        asked = (backend, name, since, self._account, targets)
        for (unused,) in self._raw.execute(_UNUSED, asked):
            return str(unused)
        self._selections.clear()
        made = f"lst-{secrets.token_hex(8)}"
        self._raw.execute(
            "INSERT INTO pushed_list (id, backend, name, at, link) VALUES (?, ?, ?, ?, ?)",
            (
                made, backend, name, _stamp(at), self._link_name(backend, name, taken),
            ),
        )  # fmt: skip
        return made

    def _link_name(self, backend: str, name: str, taken: Collection[str]) -> str:
        ended = [row[0] for row in self._raw.execute(_ENDED, (backend, name))]
        known = self._raw.execute("SELECT name FROM link UNION SELECT link FROM pushed_list")
        others = {row[0].casefold() for row in known} - {link.casefold() for link in ended}
        numbered = (f"{name} ({number})" for number in count(2))
        free = (one for one in chain(ended, [name], numbered) if one.casefold() not in taken)
        found: str = next(one for one in free if one.casefold() not in others)
        return found

    def end(self, backend: str, list_id: ListId, *, at: datetime) -> None:
        """Remember that Planfix wants a list no more; one that is unknown needs nothing."""
        self._selections.clear()
        self._raw.execute(
            "UPDATE pushed_list SET ended = ? WHERE id = ? AND backend = ? AND ended IS NULL",
            (_stamp(at), str(list_id), backend),
        )

    def put(self, backend: str, list_id: ListId, contacts: Iterable[Contact]) -> bool:
        """Add contacts to a list or correct them; False where there is no such list."""
        selection = self._selection(backend, list_id)
        if selection is None:
            return False
        self._rows += (_row(selection, contact) for contact in contacts)
        return True

    def leave(self, backend: str, list_id: ListId, contact: ContactId) -> bool:
        """Take a contact out of a list; False where there is no such list."""
        selection = self._selection(backend, list_id)
        if selection is None:
            return False
        self.write()
        self._raw.execute(
            "UPDATE contact SET page = NULL WHERE selection = ? AND id = ? AND page IS NOT NULL",
            (selection, contact),
        )
        return True

    def write(self) -> None:
        """Write the contacts that were put; many at once cost less than one by one."""
        if self._rows:
            self._raw.executemany(_PUT, self._rows)
            self._rows.clear()

    def _selection(self, backend: str, list_id: ListId) -> int | None:
        asked = (backend, str(list_id))
        if asked not in self._selections:
            self._selections[asked] = self._find_selection(*asked)
        return self._selections[asked]

    def _find_selection(self, backend: str, list_id: str) -> int | None:
        name = (self._account, Selection.pushed(list_id).target)
        found = self._raw.execute(_FIND_SELECTION, (*name, list_id, backend)).fetchone()
        if found is None:
            return None
        [number] = found
        if number is None:
            [number] = self._raw.execute(_MAKE_SELECTION, name).fetchone()
        return int(number)


def _row(selection: int, contact: Contact) -> tuple[object, ...]:
    person = contact.person
    return (
        selection, contact.id, person.address, person.key, person.first, person.last,
        fault_of(person.address),
    )  # fmt: skip


def _stamp(at: datetime) -> str:
    return at.isoformat(timespec="microseconds")
