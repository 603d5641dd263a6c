"""syncd's own mailing lists, in a SQLite file of their own.

A list that always answers, can be read, and tells how each member left. Members are never
erased singly: who was removed stays as a tombstone, so that a member keeps one reference for
good.
"""

import json
import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from syncd import clock
from syncd.backends import embedded_file
from syncd.backends.base import Backend, Retry
from syncd.backends.embedded_file import (
    REMOVED,
    ListsFile,
    MemberRow,
    existing,
    last_number,
    next_number,
    rows_of,
)
from syncd.core.address import AddressKey, fault_of, key_of
from syncd.core.people import Member, MemberStatus, Person
from syncd.core.plan import ItemResult, Result
from syncd.ports import Capabilities, Entry, ListChanges, ListId

_PAGE: Final = 1000
"""Members fetched at a time while a list is read."""

_STATUSES: Final = {status.value: status for status in MemberStatus}

_BY_US: Final = "syncd"
_BY_MEMBER: Final = "member"

_PUT: Final = """
    INSERT INTO member (list_id, email_key, reference, email, first, last, status, status_at,
        status_by, changed_seq)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (list_id, email_key) DO UPDATE SET
        email = excluded.email, first = excluded.first, last = excluded.last,
        status_at = iif(status = excluded.status, status_at, excluded.status_at),
        status_by = iif(status = excluded.status, status_by, excluded.status_by),
        status = excluded.status, changed_seq = excluded.changed_seq"""

_MEMBERS: Final = """
    SELECT email_key, reference, email, first, last, status, status_at FROM member
     WHERE list_id = ? AND status <> ? ORDER BY email_key"""

_MEMBERS_AT: Final = """
    SELECT email_key, reference, email, first, last, status, status_at FROM member
     WHERE list_id = ? AND status <> ? AND email_key IN (SELECT value FROM json_each(?))
     ORDER BY email_key"""

_UNCHANGED: Final = ItemResult(Result.UNCHANGED)
_ABSENT: Final = ItemResult(Result.ABSENT)


