import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence

import pytest

from syncd.core.link import Selection
from syncd.core.people import ContactId
from syncd.errors import QuotaError, StoppedError, TemporaryError
from syncd.planfix.side import Planfix
from syncd.ports import KeptPage, ReadPage
from tests.planfix.conftest import Canned, Script, options

ALL = Selection("contact")


class Memory:
    """A snapshot in memory that also notes what a sweep handed over."""

    fields: frozenset[int] = frozenset()

    def __init__(self) -> None:
        self.pages: dict[int, KeptPage] = {}
        self.place: dict[ContactId, int | None] = {}
        self.digests: dict[ContactId, bytes] = {}
        self.kept: list[int] = []
        self.changed: list[ContactId] = []

    def page(self, number: int) -> KeptPage | None:
        return self.pages.get(number)

    def digests_on(self, number: int) -> dict[bytes, ContactId]:
        return {held: each for each, held in self.digests.items() if self.place[each] == number}

    def digests_of(self, ids: Sequence[ContactId]) -> dict[ContactId, bytes]:
        return {
            each: self.digests[each] for each in ids if self.place.get(each) and self.digests[each]
        }

    def keep(self, pages: Sequence[ReadPage]) -> int:
        return sum(map(self._keep, pages))

    def _keep(self, page: ReadPage) -> int:
        number, present = page.number, page.digests
        places = {each: self.place[each] for each in present if each in self.place}
        before = {each for each, place in places.items() if place is not None and place < number}
        for place in places.values():
            if place is not None and place > number:
                self.pages.pop(place, None)
        for contact, place in self.place.items():
            if place == number and contact not in present:
                self.place[contact] = None
        for contact in present.keys() - before:
            self.place[contact] = number
            self.digests[contact] = present[contact]
        digest = b"" if before else page.digest
        self.pages[number] = KeptPage(digest, len(present) - len(before))
        self.kept.append(number)
        self.changed += [contact.id for contact in page.changed]
        return len(before)

    def forget_pages_after(self, number: int) -> None:
        for page in [page for page in self.pages if page > number]:
            del self.pages[page]
        for contact, place in self.place.items():
            if place is not None and place > number:
                self.place[contact] = None

    def present(self) -> set[ContactId]:
        return {contact for contact, place in self.place.items() if place is not None}


def contact(number: int, name: str = "Anna") -> str:
    return f"<contact><id>{number}</id><name>{name}</name></contact>"


def page(contacts: Iterable[str], total: int) -> bytes:
    inside = list(contacts)
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<response status="ok"><contacts '
        f'totalCount="{total}" count="{len(inside)}">{"".join(inside)}</contacts></response>'
    ).encode()


def pages(contacts: Sequence[str], size: int) -> list[Canned | bytes]:
    parts = [contacts[start : start + size] for start in range(0, len(contacts), size)] or [[]]
    return [page(part, len(contacts)) for part in parts]


@pytest.fixture
def planfix(script: Script) -> Iterator[Planfix]:
    side = Planfix(options(script, page_size=10))
    yield side
    side.close()


@pytest.fixture
def by_twenty(script: Script) -> Iterator[Planfix]:
    side = Planfix(options(script, page_size=20))
    yield side
    side.close()


@pytest.fixture
def memory() -> Memory:
    return Memory()


def people(count: int) -> list[str]:
    return [contact(number) for number in range(1, count + 1)]


@pytest.mark.parametrize(("count", "calls"), [(0, 1), (1, 1), (9, 1), (10, 1), (11, 2), (30, 3)])
def test_a_sweep_takes_as_many_calls_as_there_are_pages(
    script: Script, planfix: Planfix, memory: Memory, count: int, calls: int
) -> None:
    script.replies = pages(people(count), 10)

    report = planfix.sweep(ALL, memory)

    assert (report.total, report.read, report.pages) == (count, count, calls)
    assert report.certified
    assert report.changed
    assert memory.present() == set(range(1, count + 1))
    assert len(script.requests) == calls


def test_a_second_sweep_of_the_same_bytes_keeps_nothing(
    script: Script, planfix: Planfix, memory: Memory
) -> None:
    script.replies = pages(people(25), 10) * 2
    planfix.sweep(ALL, memory)
    memory.kept.clear()

    report = planfix.sweep(ALL, memory)

    assert (report.read, report.certified, report.changed) == (25, True, False)
    assert memory.kept == []


