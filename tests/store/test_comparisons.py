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


def test_the_same_list_beside_the_same_pairs_comes_to_the_same(
    store: Store, link: LinkNumber
) -> None:
    compare(store, link)

    assert store.comparisons.of(link, "e1") == Compared(3, SEEN)
    assert store.comparisons.of(link, "e1") == Compared(3, SEEN)


@pytest.mark.parametrize("edition", ["e2", ""])
def test_of_another_edition_nothing_is_known(store: Store, link: LinkNumber, edition: str) -> None:
    compare(store, link)

    assert store.comparisons.of(link, edition) is None


def test_of_another_link_nothing_is_known(store: Store, link: LinkNumber) -> None:
    compare(store, link)

    assert store.comparisons.of(LinkNumber(link + 1), "e1") is None


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


def forget(store: Store, _: LinkNumber, __: Snapshot) -> None:
    store.runs.forget(STRANGER.person.key, [])


@pytest.mark.parametrize("write", [add, move, remove, adopt, learn, rebase, forget])
def test_what_is_written_of_a_pair_ends_the_comparison(
    store: Store, link: LinkNumber, snapshot: Snapshot, write: Write
) -> None:
    paired(store, link, c1=A)
    compare(store, link)

    write(store, link, snapshot)

    assert store.comparisons.of(link, "e1") is None


@pytest.mark.parametrize("write", [add, move, remove, adopt, learn, rebase, forget])
def test_what_is_written_of_a_pair_meanwhile_ends_the_comparison(
    store: Store, link: LinkNumber, snapshot: Snapshot, write: Write
) -> None:
    paired(store, link, c1=A)
    store.comparisons.begin(link)

    write(store, link, snapshot)
    store.comparisons.keep(link, "e1", 3, SEEN)

    assert store.comparisons.of(link, "e1") is None


def test_a_pair_of_another_link_leaves_a_comparison_alone(
    store: Store, link: LinkNumber, snapshot: Snapshot
) -> None:
    other = store.links.open("others", "scope", snapshot.id)
    compare(store, link)

    paired(store, other, c1=A)

    assert store.comparisons.of(link, "e1") == Compared(3, SEEN)
