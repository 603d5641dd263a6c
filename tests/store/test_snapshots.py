"""Pages, and who stands on them."""

from syncd.core.link import LinkNumber
from syncd.core.people import ContactId
from syncd.store.snapshots import Snapshot
from syncd.store.store import Store
from tests.store.conftest import sweep

A, B, C, D, E = (f"{name}@example.com" for name in "abcde")


def pages(snapshot: Snapshot) -> dict[int, int | None]:
    return dict(snapshot._database.rows("SELECT id, page FROM contact ORDER BY id"))


def test_a_contact_that_no_page_shows_has_no_page(snapshot: Snapshot) -> None:
    sweep(snapshot, {1: A, 2: B}, {3: C})

    sweep(snapshot, {1: A}, {3: C})

    assert pages(snapshot) == {1: 1, 2: None, 3: 2}


def test_pages_past_the_last_hold_nobody(snapshot: Snapshot) -> None:
    sweep(snapshot, {1: A, 2: B}, {3: C})

    sweep(snapshot, {1: A, 2: B})

    assert pages(snapshot) == {1: 1, 2: 1, 3: None}
    assert snapshot.page(2) is None


def test_a_contact_on_two_pages_of_one_sweep_is_counted(snapshot: Snapshot) -> None:
    assert sweep(snapshot, {1: A, 2: B}, {2: B, 3: C}) == 1


def test_a_contact_that_came_twice_and_stays_on_the_first_page_is_present(
    snapshot: Snapshot,
) -> None:
    sweep(snapshot, {1: A, 2: B}, {2: B, 3: C})

    assert sweep(snapshot, {1: A, 2: B}, {3: C, 4: D}) == 0
    assert pages(snapshot) == {1: 1, 2: 1, 3: 2, 4: 2}


def test_a_contact_on_an_earlier_page_is_looked_for_on_its_unchanged_later_one(
    snapshot: Snapshot,
) -> None:
    sweep(snapshot, {1: A, 2: B}, {3: C, 4: D})

    twice = sweep(snapshot, {1: A, 3: C}, {3: C, 4: D})

    assert twice == 1
    assert pages(snapshot)[2] is None


def test_when_everyone_moves_up_nobody_is_lost(snapshot: Snapshot) -> None:
    sweep(snapshot, {1: A, 2: B}, {3: C, 4: D}, {5: E})

    assert sweep(snapshot, {2: B, 3: C}, {4: D, 5: E}) == 0
    assert pages(snapshot) == {1: None, 2: 1, 3: 1, 4: 2, 5: 2}


def test_pages_kept_together_are_kept_in_their_order(snapshot: Snapshot) -> None:
    sweep(snapshot, {1: A, 2: B}, {3: C, 4: D})

    assert sweep(snapshot, {1: A, 3: C}, {3: C, 2: B}, {4: D}, together=True) == 1
    assert pages(snapshot) == {1: 1, 2: 2, 3: 1, 4: 3}


def test_a_contact_keeps_its_digest_on_whatever_page_it_comes_to_stand(snapshot: Snapshot) -> None:
    sweep(snapshot, {1: A, 2: B}, {3: C})
    before = snapshot.digests_of([ContactId(2), ContactId(3)])

    sweep(snapshot, {1: A}, {2: B, 3: C}, together=True)

    assert len(before) == 2
    assert snapshot.digests_of([ContactId(2), ContactId(3)]) == before
    assert snapshot.digests_on(2) == {digest: each for each, digest in before.items()}


def test_fields_that_are_wanted_anew_leave_no_bytes_known(snapshot: Snapshot) -> None:
    sweep(snapshot, {1: A, 2: B})

    snapshot.want({7})

    assert snapshot.page(1) == (b"", 2)
    assert snapshot.digests_on(1) == {}
    assert sweep(snapshot, {1: A}) == 0
    assert pages(snapshot) == {1: 1, 2: None}


def test_a_page_is_looked_at_without_walking_the_whole_selection(
    store: Store, snapshot: Snapshot
) -> None:
    seen: list[str] = []
    raw = store._database.raw
    raw.set_trace_callback(seen.append)
    sweep(snapshot, {1: A})
    snapshot.digests_of([ContactId(1)])
    snapshot.forget_pages_after(0)
    raw.set_trace_callback(None)

    plans = [raw.execute(f"EXPLAIN QUERY PLAN {asked}").fetchall() for asked in seen
             if asked.startswith("SELECT")]  # fmt: skip

    steps = [step[3] for plan in plans for step in plan if " contact " in step[3]]
    assert len(steps) >= 2
    assert [step for step in steps if step.endswith("(selection=?)")] == []


def test_absent_contacts_are_dropped_unless_a_link_is_paired_with_them(
    store: Store, snapshot: Snapshot, link: LinkNumber
) -> None:
    sweep(snapshot, {1: A, 2: B})
    store._database.rows("INSERT INTO pair VALUES (?, 2, 'b', 'b', '', '', 'active', '')", (link,))
    sweep(snapshot, {})

    snapshot.drop_absent()

    assert pages(snapshot) == {2: None}
