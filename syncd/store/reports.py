"""What list services told us of their members, until a run has seen to it.

One line per address: what the service said last. That somebody left is kept as a latch at the
same time, so that it holds against a run that is under way.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from syncd.clock import stamp
from syncd.core.address import NO_KEY, AddressKey
from syncd.core.link import ACCOUNT, ConsentScope, Link, LinkNumber, Selection
from syncd.core.pairs import NewLatch
from syncd.core.people import ContactId, Member, MemberStatus, Person
from syncd.core.plan import Op, Operation
from syncd.core.pushes import Reported
from syncd.ports import ListId
from syncd.store import consent
from syncd.store.database import Database
from syncd.store.draft import Draft

RUN: Final = "list-events"
"""Stands for the run of a latch that was set between runs."""

LEFT: Final = "the list says that they unsubscribed"

MOVED: Final = "the list says that somebody who unsubscribed has this address now"

ECHO: Final = timedelta(minutes=5)
"""So long after a write of ours a service may still tell us of it."""

_PAGE: Final = 2000

# Where an address was met before, what was known of its member stays known; whoever left is back
# only by subscribing.
_REPORT: Final = """
INSERT INTO reported (link, key, contact, address, first, last, status, since, old_key, joined)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (link, key) DO UPDATE SET contact = COALESCE(excluded.contact, reported.contact),
address = excluded.address, first = excluded.first, last = excluded.last,
status = iif(reported.status = 'unsubscribed' AND NOT excluded.joined, reported.status,
excluded.status), since = excluded.since,
joined = excluded.joined OR (reported.joined AND excluded.status = 'active'),
old_key = iif(reported.old_key <> '', reported.old_key, excluded.old_key)
WHERE reported.address <> excluded.address OR reported.first <> excluded.first
OR reported.last <> excluded.last OR reported.status <> excluded.status
OR reported.joined < excluded.joined
OR reported.contact IS NOT COALESCE(excluded.contact, reported.contact)
OR (reported.old_key = '' AND excluded.old_key <> '')
"""

# Writes of ours that were sent or done just now: what takes an address off the list, unless it was
# put back since. A rename is none of them: a service tells of it as of a change …
_TAKEN_OFF: Final = """
SELECT 1 FROM operation WHERE link = ?1 AND state IN ('planned', 'sent') AND state = 'sent'
   AND at >= ?3 AND key = ?2 AND op IN ('remove', 'unsubscribe')
UNION ALL
SELECT 1 FROM operation WHERE op = 'remove' AND link = ?1 AND at >= ?3 AND key = ?2
   AND state = 'done'
   AND NOT EXISTS (SELECT 1 FROM pair WHERE link = ?1 AND key = ?2 AND status = 'active')
"""

# … and what puts it there: of whoever left just now, a service may still tell what was before.
_PUT_ON: Final = """
SELECT 1 FROM operation WHERE link = ?1 AND state IN ('planned', 'sent') AND state = 'sent'
   AND key = ?2 AND op IN ('add', 'update', 'rename')
UNION ALL SELECT 1 FROM gone WHERE link = ?1 AND key_hash = ?4 AND at >= ?3
UNION ALL SELECT 1 FROM latch WHERE link IN (?1, 0) AND key_hash = ?4 AND at >= ?3
"""

# Whose member we brought from an address to another just now, and which that is.
_RENAMED: Final = """
SELECT p.contact, p.address, p.key, p.first, p.last FROM operation o
  JOIN pair p ON p.link = o.link AND p.contact = o.contact AND p.status = 'active'
 WHERE o.link = ? AND o.op = 'rename' AND o.old_key = ? AND o.state = 'done' AND o.at >= ?
 ORDER BY o.id DESC LIMIT 1
