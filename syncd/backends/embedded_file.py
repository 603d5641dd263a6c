"""The file that holds syncd's own lists: its schema, its transactions, and what changed since when.

Each change carries the number of its transaction, from one counter per file, whoever makes it:
what is changed behind syncd's back takes a number too, by triggers. So what changed since a
reading of a list is told without reading it again.
"""

import json
import os
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from syncd.core.address import AddressKey
from syncd.errors import ConfigurationError, TemporaryError
from syncd.ports import ListId

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
    "INSERT INTO counter SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM counter)",
    # Names of a list as it was when the counter stood there, and how many members it had.
    """CREATE TABLE IF NOT EXISTS reading (name TEXT PRIMARY KEY, list_id INTEGER NOT NULL,
        changed_seq INTEGER NOT NULL, members INTEGER NOT NULL)""",
    # Addresses whose member moved to another, or was erased.
    """CREATE TABLE IF NOT EXISTS former (list_id INTEGER NOT NULL, email_key TEXT NOT NULL,
        changed_seq INTEGER NOT NULL)""",
    """CREATE TRIGGER IF NOT EXISTS member_added AFTER INSERT ON member
        WHEN NEW.changed_seq <= (SELECT value FROM counter)
        BEGIN
            UPDATE counter SET value = value + 1;
            UPDATE member SET changed_seq = (SELECT value FROM counter)
             WHERE reference = NEW.reference;
        END""",
    """CREATE TRIGGER IF NOT EXISTS member_changed AFTER UPDATE ON member
        WHEN NEW.changed_seq <= OLD.changed_seq
        BEGIN
            UPDATE counter SET value = value + 1;
            UPDATE member SET changed_seq = (SELECT value FROM counter)
             WHERE reference = NEW.reference;
        END""",
    """CREATE TRIGGER IF NOT EXISTS member_moved AFTER UPDATE OF list_id, email_key ON member
        WHEN NEW.email_key <> OLD.email_key OR NEW.list_id <> OLD.list_id
        BEGIN
            UPDATE counter SET value = value + 1;
            INSERT INTO former SELECT OLD.list_id, OLD.email_key, value FROM counter;
        END""",
    """CREATE TRIGGER IF NOT EXISTS member_erased AFTER DELETE ON member
        BEGIN
            UPDATE counter SET value = value + 1;
            INSERT INTO former SELECT OLD.list_id, OLD.email_key, value FROM counter;
        END""",
)

REMOVED: Final = "removed"
"""The status of a tombstone: no member, so it has no place in `MemberStatus`."""

_READINGS_KEPT: Final = 3
"""The last may be of a run that was killed before it could remember it."""

# SQLite's own words for what only a person can change; the rest passes.
_UNUSABLE: Final = {
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
}

# Walked as the rows lie, since SQLite would look up each of a list's rows by its address.
_CHANGED: Final = """
    SELECT email_key FROM member NOT INDEXED WHERE list_id = ?1 AND changed_seq > ?2
    UNION SELECT email_key FROM former WHERE list_id = ?1 AND changed_seq > ?2
    LIMIT ?3"""


class MemberRow(NamedTuple):
    """A member as stored."""

    reference: int
    email: str
    first: str
    last: str
    status: str


