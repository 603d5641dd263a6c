"""What was last read from a selection, kept page by page.

Each contact remembers the page it stood on. A page whose bytes are those of the last time
costs one read of one row; a contact that no page shows any more has no page. So presence
is known without a mark on every contact in every run.
"""

import sqlite3
from collections.abc import Collection, Sequence

from syncd.core.address import fault_of
from syncd.core.link import Selection
from syncd.core.people import ContactId
from syncd.ports import ReadContact, Remembered
from syncd.store.database import Database
from syncd.store.pairs import UNPAIRED

_KEEP = (
    "INSERT INTO contact (selection, id, address, key, first, last, fault, digest, page)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (selection, id) DO UPDATE SET address = excluded.address, key = excluded.key,"
    " first = excluded.first, last = excluded.last, fault = excluded.fault,"
    " digest = excluded.digest, page = excluded.page"
)


class Snapshot:
    """The snapshot of one selection: where a sweep writes, and links read."""

    def __init__(self, database: Database, account: str, selection: Selection) -> None:
        self._database = database
        with database.transaction() as raw:
            raw.execute(
                "INSERT INTO selection (account, target) VALUES (?, ?)"
                " ON CONFLICT (account, target) DO NOTHING",
                (account, selection.target),
            )
            found = raw.execute(
                "SELECT id, fields FROM selection WHERE account = ? AND target = ?",
                (account, selection.target),
            ).fetchone()
        self.id: int = found[0]
        self._fields = frozenset(int(field) for field in found[1].split(",") if field)

    def present(self) -> int:
        """Return how many contacts the selection has."""
        rows = self._database.rows(
            "SELECT COUNT(*) FROM contact WHERE selection = ? AND page IS NOT NULL", (self.id,)
        )
        return int(rows[0][0])

    @property
    def fields(self) -> frozenset[int]:
        """The custom fields that are read with each contact."""
        return self._fields

    def want(self, fields: Collection[int]) -> None:
        """Say which custom fields are to be read from now on.

        For one that was not read before, every page must be read anew, whatever its bytes.
        """
        wanted = frozenset(fields)
        if wanted == self._fields:
            return
        text = ",".join(map(str, sorted(wanted)))
        with self._database.transaction() as raw:
            raw.execute("UPDATE selection SET fields = ? WHERE id = ?", (text, self.id))
            raw.executemany(
                "DELETE FROM custom WHERE selection = ? AND field = ?",
                [(self.id, field) for field in self._fields - wanted],
            )
            if wanted - self._fields:
                raw.execute("UPDATE contact SET digest = x'' WHERE selection = ?", (self.id,))
                raw.execute("UPDATE page SET digest = x'' WHERE selection = ?", (self.id,))
        self._fields = wanted

    def page_digest(self, number: int) -> bytes | None:
        """Return the digest of a page's bytes as last kept, or None."""
        found = self._page(number)
        return found[0] if found else None

    def page_size_of(self, number: int) -> int:
        """Return how many contacts that page held when it was last kept."""
        found = self._page(number)
        return found[1] if found else 0

    def _page(self, number: int) -> tuple[bytes, int] | None:
        rows = self._database.rows(
            "SELECT digest, size FROM page WHERE selection = ? AND number = ?", (self.id, number)
        )
        return (rows[0][0], rows[0][1]) if rows else None

    def digests_on(self, number: int) -> dict[bytes, ContactId]:
        """Return who stood on a page when it was last kept, by the digests of their bytes."""
        return dict(
            self._database.rows(
                # Named, since SQLite would rather walk the whole selection for each page.
                "SELECT digest, id FROM contact INDEXED BY contact_page"
                " WHERE selection = ? AND page = ?",
                (self.id, number),
            )
        )

    def remembered(self, ids: Sequence[ContactId]) -> dict[ContactId, Remembered]:
        """Return what is held of these contacts; those unknown are left out."""
        marks = ",".join("?" * len(ids))
        rows = self._database.rows(
            f"SELECT id, digest, page FROM contact WHERE selection = ? AND id IN ({marks})",
            (self.id, *ids),
        )
        return {ContactId(row[0]): Remembered(row[1], row[2]) for row in rows}

    def keep_page(
        self,
        number: int,
        digest: bytes,
        present: Sequence[ContactId],
        changed: Sequence[ReadContact],
    ) -> frozenset[ContactId]:
        """Remember a page; return whom of it an earlier page of this sweep has shown already.

        Pages come in order, so a contact remembered on a page before this one was seen
        there in this very sweep. It stays there, and this page gets no digest: else its bytes,
        and those of the other, would look certain the next time.
        """
        with self._database.transaction() as raw:
            stood = {
                row[0]
                for row in raw.execute(
                    "SELECT id FROM contact WHERE selection = ? AND page = ?", (self.id, number)
                )
            }
            came = [contact for contact in present if contact not in stood]
            pages = self._pages(raw, came)
            before = frozenset(contact for contact, page in pages.items() if page < number)
            raw.executemany(
                "UPDATE contact SET page = NULL WHERE selection = ? AND id = ?",
                [(self.id, gone) for gone in stood.difference(present)],
            )
            new = {read.contact.id: read for read in changed if read.contact.id not in before}
            raw.executemany(_KEEP, [self._row(read, number) for read in new.values()])
            if self._fields:
                self._keep_custom(raw, new.values())
            # A contact that comes here from another page must be looked for there again: were
            # that page unread for its unchanged bytes, a contact on both would go unnoticed, or
            # count as absent once it stands there alone.
            raw.executemany(
                "DELETE FROM page WHERE selection = ? AND number = ?",
                {(self.id, page) for page in pages.values() if page > number},
            )
            raw.executemany(
                "UPDATE contact SET page = ? WHERE selection = ? AND id = ?",
                [
                    (number, self.id, contact)
                    for contact in came
                    if contact not in new and contact not in before
                ],
            )
            raw.execute(
                "INSERT INTO page (selection, number, digest, size) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (selection, number) DO UPDATE"
                " SET digest = excluded.digest, size = excluded.size",
                (self.id, number, b"" if before else digest, len(present) - len(before)),
            )
        return before

    def _pages(
        self, raw: sqlite3.Connection, contacts: Sequence[ContactId]
    ) -> dict[ContactId, int]:
        """Return on which pages these contacts stand; who stands nowhere is left out."""
        if not contacts:
            return {}
        marks = ",".join("?" * len(contacts))
        rows = raw.execute(
            f"SELECT id, page FROM contact WHERE selection = ? AND id IN ({marks})",
            (self.id, *contacts),
        )
        return {contact: page for contact, page in rows if page is not None}

    def _keep_custom(self, raw: sqlite3.Connection, changed: Collection[ReadContact]) -> None:
        raw.executemany(
            "DELETE FROM custom WHERE selection = ? AND contact = ?",
            [(self.id, read.contact.id) for read in changed],
        )
        raw.executemany(
            "INSERT INTO custom (selection, contact, field, value, text) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT DO NOTHING",
            [
                (self.id, read.contact.id, custom.field, custom.value, custom.text)
                for read in changed
                for custom in read.contact.custom
            ],
        )

    def _row(self, read: ReadContact, number: int) -> tuple[object, ...]:
        person = read.contact.person
        return (
            self.id,
            read.contact.id,
            person.address,
            person.key,
            person.first,
            person.last,
            fault_of(person.address) if person.key else "",
            read.digest,
            number,
        )

    def forget_pages_after(self, number: int) -> None:
        """End a sweep: pages past the last one hold nobody any more."""
        with self._database.transaction() as raw:
            raw.execute(
                "UPDATE contact SET page = NULL WHERE selection = ? AND page > ?",
                (self.id, number),
            )
            raw.execute("DELETE FROM page WHERE selection = ? AND number > ?", (self.id, number))

    def drop_absent(self) -> None:
        """Erase contacts that no page shows and no link is paired with."""
        with self._database.transaction() as raw:
            raw.execute(
                f"DELETE FROM contact WHERE selection = ? AND page IS NULL AND {UNPAIRED}",
                (self.id,),
            )
            if self._fields:
                raw.execute(
                    "DELETE FROM custom WHERE selection = ?1 AND contact NOT IN"
                    " (SELECT id FROM contact WHERE selection = ?1)",
                    (self.id,),
                )