"""

# Who waits for a person or for a cause to go away: what was told of them isn't dealt with.
_WAITING: Final = """
SELECT contact, key, old_key FROM operation WHERE link = ?1 AND state = 'withheld' AND run = ?2
UNION ALL SELECT contact, key, '' FROM held WHERE link = ?1
UNION ALL SELECT contact, key, '' FROM quarantine WHERE link = ?1
"""


_READ: Final = """
SELECT key, contact, address, first, last, status, since, old_key, joined FROM reported
"""


class Reports:
    """The reports of a store, as a run reads and settles them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, link: LinkNumber) -> Iterator[Reported]:
        """Yield what a link's list service told since it was settled last, by key."""
        after = NO_KEY
        while page := [
            _reported(row)
            for row in self._database.rows(
                f"{_READ} WHERE link = ? AND key > ? ORDER BY key LIMIT ?", (link, after, _PAGE)
            )
        ]:
            yield from page
            after = page[-1].member.person.key

    def about(self, link: LinkNumber, key: AddressKey) -> Reported | None:
        """Return what was told of the member who has an address, or had it before they moved."""
        rows = self._database.rows(
            f"{_READ} WHERE link = ?1 AND (key = ?2 OR old_key = ?2) ORDER BY key <> ?2 LIMIT 1",
            (link, key),
        )
        return _reported(rows[0]) if rows else None

    def settle(self, link: LinkNumber, seen: Iterable[Reported], *, run: str) -> None:
        """Erase reports that a run has dealt with, but those of people who wait.

        What the service told of a member after they were read stays for the next run.
        """
        with self._database.transaction() as raw:
            waiting = {
                value for row in raw.execute(_WAITING, (link, run)) for value in row if value
            }
            raw.executemany(
                "DELETE FROM reported WHERE link = ? AND key = ? AND since = ?",
                [
                    (link, each.member.person.key, each.member.since)
                    for each in seen
                    if waiting.isdisjoint((each.contact, each.member.person.key, each.old_key))
                ],
            )


