"""A list of which only the changes are read is known as well as one that is read whole."""

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any, cast

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from syncd.app.reading import read_list
from syncd.app.world import OpenLink
from syncd.backends.base import Retry
from syncd.backends.embedded import Embedded
from syncd.core.address import key_of
from syncd.core.link import Link, Selection
from syncd.core.people import ContactId, Person
from syncd.ports import Entry
from syncd.store.store import Store

ADDRESSES = st.sampled_from([f"{name}@example.com" for name in "abcdef"])
NAMES = st.sampled_from(["", "Anna", "Eva"])
CONTACTS = st.integers(1, 6)
LINK = Link(
    name="customers", selection=Selection("contact"), backend="own", list_name="Customers"
)  # fmt: skip


class Readings(RuleBasedStateMachine):
    """People, syncd and somebody at the file itself write a list and its pairs, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        place = Path(self.folder.name)
        self.lists = place / "lists.db"
        self.own = Embedded(Embedded.Options(path=self.lists), Retry(timeout_s=5))
        self.list_id = self.own.ensure_list("Customers")
        self.other_id = self.own.ensure_list("Others")
        self.store = Store(place / "syncd.db")
        self.store._database.raw.execute("PRAGMA synchronous = OFF")  # nobody cuts the power here
        snapshot = self.store.snapshot("acme", LINK.selection)
        self.at = OpenLink(
            link=LINK,
            number=self.store.links.open("customers", "scope", snapshot.id),
            sharing=(),
            run="r1",
            backend=self.own,
            snapshot=snapshot,
            store=self.store,
            planfix=cast("Any", None),
        )

    # The list.

    @rule(address=ADDRESSES, first=NAMES)
    def put(self, address: str, first: str) -> None:
        entry = Entry(ContactId(0), Person.of(address, first, ""))
        self.own.upsert(self.list_id, [entry], known=False)

    @rule(address=ADDRESSES)
    def join(self, address: str) -> None:
        self.own.join(self.list_id, Person.of(address, "Eva", ""))

    @rule(address=ADDRESSES)
    def leave(self, address: str) -> None:
        self.own.leave(self.list_id, address)

    @rule(address=ADDRESSES)
    def remove(self, address: str) -> None:
        self.own.remove(self.list_id, [Entry(ContactId(0), Person.of(address, "", ""))])

    @rule(old=ADDRESSES, new=ADDRESSES)
    def rename(self, old: str, new: str) -> None:
        self.own.rename(self.list_id, old, Entry(ContactId(0), Person.of(new, "Anna", "")))

    @rule(address=ADDRESSES)
    def change_another_list(self, address: str) -> None:
        self.own.join(self.other_id, Person.of(address, "", ""))

    @rule(address=ADDRESSES, status=st.sampled_from(["blocked", "active"]))
    def change_the_file(self, address: str, status: str) -> None:
        self.by_hand(
            "UPDATE member SET status = ? WHERE list_id = 1 AND email = ?", status, address
        )

    @rule(address=ADDRESSES)
    def erase_from_the_file(self, address: str) -> None:
        self.by_hand("DELETE FROM member WHERE list_id = 1 AND email = ?", address)

    @rule(address=ADDRESSES)
    def write_into_the_file(self, address: str) -> None:
        self.by_hand(
            "INSERT INTO member (list_id, email_key, email, first, last, status, status_at,"
            " status_by, changed_seq) VALUES (1, ?, ?, '', '', 'active', '', 'hand', 0)"
            " ON CONFLICT (list_id, email_key) DO NOTHING",
            *(address, address),
        )

    @rule(old=ADDRESSES, new=ADDRESSES)
    def move_in_the_file(self, old: str, new: str) -> None:
        self.by_hand(
            "UPDATE OR IGNORE member SET email_key = ?, email = ? WHERE list_id = 1 AND email = ?",
            *(new, new, old),
        )

    def by_hand(self, sql: str, *values: str) -> None:
        with closing(sqlite3.connect(self.lists)) as db, db:
            db.execute(sql, values)

    # The pairs.

    @rule(contact=CONTACTS, address=ADDRESSES, reference=st.integers(1, 8))
    def pair(self, contact: int, address: str, reference: int) -> None:
        key, link = key_of(address), self.at.number
        self.store._database.rows(
            "DELETE FROM pair WHERE link = ? AND (contact = ? OR key = ?)", (link, contact, key)
        )
        self.store._database.rows(
            "INSERT INTO pair VALUES (?, ?, ?, ?, 'Anna', '', 'active', ?)",
            (link, contact, address, key, str(reference)),
        )

    @rule(contact=CONTACTS, first=NAMES)
    def settle(self, contact: int, first: str) -> None:
        self.store._database.rows(
            "UPDATE pair SET first = ? WHERE contact = ?", (first, contact)
        )  # fmt: skip

    @rule(contact=CONTACTS, address=ADDRESSES)
    def move(self, contact: int, address: str) -> None:
        self.store._database.rows(
            "UPDATE OR IGNORE pair SET address = ?, key = ? WHERE contact = ?",
            (address, key_of(address), contact),
        )

    @rule(contact=CONTACTS)
    def part(self, contact: int) -> None:
        self.store._database.rows("DELETE FROM pair WHERE contact = ?", (contact,))

    # Readings.

    @rule()
    def read_and_die(self) -> None:
        """Take a new edition, which the store never hears of."""
        self.own.edition(self.list_id)

    @rule()
    def compare(self) -> None:
        """Read what changed since the last time, and the list whole."""
        assert self.seen(keep=True) == self.seen(keep=False)

    def seen(self, *, keep: bool) -> tuple[int, list[tuple[Any, ...]]]:
        count = read_list(self.at, self.list_id, keep=keep, stop=lambda: False)
        rows = self.store._database.rows(
            "SELECT key, contact, address, first, last, status, reference FROM temp.sighting"
            " ORDER BY key, contact"
        )
        return count, rows

    def teardown(self) -> None:
        self.compare()
        self.own.close()
        self.store.close()
        self.folder.cleanup()


TestReadings = Readings.TestCase
TestReadings.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)
