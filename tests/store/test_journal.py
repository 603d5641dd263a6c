"""Plans, pairs, latches and what is erased: through the real store."""

from collections.abc import Sequence

import pytest

from syncd.core.address import key_of
from syncd.core.events import Learned
from syncd.core.journal import Ended, Entry, State, signature
from syncd.core.link import LinkNumber
from syncd.core.pairs import NewLatch, Standing
from syncd.core.people import ContactId, MemberStatus, Person
from syncd.core.plan import End, Loses, Op, Operation, Repoint
from syncd.store.snapshots import Snapshot
from syncd.store.store import Store
from tests.store.conftest import AT, sweep

A, B, C, NEW = (f"{name}@example.com" for name in ("a", "b", "c", "new"))
RETRY = ("2026-11-23T22:30:00+00:00", "2026-11-23T23:30:00+00:00")


def operation(op: Op, contact: int, address: str, **more: object) -> Operation:
    return Operation(op, ContactId(contact), Person.of(address, "", ""), "why", **more)  # type: ignore[arg-type]  # names


def rename(contact: int, old: str, new: str, after: int | None = None) -> Operation:
    return operation(
        Op.RENAME, contact, new, old_address=old, old_key=key_of(old),
        loses=Loses.OLD_ADDRESS, after=after,
    )  # fmt: skip


def plan(
    store: Store, link: LinkNumber, *operations: Operation, run: str = "r1"
) -> Sequence[Entry]:
    with store.journal.drafting(link, 1, run=run, at=AT, keep=True) as draft:
        draft.write((op, False) for op in operations)
    return [*store.journal.singles(run, link, 0), *store.journal.adds(run, link, 0, 500)]


def end(
    store: Store, link: LinkNumber, entries: Sequence[Entry], state: State, **more: object
) -> None:
    ended = [Ended(entry, state, **more) for entry in entries]  # type: ignore[arg-type]  # names
    store.journal.record(link, ended, at=AT, next_try=RETRY)


def paired(store: Store, link: LinkNumber, **contacts: str) -> None:
    adds = [operation(Op.ADD, int(name[1:]), address) for name, address in contacts.items()]
    end(store, link, plan(store, link, *adds, run="r0"), State.DONE)


def owner(store: Store, link: LinkNumber, address: str) -> tuple[int, MemberStatus] | None:
    found = store.pairs.of_key(link, key_of(address))
    return found and (found[0], found[1].status)


def differing(store: Store, link: LinkNumber, snapshot: Snapshot) -> dict[int, Standing]:
    gone = {ContactId(3): Standing.LEFT}
    with store.journal.drafting(link, snapshot.id, run="x", at=AT, keep=False) as draft:
        return {row.contact: row.standing for row in draft.rows(gone)}


def test_only_rows_that_differ_come_out(store: Store, snapshot: Snapshot, link: LinkNumber) -> None:
    sweep(snapshot, {1: A, 2: B, 3: C, 4: "d@example.com"})
    paired(store, link, c1=A, c2=B, c3=C, c4="d@example.com")
    assert differing(store, link, snapshot) == {}

    sweep(snapshot, {1: A, 2: "B@example.com", 5: NEW, 6: ""})

    assert differing(store, link, snapshot) == {
        2: Standing.PRESENT, 3: Standing.LEFT, 4: Standing.MISSING, 5: Standing.PRESENT,
    }  # fmt: skip


def test_rows_name_the_holder_and_the_rivals(
    store: Store, snapshot: Snapshot, link: LinkNumber
) -> None:
    sweep(snapshot, {1: A, 2: A, 3: NEW, 4: NEW})
    paired(store, link, c1=A)

    with store.journal.drafting(link, snapshot.id, run="x", at=AT, keep=False) as draft:
        rows = [(row.contact, row.holder, row.contested) for row in draft.rows({})]

    assert rows == [(2, 1, True), (3, None, True), (4, None, True)]


def test_members_are_exchanged_all_at_once(store: Store, link: LinkNumber) -> None:
    paired(store, link, c1=A, c2=B, c3=C)
    steps: list[Repoint | End] = [
        Repoint(key_of(B), ContactId(2), ContactId(1), ""),
        Repoint(key_of(A), ContactId(1), ContactId(2), ""),
        End(ContactId(3), ""),
    ]

    with store.journal.drafting(link, 1, run="r1", at=AT, keep=True) as draft:
        draft.repoint(steps)

    assert [owner(store, link, a) for a in (A, B, C)] == [
        (2, MemberStatus.ACTIVE), (1, MemberStatus.ACTIVE), None,
    ]  # fmt: skip


