"""Latches: who must not be subscribed by us; and the key they are hashed with."""

import hashlib
import secrets
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Final

from syncd.core.address import AddressKey
from syncd.core.link import ACCOUNT, LinkNumber
from syncd.core.pairs import NewLatch
from syncd.core.people import ContactId
from syncd.store.database import Database, driver

_HASH_BYTES: Final = 16


class ConsentStore:
    """The latches of every link. Addresses are kept as keyed hashes only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @cached_property
    def hashed(self) -> Callable[[AddressKey], bytes]:
        """A function from an e-mail key to its keyed hash, 16 bytes."""
        with self._database.transaction() as connection:
            raw = driver(connection)
            raw.execute(
                "INSERT INTO meta (name, value) VALUES ('hash key', ?)"
                " ON CONFLICT (name) DO NOTHING",
                (secrets.token_hex(32),),
            )
            found = raw.execute("SELECT value FROM meta WHERE name = 'hash key'").fetchone()
        secret = bytes.fromhex(found[0])
        return lambda key: hashlib.blake2b(
            key.encode(), key=secret, digest_size=_HASH_BYTES
        ).digest()

    def latched(self, link: LinkNumber) -> tuple[frozenset[ContactId], frozenset[bytes]]:
        """Return the latched contacts and key hashes of a link, the account's with them."""
        rows = self._database.rows(
            "SELECT contact, key_hash FROM latch WHERE link IN (?, ?)", (link, ACCOUNT)
        )
        return (
            frozenset(ContactId(contact) for contact, _ in rows if contact is not None),
            frozenset(key_hash for _, key_hash in rows if key_hash is not None),
        )

    def count(self, link: LinkNumber) -> int:
        """Return how many contacts and addresses are latched."""
        contacts, keys = self.latched(link)
        return max(len(contacts), len(keys))

    def newest(self) -> int:
        """Return a number that grows with every latch that is set."""
        return int(self._database.rows("SELECT COALESCE(MAX(id), 0) FROM latch")[0][0])

    def latch(self, link: LinkNumber, latches: Iterable[NewLatch], *, run: str, at: str) -> int:
        """Set latches, durably; those there are stay as they are. Return how many are new."""
        new = 0
        hashed = self.hashed  # before the transaction: the first use makes the key, in its own
        with self._database.transaction() as connection:
            raw = driver(connection)
            for latch in latches:
                key_hash = None if latch.key is None else hashed(latch.key)
                new += raw.execute(
                    "INSERT INTO latch (link, contact, key_hash, why, run, at)"
                    " SELECT ?, ?, ?, ?, ?, ? WHERE NOT EXISTS (SELECT 1 FROM latch"
                    " WHERE link = ? AND contact IS ? AND key_hash IS ?)",
                    (
                        link, latch.contact, key_hash, latch.why, run, at,
                        link, latch.contact, key_hash,
                    ),
                ).rowcount  # fmt: skip
        return new
