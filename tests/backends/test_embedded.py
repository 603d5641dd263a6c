"""The embedded lists: the suite, then what only a file can show."""

import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from syncd.backends import BACKENDS, Retry
from syncd.backends.embedded import Embedded
from syncd.core.address import AddressKey, key_of
from syncd.core.plan import Result
from syncd.errors import ConfigurationError, TemporaryError
from syncd.ports import ListId
from tests.backends.conformance import BackendConformance, Held, Trouble, World, active, entry

RETRY = Retry(attempts=1, timeout_s=0.05)


class FileWorld:
    """The file, opened once more."""

    troubles = frozenset({Trouble.BUSY})
    bad_address = "no-address"

    def __init__(self, path: Path, backend: Embedded) -> None:
        self._path = path
        self._backend = backend
        self._lock: sqlite3.Connection | None = None

    def members(self, list_id: ListId) -> dict[AddressKey, Held]:
        query = "SELECT email_key, first, last, status FROM member WHERE list_id = ?"
        with closing(sqlite3.connect(self._path)) as db:
            rows = db.execute(query, (list_id,)).fetchall()
        return {AddressKey(key): names for key, *names_ in rows if (names := _names(names_))}

    def leave(self, list_id: ListId, address: str) -> None:
        self._backend.leave(list_id, address)

    def block(self, list_id: ListId, address: str) -> None:
        with closing(sqlite3.connect(self._path)) as db, db:
            db.execute(
                "UPDATE member SET status = 'blocked' WHERE list_id = ? AND email_key = ?",
                (list_id, key_of(address)),
            )

    def fail(self, trouble: Trouble) -> None:
        assert trouble is Trouble.BUSY
        self._lock = sqlite3.connect(self._path, isolation_level=None)
        self._lock.execute("BEGIN IMMEDIATE")

    def recover(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def _names(row: list[str]) -> Held | None:
    first, last, status = row
    return None if status == "removed" else (first, last, status)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lists.db"


@pytest.fixture
def backend(path: Path) -> Iterator[Embedded]:
    with closing(Embedded(Embedded.Options(path=path), RETRY)) as backend:
        yield backend


class TestEmbedded(BackendConformance):
    @pytest.fixture
    def world(self, path: Path, backend: Embedded) -> Iterator[World]:
        world = FileWorld(path, backend)
        yield world
        world.recover()


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(query).fetchall()


def test_it_stands_in_the_table() -> None:
    assert BACKENDS["embedded"] is Embedded


def test_the_file_is_for_its_owner_alone(backend: Embedded, path: Path) -> None:
    list_id = backend.ensure_list("News")
    backend.upsert(list_id, [entry(1)], known=False)

    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}

    assert modes == {"lists.db": 0o600, "lists.db-wal": 0o600, "lists.db-shm": 0o600}


def test_check_makes_no_file(backend: Embedded, path: Path) -> None:
    line = backend.check()

    assert "will be made" in line
    assert not path.exists()


def test_check_asks_for_the_folder(tmp_path: Path) -> None:
    backend = Embedded(Embedded.Options(path=tmp_path / "missing" / "lists.db"), RETRY)

    with pytest.raises(ConfigurationError):
        backend.check()
    with pytest.raises(ConfigurationError):
        backend.ensure_list("News")


def test_check_counts_the_lists(backend: Embedded, path: Path) -> None:
    backend.ensure_list("News")

    assert backend.check() == f"{path} holds 1 list"


def test_a_file_of_another_kind_is_refused(path: Path) -> None:
    path.write_text("not a database, but long enough to have a header of its own")
    backend = Embedded(Embedded.Options(path=path), RETRY)

    with pytest.raises(ConfigurationError):
        backend.check()
    with pytest.raises(ConfigurationError):
        backend.ensure_list("News")


def test_reading_makes_no_file(backend: Embedded, path: Path) -> None:
    with pytest.raises(ConfigurationError):
        list(backend.read("1"))

    assert not path.exists()


def test_a_lists_id_is_never_given_to_another(backend: Embedded) -> None:
    first = backend.ensure_list("News")
    backend.delete_list(first)

    assert backend.ensure_list("News") != first