class Embedded(Backend):
    """Lists in one SQLite file. Each call is one transaction, so nothing is ever ambiguous."""

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Options(Backend.Options):
        """The keys of an `embedded` backend."""

        path: Path = field(metadata={"help": "the file that holds the lists"})

    _options: Options

    capabilities = Capabilities(
        can_read=True,
        tells_unsubscribe=True,
        tells_blocked=True,
        finds_lists=True,
        bulk_add=500,
        bulk_update=500,
        bulk_remove=500,
        keeps_reference=True,
    )

    def __init__(self, options: Options, retry: Retry) -> None:
        super().__init__(options, retry)
        self._file = ListsFile(options.path, retry.timeout_s)

    def check(self) -> str:
        """Look at the file, if it is there; it is made with the first list."""
        path = self._options.path
        if not path.exists():
            if not os.access(path.parent, os.W_OK):
                raise self._file.unusable("its folder is missing or cannot be written")
            return f"{path} will be made with the first list"
        with self._file.mapped(), closing(self._file.connect()) as reader:
            verdict = reader.execute("PRAGMA quick_check(1)").fetchone()[0]
            if verdict != "ok":
                raise self._file.unusable("it is damaged")
            lists = reader.execute("SELECT count(*) FROM list").fetchone()[0]
        return f"{path} holds {lists} list{'' if lists == 1 else 's'}"

    def find_list(self, name: str) -> ListId | None:
        """Find a list by its name; None where there is none, or no file yet."""
        if not self._options.path.exists():
            return None
        with self._file.mapped(), closing(self._file.connect()) as reader:
            found = reader.execute("SELECT id FROM list WHERE name = ?", (name,)).fetchone()
        return None if found is None else str(found[0])

    def ensure_list(self, name: str) -> ListId:
        """Find a list by its name, or make it."""
        with self._file.transaction() as db:
            find = "SELECT id FROM list WHERE name = ?"
            found = db.execute(find, (name,)).fetchone()
            if found is None:
                db.execute("INSERT INTO list (name) VALUES (?)", (name,))
                found = db.execute(find, (name,)).fetchone()
        return str(found[0])

    def delete_list(self, list_id: ListId) -> None:
        """Delete a list with all that is known of its members."""
        with self._file.transaction() as db:
            db.execute("DELETE FROM member WHERE list_id = ?", (str(list_id),))
            db.execute("DELETE FROM former WHERE list_id = ?", (str(list_id),))
            db.execute("DELETE FROM reading WHERE list_id = ?", (str(list_id),))
            db.execute("DELETE FROM list WHERE id = ?", (str(list_id),))

    def read(self, list_id: ListId) -> Iterator[Member]:
        """Read a list as it is when the first member is asked for, whatever happens meanwhile.

        Raises:
            ConfigurationError: there is no such list.
        """
        # A connection of its own: its transaction is a snapshot, so that no rename under way
        # makes a member seem absent.
        with self._file.mapped(), closing(self._file.connect()) as reader:
            reader.execute("BEGIN")
            existing(reader, list_id)
            cursor = reader.execute(_MEMBERS, (str(list_id), REMOVED))
            while page := cursor.fetchmany(_PAGE):
                yield from map(_member, page)

    def edition(self, list_id: ListId) -> str:
        """Return a name of the list as it is, never used again once anything on it changed."""
        if not self._options.path.exists():
            return ""
        with self._file.transaction() as db:
            existing(db, list_id)
            return embedded_file.edition(db, list_id)[0]

    def changes(
        self, list_id: ListId, since: str, *, also: Collection[AddressKey], most: int
    ) -> ListChanges | None:
        """Return what changed since an edition, and how members stand at further addresses."""
        if not self._options.path.exists():
            return None
        with self._file.transaction() as db:
            existing(db, list_id)
            changed = embedded_file.changed_since(db, list_id, since, most)
            if changed is None:
                return None
            keys = frozenset(changed.union(also))
            asked = (str(list_id), REMOVED, json.dumps(list(keys)))
            members = tuple(map(_member, db.execute(_MEMBERS_AT, asked))) if keys else ()
            edition, count = embedded_file.edition(db, list_id)
        return ListChanges(edition, count, keys, members)

    def upsert(
        self,
        list_id: ListId,
        entries: Sequence[Entry],
        *,
        known: bool,  # noqa: ARG002 - the file knows by itself
        again: bool = False,  # noqa: ARG002 - it states an end
    ) -> list[ItemResult]:
        """Add people, revive tombstones, or update names."""
        with self._file.transaction() as db:
            existing(db, list_id)
            rows = rows_of(db, list_id, [entry.person.key for entry in entries])
            last, stamp = last_number(db), _stamp()
            changed: list[tuple[object, ...]] = []
            results: list[ItemResult] = []
            for entry in entries:
                person = entry.person
                row = rows.get(person.key)
                result = _standing(row, person)
                if result is None:
                    last += 1
                    row = MemberRow(
                        row.reference if row else last,
                        person.address,
                        person.first,
                        person.last,
                        MemberStatus.ACTIVE,
                    )
                    rows[person.key] = row
                    changed.append((str(list_id), person.key, *row, stamp, _BY_US, last))
                    result = ItemResult(Result.DONE, reference=str(row.reference))
                results.append(result)
            if changed:
                db.executemany(_PUT, changed)
                db.execute("UPDATE counter SET value = ?", (last,))
        return results

    def rename(
        self,
        list_id: ListId,
        old_address: str,
        entry: Entry,
        *,
        again: bool = False,  # noqa: ARG002 - it states an end
    ) -> ItemResult:
        """Move an active member to a free address; reference and status stay.

        With the old address gone and the new one there, it was done before: by a call whose
        answer was lost, or by a run that a restored store knows nothing of.
        """
        person, old_key = entry.person, key_of(old_address)
        with self._file.transaction() as db:
            existing(db, list_id)
            rows = rows_of(db, list_id, [old_key, person.key])
            row = rows.get(old_key)
            taken = rows.get(person.key) if person.key != old_key else None
            if row is None or row.status == REMOVED:
                return _renamed_before(taken, person)
            result = _standing(row, person)
            if result is not None:
                return result
            if taken is not None:
                if taken.status != REMOVED:
                    return _taken(taken)
                db.execute(
                    "DELETE FROM member WHERE list_id = ? AND email_key = ?",
                    (str(list_id), person.key),
                )
            db.execute(
                "UPDATE member SET email_key = ?, email = ?, first = ?, last = ?, changed_seq = ?"
                " WHERE list_id = ? AND email_key = ?",
                (
                    *(person.key, person.address, person.first, person.last, next_number(db)),
                    *(str(list_id), old_key),
                ),
            )
        return ItemResult(Result.DONE, reference=str(row.reference))

    def remove(
        self,
        list_id: ListId,
        entries: Sequence[Entry],
        *,
        again: bool = False,  # noqa: ARG002 - it states an end
    ) -> list[ItemResult]:
        """Make tombstones; who unsubscribed stays so, since that must not be forgotten."""
        keys = [entry.person.key for entry in entries]
        return self._mark(list_id, keys, REMOVED, _BY_US)

    def unsubscribe(
        self,
        list_id: ListId,
        entries: Sequence[Entry],
        *,
        again: bool = False,  # noqa: ARG002 - it states an end
    ) -> list[ItemResult]:
        """Note that people do not want the list; who is not on it is absent."""
        keys = [entry.person.key for entry in entries]
        return self._mark(list_id, keys, MemberStatus.UNSUBSCRIBED, _BY_US)

    def resubscribe(
        self,
        list_id: ListId,
        entries: Sequence[Entry],
        *,
        again: bool = False,  # noqa: ARG002 - it states an end
    ) -> list[ItemResult]:
        """Make people active who had left; a bouncing address stays one."""
        return [self._activate(list_id, entry.person, _BY_US) for entry in entries]

    def join(self, list_id: ListId, person: Person) -> ItemResult:
        """Note a person's own new subscription, made on the list itself."""
        return self._activate(list_id, person, _BY_MEMBER)

    def leave(self, list_id: ListId, address: str) -> ItemResult:
        """Note a member's own unsubscribe, done on the list itself."""
        [result] = self._mark(list_id, [key_of(address)], MemberStatus.UNSUBSCRIBED, _BY_MEMBER)
        return result

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _activate(self, list_id: ListId, person: Person, by: str) -> ItemResult:
        with self._file.transaction() as db:
            existing(db, list_id)
            row = rows_of(db, list_id, [person.key]).get(person.key)
            away = row is not None and row.status in {REMOVED, MemberStatus.UNSUBSCRIBED}
            result = _standing(None if away else row, person)
            if result is not None:
                return result
            number = next_number(db)
            reference = row.reference if row is not None else number
            values = (person.address, person.first, person.last, MemberStatus.ACTIVE)
            db.execute(_PUT, (str(list_id), person.key, reference, *values, _stamp(), by, number))
        return ItemResult(Result.DONE, reference=str(reference))

    def _mark(
        self, list_id: ListId, keys: Sequence[AddressKey], status: str, by: str
    ) -> list[ItemResult]:
        with self._file.transaction() as db:
            existing(db, list_id)
            rows = rows_of(db, list_id, keys)
            marked: list[AddressKey] = []
            results: list[ItemResult] = []
            for key in keys:
                row = rows.get(key)
                if row is None or row.status == REMOVED:
                    results.append(_ABSENT)
                elif row.status in {status, MemberStatus.UNSUBSCRIBED}:
                    results.append(_UNCHANGED)
                else:
                    rows[key] = row._replace(status=status)
                    marked.append(key)
                    results.append(ItemResult(Result.DONE, reference=str(row.reference)))
            if marked:
                stamp, number = _stamp(), next_number(db)
                db.executemany(
                    "UPDATE member SET status = ?, status_at = ?, status_by = ?, changed_seq = ?"
                    " WHERE list_id = ? AND email_key = ?",
                    [(status, stamp, by, number, str(list_id), key) for key in marked],
                )
        return results


