"""What was last read from a selection, kept page by page.

Each contact remembers the page it stood on, and each page who stood on it. A page whose bytes
are those of the last time costs one read of one row; a contact that no page shows any more has
no page. So presence is known without a mark on every contact in every run.

A page's digest is empty where its list of contacts may be longer than the truth: somebody on it
was met on an earlier page since.
"""

import json
import sqlite3
from collections.abc import Collection, Iterable, Sequence
from typing import Final

from syncd.core.address import fault_of
from syncd.core.link import Selection
from syncd.core.people import Contact, ContactId
from syncd.ports import KeptPage, ReadPage
from syncd.store.database import Database
from syncd.store.pairs import UNPAIRED

_KEEP: Final = (
    "INSERT INTO contact (selection, id, address, key, first, last, fault, page)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (selection, id) DO UPDATE SET address = excluded.address, key = excluded.key,"
    " first = excluded.first, last = excluded.last, fault = excluded.fault, page = excluded.page"
)
_KEEP_PAGE: Final = (
    "INSERT INTO page (selection, number, digest, size, contacts, digests)"
    " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (selection, number) DO UPDATE"
    " SET digest = excluded.digest, size = excluded.size, contacts = excluded.contacts,"
    " digests = excluded.digests"
)
_LEAVE: Final = "UPDATE contact SET page = NULL WHERE selection = ? AND id = ? AND page = ?"