@pytest.mark.parametrize("list_id", ["", "news", "1.5", 77])
def test_an_id_that_is_none_of_ours_is_refused(backend: Embedded, list_id: ListId) -> None:
    backend.ensure_list("News")

    with pytest.raises(ConfigurationError):
        backend.upsert(list_id, [entry(1)], known=False)


def test_what_is_kept_outlives_the_object(backend: Embedded, path: Path) -> None:
    list_id = backend.ensure_list("News")
    backend.upsert(list_id, [entry(1)], known=False)
    backend.close()

    with closing(Embedded(Embedded.Options(path=path), RETRY)) as later:
        assert later.ensure_list("News") == list_id
        assert [member.person for member in later.read(list_id)] == [entry(1).person]


def test_only_what_changes_gets_a_number(backend: Embedded, path: Path) -> None:
    list_id = backend.ensure_list("News")
    backend.upsert(list_id, [entry(1), entry(2)], known=False)
    before = rows(path, "SELECT value FROM counter")

    backend.upsert(list_id, [entry(1), entry(2)], known=True)

    assert rows(path, "SELECT value FROM counter") == before
    backend.upsert(list_id, [entry(1), entry(2, first="X")], known=True)
    numbers = rows(path, "SELECT changed_seq FROM member ORDER BY email_key")
    assert numbers[0] < numbers[1]
    assert rows(path, "SELECT value FROM counter") == [numbers[1]]


def test_a_tombstone_keeps_its_reference_and_is_not_read(backend: Embedded, path: Path) -> None:
    list_id = backend.ensure_list("News")
    [added] = backend.upsert(list_id, [entry(1)], known=False)
    backend.remove(list_id, [entry(1)])

    assert list(backend.read(list_id)) == []
    assert rows(path, "SELECT status, status_by FROM member") == [("removed", "syncd")]
    [back] = backend.upsert(list_id, [entry(1)], known=False)
    assert back.reference == added.reference


def test_a_tombstone_gives_way_to_a_rename(backend: Embedded) -> None:
    list_id = backend.ensure_list("News")
    backend.upsert(list_id, [entry(1, "a@example.com"), entry(2, "b@example.com")], known=False)
    backend.remove(list_id, [entry(2, "b@example.com")])

    result = backend.rename(list_id, "a@example.com", entry(1, "b@example.com"))

    assert result.result is Result.DONE
    assert [m.person.key for m in backend.read(list_id)] == ["b@example.com"]


def test_a_rename_of_spelling_alone_is_done_in_place(backend: Embedded) -> None:
    list_id = backend.ensure_list("News")
    backend.upsert(list_id, [entry(1, "anna@example.com")], known=False)

    result = backend.rename(list_id, "anna@example.com", entry(1, "Anna@example.com"))

    assert result.result is Result.DONE
    assert [m.person.address for m in backend.read(list_id)] == ["Anna@example.com"]


def test_a_rename_repeated_when_the_person_then_left_is_refused(backend: Embedded) -> None:
    list_id = backend.ensure_list("News")
    backend.upsert(list_id, [entry(1, "a@example.com")], known=False)
    backend.rename(list_id, "a@example.com", entry(1, "b@example.com"))
    backend.leave(list_id, "b@example.com")

    result = backend.rename(list_id, "a@example.com", entry(1, "b@example.com"), again=True)

    assert result.result is Result.REFUSED


def test_who_left_is_told_from_who_was_taken_off(backend: Embedded, path: Path) -> None:
    list_id = backend.ensure_list("News")
    backend.upsert(list_id, [entry(1), entry(2)], known=False)

    backend.leave(list_id, entry(1).person.address)
    backend.unsubscribe(list_id, [entry(2)])

    assert rows(path, "SELECT status, status_by FROM member ORDER BY email_key") == [
        ("unsubscribed", "member"),
        ("unsubscribed", "syncd"),
    ]


def test_a_call_that_fails_leaves_nothing_behind(backend: Embedded, path: Path) -> None:
    list_id = backend.ensure_list("News")
    world = FileWorld(path, backend)
    world.fail(Trouble.BUSY)
    with pytest.raises(TemporaryError):
        backend.upsert(list_id, [entry(1)], known=False)
    world.recover()

    backend.upsert(list_id, [entry(2)], known=False)

    assert world.members(list_id) == active(entry(2))
