"""A list that tells what changed is read whole once, and after that what changed."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing

import pytest

from syncd.core.people import Person
from tests.scene import Scene, applied, link

MakeScene = Callable[..., Scene]


@pytest.fixture
def scene(make_scene: MakeScene) -> Scene:
    """Return three pairs and a stranger, after two runs; nothing is left to do."""
    scene = make_scene(links=[link("customers", backend="own")])
    for name in ("anna", "boris", "clara"):
        scene.planfix.add(name=name.title(), last_name="Holm", email=f"{name}@example.com")
    scene.run()
    with scene.embedded() as own:
        own.join("1", Person.of("stranger@example.com", "Eva", "Lind"))
    assert applied(scene.link_of(scene.run())) == {}
    return scene


def hide_a_member(scene: Scene, name: str) -> None:
    """Change a list behind its back, so that only somebody who reads it sees it."""
    with closing(sqlite3.connect(scene.folder / "lists.db")) as db, db:
        triggers = db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
        saved = triggers.fetchall()
        for trigger, _ in saved:
            db.execute(f"DROP TRIGGER {trigger}")
        db.execute(
            "UPDATE member SET status = 'unsubscribed' WHERE email_key = ?",
            (f"{name}@example.com",),
        )
        for _, sql in saved:
            db.execute(sql)


def latched(scene: Scene, name: str) -> bool:
    """Say whether the store knows that somebody left."""
    with closing(sqlite3.connect(scene.store)) as db:
        found = db.execute(
            "SELECT status FROM pair WHERE key = ?", (f"{name}@example.com",)
        ).fetchone()
    return bool(found == ("unsubscribed",))


def test_of_a_first_run_no_pair_is_noted(make_scene: MakeScene) -> None:
    scene = make_scene(links=[link("customers", backend="own")])
    scene.planfix.add(name="Anna", email="anna@example.com")

    scene.run()

    with closing(sqlite3.connect(scene.store)) as db:
        assert db.execute("SELECT COUNT(*) FROM pair").fetchone() == (1,)
        assert db.execute("SELECT COUNT(*) FROM rewritten").fetchone() == (0,)


def test_a_list_that_did_not_change_is_not_read_again(scene: Scene) -> None:
    hide_a_member(scene, "anna")

    report = scene.run()

    assert report.links[0].list_read == 4
    assert not latched(scene, "anna")


def test_a_dry_run_reads_the_list(scene: Scene) -> None:
    hide_a_member(scene, "anna")

    scene.run(dry_run=True)

    assert latched(scene, "anna")


@pytest.mark.parametrize("who", ["boris", "stranger"])
def test_of_a_list_that_changed_only_the_changes_are_read(scene: Scene, who: str) -> None:
    hide_a_member(scene, "anna")
    with scene.embedded() as own:
        own.leave("1", f"{who}@example.com")

    report = scene.run()

    assert report.links[0].list_read == 4
    assert not latched(scene, "anna")
    assert latched(scene, who) == (who == "boris")


def test_a_pair_that_is_written_has_its_member_read_again(scene: Scene) -> None:
    hide_a_member(scene, "anna")
    hide_a_member(scene, "boris")
    scene.planfix.edit(1001, last_name="Lind")
    scene.run()

    scene.run()

    assert latched(scene, "anna")
    assert not latched(scene, "boris")


def test_what_somebody_changes_in_the_file_itself_is_read(scene: Scene) -> None:
    with closing(sqlite3.connect(scene.folder / "lists.db")) as db, db:
        db.execute("UPDATE member SET status = 'unsubscribed' WHERE email_key LIKE 'clara%'")

    scene.run()

    assert latched(scene, "clara")


def test_a_list_put_back_from_a_backup_is_read_again(scene: Scene) -> None:
    lists = scene.folder / "lists.db"
    with closing(sqlite3.connect(lists)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(lists, scene.folder / "copy.db")
    with scene.embedded() as own:
        own.leave("1", "boris@example.com")
    scene.run()
    for name in ("lists.db-wal", "lists.db-shm"):
        (scene.folder / name).unlink(missing_ok=True)
    shutil.copy(scene.folder / "copy.db", lists)
    hide_a_member(scene, "anna")

    scene.run()

    assert latched(scene, "anna")


def test_strangers_of_an_unchanged_list_are_met_like_the_first_time(scene: Scene) -> None:
    scene.planfix.add(name="Eva", last_name="Lind", email="stranger@example.com")

    report = scene.run()

    assert applied(scene.link_of(report)) == {}
    with closing(sqlite3.connect(scene.store)) as db:
        paired = db.execute("SELECT status FROM pair WHERE key = 'stranger@example.com'")
        assert paired.fetchall() == [("active",)]
