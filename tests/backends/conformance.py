"""What every backend must do, whatever it cannot: one suite for all of them.

A backend plugs in with a subclass that gives two fixtures: `backend`, and `world`, which looks
at the service from behind. Where a capability says no, a case asserts the weaker outcome that
is documented, instead of being skipped.
"""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import ClassVar, Protocol

import pytest

from syncd.backends import Backend
from syncd.core.address import AddressKey
from syncd.core.people import ContactId, Names, Person
from syncd.core.plan import ItemResult, Result
from syncd.errors import (
    AuthenticationError,
    ConfigurationError,
    SyncdError,
    TemporaryError,
)
from syncd.ports import Entry, ListId

Held = tuple[str, str, str]
"""First name, last name, status."""


class OneText(Held):
    """A name that a list holds as one text, with its status: equal to any two that make it up."""

    __slots__ = ()

    @classmethod
    def of(cls, name: str, status: str) -> "OneText":
        return cls((name, "", status))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, tuple) and _in_one(self) == _in_one(other)

    def __hash__(self) -> int:
        return hash(_in_one(self))


def _in_one(held: Held) -> tuple[str, str]:
    first, last, status = held
    return " ".join(f"{first} {last}".split()), status


class Trouble(StrEnum):
    """What a service may do to a call; a world says which of these it can."""

    LOST_ANSWER = "the next call is carried out and its answer lost"
    BUSY = "no call is taken until `recover`"
    WRONG_KEY = "our credentials are refused"
    ELSEWHERE = "the address is not the service's"


TROUBLE_ERRORS: dict[Trouble, type[SyncdError]] = {
    Trouble.BUSY: TemporaryError,
    Trouble.WRONG_KEY: AuthenticationError,
    Trouble.ELSEWHERE: ConfigurationError,
}


class World(Protocol):
    """The service from behind."""

    troubles: frozenset[Trouble]
    bad_address: str  # one that the service refuses

    def members(self, list_id: ListId) -> dict[AddressKey, Held]:
        """Return who is on a list, or was and is remembered."""

    def leave(self, list_id: ListId, address: str) -> None:
        """Let a member unsubscribe by himself."""

    def block(self, list_id: ListId, address: str) -> None:
        """Let the service find out that an address bounces."""

    def fail(self, trouble: Trouble) -> None:
        """Cause trouble."""

    def recover(self) -> None:
        """End it."""


def entry(number: int, address: str = "", first: str = "Анна", last: str = "Белова") -> Entry:
    address = address or f"person{number:04}@example.com"
    return Entry(ContactId(number), Person.of(address, first, last))


def as_read(person: Person, names: Names) -> Person:
    """Return a person as a list reads back that holds names so."""
    if names is Names.ONE:
        return person._replace(first=f"{person.first} {person.last}", last="")
    return person


def results_of(results: Sequence[ItemResult]) -> list[Result]:
    return [result.result for result in results]


def active(*entries: Entry) -> dict[AddressKey, Held]:
    return {e.person.key: (e.person.first, e.person.last, "active") for e in entries}


