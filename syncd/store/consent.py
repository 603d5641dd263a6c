"""Latches: who must not be subscribed by us; and the key they are hashed with."""

import hashlib
import json
import secrets
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Final

from syncd.core.address import NO_KEY, AddressKey
from syncd.core.events import Event, Learned, What
from syncd.core.link import ACCOUNT, LinkNumber
from syncd.core.pairs import Gone, NewLatch, Release
from syncd.core.people import ContactId, Person
from syncd.core.plan import Operation
from syncd.store import events
from syncd.store.database import Database
from syncd.store.draft import Draft
from syncd.store.snapshots import read_anew

_HASH_BYTES: Final = 16


class ConsentStore:
    """The latches of every link. Addresses are kept as keyed hashes only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @cached_property
    def hashed(self) -> Callable[[AddressKey], bytes]:
        """A function from an e-mail key to its keyed hash, 16 bytes."""
        with self._database.transaction() as raw:
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

    def latched(
        self, link: LinkNumber, *, pushed: bool = False
    ) -> tuple[frozenset[ContactId], frozenset[bytes]]:
        """Return the latched contacts and key hashes of a link, the account's with them.

        A link whose contacts are pushed may number them in a way of its own: there the account's
        latches hold by address alone.
        """
        own = self._database.rows(
            "SELECT contact, key_hash FROM latch WHERE link = ? AND link <> ?", (link, ACCOUNT)
        )
        contacts, keys = self.latched_everywhere(link, pushed=pushed)
        return (
            contacts.union(ContactId(contact) for contact, _ in own if contact is not None),
            keys.union(key_hash for _, key_hash in own if key_hash is not None),
        )

    def latched_everywhere(
        self, link: LinkNumber, *, pushed: bool = False
    ) -> tuple[frozenset[ContactId], frozenset[bytes]]:
        """Return the same of the account's latches alone, but those that ended for this link.

        For the account itself, those that ended for none.
        """
        rows = self._database.rows(
            "SELECT contact, key_hash FROM latch WHERE link = ?2 AND (contact IS NULL OR NOT ?3)"
            " AND id NOT IN (SELECT latch FROM lifted WHERE ?1 IN (link, ?2))",
            (link, ACCOUNT, pushed),
        )
        return (
            frozenset(ContactId(contact) for contact, _ in rows if contact is not None),
            frozenset(key_hash for _, key_hash in rows if key_hash is not None),
        )

    def count(self, link: LinkNumber) -> int:
        """Return how many contacts and addresses are latched."""
        contacts, keys = self.latched(link)
        return max(len(contacts), len(keys))

    def newest(self, link: LinkNumber | None = None) -> int:
        """Return a number that grows with every latch that is set, of one link or of any."""
        where = "" if link is None else "WHERE link = ?"
        query = f"SELECT COALESCE(MAX(id), 0) FROM latch {where}"
        return int(self._database.rows(query, () if link is None else (link,))[0][0])

    def latch(self, link: LinkNumber, latches: Iterable[NewLatch], *, run: str, at: str) -> int:
        """Set latches, durably; those there are get the newer cause. Return how many are new."""
        hashed = self.hashed  # before the transaction: the first use makes the key, in its own
        with self._database.transaction() as raw:
            return latch(raw, link, latches, hashed, run=run, at=at)

    def let_go(
        self, link: LinkNumber, latched_in: LinkNumber, latches: Iterable[NewLatch],
        wish: Operation, *, run: str, at: str,
    ) -> None:  # fmt: skip
        """Set a person's latches, and journal that the list is to be told: both or neither.

        What the list's service told of them before counts as if it had told that they left. What
        we wrote to Planfix of their consent before is forgotten, so that a field that was
        set back before now releases them no more.
        """
        latches = tuple(latches)
        hashed = self.hashed
        with self._database.transaction() as raw:
            latch(raw, latched_in, latches, hashed, run=run, at=at)
            _outdo(raw, latched_in, latches)
            raw.executemany(
                "UPDATE reported SET status = 'unsubscribed' WHERE link = ? AND key = ?",
                [(link, latch.key) for latch in latches if latch.key is not None],
            )
            raw.executemany(
                "DELETE FROM consent_mark WHERE contact = ?",
                [(latch.contact,) for latch in latches if latch.contact is not None],
            )
            Draft(raw, link, 0, run=run, at=at).write([(wish, False)])

    def gone(self, link: LinkNumber) -> dict[bytes, Gone]:
        """Return whom we saw off a list, by the keyed hash of the address."""
        rows = self._database.rows(
            "SELECT key_hash, at, reference, release FROM gone WHERE link = ?", (link,)
        )
        return {
            key_hash: Gone(at, reference, Release(release))
            for key_hash, at, reference, release in rows
        }

    def learn(
        self, link: LinkNumber, latched_in: LinkNumber, learned: Learned, *,
        run: str, at: str, asked: str = "",
    ) -> None:  # fmt: skip
        """Keep what a run learned of a link's people, all of it or nothing.

        `latched_in` is the link or the account that new latches are for. `asked` is when the
        list was asked: who left after that, by another word, is not back by its answer.
        """
        if not learned:
            return
        hashed = self.hashed
        with self._database.transaction() as raw:
            _lift(raw, link, learned.lifted, hashed, until=asked)
            latch(raw, latched_in, learned.latches, hashed, run=run, at=at)
            _outdo(raw, latched_in, learned.latches)
            # A release names all addresses of a person, and is carried out with one of them.
            raw.executemany(
                "UPDATE gone SET release = '' WHERE link = ?1 AND release <> '' AND at ="
                " (SELECT at FROM gone WHERE link = ?1 AND key_hash = ?2 AND release <> '')",
                [(link, hashed(key)) for key in learned.back],
            )
            raw.executemany(
                "DELETE FROM gone WHERE link = ? AND key_hash = ?",
                [(link, hashed(key)) for key in learned.back],
            )
            raw.executemany(
                "INSERT INTO gone (link, key_hash, reference, at) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (link, key_hash) DO UPDATE SET reference = excluded.reference,"
                " at = excluded.at, release = ''",
                [(link, hashed(key), reference, since) for key, reference, since in learned.gone],
            )
            raw.executemany(
                "DELETE FROM subscriber WHERE link = ? AND key = ?",
                [(link, key) for key, _, _ in learned.gone],
            )
            raw.executemany(
                "UPDATE pair SET status = ?, reference = iif(? = '', reference, ?)"
                " WHERE link = ? AND contact = ?",
                [
                    (status.value, reference, reference, link, contact)
                    for contact, status, reference in learned.marked
                ],
            )
            raw.executemany(
                "UPDATE operation SET state = 'dropped', error = 'approved' WHERE link = ?"
                " AND state = 'withheld' AND op = 'consent' AND contact = ? AND key = ?",
                [(link, contact, key) for contact, key in learned.approved],
            )
            events.tell(raw, link, learned.events, run=run, at=at)

    def release(
        self,
        link: LinkNumber,
        keys: Sequence[AddressKey],
        contacts: Sequence[ContactId],
        *,
        run: str,
        at: str,
        reason: str,
        since: str = "",
        what: What = What.RELEASED,
    ) -> int:
        """End the latches of a person for a link, as somebody's word; return how many that were.

        Their ended pairs are forgotten, so that they may be subscribed again, and what the list
        says of an unsubscribe that we know of, or of one before `since` (now, if not given),
        latches nobody again.
        """
        hashed = self.hashed
        lifted = [NewLatch(reason, key=key) for key in keys]
        lifted += [NewLatch(reason, contact=contact) for contact in contacts]
        with self._database.transaction() as raw:
            ended = _lift(raw, link, lifted, hashed)
            raw.executemany(
                "DELETE FROM pair WHERE link = ? AND contact = ? AND status = 'unsubscribed'",
                [(link, contact) for contact in contacts],
            )
            raw.executemany(
                "INSERT INTO gone (link, key_hash, reference, at, release)"
                " VALUES (?, ?, '', ?, 'due') ON CONFLICT (link, key_hash)"
                " DO UPDATE SET at = max(at, excluded.at), release = excluded.release",
                [(link, hashed(key), since or at) for key in keys],
            )
            raw.executemany(
                "UPDATE operation SET state = 'dropped', error = 'released' WHERE link = ?"
                " AND state IN ('planned', 'sent') AND op = 'unsubscribe'"
                " AND (key = ? OR contact = ?)",
                [(link, key, -1) for key in keys] + [(link, "-", c) for c in contacts],
            )
            told = [Event(what, None, key, f"{at} {reason}") for key in keys]
            told += [Event(what, c, NO_KEY, f"{at} {reason}") for c in contacts]
            events.tell(raw, link, told, run=run, at=at)
        return ended

    def release_everywhere(self, keys: Iterable[AddressKey], contacts: Iterable[ContactId]) -> int:
        """End what latches the account has of a person; return how many that were."""
        hashed = self.hashed
        lifted = [NewLatch("", key=key) for key in keys]
        lifted += [NewLatch("", contact=contact) for contact in contacts]
        with self._database.transaction() as raw:
            return _lift(raw, ACCOUNT, lifted, hashed)

    def doubt_release(self, link: LinkNumber, keys: Iterable[AddressKey]) -> None:
        """Remember that nobody knows whether released people were subscribed again."""
        hashed = self.hashed
        with self._database.transaction() as raw:
            raw.executemany(
                "UPDATE gone SET release = 'perhaps'"
                " WHERE link = ? AND key_hash = ? AND release <> ''",
                [(link, hashed(key)) for key in keys],
            )

    # The consent field in Planfix.

    def unmarked(
        self, links: Sequence[LinkNumber], selection: int, *, field: int, unsubscribed: str
    ) -> list[tuple[ContactId, Person, bool]]:
        """Return the contacts whose field doesn't say yet what we know, and whether they left.

        That is whoever is latched and not marked so, and whoever is marked and latched no
        longer; of those who are in the selection. A field speaks for all `links` that have it:
        who is back on one of them is back.
        """
        numbers = json.dumps(links)
        rows = self._database.rows(_UNMARKED, (selection, numbers, ACCOUNT, field, unsubscribed))
        return [
            (ContactId(contact), Person(address, key, first, last), bool(left))
            for contact, address, key, first, last, left in rows
        ]

    def mark(self, contact: ContactId, *, field: int, value: str, at: str) -> None:
        """Remember what the field says, since we wrote it."""
        with self._database.transaction() as raw:
            raw.execute(
                "INSERT INTO consent_mark (contact, field, value, at) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (contact, field) DO UPDATE SET value = excluded.value,"
                " at = excluded.at",
                (contact, field, value, at),
            )
            # What was read before is older than that, and has to be read again, though the bytes
            # may be the same: somebody may have set the field back at once.
            if raw.execute(
                "DELETE FROM custom WHERE contact = ? AND field = ?", (contact, field)
            ).rowcount:
                read_anew(raw, contact)

    def set_back(
        self, selection: int, *, field: int, unsubscribed: str, subscribed: str
    ) -> list[tuple[ContactId, str]]:
        """Return whose field somebody set to `subscribed` after we had set it to `unsubscribed`.

        With each contact comes when we had. What was read before that is not held.
        """
        rows = self._database.rows(_SET_BACK, (selection, field, unsubscribed, subscribed))
        return [(ContactId(contact), at) for contact, at in rows]


_UNMARKED: Final = """
WITH latched AS MATERIALIZED (
    SELECT latch.contact FROM json_each(?2) here JOIN latch ON latch.link IN (here.value, ?3)
     WHERE latch.contact IS NOT NULL AND NOT EXISTS
           (SELECT 1 FROM lifted WHERE lifted.latch = latch.id AND lifted.link = here.value)
     GROUP BY latch.contact HAVING COUNT(DISTINCT here.value) = json_array_length(?2))
