"""syncd's own mailing lists, in a SQLite file of their own.

A list that always answers, can be read, and tells how each member left. Members are never
erased singly: who was removed stays as a tombstone, so that a member keeps one reference for
good. Each change carries the number of its transaction, from one counter per file.
"""

import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from syncd import clock
from syncd.backends.base import Backend, Retry
from syncd.core.address import AddressKey, fault_of, key_of
from syncd.core.people import Member, MemberStatus, Person
from syncd.core.plan import ItemResult, Result
from syncd.errors import ConfigurationError, TemporaryError
from syncd.ports import Capabilities, Entry, ListId

_PAGE: Final = 1000
"""Members fetched at a time while a list is read."""

_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS list (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE)",
    """CREATE TABLE IF NOT EXISTS member (
        reference INTEGER PRIMARY KEY,
        list_id INTEGER NOT NULL,
        email_key TEXT NOT NULL,
        email TEXT NOT NULL,
        first TEXT NOT NULL,
        last TEXT NOT NULL,
        status TEXT NOT NULL,
        status_at TEXT NOT NULL,
        status_by TEXT NOT NULL,
        changed_seq INTEGER NOT NULL,
        UNIQUE (list_id, email_key)
    )""",
    "CREATE TABLE IF NOT EXISTS counter (value INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS edition (list_id INTEGER PRIMARY KEY, name TEXT NOT NULL)",
    """CREATE TRIGGER IF NOT EXISTS edition_ends_with_insert AFTER INSERT ON member
        BEGIN DELETE FROM edition WHERE list_id = NEW.list_id; END""",
    """CREATE TRIGGER IF NOT EXISTS edition_ends_with_update AFTER UPDATE ON member
        BEGIN DELETE FROM edition WHERE list_id = NEW.list_id; END""",
    """CREATE TRIGGER IF NOT EXISTS edition_ends_with_delete AFTER DELETE ON member
        BEGIN DELETE FROM edition WHERE list_id = OLD.list_id; END""",
    "INSERT INTO counter SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM counter)",
)

_REMOVED: Final = "removed"
"""The status of a tombstone: no member, so it has no place in `MemberStatus`."""

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

# SQLite's own words for what only a person can change; the rest passes.
_UNUSABLE: Final = {
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
}

_UNCHANGED: Final = ItemResult(Result.UNCHANGED)
_ABSENT: Final = ItemResult(Result.ABSENT)


