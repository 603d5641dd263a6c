"""The file: its schema, its rights, its lock, and what becomes of a bad one."""

import resource
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest
from sqlmodel import SQLModel, create_engine

from syncd.core.address import key_of
from syncd.core.link import LinkNumber, Selection
from syncd.core.pairs import NewLatch
from syncd.errors import BusyError, ConfigurationError, TemporaryError
from syncd.store import migrations, tables
from syncd.store.database import Database, StoreError
from syncd.store.store import Store
from tests.store.conftest import AT

Schema = dict[str, tuple[object, ...]]


def schema(path: Path) -> Schema:
    """Return every table's columns and indexes, as SQLite understands them."""
    columns = 'SELECT name, upper(type), "notnull", pk FROM pragma_table_info(?)'
    with closing(sqlite3.connect(path)) as db:
        names = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type='table'")]
        return {
            name: (
                db.execute(columns, (name,)).fetchall(),
                db.execute("SELECT wr FROM pragma_table_list(?)", (name,)).fetchall(),
                indexes(db, name),
            )
            for name in names
        }


def indexes(db: sqlite3.Connection, table: str) -> list[tuple[object, ...]]:
    columns = "SELECT name FROM pragma_index_info(?)"
    return sorted(
        (unique, partial, tuple(db.execute(columns, (index,))))
        for _, index, unique, _, partial in db.execute(f"PRAGMA index_list('{table}')")
    )


def conditions(path: Path) -> dict[str, str]:
    with closing(sqlite3.connect(path)) as db:
        return {
            name: " ".join(sql.partition("WHERE")[2].split())
            for name, sql in db.execute(
                "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
            )
        }


def test_the_migrations_make_the_schema_of_the_tables(tmp_path: Path) -> None:
    Store(tmp_path / "migrated.db").close()
    engine = create_engine(f"sqlite:///{tmp_path / 'declared.db'}")
    SQLModel.metadata.create_all(engine)
    engine.dispose()

    assert tables.MetaRow.__tablename__ == "meta"
    assert schema(tmp_path / "migrated.db") == schema(tmp_path / "declared.db")
    assert conditions(tmp_path / "migrated.db") == conditions(tmp_path / "declared.db")


def test_a_page_of_an_older_store_knows_who_stands_on_it(path: Path) -> None:
    with closing(sqlite3.connect(path)) as raw:
        for number in range(1, 12):
            migrations.take(raw, number)
        raw.execute("INSERT INTO selection (id, account, target) VALUES (1, 'acme', 'contact')")
        raw.executemany(
            "INSERT INTO contact VALUES (1, ?, ?, ?, 'Anna', '', '', x'01', ?)",
            [(7, "a@example.com", "a@example.com", 1), (8, "b@example.com", "b@example.com", None)],
        )
        raw.execute("INSERT INTO page VALUES (1, 1, x'02', 1)")
        raw.commit()

    store = Store(path)
    snapshot = store.snapshot("acme", Selection("contact"))

    assert snapshot.page(1) == (b"", 1)  # read anew, and missed from there
    snapshot.forget_pages_after(0)
    assert snapshot.present() == 0
    store.close()


def test_only_its_owner_may_read_the_store(path: Path, store: Store) -> None:
    store.runs.first_of_day("2026-11-23")
    with store.lock():
        for file in path.parent.iterdir():
            assert file.stat().st_mode & 0o777 == 0o600, file.name


def test_wider_rights_are_taken_back(path: Path) -> None:
    path.touch(mode=0o644)

    Store(path).close()

    assert path.stat().st_mode & 0o777 == 0o600


def test_a_store_of_a_newer_version_is_refused_and_left_alone(path: Path) -> None:
    Store(path).close()
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {len(migrations.STEPS) + 1}")
    before = path.read_bytes()

    with pytest.raises(StoreError, match="newer syncd") as caught:
        Store(path)

    assert caught.value.exit_code == 78
    assert path.read_bytes() == before