def test_a_chain_of_renames_never_meets_itself(store: Store, link: LinkNumber) -> None:
    paired(store, link, c1=A, c2=B)

    for entry in plan(store, link, rename(2, B, NEW), rename(1, A, B, after=2)):
        end(store, link, [entry], State.DONE)

    assert owner(store, link, B) == (1, MemberStatus.ACTIVE)
    assert owner(store, link, NEW) == (2, MemberStatus.ACTIVE)


def test_a_refused_rename_leaves_the_pair_where_the_member_is(
    store: Store, link: LinkNumber
) -> None:
    paired(store, link, c1=A)

    entries = plan(store, link, rename(1, A, NEW))
    end(store, link, entries, State.REFUSED, status=MemberStatus.BLOCKED)

    assert owner(store, link, A) == (1, MemberStatus.BLOCKED)
    assert owner(store, link, NEW) is None


def test_a_removal_ends_the_pair_and_a_failure_keeps_it(store: Store, link: LinkNumber) -> None:
    paired(store, link, c1=A, c2=B)

    first, second = plan(store, link, operation(Op.REMOVE, 1, A), operation(Op.REMOVE, 2, B))
    end(store, link, [first], State.DONE)
    end(store, link, [second], State.FAILED, error="no")

    assert owner(store, link, A) is None
    assert owner(store, link, B) == (2, MemberStatus.ACTIVE)
    assert store.journal.removed_since(link, AT) == 1


def test_failures_are_tried_again_later_and_later_until_one_succeeds(
    store: Store, link: LinkNumber
) -> None:
    for expected in (RETRY[0], RETRY[1], RETRY[1]):
        end(store, link, plan(store, link, operation(Op.ADD, 1, A)), State.FAILED)
        [(_, next_at)] = store.journal.quarantined(link).values()
        assert next_at == expected

    end(store, link, plan(store, link, operation(Op.ADD, 1, A)), State.DONE)

    assert store.journal.quarantined(link) == {}


def test_what_was_sent_is_open_and_what_was_only_planned_is_dropped(
    store: Store, link: LinkNumber
) -> None:
    sent, _ = plan(store, link, operation(Op.REMOVE, 1, A), operation(Op.REMOVE, 2, B))
    store.journal.send([sent], at=AT)
    wish = operation(Op.UNSUBSCRIBE, 3, C)
    store.journal.wish(link, wish, run="r2", at=AT)

    store.journal.drop_planned(link)

    assert [entry.operation for entry in store.journal.open(link)] == [sent.operation, wish]
    assert store.journal.singles("r1", link, 0) == []


def test_a_wish_to_leave_that_failed_is_told_again(store: Store, link: LinkNumber) -> None:
    store.journal.wish(link, operation(Op.UNSUBSCRIBE, 3, C), run="r1", at=AT)

    end(store, link, store.journal.open(link), State.FAILED)

    assert len(store.journal.open(link)) == 1


def test_a_wish_to_leave_ends_a_member_only_where_the_list_had_one(
    store: Store, link: LinkNumber
) -> None:
    paired(store, link, c1=A)

    active, left = MemberStatus.ACTIVE, MemberStatus.UNSUBSCRIBED
    for status, kept in ((active, active), (left, left), (active, left)):
        store.journal.wish(link, operation(Op.UNSUBSCRIBE, 1, A), run="r1", at=AT)
        end(store, link, store.journal.open(link), State.DONE, status=status)
        assert owner(store, link, A) == (1, kept)


def withheld(store: Store, link: LinkNumber, run: str, *operations: Operation) -> int:
    with store.journal.drafting(link, 1, run=run, at=AT, keep=True) as draft:
        draft.write((op, False) for op in operations)
        return draft.withhold(removals=True, losses=Loses.NOTHING)


def test_what_waits_for_a_withheld_operation_is_withheld_with_it(
    store: Store, link: LinkNumber
) -> None:
    removal = operation(Op.REMOVE, 1, A)
    chain = [removal, rename(2, B, A, after=1), rename(3, C, B, after=2)]

    count = withheld(store, link, "r1", *chain, rename(4, "d@example.com", NEW))

    assert count == 3
    assert [e.operation.contact for e in store.journal.singles("r1", link, 0)] == [4]
    assert set(store.journal.withheld(["r1"], link)) == {signature(op) for op in chain}