class _Row(NamedTuple):
    """A member as stored."""

    reference: int
    email: str
    first: str
    last: str
    status: str


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
        self._connection: sqlite3.Connection | None = None

    def check(self) -> str:
        """Look at the file, if it is there; it is made with the first list."""
        path = self._options.path
        if not path.exists():
            if not os.access(path.parent, os.W_OK):
                raise self._unusable("its folder is missing or cannot be written")
            return f"{path} will be made with the first list"
        with self._mapped(), closing(self._connect()) as reader:
            verdict = reader.execute("PRAGMA quick_check(1)").fetchone()[0]
            if verdict != "ok":
                raise self._unusable("it is damaged")
            lists = reader.execute("SELECT count(*) FROM list").fetchone()[0]
        return f"{path} holds {lists} list{'' if lists == 1 else 's'}"

    def find_list(self, name: str) -> ListId | None:
        """Find a list by its name; None where there is none, or no file yet."""
        if not self._options.path.exists():
            return None
        with self._mapped(), closing(self._connect()) as reader:
            found = reader.execute("SELECT id FROM list WHERE name = ?", (name,)).fetchone()
        return None if found is None else str(found[0])

    def ensure_list(self, name: str) -> ListId:
        """Find a list by its name, or make it."""
        with self._transaction() as db:
            find = "SELECT id FROM list WHERE name = ?"
            found = db.execute(find, (name,)).fetchone()
            if found is None:
                db.execute("INSERT INTO list (name) VALUES (?)", (name,))
                found = db.execute(find, (name,)).fetchone()
        return str(found[0])

    def delete_list(self, list_id: ListId) -> None:
        """Delete a list with all that is known of its members."""
        with self._transaction() as db:
            db.execute("DELETE FROM member WHERE list_id = ?", (str(list_id),))
            db.execute("DELETE FROM list WHERE id = ?", (str(list_id),))

    def read(self, list_id: ListId) -> Iterator[Member]:
        """Read a list as it is when the first member is asked for, whatever happens meanwhile.

        Raises:
            ConfigurationError: there is no such list.
        """
        # A connection of its own: its transaction is a snapshot, so that no rename under way
        # makes a member seem absent.
        with self._mapped(), closing(self._connect()) as reader:
            reader.execute("BEGIN")
            _existing(reader, list_id)
            cursor = reader.execute(
                "SELECT email_key, reference, email, first, last, status, status_at FROM member"
                " WHERE list_id = ? AND status != ? ORDER BY email_key",
                (str(list_id), _REMOVED),
            )
            while page := cursor.fetchmany(_PAGE):
                for key, reference, email, first, last, status, since in page:
                    person = Person(email, AddressKey(key), first, last)
                    known = _STATUSES.get(status, MemberStatus.UNKNOWN)
                    yield Member(str(reference), person, known, since)

    def edition(self, list_id: ListId) -> str:
        """Return a name of the list as it is: random, and erased with the first change."""
        if not self._options.path.exists():
            return ""
        with self._transaction() as db:
            _existing(db, list_id)
            db.execute(
                "INSERT INTO edition (list_id, name) VALUES (?, hex(randomblob(16)))"
                " ON CONFLICT (list_id) DO NOTHING",
                (str(list_id),),
            )
            found = db.execute("SELECT name FROM edition WHERE list_id = ?", (str(list_id),))
            return str(found.fetchone()[0])

    def upsert(
        self,
        list_id: ListId,
        entries: Sequence[Entry],
        *,
        known: bool,  # noqa: ARG002 - the file knows by itself
        again: bool = False,  # noqa: ARG002 - it states an end
    ) -> list[ItemResult]:
        """Add people, revive tombstones, or update names."""
        with self._transaction() as db:
            _existing(db, list_id)
            rows = _rows(db, list_id, [entry.person.key for entry in entries])
            last, stamp = _last_number(db), clock.now().isoformat(timespec="microseconds")
            changed: list[tuple[object, ...]] = []
            results: list[ItemResult] = []
            for entry in entries:
                person = entry.person
                row = rows.get(person.key)
                result = _standing(row, person)
                if result is None:
                    last += 1
                    row = _Row(
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
        with self._transaction() as db:
            _existing(db, list_id)
            rows = _rows(db, list_id, [old_key, person.key])
            row = rows.get(old_key)
            taken = rows.get(person.key) if person.key != old_key else None
            if row is None or row.status == _REMOVED:
                return _renamed_before(taken, person)
            result = _standing(row, person)
            if result is not None:
                return result
            if taken is not None:
                if taken.status != _REMOVED:
                    return _taken(taken)
                db.execute(
                    "DELETE FROM member WHERE list_id = ? AND email_key = ?",
                    (str(list_id), person.key),
                )
            db.execute(
                "UPDATE member SET email_key = ?, email = ?, first = ?, last = ?, changed_seq = ?"
                " WHERE list_id = ? AND email_key = ?",
                (
                    *(person.key, person.address, person.first, person.last, _count(db)),
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
        return self._mark(list_id, keys, _REMOVED, _BY_US)

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
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _activate(self, list_id: ListId, person: Person, by: str) -> ItemResult:
        with self._transaction() as db:
            _existing(db, list_id)
            row = _rows(db, list_id, [person.key]).get(person.key)
            away = row is not None and row.status in {_REMOVED, MemberStatus.UNSUBSCRIBED}
            result = _standing(None if away else row, person)
            if result is not None:
                return result
            number = _count(db)
            reference = row.reference if row is not None else number
            values = (person.address, person.first, person.last, MemberStatus.ACTIVE)
            stamp = clock.now().isoformat(timespec="microseconds")
            db.execute(_PUT, (str(list_id), person.key, reference, *values, stamp, by, number))
        return ItemResult(Result.DONE, reference=str(reference))

    def _mark(
        self, list_id: ListId, keys: Sequence[AddressKey], status: str, by: str
    ) -> list[ItemResult]:
        with self._transaction() as db:
            _existing(db, list_id)
            rows = _rows(db, list_id, keys)
            marked: list[AddressKey] = []
            results: list[ItemResult] = []
            for key in keys:
                row = rows.get(key)
                if row is None or row.status == _REMOVED:
                    results.append(_ABSENT)
                elif row.status in {status, MemberStatus.UNSUBSCRIBED}:
                    results.append(_UNCHANGED)
                else:
                    rows[key] = row._replace(status=status)
                    marked.append(key)
                    results.append(ItemResult(Result.DONE, reference=str(row.reference)))
            if marked:
                stamp, number = clock.now().isoformat(timespec="microseconds"), _count(db)
                db.executemany(
                    "UPDATE member SET status = ?, status_at = ?, status_by = ?, changed_seq = ?"
                    " WHERE list_id = ? AND email_key = ?",
                    [(status, stamp, by, number, str(list_id), key) for key in marked],
                )
        return results

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._mapped():
            if self._connection is None:
                self._connection = self._opened()
            db = self._connection
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            finally:
                if db.in_transaction:
                    db.execute("ROLLBACK")

    def _opened(self) -> sqlite3.Connection:
        try:
            # Made before SQLite would, so that nobody else can read it for a moment. One that is
            # there is not opened: closing it would let go of what this process has locked in it.
            os.close(os.open(self._options.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        except FileExistsError:
            pass
        except OSError as error:
            raise self._unusable(error.strerror or type(error).__name__) from error
        db = self._connect()
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            # A first fill touches the whole index with each batch: keep more of it in memory
            # (not all: that would grow with the list), and write it home less often than
            # SQLite would.
            db.execute("PRAGMA cache_size = -5000")
            db.execute("PRAGMA wal_autocheckpoint = 5000")
            db.execute("BEGIN IMMEDIATE")
            for statement in _SCHEMA:
                db.execute(statement)
            db.execute("COMMIT")
        except BaseException:
            db.close()
            raise
        return db

    def _connect(self) -> sqlite3.Connection:
        uri = f"{self._options.path.absolute().as_uri()}?mode=rw"
        return sqlite3.connect(
            uri,
            uri=True,
            isolation_level=None,
            timeout=self._retry.timeout_s,
            check_same_thread=False,  # one run uses it, but not always from the same thread
        )

    @contextmanager
    def _mapped(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            code = getattr(error, "sqlite_errorcode", None)
            if code is None or isinstance(error, sqlite3.ProgrammingError | sqlite3.IntegrityError):
                raise
            if code & 0xFF in _UNUSABLE:
                raise self._unusable(str(error)) from error
            raise TemporaryError(f"the file of the embedded lists: {error}") from error

    def _unusable(self, why: str) -> ConfigurationError:
        return ConfigurationError(
            f"the file of the embedded lists cannot be used: {why}",
            hint=f"Look at {self._options.path} and its folder; then: syncd check",
        )


def _existing(db: sqlite3.Connection, list_id: ListId) -> None:
    # Text that is no number is unequal to every id.
    if db.execute("SELECT 1 FROM list WHERE id = ?", (str(list_id),)).fetchone() is None:
        raise ConfigurationError(
            f"there is no embedded list {list_id}",
            hint="Give the list by its name, or rebase the link.",
        )


def _rows(
    db: sqlite3.Connection, list_id: ListId, keys: Sequence[AddressKey]
) -> dict[AddressKey, _Row]:
    found = db.execute(
        "SELECT email_key, reference, email, first, last, status FROM member"
        " WHERE list_id = ? AND email_key IN (SELECT value FROM json_each(?))",
        (str(list_id), json.dumps(keys)),
    )
    return {key: _Row(*rest) for key, *rest in found}


def _last_number(db: sqlite3.Connection) -> int:
    """Return the number of the last change."""
    return int(db.execute("SELECT value FROM counter").fetchone()[0])


def _count(db: sqlite3.Connection) -> int:
    """Take a number for the change at hand."""
    number = _last_number(db) + 1
    db.execute("UPDATE counter SET value = ?", (number,))
    return number


def _standing(row: _Row | None, person: Person) -> ItemResult | None:
    """Return what stands against writing these values, or None."""
    if row is not None and row.status != _REMOVED:
        if row.status != MemberStatus.ACTIVE:
            return _closed(row)
        if row[1:4] == (person.address, person.first, person.last):
            return ItemResult(Result.UNCHANGED, reference=str(row.reference))
    fault = fault_of(person.address)
    return ItemResult(Result.FAILED, fault) if fault else None


def _closed(row: _Row) -> ItemResult:
    if row.status == MemberStatus.UNSUBSCRIBED:
        return ItemResult(Result.REFUSED, "the member unsubscribed", str(row.reference))
    return ItemResult(Result.BLOCKED, "the address bounces", str(row.reference))


def _taken(row: _Row) -> ItemResult:
    if row.status != MemberStatus.ACTIVE:
        return _closed(row)
    return ItemResult(Result.FAILED, "another member has the new address")


def _renamed_before(row: _Row | None, person: Person) -> ItemResult:
    if row is None or row.status == _REMOVED:
        return _ABSENT
    return _standing(row, person) or ItemResult(Result.DONE, reference=str(row.reference))
