"""A store on disk, and short ways to fill it."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncd.core.link import LinkNumber, Selection
from syncd.core.people import Contact, ContactId, Person
from syncd.ports import ReadPage
from syncd.store.snapshots import Snapshot
from syncd.store.store import Store

AT = "2026-11-23T22:15:30.000000+00:00"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "syncd.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    store = Store(path)
    yield store
    store.close()


@pytest.fixture
def snapshot(store: Store) -> Snapshot:
    return store.snapshot("acme", Selection("contact"))


@pytest.fixture
def link(store: Store, snapshot: Snapshot) -> LinkNumber:
    return store.links.open("customers", "scope", snapshot.id)


def read(contact: int, address: str, first: str = "") -> Contact:
    return Contact(ContactId(contact), Person.of(address, first, ""))


def sweep(snapshot: Snapshot, *pages: dict[int, str], together: bool = False) -> int:
    """Keep whole pages, each id → address, at once or in turn; return how many came twice."""
    again = 0
    pending: list[ReadPage] = []
    for number, page in enumerate(pages, start=1):
        digest = repr(sorted(page.items())).encode()
        kept = snapshot.page(number)
        if not pending and kept is not None and kept.digest == digest:
            continue
        people = [read(contact, address) for contact, address in page.items()]
        digests = {each.id: digest_of(each) for each in people}
        pending.append(ReadPage(number, digest, digests, people))
        if not together:
            again += snapshot.keep(pending)
            pending.clear()
    again += snapshot.keep(pending)
    snapshot.forget_pages_after(len(pages))
    return again


def digest_of(contact: Contact) -> bytes:
    """Return what stands for the digest of a contact's bytes."""
    return hashlib.sha256(repr(contact).encode()).digest()