def _stamp() -> str:
    """Return the present moment, as a member's status bears it."""
    return clock.stamp(clock.now())


def _member(row: tuple[Any, ...]) -> Member:
    key, reference, email, first, last, status, since = row
    known = _STATUSES.get(status, MemberStatus.UNKNOWN)
    return Member(str(reference), Person(email, AddressKey(key), first, last), known, since)


def _standing(row: MemberRow | None, person: Person) -> ItemResult | None:
    """Return what stands against writing these values, or None."""
    if row is not None and row.status != REMOVED:
        if row.status != MemberStatus.ACTIVE:
            return _closed(row)
        if row[1:4] == (person.address, person.first, person.last):
            return ItemResult(Result.UNCHANGED, reference=str(row.reference))
    fault = fault_of(person.address)
    return ItemResult(Result.FAILED, fault) if fault else None


def _closed(row: MemberRow) -> ItemResult:
    if row.status == MemberStatus.UNSUBSCRIBED:
        return ItemResult(Result.REFUSED, "the member unsubscribed", str(row.reference))
    return ItemResult(Result.BLOCKED, "the address bounces", str(row.reference))


def _taken(row: MemberRow) -> ItemResult:
    if row.status != MemberStatus.ACTIVE:
        return _closed(row)
    return ItemResult(Result.FAILED, "another member has the new address")


def _renamed_before(row: MemberRow | None, person: Person) -> ItemResult:
    if row is None or row.status == REMOVED:
        return _ABSENT
    return _standing(row, person) or ItemResult(Result.DONE, reference=str(row.reference))
