"""A run of ours over the same people, in memory: `python -m bench.beside.syncd ITEMS FILE`.

FILE is the store, and every step is as durable as in any run.
"""

import hashlib
import json
import logging
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import structlog

from bench.beside.measure import phase
from syncd.app.run import run_once
from syncd.app.world import World
from syncd.core.link import Direction, Link, Selection
from syncd.core.people import Contact, ContactId, Member, MemberStatus, Person
from syncd.core.plan import ItemResult, Result
from syncd.ports import Capabilities, Entry, ListId, ReadPage, SnapshotWriter, SweepReport
from syncd.store.store import Store

_PAGE = 100


class _Contacts:
    """Planfix's side: an etag and a last name for each contact."""

    def __init__(self, items: int) -> None:
        self.etags = [b"1"] * items
        self.last = ["Orlova"] * items

    def sweep(self, _: Selection, snapshot: SnapshotWriter, **__: object) -> SweepReport:
        """Read page after page, looking at etags as a sweep looks at bytes."""
        count = len(self.etags)
        pages = -(-count // _PAGE)
        for number in range(1, pages + 1):
            places = range((number - 1) * _PAGE, min(number * _PAGE, count))
            digests = {ContactId(place + 1): self._digest(place) for place in places}
            digest = hashlib.sha256(b"".join(digests.values())).digest()
            kept = snapshot.page(number)
            if kept is None or kept.digest != digest:
                known = snapshot.digests_on(number)
                changed = [
                    Contact(contact, self.person(contact - 1))
                    for contact, digest in digests.items()
                    if digest not in known
                ]
                snapshot.keep([ReadPage(number, digest, digests, changed)])
        snapshot.forget_pages_after(pages)
        return SweepReport(total=count, read=count, pages=pages, certified=True, changed=True)

    def _digest(self, place: int) -> bytes:
        return hashlib.sha256(b"%d %b" % (place, self.etags[place])).digest()

    def person(self, place: int) -> Person:
        """Return who stands at a place."""
        return Person.of(f"p{place}@example.com", "Anna", self.last[place])


class _List:
    """The list's side. It takes what it is given, and after that holds everyone.

    So its content is no part of what a run adds to the process's memory.
    """

    capabilities = Capabilities(
        can_read=True,
        tells_unsubscribe=True,
        tells_blocked=True,
        finds_lists=True,
        bulk_add=500,
        bulk_update=500,
        keeps_reference=True,
    )

    def __init__(self, contacts: _Contacts) -> None:
        self._contacts = contacts
        self._members: list[Member] = []
        self.taken = 0

    def ensure_list(self, name: str) -> ListId:
        """Return the one list there is."""
        return name

    def fault_of(self, _: str) -> str:
        """Take every address."""
        return ""

    def read(self, _: ListId) -> Iterator[Member]:
        """Read the list, sorted by key."""
        return iter(self._members)

    def edition(self, _: ListId) -> str:
        """Be read each time."""
        return ""

    def upsert(self, _: ListId, entries: Sequence[Entry], **__: object) -> list[ItemResult]:
        """Take people in."""
        self.taken += len(entries)
        return [ItemResult(Result.DONE, reference=entry.person.key) for entry in entries]

    def fill(self) -> None:
        """Hold everyone, as a list does that took them all."""
        people = (self._contacts.person(place) for place in range(self.taken))
        members = (Member(who.key, who, MemberStatus.ACTIVE) for who in people)
        self._members = sorted(members, key=lambda member: member.person.key)

    def close(self) -> None:
        """Nothing is open."""


def main(items: int, file: Path) -> None:
    """Bring an empty list in step, again with nothing changed, and with 1 % changed."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    contacts = _Contacts(items)
    members = _List(contacts)
    store = Store(file)
    link = Link(
        name="people",
        selection=Selection("contact"),
        backend="memory",
        list_name="People",
        direction=Direction.BOTH,
    )
    world = World(
        settings=None,
        warnings=(),
        account="memory",
        links=(link,),
        scopes={link.name: json.dumps(["", "memory", "memory", "memory", "People", None])},
        places={link.backend: "memory"},
        store=store,
        planfix=cast("Any", contacts),
        contacts=cast("Any", None),
        open_backend=lambda _: cast("Any", members),
    )

    def once() -> None:
        report = run_once(world)
        if report.exit_code:
            raise SystemExit(f"bench: the run ended with {report.exit_code}: {report.document()}")

    phase("first", once)
    members.fill()
    phase("quiet", once)
    for place in range(0, items, 100):
        contacts.etags[place], contacts.last[place] = b"2", "Petrova"
    phase("changed", once)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