SELECT c.id, c.address, c.key, c.first, c.last, c.id IN latched FROM contact c
  LEFT JOIN consent_mark m ON m.contact = c.id AND m.field = ?4
 WHERE c.selection = ?1 AND c.page IS NOT NULL
   AND (c.id IN latched) <> (m.value IS ?5)
   AND c.id IN (SELECT contact FROM latched
                UNION SELECT contact FROM consent_mark WHERE field = ?4)
 ORDER BY c.id
"""

_SET_BACK: Final = """
SELECT c.id, m.at FROM consent_mark m
  JOIN contact c ON c.selection = ?1 AND c.id = m.contact AND c.page IS NOT NULL
  JOIN custom u ON u.selection = ?1 AND u.contact = m.contact AND u.field = ?2
 WHERE m.field = ?2 AND m.value = ?3 AND ?4 IN (u.value, u.text)
"""


def latch(
    raw: sqlite3.Connection, link: LinkNumber, latches: Iterable[NewLatch],
    hashed: Callable[[AddressKey], bytes], *, run: str, at: str,
) -> int:  # fmt: skip
    """Set latches; those there are get the newer cause. Return how many are new.

    One of the account's that ended for some links holds for all of them again, and is new.
    """
    new = 0
    for latch in latches:
        key_hash = None if latch.key is None else hashed(latch.key)
        whose = (link, latch.contact, key_hash)
        if not raw.execute(
            "UPDATE latch SET why = ?, run = ?, at = ?"
            " WHERE link = ? AND contact IS ? AND key_hash IS ?"
            " AND id NOT IN (SELECT latch FROM lifted)",
            (latch.why, run, at, *whose),
        ).rowcount:
            number = raw.execute(
                "INSERT INTO latch (why, run, at, link, contact, key_hash)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (latch.why, run, at, *whose),
            ).lastrowid
            raw.execute(  # after that, or the new one might get its number
                "DELETE FROM latch WHERE link = ? AND contact IS ? AND key_hash IS ? AND id <> ?",
                (*whose, number),
            )
            new += 1
    return new


def is_latched(raw: sqlite3.Connection, link: LinkNumber, key_hash: bytes) -> bool:
    """Say whether an address is latched for a link."""
    return bool(
        raw.execute(
            "SELECT 1 FROM latch WHERE key_hash = ?2 AND link IN (?1, ?3)"
            " AND id NOT IN (SELECT latch FROM lifted WHERE link = ?1) LIMIT 1",
            (link, key_hash, ACCOUNT),
        ).fetchone()
    )


def _outdo(raw: sqlite3.Connection, latched_in: LinkNumber, latches: Iterable[NewLatch]) -> None:
    """Let it count no more that services told of people's subscribing: they left since."""
    for latch in latches:
        column, value = ("contact", latch.contact) if latch.key is None else ("key", latch.key)
        raw.execute(
            f"UPDATE reported SET joined = 0 WHERE joined AND {column} = ? AND ? IN (link, ?)",
            (value, latched_in, ACCOUNT),
        )