class ReportBatch:
    """Takes reports, within a transaction of its owner's."""

    def __init__(self, raw: sqlite3.Connection, hashed: Callable[[AddressKey], bytes]) -> None:
        self._raw = raw
        self._hashed = hashed

    def link_of(
        self, backend: str, list_id: ListId, links: Sequence[Link]
    ) -> tuple[LinkNumber, LinkNumber] | None:
        """Return the link that feeds a backend's list, and the one that its latches are for.

        `links` are the config's; those that Planfix pushed are known here. A link whose list the
        config names, and which no run has met, is remembered. None where no link feeds the list.
        """
        written = _spellings(list_id)
        for link in links:
            if link.backend != backend:
                continue
            number = None
            if link.list_id is None:
                number = self._number(
                    "SELECT id FROM link WHERE name = ? AND list_id IN (?, ?)", link.name, *written
                )
            elif str(link.list_id) == str(list_id):
                number = self.remembered(link.name)
            if number is not None:
                account = link.consent.scope is ConsentScope.ACCOUNT
                return number, ACCOUNT if account else number
        number = self._number(
            "SELECT link.id FROM pushed_list"
            " JOIN selection ON selection.target = ? || pushed_list.id"
            " JOIN link ON link.selection = selection.id"
            " WHERE pushed_list.backend = ? AND link.list_id IN (?, ?)",
            Selection.pushed("").target, backend, *written,
        )  # fmt: skip
        return None if number is None else (number, number)

    def _number(self, sql: str, *values: str) -> LinkNumber | None:
        found = self._raw.execute(sql, values).fetchone()
        return None if found is None else LinkNumber(found[0])

    def remembered(self, name: str) -> LinkNumber:
        """Return the number of a link that a run may not have met yet.

        Its first run gives it scope and selection, as to any link without pairs.
        """
        self._raw.execute(
            "INSERT INTO link (name, scope, selection, asked) VALUES (?, '', 0, 0)"
            " ON CONFLICT (name) DO NOTHING",
            (name,),
        )
        found = self._raw.execute("SELECT id FROM link WHERE name = ?", (name,)).fetchone()
        return LinkNumber(found[0])

    def left(
        self, link: LinkNumber, latched_in: LinkNumber, person: Person, *, at: datetime
    ) -> None:
        """Remember, and latch, that a member left the list; what we took off ourselves is no news.

        Both addresses are latched of one who had moved before. Whom we brought to another
        address meanwhile is taken off there: the service may have put them back by that.
        """
        if self._found(_TAKEN_OFF, link, person.key, stamp(at - ECHO)):
            return
        contact = self._report(link, person, MemberStatus.UNSUBSCRIBED, at=at)
        earlier = self._raw.execute(
            "SELECT old_key FROM reported WHERE link = ? AND key = ?", (link, person.key)
        ).fetchone()
        keys = [person.key, *(earlier or ())]
        if contact is None and (renamed := self._renamed(link, person.key, at - ECHO)) is not None:
            contact, member = renamed
            keys.append(member.key)
            wish = Operation(Op.UNSUBSCRIBE, contact, member, LEFT)
            Draft(self._raw, link, 0, run=RUN, at=stamp(at)).write([(wish, False)])
        latches = [NewLatch(LEFT, key=key) for key in keys if key]
        if contact is not None:
            latches.append(NewLatch(LEFT, contact=contact))
        self._leave(link, latched_in, latches, at=at)

    def joined(self, link: LinkNumber, person: Person, *, at: datetime) -> None:
        """Remember that somebody subscribed; not so where it may be a write of ours."""
        ours = self._found(_PUT_ON, link, person.key, stamp(at - ECHO), self._hashed(person.key))
        self._report(link, person, MemberStatus.ACTIVE, at=at, joined=not ours)

    def changed(
        self, link: LinkNumber, latched_in: LinkNumber, person: Person, *,
        old_key: AddressKey, at: datetime,
    ) -> None:  # fmt: skip
        """Remember what a member changed; `old_key` is where they moved from, empty where not.

        The new address is latched of one who had left.
        """
        self._report(link, person, MemberStatus.ACTIVE, at=at, old_key=old_key)
        if old_key and consent.is_latched(self._raw, link, self._hashed(old_key)):
            latch = NewLatch(MOVED, key=person.key)
            consent.leave(self._raw, link, latched_in, [latch], self._hashed, run=RUN, at=stamp(at))

    def _leave(
        self, link: LinkNumber, latched_in: LinkNumber, latches: Sequence[NewLatch], *, at: datetime
    ) -> None:
        consent.leave(self._raw, link, latched_in, latches, self._hashed, run=RUN, at=stamp(at))

    def _report(
        self, link: LinkNumber, person: Person, status: MemberStatus, *,
        at: datetime, old_key: AddressKey = NO_KEY, joined: bool = False,
    ) -> ContactId | None:  # fmt: skip
        """Keep a report; return the contact that is paired with the member."""
        contact = None
        if old_key != NO_KEY:
            contact = self._paired(link, old_key)
            # One who moved twice since the last run comes from where they were first.
            earlier = self._raw.execute(
                "DELETE FROM reported WHERE link = ? AND key = ?"
                " RETURNING contact, old_key, status",
                (link, old_key),
            ).fetchone()
            if earlier is not None:
                contact = earlier[0] if contact is None else contact
                old_key = earlier[1] or old_key
                status = MemberStatus(earlier[2])  # who had left moves as one who has left
            if old_key == person.key:
                old_key = NO_KEY
        if contact is None:
            contact = self._paired(link, person.key)
        self._raw.execute(
            _REPORT,
            (link, person.key, contact, person.address, person.first, person.last, status.value,
             stamp(at), old_key, joined),
        )  # fmt: skip
        found = self._raw.execute(
            "SELECT contact FROM reported WHERE link = ? AND key = ?", (link, person.key)
        ).fetchone()
        return None if found[0] is None else ContactId(found[0])

    def _paired(self, link: LinkNumber, key: AddressKey) -> int | None:
        found = self._raw.execute(
            "SELECT contact FROM pair WHERE link = ? AND key = ?", (link, key)
        ).fetchone()
        return None if found is None else int(found[0])

    def _renamed(
        self, link: LinkNumber, old_key: AddressKey, since: datetime
    ) -> tuple[ContactId, Person] | None:
        """Return whom we brought away from an address, and what their member is now."""
        found = self._raw.execute(_RENAMED, (link, old_key, stamp(since))).fetchone()
        return None if found is None else (ContactId(found[0]), Person(*found[1:]))

    def _found(self, sql: str, *values: object) -> bool:
        return self._raw.execute(f"{sql} LIMIT 1", values).fetchone() is not None


def _reported(row: tuple[Any, ...]) -> Reported:
    key, contact, address, first, last, status, since, old_key, joined = row
    member = Member("", Person(address, AddressKey(key), first, last), MemberStatus(status), since)
    return Reported(contact, member, AddressKey(old_key), bool(joined))


def _spellings(list_id: ListId) -> tuple[str, str]:
    """Return how a list's id may stand in the store: services write theirs with quotes or not."""
    return json.dumps(str(list_id)), str(list_id)
