"""What a comparison of list and pairs came to, and how long that is remembered."""

from collections.abc import Callable

import pytest

from syncd.core.address import key_of
from syncd.core.events import Learned
from syncd.core.journal import State
from syncd.core.link import LinkNumber
from syncd.core.pairs import Compared, Sighting
from syncd.core.people import ContactId, Member, MemberStatus, Person
from syncd.core.plan import Op, Pairing
from syncd.store.snapshots import Snapshot
from syncd.store.store import Store
from tests.store.conftest import AT
from tests.store.test_journal import A, B, end, operation, paired, plan, rename

STRANGER = Member("7", Person.of("Stranger@example.com", "Ева", "Holm"), MemberStatus.ACTIVE, AT)
SEEN = (
    Sighting(STRANGER.person.key, None, STRANGER),
    Sighting(key_of(A), ContactId(1), None),
)

Write = Callable[[Store, LinkNumber, Snapshot], None]


def compare(store: Store, link: LinkNumber, edition: str = "e1") -> None:
    store.comparisons.begin(link)
    store.comparisons.keep(link, edition, 3, SEEN)


def remembered(store: Store, link: LinkNumber) -> Compared:
    last = store.comparisons.last(link, 10)
    assert last is not None
    return last


def test_what_a_comparison_came_to_is_remembered(store: Store, link: LinkNumber) -> None:
    compare(store, link)

    assert store.comparisons.last(link, 10) == Compared("e1", 3, SEEN)
    assert store.comparisons.last(LinkNumber(link + 1), 10) is None


def test_a_comparison_under_way_is_none_yet(store: Store, link: LinkNumber) -> None:
    compare(store, link)

    store.comparisons.begin(link)

    assert store.comparisons.last(link, 10) is None


def add(store: Store, link: LinkNumber, _: Snapshot) -> None:
    end(store, link, plan(store, link, operation(Op.ADD, 2, B)), State.DONE)


def move(store: Store, link: LinkNumber, _: Snapshot) -> None:
    end(store, link, plan(store, link, rename(1, A, B)), State.DONE)


def remove(store: Store, link: LinkNumber, _: Snapshot) -> None:
    end(store, link, plan(store, link, operation(Op.REMOVE, 1, A)), State.DONE)


def adopt(store: Store, link: LinkNumber, snapshot: Snapshot) -> None:
    with store.journal.drafting(link, snapshot.id, run="r2", at=AT, keep=True) as draft:
        draft.pair([Pairing(ContactId(2), Person.of(B, "", ""), MemberStatus.ACTIVE, "2", "why")])


def learn(store: Store, link: LinkNumber, _: Snapshot) -> None:
    learned = Learned(marked=[(ContactId(1), MemberStatus.UNSUBSCRIBED, "1")])
    store.consent.learn(link, link, learned, run="r2", at=AT)


def rebase(store: Store, link: LinkNumber, _: Snapshot) -> None:
    store.links.rebase(link, "another")


@pytest.mark.parametrize(
    ("write", "keys"),
    [(add, {B}), (move, {A, B}), (remove, {A}), (adopt, {B}), (learn, {A}), (rebase, {A})],
)
def test_the_addresses_of_a_pair_that_is_written_are_noted(
    store: Store, link: LinkNumber, snapshot: Snapshot, write: Write, keys: set[str]
) -> None:
    paired(store, link, c1=A)
    compare(store, link)

    write(store, link, snapshot)

    last = remembered(store, link)
    assert last.rewritten == {key_of(key) for key in keys}
    assert store.comparisons.last(link, len(keys) - 1) is None


@pytest.mark.parametrize("write", [add, move, remove, adopt, learn, rebase])
def test_what_is_written_of_a_pair_meanwhile_is_noted_too(
    store: Store, link: LinkNumber, snapshot: Snapshot, write: Write
) -> None:
    paired(store, link, c1=A)
    store.comparisons.begin(link)

    write(store, link, snapshot)
    store.comparisons.keep(link, "e1", 3, SEEN)

    last = remembered(store, link)
    assert last.rewritten


def test_what_was_compared_again_is_no_longer_noted(
    store: Store, link: LinkNumber, snapshot: Snapshot
) -> None:
    paired(store, link, c1=A)
    compare(store, link)
    add(store, link, snapshot)
    last = remembered(store, link)
    remove(store, link, snapshot)

    store.comparisons.renew(link, last, Compared("e2", 4, SEEN[:1]))

    now = remembered(store, link)
    assert (now.edition, now.members, now.differences) == ("e2", 4, SEEN[:1])
    assert now.rewritten == {key_of(A)}


def test_where_no_comparison_is_kept_nothing_is_noted(
    store: Store, link: LinkNumber, snapshot: Snapshot
) -> None:
    store.comparisons.begin(link)
    store.comparisons.drop(link)

    add(store, link, snapshot)

    assert store.comparisons.last(link, 10) is None
    assert store._database.rows("SELECT * FROM rewritten") == []


@pytest.mark.parametrize("under_way", [False, True])
def test_whoever_is_forgotten_takes_all_comparisons_along(
    store: Store, link: LinkNumber, snapshot: Snapshot, *, under_way: bool
) -> None:
    compare(store, link)
    add(store, link, snapshot)
    if under_way:
        store.comparisons.begin(link)

    store.runs.forget(STRANGER.person.key, [])
    if under_way:
        store.comparisons.keep(link, "e1", 3, SEEN)

    assert store.comparisons.last(link, 10) is None


def test_a_pair_of_another_link_leaves_a_comparison_alone(
    store: Store, link: LinkNumber, snapshot: Snapshot
) -> None:
    other = store.links.open("others", "scope", snapshot.id)
    compare(store, link)

    paired(store, other, c1=A)

    assert store.comparisons.last(link, 10) == Compared("e1", 3, SEEN)