def _lift(
    raw: sqlite3.Connection, link: LinkNumber, latches: Iterable[NewLatch],
    hashed: Callable[[AddressKey], bytes], *, until: str = "",
) -> int:  # fmt: skip
    """End latches for a link, but those that were set at `until` or later, where that is given.

    The account's hold on for every other link.
    """
    ended = ended_here = 0
    for latch in latches:
        for column, value in (
            ("contact", latch.contact),
            ("key_hash", None if latch.key is None else hashed(latch.key)),
        ):
            ended += raw.execute(
                f"DELETE FROM latch WHERE link = ? AND {column} = ? AND (at < ? OR ? = '')",
                (link, value, until, until),
            ).rowcount
            ended_here += raw.execute(
                "INSERT INTO lifted (latch, link) SELECT id, ? FROM latch"
                f" WHERE link = ? AND {column} = ? AND (at < ? OR ? = '')"
                " ON CONFLICT (latch, link) DO NOTHING",
                (link, ACCOUNT, value, until, until),
            ).rowcount
    if ended:  # the numbers of latches that ended may be given again
        raw.execute("UPDATE link SET latch_met = 0")
    return ended + ended_here


def leave(
    raw: sqlite3.Connection, link: LinkNumber, latched_in: LinkNumber,
    latches: Sequence[NewLatch], hashed: Callable[[AddressKey], bytes], *, run: str, at: str,
) -> None:  # fmt: skip
    """Latch somebody who left a list, and remember that their addresses were seen off it."""
    latch(raw, latched_in, latches, hashed, run=run, at=at)
    _outdo(raw, latched_in, latches)
    raw.executemany(
        "INSERT INTO gone (link, key_hash, reference, at) VALUES (?, ?, '', ?)"
        " ON CONFLICT (link, key_hash) DO UPDATE SET at = excluded.at",
        [(link, hashed(latch.key), at) for latch in latches if latch.key is not None],
    )
