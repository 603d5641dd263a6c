"""What Planfix pushed to us: its lists, with their contacts.

A pushed list's contacts are those of a selection of its own, all on page 1: what a sweep reads
from other selections, Planfix tells of this one. A change that says nothing new writes nothing.
"""

import secrets
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import chain, count
from typing import Final

from syncd.clock import stamp
from syncd.core.address import NO_KEY, AddressKey, fault_of
from syncd.core.link import ACCOUNT, LinkNumber, Selection
from syncd.core.pairs import MET, NewLatch
from syncd.core.people import Contact, ContactId
from syncd.core.pushes import PushedList
from syncd.ports import ListId
from syncd.store import consent
from syncd.store.consent import ConsentStore
from syncd.store.database import Database
from syncd.store.reports import ReportBatch

# No row where there is no such list; null where nothing was ever put into it.
_FIND_SELECTION: Final = """
SELECT s.id FROM pushed_list p LEFT JOIN selection s ON s.account = ? AND s.target = ?
 WHERE p.id = ? AND p.backend = ? AND p.ended IS NULL
"""

_MAKE_SELECTION: Final = "INSERT INTO selection (account, target) VALUES (?, ?) RETURNING id"

# The link of a pushed list, with its number where a run has met it.
_FIND_LINK: Final = """
SELECT p.link, link.id FROM pushed_list p LEFT JOIN link ON link.name = p.link WHERE p.id = ?
"""

_TAKE_OUT: Final = """
UPDATE contact SET page = NULL WHERE selection = ? AND page IS NOT NULL AND id = ?
"""

_AT: Final = "SELECT id FROM contact INDEXED BY contact_key WHERE selection = ? AND key = ?"

RUN: Final = "push"
"""Stands for the run of a latch that a push has set."""

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
            batch = PushBatch(raw, account, ReportBatch(raw, hashed), hashed)
            yield batch
            batch.write()


class PushBatch:
    """Several pushes in one transaction; `reports` takes those of list services."""

    def __init__(
        self, raw: sqlite3.Connection, account: str, reports: ReportBatch,
        hashed: Callable[[AddressKey], bytes],
    ) -> None:  # fmt: skip
        self.reports = reports
        self._raw = raw
        self._account = account
        self._hashed = hashed
        self._selections: dict[tuple[str, str], int | None] = {}
        self._rows: dict[tuple[int, ContactId], tuple[object, ...]] = {}
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
        since, targets = stamp(at - _ASKED_AGAIN), Selection.pushed("").target
        asked = (backend, name, since, self._account, targets)
        for (unused,) in self._raw.execute(_UNUSED, asked):
            return str(unused)
        self._selections.clear()
        made = f"lst-{secrets.token_hex(8)}"
        self._raw.execute(
            "INSERT INTO pushed_list (id, backend, name, at, link) VALUES (?, ?, ?, ?, ?)",
            (
                made, backend, name, stamp(at), self._link_name(backend, name, taken),
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
            (stamp(at), str(list_id), backend),
        )

    def put(
        self, backend: str, list_id: ListId, contacts: Iterable[Contact], *,
        at: datetime, old_key: AddressKey = NO_KEY,
    ) -> bool:  # fmt: skip
        """Add contacts to a list or correct them; False where there is no such list.

        `old_key` is where the contact was before, if that is told.
        """
        selection = self._selection(backend, list_id)
        if selection is None:
            return False
        some_left = self._raw.execute("SELECT 1 FROM latch LIMIT 1").fetchone() is not None
        for contact in contacts:
            if old_key or some_left:
                before = self._key_of(selection, contact.id)
                if before is None and old_key:
                    self._take_out(selection, self._at(selection, old_key))
                earlier = {before or NO_KEY, old_key} - {NO_KEY, contact.person.key}
                if some_left and earlier:
                    self._keep_out_after(str(list_id), contact.id, earlier, at=at)
            self._rows[selection, contact.id] = _row(selection, contact)
        return True

    def leave(self, backend: str, list_id: ListId, contact: Contact) -> bool:
        """Take a contact out of a list; False where there is no such list.

        One whose number was never met is known by its address.
        """
        selection = self._selection(backend, list_id)
        if selection is None:
            return False
        known = self._key_of(selection, contact.id) is not None
        self._take_out(
            selection, [contact.id] if known else self._at(selection, contact.person.key)
        )
        return True

    def _key_of(self, selection: int, contact: ContactId) -> AddressKey | None:
        """Return the key that was put last for a contact, None where none ever was."""
        waiting = self._rows.get((selection, contact))
        if waiting is not None:
            return AddressKey(str(waiting[3]))
        found = self._raw.execute(
            "SELECT key FROM contact WHERE selection = ? AND id = ?", (selection, contact)
        ).fetchone()
        return None if found is None else AddressKey(found[0])

    def _at(self, selection: int, key: AddressKey) -> list[ContactId]:
        """Return the contacts of a list at an address; nobody is at an empty one."""
        self.write()
        return [row[0] for row in self._raw.execute(_AT, (selection, key))] if key else []

    def _take_out(self, selection: int, contacts: Iterable[ContactId]) -> None:
        self.write()
        self._raw.executemany(_TAKE_OUT, [(selection, contact) for contact in contacts])

    def _keep_out_after(
        self, list_id: str, contact: ContactId, earlier: Iterable[AddressKey], *, at: datetime
    ) -> None:
        """Latch a contact that was at a latched address: a run may see but the new one."""
        [[name, number]] = self._raw.execute(_FIND_LINK, (list_id,))
        link = ACCOUNT if number is None else LinkNumber(number)
        hashes = map(self._hashed, earlier)
        if any(consent.is_latched(self._raw, link, key_hash) for key_hash in hashes):
            link = self.reports.remembered(name)
            latch = NewLatch(MET, contact=contact)
            consent.latch(self._raw, link, [latch], self._hashed, run=RUN, at=stamp(at))

    def write(self) -> None:
        """Write the contacts that were put; many at once cost less than one by one."""
        if self._rows:
            self._raw.executemany(_PUT, self._rows.values())
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
