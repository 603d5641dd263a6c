"""Open the store's file: lock, pragmas, version, integrity, backup, transactions.

A run goes through one connection of the driver. SQLModel is loaded with the first session that
is asked for, by commands that show things: importing it costs more CPU than a run over 10,000
unchanged contacts.
"""

import errno
import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from syncd.errors import BusyError, ConfigurationError, Kind, SyncdError, TemporaryError
from syncd.store import migrations

if TYPE_CHECKING:
    from sqlmodel import Session

_PRAGMAS: Final = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA busy_timeout = 30000",
    "PRAGMA foreign_keys = ON",
    "PRAGMA cache_size = -5000",
    # A first fill touches the whole of its indices with each batch: they are written home less
    # often than SQLite would.
    "PRAGMA wal_autocheckpoint = 5000",
    "PRAGMA temp_store = FILE",
    "PRAGMA journal_size_limit = 67108864",
    "PRAGMA secure_delete = ON",  # what `forget` erases is no longer in the file
)

_DAMAGE: Final = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


class StoreError(SyncdError):
    """The store's file can't serve: damaged, or of a newer version."""

    kind = Kind.CONFIGURATION
    exit_code = 78


def _make_private(path: Path) -> None:
    """Make a file before SQLite does, so that neither it nor its WAL ever has wider rights.

    One that is there is not opened: POSIX lets go of all locks that a process has on a file when
    any part of it closes the file, and without its locks the log that a connection writes to is
    deleted under it by whoever closes the store after that.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR)) from None
        if not os.access(path, os.R_OK | os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES)) from None
        path.chmod(0o600)


class Database:
    """One store file. Opening it makes, upgrades and checks it.

    Raises:
        ConfigurationError: the path can't be used.
        StoreError: the file is damaged, or was written by a newer syncd.
        TemporaryError: the disk is full, or another process holds the file too long.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _make_private(path)
        except OSError as error:
            raise ConfigurationError(
                f"The store {path} can't be opened: {error.strerror}.",
                hint="Correct store.path, or give syncd's user the right to write there.",
            ) from error
        with self._told():
            # One connection: a run is one thread, and its page cache stays warm.
            self._raw = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            try:
                self._prepare()
            except BaseException:
                self._raw.close()
                raise

    def _prepare(self) -> None:
        for pragma in _PRAGMAS:
            self._raw.execute(pragma)
        with self.transaction() as raw:
            version = migrations.version(raw)
            if version > len(migrations.STEPS):
                raise StoreError(
                    f"The store {self.path} was written by a newer syncd (version {version},"
                    f" this one knows {len(migrations.STEPS)}).",
                    hint="Install the newer syncd again, or restore an older copy.",
                )
            if version:
                self._check()
            elif raw.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
                raise StoreError(
                    f"{self.path} is a database of another program.",
                    hint="Correct store.path.",
                )
        self._upgrade(version)

    def _upgrade(self, version: int) -> None:
        """Take the steps that are missing, each in one transaction, after a copy was made."""
        if 0 < version < len(migrations.STEPS):
            copy = self.path.with_name(f"{self.path.name}.v{version}")
            copy.unlink(missing_ok=True)
            self.backup(copy)
        for number in range(version + 1, len(migrations.STEPS) + 1):
            with self.transaction() as raw:
                if migrations.version(raw) < number:  # or another process was faster
                    migrations.take(raw, number)

    @contextmanager
    def transaction(self, *, keep: bool = True) -> Iterator[sqlite3.Connection]:
        """Commit what is done inside, or nothing of it; nothing too where `keep` is false.

        Raises:
            TemporaryError: the disk is full, or another process holds the file too long.
        """
        with self._told():
            # The driver's own BEGIN is deferred, and fails late where another process writes.
            self._raw.execute("BEGIN IMMEDIATE")
            try:
                yield self._raw
                self._raw.execute("COMMIT" if keep else "ROLLBACK")
            finally:
                if self._raw.in_transaction:
                    self._raw.execute("ROLLBACK")

    def wait_for_others(self, seconds: int) -> None:
        """Set how long a transaction waits for another one to end; half a minute unless set."""
        self._raw.execute(f"PRAGMA busy_timeout = {1000 * seconds}")

    @property
    def raw(self) -> sqlite3.Connection:
        """The driver's own connection, for what is this connection's alone."""
        return self._raw

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn the driver's errors into ours."""
        try:
            yield
        except sqlite3.OperationalError as error:
            raise TemporaryError(
                f"The store {self.path} can't be written: {error}.",
                hint="Free disk space where it is full, and see that syncd may write there;"
                " nothing was half stored.",
            ) from error
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _DAMAGE:
                raise
            raise self._damaged(str(error)) from error

    @contextmanager
    def session(self) -> Iterator["Session"]:
        """Read tables with few rows through their classes, by a connection of its own."""
        from sqlalchemy.exc import DBAPIError  # noqa: PLC0415  (see above)
        from sqlalchemy.pool import NullPool  # noqa: PLC0415
        from sqlmodel import Session, create_engine  # noqa: PLC0415

        engine = create_engine(f"sqlite:///{self.path}", poolclass=NullPool)
        with self._told():
            try:
                with Session(engine) as session:
                    yield session
            except DBAPIError as error:
                raise error.orig or error from error

    def rows(self, sql: str, parameters: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Read a small answer whole; one statement needs no transaction around it."""
        with self._told():
            return self._raw.execute(sql, parameters).fetchall()

    def backup(self, target: Path) -> int:
        """Write a consistent copy while others work; return its size in bytes."""
        handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.close(handle)
        with (
            closing(sqlite3.connect(self.path)) as source,
            closing(sqlite3.connect(target)) as copy,
        ):
            source.backup(copy)
        return target.stat().st_size

    def wipe(self) -> None:
        """Empty the write-ahead log, which still holds what was erased."""
        self.rows("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Let go of the file."""
        self._raw.close()

    def _check(self) -> None:
        found = self._raw.execute("PRAGMA quick_check(1)").fetchall()
        if found != [("ok",)]:
            raise self._damaged(found[0][0])

    def _damaged(self, reason: str) -> StoreError:
        return StoreError(
            f"The store {self.path} is damaged: {reason}.",
            hint="Stop syncd, keep a copy of the file, and put the last backup in its place.",
        )

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the store for one run; the lock dies with its process.

        Raises:
            BusyError: another run holds it.
        """
        busy = BusyError(
            f"Another run works on the store {self.path}.",
            hint="Wait until it has ended: syncd status",
        )
        with exclusive(Path(f"{self.path}.lock"), busy):
            yield


@contextmanager
def exclusive(path: Path, busy: BusyError) -> Iterator[None]:
    """Hold a lock file; the lock dies with its process.

    Raises:
        BusyError: `busy`, where another process holds it.
        ConfigurationError: the file can't be opened.
    """
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigurationError(
            f"The lock {path} can't be opened: {error.strerror}.",
            hint="Give syncd's user the right to write there; was syncd run as root once?",
        ) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise busy from error
        yield
    finally:
        os.close(handle)