@pytest.mark.parametrize("damage", ["header", "page", "cut"])
def test_a_damaged_store_is_refused_and_left_alone(path: Path, damage: str) -> None:
    store = Store(path)
    latches = [NewLatch("left", key=key_of(f"p{n}@example.com")) for n in range(2000)]
    store.consent.latch(LinkNumber(1), latches, run="r", at=AT)
    store.close()
    good = path.read_bytes()
    bad = {
        "header": b"not a database..." + good[17:],
        "page": good[:4096] + b"\xff" * 4096 * 3 + good[4096 * 4 :],
        "cut": good[: len(good) // 2],
    }[damage]
    path.write_bytes(bad)

    with pytest.raises(StoreError, match="damaged") as caught:
        Store(path)

    assert caught.value.exit_code == 78
    assert "backup" in caught.value.hint
    assert path.read_bytes() == bad


def test_a_database_of_another_program_is_refused_and_left_alone(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE theirs (id)")

    with pytest.raises(StoreError, match="another program"):
        Store(path)

    with closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("theirs",)]


def test_a_store_that_is_refused_is_let_go_of(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE theirs (id)")

    with pytest.raises(StoreError) as caught:
        Store(path)

    files = {str(link.resolve()) for link in Path("/proc/self/fd").iterdir()}
    assert caught.value.hint == "Correct store.path."
    assert str(path) not in files


def test_a_path_that_cannot_be_used_is_a_matter_of_the_config(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ConfigurationError):
        Store(tmp_path / "file" / "syncd.db")


def test_opening_again_changes_nothing(path: Path) -> None:
    Store(path).close()
    before = schema(path)

    Store(path).close()

    assert schema(path) == before


HOLDER = """
import sys
from pathlib import Path
from syncd.store.store import Store
with Store(Path(sys.argv[1])).lock():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_the_lock_keeps_another_process_out_and_dies_with_its_own(path: Path, store: Store) -> None:
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(BusyError) as caught, store.lock():
            pass
        assert caught.value.exit_code == 75

        holder.send_signal(signal.SIGKILL)
        holder.wait(timeout=10)

        with store.lock():
            pass


def test_a_backup_is_whole_while_another_connection_writes(path: Path, store: Store) -> None:
    stop = threading.Event()
    written = threading.Event()

    def write() -> None:
        with closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as other:
            number = 0
            while not stop.is_set():
                number += 1
                other.execute("BEGIN IMMEDIATE")
                for half in ("one", "two"):
                    other.execute("INSERT INTO meta VALUES (?, ?)", (f"{half} {number}", "x" * 500))
                other.execute("COMMIT")
                written.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert written.wait(10)
        size = store.backup(path.with_name("copy.db"))
    finally:
        stop.set()
        writer.join()

    copy = path.with_name("copy.db")
    assert size == copy.stat().st_size
    assert copy.stat().st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(copy)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("SELECT COUNT(*) % 2 FROM meta WHERE name LIKE '% %'").fetchone() == (0,)


def test_a_backup_overwrites_nothing(path: Path, store: Store) -> None:
    path.with_name("copy.db").write_text("mine")

    with pytest.raises(FileExistsError):
        store.backup(path.with_name("copy.db"))


def fill(database: Database) -> None:
    with database.transaction() as raw:
        for number in range(200):
            raw.execute("INSERT INTO meta VALUES (?, ?)", (str(number), "x" * 500))


def test_on_a_full_disk_nothing_is_half_stored(path: Path) -> None:
    database = Database(path)
    pages = database.rows("PRAGMA page_count")[0][0]
    with database.transaction() as raw:
        raw.execute(f"PRAGMA max_page_count = {pages + 2}")

    with pytest.raises(TemporaryError, match="full"):
        fill(database)

    assert database.rows("SELECT COUNT(*) FROM meta") == [(0,)]
    database.close()


def test_a_store_that_a_full_disk_lets_nobody_open_is_not_damaged(path: Path) -> None:
    """As on a disk with no room for the memory that connections share."""
    Store(path).close()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(TemporaryError, match="can't be written") as caught:
            Store(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert "disk space" in caught.value.hint
    Store(path).close()


def test_damage_met_on_the_way_is_told_as_such(path: Path) -> None:
    database = Database(path)
    error = sqlite3.DatabaseError("database disk image is malformed")
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT

    with pytest.raises(StoreError, match="damaged"), database.transaction():
        raise error

    database.close()


def test_what_its_classes_meet_is_told_as_the_rest_is(path: Path, store: Store) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("DROP TABLE run")

    with pytest.raises(TemporaryError, match="no such table"):
        store.runs.last()


def test_a_transaction_that_is_not_kept_leaves_no_trace(path: Path) -> None:
    database = Database(path)
    with database.transaction(keep=False) as raw:
        raw.execute("INSERT INTO meta VALUES ('a', 'b')")

    assert database.rows("SELECT * FROM meta") == []
    database.close()


def test_what_one_connection_keeps_outlives_others_that_close(path: Path) -> None:
    """A process that has the store open twice must not lose its locks by closing once."""
    store = Database(path)
    Database(path).close()
    other = "from pathlib import Path; from syncd.store.database import Database;"
    other += f"Database(Path({str(path)!r})).close()"
    subprocess.run([sys.executable, "-c", other], check=True)

    with store.transaction() as raw:
        raw.execute("INSERT INTO meta (name, value) VALUES ('kept', 'yes')")

    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT value FROM meta WHERE name = 'kept'").fetchall() == [("yes",)]
    store.close()