class ListsFile:
    """One file of lists, made when it is first written to."""

    def __init__(self, path: Path, timeout_s: float) -> None:
        self.path = path
        self._timeout_s = timeout_s
        self._connection: sqlite3.Connection | None = None

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Commit what is done inside, or nothing of it.

        Raises:
            ConfigurationError: the file can't be used.
            TemporaryError: it can't be used now.
        """
        with self.mapped():
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

    def close(self) -> None:
        """Let go of the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _opened(self) -> sqlite3.Connection:
        try:
            # Made before SQLite would, so that nobody else can read it for a moment. One that is
            # there is not opened: closing it would let go of what this process has locked in it.
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        except FileExistsError:
            pass
        except OSError as error:
            raise self.unusable(error.strerror or type(error).__name__) from error
        db = self.connect()
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

    def connect(self) -> sqlite3.Connection:
        """Return a connection of its own to the file, which is there."""
        uri = f"{self.path.absolute().as_uri()}?mode=rw"
        return sqlite3.connect(
            uri,
            uri=True,
            isolation_level=None,
            timeout=self._timeout_s,
            check_same_thread=False,  # one run uses it, but not always from the same thread
        )

    @contextmanager
    def mapped(self) -> Iterator[None]:
        """Turn SQLite's errors into ours."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            code = getattr(error, "sqlite_errorcode", None)
            if code is None or isinstance(error, sqlite3.ProgrammingError | sqlite3.IntegrityError):
                raise
            if code & 0xFF in _UNUSABLE:
                raise self.unusable(str(error)) from error
            raise TemporaryError(f"the file of the embedded lists: {error}") from error

    def unusable(self, why: str) -> ConfigurationError:
        """Return what a person has to mend."""
        return ConfigurationError(
            f"the file of the embedded lists cannot be used: {why}",
            hint=f"Look at {self.path} and its folder; then: syncd check",
        )


def existing(db: sqlite3.Connection, list_id: ListId) -> None:
    """See that there is such a list (ConfigurationError where not)."""
    # Text that is no number is unequal to every id.
    if db.execute("SELECT 1 FROM list WHERE id = ?", (str(list_id),)).fetchone() is None:
        raise ConfigurationError(
            f"there is no embedded list {list_id}",
            hint="Give the list by its name, or rebase the link.",
        )


def last_number(db: sqlite3.Connection) -> int:
    """Return the number of the last change."""
    return int(db.execute("SELECT value FROM counter").fetchone()[0])


def next_number(db: sqlite3.Connection) -> int:
    """Take a number for the change at hand."""
    number = last_number(db) + 1
    db.execute("UPDATE counter SET value = ?", (number,))
    return number


def rows_of(
    db: sqlite3.Connection, list_id: ListId, keys: Collection[AddressKey]
) -> dict[AddressKey, MemberRow]:
    """Return the members at these addresses, tombstones too."""
    found = db.execute(
        "SELECT email_key, reference, email, first, last, status FROM member"
        " WHERE list_id = ? AND email_key IN (SELECT value FROM json_each(?))",
        (str(list_id), json.dumps(list(keys))),
    )
    return {key: MemberRow(*rest) for key, *rest in found}


def edition(db: sqlite3.Connection, list_id: ListId) -> tuple[str, int]:
    """Return a name of a list as it is, and how many members it has.

    The name is random: a backup that is put back and changed anew doesn't have it.
    """
    number = last_number(db)
    mine = (str(list_id), number)
    named = "SELECT name, members FROM reading WHERE list_id = ? AND changed_seq = ?"
    found = db.execute(named, mine).fetchone()
    if found is None:
        db.execute(
            "INSERT INTO reading SELECT hex(randomblob(16)), ?1, ?2, COUNT(*)"
            " FROM member NOT INDEXED WHERE list_id = ?1 AND status <> ?3",
            (*mine, REMOVED),
        )
        db.execute(
            "DELETE FROM reading WHERE list_id = ?1 AND name NOT IN (SELECT name FROM reading"
            " WHERE list_id = ?1 ORDER BY changed_seq DESC LIMIT ?2)",
            (str(list_id), _READINGS_KEPT),
        )
        db.execute(
            "DELETE FROM former WHERE list_id = ?1 AND changed_seq <="
            " (SELECT MIN(changed_seq) FROM reading WHERE list_id = ?1)",
            (str(list_id),),
        )
        found = db.execute(named, mine).fetchone()
    return str(found[0]), int(found[1])


def changed_since(
    db: sqlite3.Connection, list_id: ListId, since: str, most: int
) -> set[AddressKey] | None:
    """Return the addresses where anything changed since an edition.

    None where it isn't known, or where they are more than `most`.
    """
    named = "SELECT changed_seq FROM reading WHERE name = ? AND list_id = ?"
    found = db.execute(named, (since, str(list_id))).fetchone()
    if found is None:
        return None
    if found[0] == last_number(db):
        return set()
    keys = {row[0] for row in db.execute(_CHANGED, (str(list_id), found[0], most + 1))}
    return keys if len(keys) <= most else None