_DIGEST_BYTES: Final = 32
_NO_DIGEST: Final = bytes(_DIGEST_BYTES)


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
                raw.execute(
                    "UPDATE page SET digest = x'', digests = x'' WHERE selection = ?", (self.id,)
                )
        self._fields = wanted

    def page(self, number: int) -> KeptPage | None:
        """Return what is remembered of a page, or None."""
        rows = self._database.rows(
            "SELECT digest, size FROM page WHERE selection = ? AND number = ?", (self.id, number)
        )
        return KeptPage(*rows[0]) if rows else None

    def digests_on(self, number: int) -> dict[bytes, ContactId]:
        """Return who stood on a page when it was last kept, by the digests of their bytes."""
        rows = self._database.rows(
            "SELECT contacts, digests FROM page WHERE selection = ? AND number = ?",
            (self.id, number),
        )
        return {digest: contact for row in rows for contact, digest in _digests(*row).items()}

    def digests_of(self, ids: Sequence[ContactId]) -> dict[ContactId, bytes]:
        """Return the digests of these contacts' bytes, wherever they stand, as far as known."""
        pages = self._pages(ids)
        rows = self._database.rows(
            "SELECT number, contacts, digests FROM page WHERE selection = ?"
            " AND number IN (SELECT value FROM json_each(?))",
            (self.id, json.dumps(sorted(set(pages.values())))),
        )
        return {
            contact: digest
            for number, *held in rows
            for contact, digest in _digests(*held).items()
            if pages.get(contact) == number
        }

    def keep(self, pages: Sequence[ReadPage]) -> int:
        """Remember pages; return how many on them an earlier page of this sweep has shown already.

        Pages come in order, so a contact remembered on a page before one of these was seen
        there in this very sweep. It stays there, and this page gets no digest: else its bytes,
        and those of the other, would look certain the next time.
        """
        with self._database.transaction() as raw:
            return sum(self._keep(raw, page) for page in pages)

    def _keep(self, raw: sqlite3.Connection, page: ReadPage) -> int:
        number, present = page.number, page.digests
        stood, certain = self._stood_on(number)
        came = present.keys() - stood if certain else present.keys()
        places = self._pages(came) if came else {}
        before = {contact for contact, place in places.items() if place < number}
        gone = [(self.id, contact, number) for contact in stood - present.keys()]
        new = [contact for contact in page.changed if contact.id not in before]
        raw.executemany(_LEAVE, gone)
        raw.executemany(_KEEP, [self._row(contact, number) for contact in new])
        if self._fields:
            self._keep_custom(raw, new)
        # A contact that comes here from another page must be looked for there again: were
        # that page unread for its unchanged bytes, a contact on both would go unnoticed, or
        # count as absent once it stands there alone.
        raw.executemany(
            "UPDATE page SET digest = x'' WHERE selection = ? AND number = ?",
            {(self.id, place) for place in places.values() if place > number},
        )
        moved = came - before - {contact.id for contact in new}
        raw.executemany(
            "UPDATE contact SET page = ? WHERE selection = ? AND id = ?",
            [(number, self.id, contact) for contact in moved if places.get(contact) != number],
        )
        here = [contact for contact in present if contact not in before] if before else present
        digests = b"".join([present[contact] or _NO_DIGEST for contact in here])
        raw.execute(
            _KEEP_PAGE,
            (
                *(self.id, number, b"" if before else page.digest),
                *(len(here), json.dumps(list(here)), digests),
            ),
        )
        return len(before)

    def _stood_on(self, number: int) -> tuple[set[ContactId], bool]:
        """Return who stood on a page, and whether it is certain that they all still do."""
        rows = self._database.rows(
            "SELECT contacts, digest FROM page WHERE selection = ? AND number = ?",
            (self.id, number),
        )
        return (set(json.loads(rows[0][0])), bool(rows[0][1])) if rows else (set(), True)

    def _pages(self, contacts: Iterable[ContactId]) -> dict[ContactId, int]:
        """Return on which pages these contacts stand; who stands nowhere is left out."""
        return dict(
            self._database.rows(
                "SELECT id, page FROM contact WHERE selection = ? AND page IS NOT NULL"
                " AND id IN (SELECT value FROM json_each(?))",
                (self.id, json.dumps(list(contacts))),
            )
        )

    def _keep_custom(self, raw: sqlite3.Connection, changed: Collection[Contact]) -> None:
        raw.executemany(
            "DELETE FROM custom WHERE selection = ? AND contact = ?",
            [(self.id, contact.id) for contact in changed],
        )
        raw.executemany(
            "INSERT INTO custom (selection, contact, field, value, text) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT DO NOTHING",
            [
                (self.id, contact.id, custom.field, custom.value, custom.text)
                for contact in changed
                for custom in contact.custom
            ],
        )

    def _row(self, contact: Contact, number: int) -> tuple[object, ...]:
        person = contact.person
        return (
            self.id,
            contact.id,
            person.address,
            person.key,
            person.first,
            person.last,
            fault_of(person.address) if person.key else "",
            number,
        )

    def forget_pages_after(self, number: int) -> None:
        """End a sweep: pages past the last one hold nobody any more."""
        with self._database.transaction() as raw:
            over = raw.execute(
                "SELECT number, contacts FROM page WHERE selection = ? AND number > ?",
                (self.id, number),
            ).fetchall()
            raw.executemany(
                _LEAVE,
                [(self.id, contact, page) for page, ids in over for contact in json.loads(ids)],
            )
            raw.execute("DELETE FROM page WHERE selection = ? AND number > ?", (self.id, number))

    def drop_absent(self) -> None:
        """Erase contacts that no page shows and no link is paired with."""
        with self._database.transaction() as raw:
            raw.execute(
                "DELETE FROM contact INDEXED BY contact_absent"
                f" WHERE selection = ? AND page IS NULL AND {UNPAIRED}",
                (self.id,),
            )
            if self._fields:
                raw.execute(
                    "DELETE FROM custom WHERE selection = ?1 AND contact NOT IN"
                    " (SELECT id FROM contact WHERE selection = ?1)",
                    (self.id,),
                )


def read_anew(raw: sqlite3.Connection, contact: ContactId) -> None:
    """Let nobody's bytes on the pages of a contact count as known; they are read once more."""
    raw.execute(
        "UPDATE page SET digest = x'', digests = x'' WHERE (selection, number) IN"
        " (SELECT selection, page FROM contact WHERE id = ?)",
        (contact,),
    )


def _digests(contacts: str, digests: bytes) -> dict[ContactId, bytes]:
    """Return the contacts of a page with the digests that are known."""
    begins = range(0, len(digests), _DIGEST_BYTES)
    pieces = [digests[begin : begin + _DIGEST_BYTES] for begin in begins]
    held = dict(zip(json.loads(contacts), pieces, strict=False))
    return {contact: digest for contact, digest in held.items() if digest != _NO_DIGEST}
