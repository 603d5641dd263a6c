"""A store on disk, and short ways to fill it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from syncd.core.link import LinkNumber, Selection
from syncd.core.people import Contact, ContactId, Person
from syncd.ports import ReadContact
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


def read(contact: int, address: str, first: str = "", digest: bytes = b"d") -> ReadContact:
    return ReadContact(Contact(ContactId(contact), Person.of(address, first, "")), digest)


def sweep(snapshot: Snapshot, *pages: dict[int, str]) -> int:
    """Keep whole pages, each id → address; return how many contacts came twice."""
    twice = 0
    for number, page in enumerate(pages, start=1):
        digest = repr(sorted(page.items())).encode()
        if snapshot.page_digest(number) == digest:
            continue
        people = [read(contact, address) for contact, address in page.items()]
        twice += len(snapshot.keep_page(number, digest, [ContactId(c) for c in page], people))
    snapshot.forget_pages_after(len(pages))
    return twice