def test_an_approval_releases_what_its_own_run_withheld_and_once(
    store: Store, link: LinkNumber
) -> None:
    removal = operation(Op.REMOVE, 1, A)
    withheld(store, link, "r1", removal)
    withheld(store, link, "r2", operation(Op.REMOVE, 2, B))
    assert set(store.journal.withheld(["r1"], link)) == {signature(removal)}

    end(store, link, plan(store, link, removal, run="r3"), State.DONE)

    assert not store.journal.withheld(["r1"], link)
    assert store.journal.withheld(["r2"], link)


def test_old_stories_are_pruned_and_open_operations_never(store: Store, link: LinkNumber) -> None:
    done, sent = plan(store, link, operation(Op.REMOVE, 1, A), operation(Op.REMOVE, 2, B))
    end(store, link, [done], State.DONE)
    store.journal.send([sent], at=AT)
    withheld(store, link, "r2", operation(Op.REMOVE, 3, C))

    store.journal.prune(audit_before="2027", withheld_before="2026")

    assert [entry.id for entry in store.journal.open(link)] == [sent.id]
    assert store.stories.operations(store.stories.traces(key_of(A))) == []
    assert store.journal.withheld(["r2"], link)


def test_of_a_long_refusal_the_first_run_and_the_last_few_can_be_approved(
    store: Store, link: LinkNumber
) -> None:
    for number in range(7):
        withheld(store, link, f"r{number}", operation(Op.REMOVE, 3, C))
    store.runs.approve("r2", at=AT, until="2027")

    store.journal.thin_withheld(link)

    kept = [run for run in (f"r{n}" for n in range(7)) if store.journal.withheld([run], link)]
    assert kept == ["r0", "r2", "r4", "r5", "r6"]


def test_a_latch_may_be_the_first_thing_and_is_set_once(store: Store, link: LinkNumber) -> None:
    latches = [NewLatch("left", key=key_of(A)), NewLatch("left", contact=ContactId(1))]

    assert store.consent.latch(link, latches, run="r1", at=AT) == 2
    assert store.consent.latch(link, latches, run="r2", at=AT) == 0
    assert store.consent.latched(link) == (
        frozenset({1}),
        frozenset({store.consent.hashed(key_of("A@example.com"))}),
    )


@pytest.mark.parametrize("known", [False, True])
def test_who_left_after_the_list_was_asked_is_not_back_by_its_answer(
    store: Store, link: LinkNumber, *, known: bool
) -> None:
    latches = [NewLatch("left", key=key_of(A)), NewLatch("left", contact=ContactId(1))]
    if known:
        store.consent.latch(link, latches, run="r1", at="2026-11-22")
    asked, later = "2026-11-23T10:00", "2026-11-23T10:01"
    store.consent.latch(link, latches, run="r2", at=later)

    back = Learned(lifted=latches)
    store.consent.learn(link, link, back, run="r3", at=later, asked=asked)

    assert store.consent.count(link) == 1
    store.consent.learn(link, link, back, run="r4", at="2026-11-25", asked="2026-11-24")
    assert store.consent.count(link) == 0


def test_forget_erases_the_person_and_keeps_the_latch(
    store: Store, snapshot: Snapshot, link: LinkNumber
) -> None:
    who = "forget.me.not@example.com"
    sweep(snapshot, {1: who, 2: B})
    paired(store, link, c1=who, c2=B)
    store.consent.latch(link, [NewLatch("left", key=key_of(who))], run="r1", at=AT)

    store.runs.forget(key_of(who), store.stories.contacts_of(key_of(who)))

    assert owner(store, link, who) is None
    assert owner(store, link, B) == (2, MemberStatus.ACTIVE)
    assert store.stories.contacts_of(key_of(who)) == []
    assert store.consent.hashed(key_of(who)) in store.consent.latched(link)[1]
    assert snapshot.page(1) == (b"", 2)  # to be read anew
    assert snapshot.digests_on(1) == {}
    for file in snapshot._database.path.parent.iterdir():
        assert who.encode() not in file.read_bytes(), file.name


def test_forget_leaves_whoever_once_had_the_address(
    store: Store, snapshot: Snapshot, link: LinkNumber
) -> None:
    sweep(snapshot, {1: NEW})
    paired(store, link, c1=A)
    end(store, link, plan(store, link, rename(1, A, NEW)), State.DONE)
    failed = plan(store, link, operation(Op.ADD, 9, A), run="r2")
    end(store, link, failed, State.FAILED)

    store.runs.forget(key_of(A), store.stories.contacts_of(key_of(A)))

    assert owner(store, link, NEW) == (1, MemberStatus.ACTIVE)
    assert store.stories.contacts_of(key_of(A)) == []
    assert store.journal.quarantined(link) == {}