def test_only_the_contact_whose_bytes_changed_is_handed_over(
    script: Script, planfix: Planfix, memory: Memory
) -> None:
    now = people(25)
    now[13] = contact(14, "Zoë")
    script.replies = pages(people(25), 10) + pages(now, 10)
    planfix.sweep(ALL, memory)
    memory.kept.clear()
    memory.changed.clear()

    report = planfix.sweep(ALL, memory)

    assert (memory.kept, memory.changed) == ([2], [14])
    assert report.changed


def test_an_unchanged_page_is_read_when_somebody_of_it_came_to_an_earlier_one(
    script: Script, planfix: Planfix, memory: Memory
) -> None:
    first = [*people(9), contact(15)]
    script.replies = [
        *pages(people(20), 10), page(first, 20), page([contact(n) for n in range(11, 21)], 20)
    ]  # fmt: skip
    planfix.sweep(ALL, memory)
    script.replies += script.replies[-2:] * 2  # it is not certified by reading it again, too

    report = planfix.sweep(ALL, memory)

    assert (report.read, report.certified) == (19, False)
    assert "1 contacts came twice" in report.doubts


def test_a_page_with_a_comment_is_read_whole(
    script: Script, planfix: Planfix, memory: Memory
) -> None:
    odd = [page([contact(1), "<!-- -->", contact(2)], 2).replace(b'count="3"', b'count="2"')]
    script.replies = [*odd]

    first = planfix.sweep(ALL, memory)
    again = planfix.sweep(ALL, memory)

    assert (first.read, first.certified) == (2, True)
    assert (again.read, again.certified, again.changed) == (2, True, False)


def test_a_contact_that_left_is_on_no_page(
    script: Script, planfix: Planfix, memory: Memory
) -> None:
    script.replies = pages(people(11), 10) + pages(people(10), 10)
    planfix.sweep(ALL, memory)

    report = planfix.sweep(ALL, memory)

    assert report.certified
    assert memory.present() == set(range(1, 11))


def test_a_total_that_changes_has_the_sweep_repeated(
    script: Script, planfix: Planfix, memory: Memory
) -> None:
    moved = [page(people(10), 12), page([contact(11)], 11)]
    script.replies = [*moved, *pages(people(11), 10)]

    report = planfix.sweep(ALL, memory)

    assert (report.certified, report.read, report.pages) == (True, 11, 4)


def test_a_sweep_is_done_three_times_at_most(
    script: Script, planfix: Planfix, memory: Memory
) -> None:
    lying = [page(people(10), 12), page([contact(10), contact(11)], 12)]
    script.replies = [*lying, *lying, *lying]

    report = planfix.sweep(ALL, memory)

    assert (report.certified, report.read, report.pages) == (False, 11, 6)
    assert report.doubts == (
        "11 contacts came where Planfix speaks of 12",
        "1 contacts came twice",
    )
    assert report.changed


def test_what_was_doubtful_is_still_doubtful_when_its_bytes_come_again(
    script: Script, planfix: Planfix, memory: Memory
) -> None:
    lying = [page(people(10), 12), page([contact(10), contact(11)], 12)]
    script.replies = [*lying, *lying, *lying, *lying, *lying, *lying]
    planfix.sweep(ALL, memory)

    report = planfix.sweep(ALL, memory)

    assert not report.certified
    assert memory.present() == set(range(1, 12))


def test_a_contact_twice_on_one_page_is_never_certified(
    script: Script, planfix: Planfix, memory: Memory
) -> None:
    script.replies = [page([contact(1), contact(1)], 2)]

    first = planfix.sweep(ALL, memory)
    again = planfix.sweep(ALL, memory)

    assert (first.certified, again.certified) == (False, False)
    assert (first.read, again.read) == (1, 1)


@pytest.mark.parametrize(
    "reply",
    [
        Canned(b"<html>busy</html>"),
        Canned(b"", 500),
        b"<!DOCTYPE response><response status='ok'><contacts/></response>",
        page(people(3), 3)[:-20],
        page(people(3), 3).replace(b'count="3">', b'count="2">'),
    ],
    ids=["html", "500", "doctype", "cut", "lie"],
)
def test_a_page_that_was_not_read_fails_the_sweep(
    script: Script, planfix: Planfix, memory: Memory, reply: Canned | bytes
) -> None:
    script.replies = [reply]

    with pytest.raises(TemporaryError):
        planfix.sweep(ALL, memory)
    assert memory.kept == []
    assert len(script.requests) == 2  # asked for again, once in these tests