class BackendConformance:
    """The cases of lists, upserts, names, renames, leaving, reading and trouble."""

    spoken_names: ClassVar[list[tuple[str, str]]] = [
        ("Анна-Мария", "Ёлкина"),
        ("", ""),
        ("🙂 👩‍💻", "O’Brien & Søn <b>"),
        ("x" * 300, '"\\'),
    ]
    page: ClassVar[int] = 1000  # members that a long list has, after which a backend may breathe

    @pytest.fixture
    def list_id(self, backend: Backend) -> ListId:
        return backend.ensure_list("Новости — Юг")

    # Lists.

    def test_a_list_is_made_once_where_it_can_be_found(
        self, backend: Backend, list_id: ListId
    ) -> None:
        again = backend.ensure_list("Новости — Юг")

        assert (again == list_id) is backend.capabilities.finds_lists

    def test_a_list_is_found_without_being_made(self, backend: Backend) -> None:
        before = backend.find_list("Новости — Юг")
        made = backend.ensure_list("Новости — Юг")

        assert before is None
        assert backend.find_list("Новости — Юг") == (
            made if backend.capabilities.finds_lists else None
        )

    def test_a_deleted_list_is_gone(self, backend: Backend, list_id: ListId) -> None:
        backend.delete_list(list_id)

        if backend.capabilities.finds_lists:
            backend.delete_list(list_id)
        else:
            with pytest.raises(ConfigurationError):
                backend.delete_list(list_id)

    def test_check_changes_nothing(self, backend: Backend, world: World, list_id: ListId) -> None:
        backend.upsert(list_id, [entry(1)], known=False)

        line = backend.check()

        assert line
        assert world.members(list_id) == active(entry(1))

    # Upserts.

    @pytest.mark.parametrize("more", ["none", "one", "a batch", "a batch and one"])
    def test_any_number_of_people_is_added(
        self, backend: Backend, world: World, list_id: ListId, more: str
    ) -> None:
        size = backend.capabilities.bulk_add
        count = {"none": 0, "one": 1, "a batch": size, "a batch and one": size + 1}[more]
        entries = [entry(number) for number in range(count)]

        results = backend.upsert(list_id, entries, known=False)

        assert results_of(results) == [Result.DONE] * count
        assert world.members(list_id) == active(*entries)

    def test_any_number_of_known_people_is_updated(
        self, backend: Backend, world: World, list_id: ListId
    ) -> None:
        count = backend.capabilities.bulk_update + 1
        backend.upsert(list_id, [entry(number) for number in range(count)], known=False)
        renamed = [
            Entry(each.contact, Person.of(each.person.address, "Eva", "Holm"))
            for each in (entry(number) for number in range(count))
        ]

        results = backend.upsert(list_id, renamed, known=True)

        assert results_of(results) == [Result.DONE] * count
        assert world.members(list_id) == active(*renamed)

    def test_a_bad_contact_fails_alone(
        self, backend: Backend, world: World, list_id: ListId
    ) -> None:
        entries = [entry(number) for number in range(7)]
        entries[3] = entry(3, world.bad_address)

        results = backend.upsert(list_id, entries, known=False)

        expected = [Result.DONE] * 7
        expected[3] = Result.FAILED
        assert results_of(results) == expected
        assert world.bad_address not in results[3].message
        assert world.members(list_id) == active(*entries[:3], *entries[4:])

    def test_an_upsert_again_leaves_one_person(
        self, backend: Backend, world: World, list_id: ListId
    ) -> None:
        entries = [entry(1), entry(2)]
        backend.upsert(list_id, entries, known=False)

        results = backend.upsert(list_id, entries, known=False, again=True)

        same = Result.UNCHANGED if backend.capabilities.can_read else Result.DONE
        assert results_of(results) == [same, same]
        assert world.members(list_id) == active(*entries)

    def test_one_address_twice_in_a_call_is_one_person(
        self, backend: Backend, world: World, list_id: ListId
    ) -> None:
        backend.upsert(list_id, [entry(1, first="A"), entry(1, first="B")], known=False)

        assert world.members(list_id) == active(entry(1, first="B"))

    @pytest.mark.parametrize("known", [False, True], ids=["unknown", "known"])
    def test_who_unsubscribed_is_not_put_back_where_the_list_tells(
        self, backend: Backend, world: World, list_id: ListId, known: bool
    ) -> None:
        backend.upsert(list_id, [entry(1)], known=False)
        world.leave(list_id, entry(1).person.address)

        results = backend.upsert(list_id, [entry(1, first="X")], known=known)

        if backend.capabilities.tells_unsubscribe:
            assert results_of(results) == [Result.REFUSED]
            assert world.members(list_id) == {
                entry(1).person.key: ("Анна", "Белова", "unsubscribed")
            }
        elif known and backend.capabilities.can_read:
            assert results_of(results) == [Result.ABSENT]
            assert world.members(list_id) == {}
        else:
            # Nothing but syncd's own latch stands in the way here.
            assert results_of(results) == [Result.DONE]

    def test_a_blocked_address_is_left_alone_where_the_list_tells(
        self, backend: Backend, world: World, list_id: ListId
    ) -> None:
        backend.upsert(list_id, [entry(1)], known=False)
        world.block(list_id, entry(1).person.address)

        results = backend.upsert(list_id, [entry(1, first="X")], known=True)

        if backend.capabilities.tells_blocked:
            assert results_of(results) == [Result.BLOCKED]
            assert world.members(list_id) == {entry(1).person.key: ("Анна", "Белова", "blocked")}
        else:
            assert results_of(results) == [Result.DONE]

    def test_who_was_removed_may_be_added_again(
        self, backend: Backend, world: World, list_id: ListId
    ) -> None:
        backend.upsert(list_id, [entry(1)], known=False)
        backend.remove(list_id, [entry(1)])

        results = backend.upsert(list_id, [entry(1, first="Back")], known=False)

        assert results_of(results) == [Result.DONE]
        assert world.members(list_id) == active(entry(1, first="Back"))

    # Names.

    def test_names_of_all_kinds_arrive(
        self, backend: Backend, world: World, list_id: ListId
    ) -> None:
        backend.upsert(list_id, [entry(1)], known=False)
        for first, last in self.spoken_names:
            changed = entry(1, first=first, last=last)

            results = backend.upsert(list_id, [changed], known=True)

            assert results_of(results) == [Result.DONE]
            assert world.members(list_id) == active(changed)

    def test_a_change_of_spelling_is_an_update(
        self, backend: Backend, world: World, list_id: ListId
    ) -> None:
        backend.upsert(list_id, [entry(1, "anna@example.com")], known=False)

        results = backend.upsert(list_id, [entry(1, "Anna@Example.com")], known=True)

        assert results[0].ok  # a list that has small letters only has nothing to do
        assert len(world.members(list_id)) == 1

    # Renames.

    def test_a_member_moves_to_a_free_address(
        self, backend: Backend, world: World, list_id: ListId
    ) -> None:
        backend.upsert(list_id, [entry(1, "old@example.com")], known=False)
        moved = entry(1, "new@example.com", first="Anna")

        result = backend.rename(list_id, "old@example.com", moved)

        assert result.result is Result.DONE
        assert world.members(list_id) == active(moved)

    def test_a_rename_again_is_done(self, backend: Backend, world: World, list_id: ListId) -> None:
        backend.upsert(list_id, [entry(1, "old@example.com")], known=False)
        moved = entry(1, "new@example.com")
        backend.rename(list_id, "old@example.com", moved)

        result = backend.rename(list_id, "old@example.com", moved, again=True)

        assert result.ok
        assert world.members(list_id) == active(moved)

    def test_a_taken_address_is_refused(
        self, backend: Backend, world: World, list_id: ListId
    ) -> None:
        people = [entry(1, "one@example.com"), entry(2, "two@example.com")]
        backend.upsert(list_id, people, known=False)

        result = backend.rename(list_id, "one@example.com", entry(1, "two@example.com"))

        assert result.result is Result.FAILED
        assert "two@example.com" not in result.message
        assert world.members(list_id) == active(*people)

    def test_a_chain_of_renames_goes_through_from_its_free_end(
        self, backend: Backend, world: World, list_id: ListId
    ) -> None:
        backend.upsert(
            list_id, [entry(1, "a@example.com", "A"), entry(2, "b@example.com", "B")], known=False
        )
        moves = [("b@example.com", entry(2, "c@example.com", "B"))]
        moves.append(("a@example.com", entry(1, "b@example.com", "A")))

        results = [backend.rename(list_id, old, moved) for old, moved in moves]

        assert results_of(results) == [Result.DONE, Result.DONE]
        assert world.members(list_id) == active(*(moved for _, moved in moves))

    def test_an_absent_member_cannot_be_renamed_where_the_list_tells(
        self, backend: Backend, world: World, list_id: ListId
    ) -> None:
        result = backend.rename(list_id, "old@example.com", entry(1, "new@example.com"))

        if backend.capabilities.can_read:
            assert result.result is Result.ABSENT
            assert world.members(list_id) == {}
        else:
            assert result.result in {Result.DONE, Result.FAILED}

    def test_who_unsubscribed_does_not_come_back_by_a_rename(
        self, backend: Backend, world: World, list_id: ListId
    ) -> None:
        backend.upsert(list_id, [entry(1, "old@example.com")], known=False)
        world.leave(list_id, "old@example.com")
        before = world.members(list_id)

        result = backend.rename(list_id, "old@example.com", entry(1, "new@example.com"))

        if backend.capabilities.tells_unsubscribe:
            assert result.result is Result.REFUSED
            assert world.members(list_id) == before
        elif backend.capabilities.can_read:
            assert result.result is Result.ABSENT
            assert world.members(list_id) == before
        else:
            assert result.result in {Result.DONE, Result.FAILED}

    def test_a_rename_onto_an_unsubscribed_address_changes_nothing_where_the_list_tells(
        self, backend: Backend, world: World, list_id: ListId
    ) -> None:
        people = [entry(1, "one@example.com"), entry(2, "two@example.com")]
        backend.upsert(list_id, people, known=False)
        world.leave(list_id, "two@example.com")
        before = world.members(list_id)

        result = backend.rename(list_id, "one@example.com", entry(1, "two@example.com"))

        if backend.capabilities.tells_unsubscribe:
            assert result.result is Result.REFUSED
            assert world.members(list_id) == before
        else:
            assert result.result is Result.DONE

    # Leaving.

    @pytest.mark.parametrize("leaving", ["remove", "unsubscribe"])
    def test_who_leaves_is_off_this_list_and_on_the_others(
        self, backend: Backend, world: World, list_id: ListId, leaving: str
    ) -> None:
        other = backend.ensure_list("Other")
        for where in (list_id, other):
            backend.upsert(where, [entry(1, "anna@example.com"), entry(2)], known=False)
        leave = backend.remove if leaving == "remove" else backend.unsubscribe

        first = leave(list_id, [entry(1, "ANNA@example.com")])
        second = leave(list_id, [entry(1, "ANNA@example.com")], again=True)

        assert results_of(first) == [Result.DONE]
        assert second[0].ok
        rest = {k: v for k, v in world.members(list_id).items() if v[2] == "active"}
        assert rest == active(entry(2))
        assert world.members(other) == active(entry(1, "anna@example.com"), entry(2))

    def test_a_removal_does_not_forget_who_unsubscribed(
        self, backend: Backend, world: World, list_id: ListId
    ) -> None:
        backend.upsert(list_id, [entry(1)], known=False)
        world.leave(list_id, entry(1).person.address)
        before = world.members(list_id)

        results = backend.remove(list_id, [entry(1)], again=True)

        assert results[0].ok
        assert world.members(list_id) == before

    def test_a_stranger_leaves_as_absent_where_the_list_tells(
        self, backend: Backend, world: World, list_id: ListId
    ) -> None:
        results = backend.remove(list_id, [entry(1)]) + backend.unsubscribe(list_id, [entry(2)])

        allowed = {Result.ABSENT}
        if not backend.capabilities.can_read:
            allowed |= {Result.DONE, Result.FAILED}
        assert set(results_of(results)) <= allowed
        assert world.members(list_id) == {}

    # Reading.

    @pytest.mark.parametrize("many", ["none", "one", "a page", "a page and one"])
    def test_a_list_is_read_whole_and_sorted(
        self, backend: Backend, list_id: ListId, many: str
    ) -> None:
        count = {"none": 0, "one": 1, "a page": self.page, "a page and one": self.page + 1}[many]
        if not backend.capabilities.can_read:
            with pytest.raises(NotImplementedError):
                backend.read(list_id)
            return
        entries = [entry(number) for number in range(count)]
        backend.upsert(list_id, entries[::-1], known=False)

        members = list(backend.read(list_id))

        assert [member.person for member in members] == [
            as_read(e.person, backend.capabilities.names) for e in entries
        ]
        assert len({member.reference for member in members}) == count

    def test_a_deleted_list_does_not_read_as_empty(self, backend: Backend, list_id: ListId) -> None:
        backend.delete_list(list_id)

        with pytest.raises((ConfigurationError, NotImplementedError)):
            list(backend.read(list_id))

    def test_nobody_is_missed_when_the_list_changes_under_the_reader(
        self, backend: Backend, list_id: ListId
    ) -> None:
        if not backend.capabilities.can_read:
            return  # told by test_a_list_is_read_whole_and_sorted
        count = self.page * 5 // 2
        backend.upsert(list_id, [entry(number) for number in range(count)], known=False)
        reading = backend.read(list_id)
        seen = [next(reading)]

        last = count - 1
        backend.rename(list_id, entry(last).person.address, entry(last, "0@example.com"))
        seen += reading

        assert len(seen) == count

    def test_a_reference_outlives_a_rename(self, backend: Backend, list_id: ListId) -> None:
        if not backend.capabilities.can_read:
            return  # told by test_a_list_is_read_whole_and_sorted
        [added] = backend.upsert(list_id, [entry(1, "old@example.com")], known=False)

        renamed = backend.rename(list_id, "old@example.com", entry(1, "new@example.com"))

        [member] = backend.read(list_id)
        assert added.reference == renamed.reference == member.reference != ""

    def test_a_list_is_another_edition_after_every_change_where_the_list_tells(
        self, backend: Backend, world: World, list_id: ListId
    ) -> None:
        someone, other = entry(1), entry(2)
        moved = entry(1, "moved@example.com")
        changes: list[Callable[[], object]] = [
            lambda: backend.upsert(list_id, [someone, other], known=False),
            lambda: backend.upsert(list_id, [entry(1, first="Ева")], known=True),
            lambda: backend.rename(list_id, someone.person.address, moved),
            lambda: world.block(list_id, moved.person.address),
            lambda: backend.remove(list_id, [other]),
            lambda: backend.upsert(list_id, [other], known=False),
            lambda: world.leave(list_id, other.person.address),
        ]
        editions = [backend.edition(list_id)]

        for change in changes:
            change()
            editions.append(backend.edition(list_id))
            assert backend.edition(list_id) == editions[-1]

        told = editions[0] != ""
        assert len(set(editions)) == (len(editions) if told else 1)

    # Trouble.

    @pytest.mark.parametrize("write", ["add", "import", "update", "rename", "remove"])
    def test_a_lost_answer_leaves_one_person_as_wanted(
        self, backend: Backend, world: World, list_id: ListId, write: str
    ) -> None:
        backend.upsert(list_id, [entry(1, "old@example.com"), entry(2)], known=False)
        if Trouble.LOST_ANSWER in world.troubles:
            world.fail(Trouble.LOST_ANSWER)

        match write:
            case "add":
                results = backend.upsert(list_id, [entry(3)], known=False)
                expected = active(entry(1, "old@example.com"), entry(2), entry(3))
            case "import":
                results = backend.upsert(list_id, [entry(3), entry(4)], known=False)
                expected = active(entry(1, "old@example.com"), entry(2), entry(3), entry(4))
            case "update":
                results = backend.upsert(list_id, [entry(2, first="X")], known=True)
                expected = active(entry(1, "old@example.com"), entry(2, first="X"))
            case "rename":
                results = [backend.rename(list_id, "old@example.com", entry(1, "n@example.com"))]
                expected = active(entry(1, "n@example.com"), entry(2))
            case _:
                results = backend.remove(list_id, [entry(2)])
                expected = active(entry(1, "old@example.com"))

        assert all(result.ok for result in results)
        assert world.members(list_id) == expected

    @pytest.mark.parametrize("trouble", TROUBLE_ERRORS)
    def test_what_concerns_the_whole_service_is_raised(
        self, backend: Backend, world: World, list_id: ListId, trouble: Trouble
    ) -> None:
        if trouble not in world.troubles:
            return  # It can't happen to this service.
        world.fail(trouble)

        with pytest.raises(TROUBLE_ERRORS[trouble]) as caught:
            backend.upsert(list_id, [entry(1)], known=False)

        world.recover()
        assert "@" not in str(caught.value)
        assert world.members(list_id) == {}

    def test_an_unknown_list_takes_nobody(self, backend: Backend, list_id: ListId) -> None:
        backend.delete_list(list_id)

        try:
            results = backend.upsert(list_id, [entry(1)], known=False)
        except ConfigurationError:
            return
        assert results_of(results) == [Result.FAILED]
