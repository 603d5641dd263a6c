"""What the operator's page and the metrics show is what the runs did."""

import json
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from syncd.core.address import key_of
from syncd.core.link import Link, Selection
from syncd.core.overview import LinkOverview, Overview
from syncd.core.plan import Guard, Op
from syncd.core.report import Outcome
from syncd.errors import TemporaryError
from syncd.store.overview import RUNS_SHOWN, _Reader, overview, run_ended
from syncd.store.store import Store
from tests.fakes.email_service import Fault
from tests.scene import Scene
from tests.scene import link as link_table

MAKE = Callable[..., Scene]
CUSTOMERS = Link(
    name="customers", selection=Selection("contact"), backend="news", list_name="Customers"
)


def seen(scene: Scene) -> Overview:
    return overview(scene.store, (CUSTOMERS,))


def link_of(scene: Scene) -> LinkOverview:
    (link,) = seen(scene).links
    return link


def people(scene: Scene, count: int) -> list[int]:
    return [
        scene.planfix.add(name=f"P{number}", email=f"p{number}@example.com")
        for number in range(count)
    ]


def test_a_store_that_no_run_has_made_is_an_empty_one(tmp_path: Path) -> None:
    found = overview(tmp_path / "syncd.db", (CUSTOMERS,))

    assert found == Overview(links=(LinkOverview(name="customers", list_name="Customers"),))
    assert list(tmp_path.iterdir()) == []


def test_a_run_is_shown_as_its_report_says(scene: Scene) -> None:
    people(scene, 3)

    report = scene.run()

    link = link_of(scene)
    assert (link.pairs, link.latched, link.in_step) == (3, 0, True)
    assert link.last is not None
    assert (link.last.run, link.last.outcome) == (report.run, Outcome.OK)
    assert (link.last.planned, link.last.applied) == ({Op.ADD: 3}, {Op.ADD: 3})
    assert (link.last.planfix_read, link.last.certified) == (3, True)
    assert link.last.duration_s >= 0


def test_counts_go_on_over_the_runs_and_a_dry_run_is_none(scene: Scene) -> None:
    people(scene, 2)
    first = scene.run()
    scene.run(dry_run=True)
    scene.planfix.add(email="late@example.com")
    scene.run(dry_run=True)

    last = scene.run()

    found = seen(scene)
    assert found.runs_total == 2
    assert found.links[0].runs_total[Outcome.OK] == 2
    assert found.links[0].applied_total[Op.ADD] == 3
    assert [run.run for run in found.links[0].runs] == [last.run, first.run]
    assert found.run_ended == found.links[0].runs[0].finished


def test_every_call_to_planfix_is_counted_whoever_made_it(scene: Scene) -> None:
    people(scene, 2)
    scene.run()
    scene.run(dry_run=True)

    assert scene.syncd("contacts", "list", "--json").returncode == 0

    assert scene.planfix.calls("contact.getList") > 2
    assert seen(scene).planfix_calls_total == scene.planfix.calls("contact.getList")


def test_what_is_withheld_comes_with_its_reasons_and_its_command(scene: Scene) -> None:
    crowd = people(scene, 20)
    scene.run()
    for contact in crowd[:8]:
        scene.planfix.delete(contact)

    report = scene.run()

    refusal = link_of(scene).refusal
    assert refusal is not None
    assert refusal.operations == {Op.REMOVE: 8}
    assert [finding.guard for finding in refusal.findings] == [Guard.REMOVAL_LIMIT]
    assert refusal.command == f"syncd approve {report.run}"
    assert refusal.approved is None
    scene.approve(report.run)
    word = link_of(scene).refusal
    assert word is not None
    assert isinstance(word.approved, datetime)


def test_what_is_withheld_stays_in_sight_while_runs_fail(scene: Scene) -> None:
    crowd = people(scene, 20)
    scene.run()
    for contact in crowd[:8]:
        scene.planfix.delete(contact)
    report = scene.run()

    scene.planfix.faults.http_status(503)
    for _ in range(2):
        scene.run()

    link = link_of(scene)
    [status] = json.loads(scene.syncd("status", "--json").stdout)["links"]
    assert link.last is not None
    assert link.judged is not None
    assert (link.last.outcome, link.judged.run) == (Outcome.FAILED, report.run)
    assert link.judged.withheld == 8
    assert link.refusal is not None
    assert link.refusal.command == f"syncd approve {report.run}"
    assert (status["withheld"], status["in_step"]) == (8, False)
    assert status["approve"] == {"run": report.run, "also": []}
    assert "8 removals are planned" in status["reasons"][0]
    assert f"syncd approve {report.run}" in scene.syncd("status").stdout