def test_few_calls_left_end_the_reading(script: Script, planfix: Planfix, memory: Memory) -> None:
    script.replies = [Canned(page(people(3), 3), headers={"X-RateLimit-Remaining": "7"})]

    with pytest.raises(QuotaError):
        planfix.sweep(ALL, memory)


class Broken:
    """Answers by page and size out of a list in which some contacts can't be parsed."""

    def __init__(self, script: Script, contacts: Sequence[str]) -> None:
        self._script = script
        self._contacts = contacts
        script.next_reply = self.next_reply  # type: ignore[method-assign]  # this one looks first

    def next_reply(self) -> Canned:
        asked = self._script.requests[-1]
        number, size = (
            int(found[1])
            for name in (b"pageCurrent", b"pageSize")
            if (found := re.search(rb"<%b>(\d+)<" % name, asked))
        )
        part = self._contacts[(number - 1) * size : number * size]
        return Canned(page(part, len(self._contacts)))


def test_a_contact_that_no_parser_takes_is_named_and_the_rest_is_kept(
    script: Script, by_twenty: Planfix, memory: Memory
) -> None:
    some = people(45)
    some[26] = "<contact><id>27</id><name>&nbsp;</name></contact>"
    Broken(script, some)

    report = by_twenty.sweep(ALL, memory)

    assert (report.total, report.read, report.certified) == (45, 44, False)
    assert report.unreadable == ("page 2, contact 27 of the selection",)
    assert report.doubts == ()
    assert memory.present() == set(range(1, 46)) - {27}
    assert memory.pages[2].digest == b""


def test_the_last_contact_alone_may_be_the_broken_one(
    script: Script, by_twenty: Planfix, memory: Memory
) -> None:
    some = people(21)
    some[20] = "<contact><name>no id</name></contact>"
    Broken(script, some)

    report = by_twenty.sweep(ALL, memory)

    assert (report.total, report.read) == (21, 20)
    assert report.unreadable == ("page 2, contact 21 of the selection",)


def test_nothing_readable_at_all_is_the_service_and_not_the_contacts(
    script: Script, by_twenty: Planfix, memory: Memory
) -> None:
    Broken(script, ["<contact><id>1</id><b></contact>"] * 40)

    with pytest.raises(TemporaryError):
        by_twenty.sweep(ALL, memory)


def test_control_characters_cost_no_smaller_pieces(
    script: Script, planfix: Planfix, memory: Memory
) -> None:
    script.replies = [page([contact(1, "An\x0bna &#x1F;")], 1)]

    report = planfix.sweep(ALL, memory)

    assert (report.read, report.certified, report.pages) == (1, True, 1)


def test_ids_alone_need_no_snapshot(script: Script, planfix: Planfix) -> None:
    script.replies = pages(people(11), 10)

    ids, certified = planfix.sweep_ids(Selection("4711"), 10)

    assert (ids, certified) == (frozenset(range(1, 12)), True)
    assert script.texts("target") == ["4711", "4711"]


def test_ids_seen_in_an_earlier_pass_do_not_count(script: Script, planfix: Planfix) -> None:
    script.replies = [page([contact(1), contact(2)], 3), page([contact(3)], 1)]

    ids, certified = planfix.sweep_ids(ALL, 10)

    assert (ids, certified) == (frozenset({3}), True)


def test_progress_is_told_page_by_page(script: Script, memory: Memory) -> None:
    script.replies = pages(people(25), 10)
    told: list[tuple[int, int]] = []
    planfix = Planfix(
        options(script, page_size=10), progress=lambda done, total: told.append((done, total))
    )

    planfix.sweep(ALL, memory)

    assert told == [(1, 3), (2, 3), (3, 3)]
    planfix.close()


def test_a_sweep_stops_between_two_pages_when_asked(
    script: Script, planfix: Planfix, memory: Memory
) -> None:
    script.replies = pages(people(25), 10)

    with pytest.raises(StoppedError):
        planfix.sweep(ALL, memory, stop=lambda: len(script.requests) == 2)

    assert memory.kept == [1, 2]


def test_the_digest_of_a_page_is_that_of_its_bytes(
    script: Script, planfix: Planfix, memory: Memory
) -> None:
    body = page(people(1), 1)
    script.replies = [body]

    planfix.sweep(ALL, memory)

    assert memory.pages[1].digest == hashlib.sha256(body).digest()