def test_what_is_withheld_stays_in_sight_however_many_runs_fail(scene: Scene) -> None:
    crowd = people(scene, 20)
    scene.run()
    for contact in crowd[:8]:
        scene.planfix.delete(contact)
    report = scene.run()
    with closing(sqlite3.connect(scene.store)) as db, db:
        for number in range(RUNS_SHOWN):
            later = ("2040-01-01T00:00:00+00:00", "2040-01-01T00:00:01+00:00")
            name = f"20400101T000000Z-{number:04x}"
            db.execute(
                "INSERT INTO run SELECT ?, trigger, 0, ?, ?, outcome, exit_code, document"
                " FROM run WHERE id = ?",
                (name, *later, report.run),
            )
            db.execute(
                "INSERT INTO link_run VALUES (?, 'customers', 'failed', '[]', '', 0)", (name,)
            )

    link = link_of(scene)

    assert report.run not in [run.run for run in link.runs]
    assert link.judged is not None
    assert link.judged.run == report.run
    assert link.refusal is not None


def test_an_approval_is_known_to_release_what_other_links_wait_with(make_scene: MAKE) -> None:
    scene = make_scene(links=[link_table("customers"), link_table("firms")])
    crowd = people(scene, 20)
    scene.run()
    for contact in crowd[:8]:
        scene.planfix.delete(contact)

    report = scene.run()

    found = overview(scene.store, (CUSTOMERS, replace(CUSTOMERS, name="firms"))).links
    status = json.loads(scene.syncd("status", "--json").stdout)["links"]
    assert [link.refusal and link.refusal.also for link in found] == [("firms",), ("customers",)]
    assert [link["approve"]["also"] for link in status] == [["firms"], ["customers"]]
    told = scene.syncd("--link", "firms", "status").stdout
    assert (
        "firms: if what is withheld is right (it also releases what that run withheld of:"
        f" customers): syncd approve {report.run}"
    ) in told


def test_a_link_that_points_elsewhere_asks_for_a_rebase(scene: Scene) -> None:
    people(scene, 2)
    scene.run()
    scene.write_config(links=(scene.links[0].replace('"Customers"', '"Others"'),))
    scene.run()

    refusal = link_of(scene).refusal

    assert refusal is not None
    assert refusal.command == "syncd rebase customers"


def test_who_waits_is_named_by_number_and_never_by_address(scene: Scene) -> None:
    bad = scene.planfix.add(email="nobody@@example.com")
    refused = scene.planfix.add(email="no@example.com")
    scene.service.poisoned.add(key_of("no@example.com"))
    scene.run()

    link = link_of(scene)

    assert [waiting.contact for waiting in link.held] == [bad]
    assert [waiting.contact for waiting in link.quarantined] == [refused]
    assert link.quarantined[0].next_try is not None
    assert not link.in_step
    assert "@" not in repr(link)


def test_a_link_that_failed_says_why(scene: Scene) -> None:
    people(scene, 1)
    scene.service.fail(Fault.ERROR, times=None)
    scene.run()

    last = link_of(scene).last

    assert last is not None
    assert last.outcome is Outcome.FAILED
    assert last.error


def test_a_link_that_failed_says_what_to_do(scene: Scene) -> None:
    people(scene, 1)
    scene.planfix.faults.error_code("0020")

    report = scene.run()

    failure = report.links[0].failure
    last = link_of(scene).last
    assert failure is not None
    assert failure.hint.startswith("Give the token this function ")
    assert last is not None
    assert last.hint == failure.hint
    [status] = json.loads(scene.syncd("status", "--json").stdout)["links"]
    assert status["reasons"] == [f"{failure.message}. {failure.hint}"]


def test_a_passing_fault_needs_no_hint_of_its_own_to_say_what_to_do(scene: Scene) -> None:
    people(scene, 1)
    scene.planfix.faults.http_status(503)
    scene.run()

    last = link_of(scene).last

    assert last is not None
    assert last.hint.startswith("The next run tries again")


def test_a_document_is_read_once_however_many_links_it_tells_of(make_scene: MAKE) -> None:
    scene = make_scene(links=[link_table(name) for name in ("customers", "firms", "press")])
    people(scene, 1)
    runs = [scene.run().run for _ in range(2)]
    links = [replace(CUSTOMERS, name=name) for name in ("customers", "firms", "press")]

    with closing(sqlite3.connect(scene.store)) as raw:
        asked: list[str] = []
        raw.set_trace_callback(asked.append)
        found = _Reader(raw).overview(links)

    assert [len(link.runs) for link in found.links] == [2, 2, 2]
    assert sum("document" in query for query in asked) == len(runs)


def test_health_reads_no_more_than_when_the_last_run_ended(scene: Scene, tmp_path: Path) -> None:
    people(scene, 1)
    scene.run()

    assert run_ended(scene.store) == seen(scene).run_ended is not None
    assert run_ended(tmp_path / "none.db") is None


def test_only_the_latest_runs_are_shown_in_their_order(scene: Scene) -> None:
    people(scene, 1)
    runs = [scene.run().run for _ in range(4)]
    with closing(sqlite3.connect(scene.store)) as db, db:  # older ones, as many as are shown
        for number in range(RUNS_SHOWN):
            db.execute(
                "INSERT INTO run SELECT ?, trigger, 0, '2020-01-01T00:00:00+00:00',"
                " '2020-01-01T00:00:01+00:00', outcome, exit_code, document FROM run WHERE id = ?",
                (f"20200101T000000Z-{number:04x}", runs[0]),
            )
            db.execute(
                "INSERT INTO link_run SELECT ?, link, outcome, findings, hint, judged FROM link_run"
                " WHERE run = ?",
                (f"20200101T000000Z-{number:04x}", runs[0]),
            )

    shown = [run.run for run in link_of(scene).runs]

    assert len(shown) == RUNS_SHOWN
    assert shown[:4] == runs[::-1]


def test_a_list_that_planfix_made_is_shown_while_planfix_wants_it(path: Path, store: Store) -> None:
    made = []
    for name in ("Guests", "Former guests"):
        with store.pushes.batch("acme") as pushes:
            made.append(pushes.create("news", name, taken=(), at=datetime.now(UTC)))
    with store.pushes.batch("acme") as pushes:
        pushes.end("news", made[1], at=datetime.now(UTC))

    links = overview(path, (CUSTOMERS,)).links

    assert [link.list_name for link in links] == ["Customers", "Guests"]
    assert "Guests" in links[1].name


def test_an_address_in_the_name_of_a_pushed_list_is_not_shown(path: Path, store: Store) -> None:
    for name in ("for anna@example.com", "for boris@example.com"):
        with store.pushes.batch("acme") as pushes:
            pushes.create("news", name, taken=(), at=datetime.now(UTC))

    links = overview(path, ()).links

    assert "@" not in repr(links)
    assert [link.list_name for link in links] == ["for …", "for …"]
    assert len({link.name for link in links}) == 2  # a metric's series are told apart by them


def test_a_run_that_writes_makes_nobody_wait_who_looks(path: Path, store: Store) -> None:
    looked = threading.Event()
    with store._database.transaction() as raw:
        raw.execute("INSERT INTO tally VALUES ('runs', '', '', 9)")

        def look() -> None:
            if overview(path, ()).runs_total == 0:
                looked.set()

        thread = threading.Thread(target=look)
        thread.start()
        thread.join(30)

    assert looked.is_set()
    assert overview(path, ()).runs_total == 9


def test_whoever_looks_leaves_no_trace(path: Path, store: Store) -> None:
    store.runs.first_of_day("2026-11-24")
    before = sorted((file.name, file.stat().st_size) for file in path.parent.iterdir())

    overview(path, (CUSTOMERS, replace(CUSTOMERS, name="others")))

    assert sorted((file.name, file.stat().st_size) for file in path.parent.iterdir()) == before


@pytest.mark.parametrize("content", [b"", b"not a database" * 1000], ids=["empty", "other"])
def test_a_file_that_is_no_store_is_told_as_such(path: Path, content: bytes) -> None:
    path.write_bytes(content)

    with pytest.raises(TemporaryError, match="can't be read"):
        overview(path, (CUSTOMERS,))
    with pytest.raises(TemporaryError, match="can't be read"):
        run_ended(path)
