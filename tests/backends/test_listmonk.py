"""listmonk: the suite in each version, then its own traps."""

import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from math import ceil
from typing import Any, ClassVar

import pytest

from syncd import transport
from syncd.backends import BACKENDS, Backend, Retry
from syncd.backends.listmonk import Listmonk
from syncd.core.address import AddressKey, key_of
from syncd.core.people import ContactId, MemberStatus, Person
from syncd.core.plan import ItemResult, Result
from syncd.errors import (
    AmbiguousError,
    AuthenticationError,
    ConfigurationError,
    SyncdError,
    TemporaryError,
)
from syncd.ports import Entry, ListId
from syncd.wire.listmonk import encode_import
from tests.backends.conformance import (
    BackendConformance,
    Held,
    OneText,
    Trouble,
    World,
    entry,
    results_of,
)
from tests.fakes.email_service import Fault
from tests.fakes.listmonk import USER, ListmonkServer, StoredPerson, StoredRow

PATIENT = Retry(attempts=3, wait_s=0.001, max_wait_s=0.002, timeout_s=5)
HASTY = Retry(attempts=2, wait_s=0.001, max_wait_s=0.002, timeout_s=0.5)
ONCE = Retry(attempts=1, wait_s=0.001, timeout_s=5)


class ServerWorld:
    """The server, as the suite looks at it."""

    troubles = frozenset(Trouble)
    bad_address = "anyone@refused.example.com"

    def __init__(self, server: ListmonkServer) -> None:
        self._server = server
        server.blocked_domains.add("refused.example.com")

    def members(self, list_id: ListId) -> dict[AddressKey, Held]:
        people, rows = self._server.people, self._server.rows
        on_list = [(people[number], row) for (at, number), row in rows.items() if at == list_id]
        return {
            key_of(who.email): OneText.of(who.name, _standing(who, row)) for who, row in on_list
        }

    def leave(self, list_id: ListId, address: str) -> None:
        self._server.leave(int(list_id), address)

    def block(self, list_id: ListId, address: str) -> None:
        self._server.bounce(address)

    def fail(self, trouble: Trouble) -> None:
        match trouble:
            case Trouble.LOST_ANSWER:
                self._server.fail(Fault.DROP_DONE, only=("POST", "PUT", "PATCH"))
            case Trouble.BUSY:
                self._server.fail(Fault.BUSY, times=None)
            case Trouble.ELSEWHERE:
                self._server.fail(Fault.PAGE, times=None)
            case Trouble.WRONG_KEY:
                self._server.token = "another"

    def recover(self) -> None:
        self._server.recover()


def _standing(person: StoredPerson, row: StoredRow) -> str:
    if person.status == "blocklisted":
        return "blocked"
    return "unsubscribed" if row.status == "unsubscribed" else "active"


@pytest.fixture
def version() -> str:
    return "v6.1.0"


@pytest.fixture
def server(version: str) -> Iterator[ListmonkServer]:
    with ListmonkServer(version) as server:
        yield server
    assert server.resubscribed == 0, "somebody was put back against their will"
    assert server.forgotten == 0, "somebody's refusal was erased"
    assert server.mails == []
    assert server.strange == []


Connect = Callable[[Retry], Listmonk]


@pytest.fixture
def connect(server: ListmonkServer) -> Iterator[Connect]:
    opened: list[Listmonk] = []

    def connect(retry: Retry) -> Listmonk:
        options = Listmonk.Options(url=server.url, user=USER, token=server.token)
        opened.append(Listmonk(options, retry))
        return opened[-1]

    yield connect
    for backend in opened:
        backend.close()


@pytest.fixture
def backend(connect: Connect) -> Listmonk:
    return connect(PATIENT)


@pytest.fixture
def list_id(backend: Backend, server: ListmonkServer) -> int:
    made = backend.ensure_list("News")
    server.requests.clear()
    assert isinstance(made, int)
    return made


class ListmonkConformance(BackendConformance):
    # An empty name is told by test_an_empty_name_leaves_the_one_there_is.
    spoken_names: ClassVar = [names for names in BackendConformance.spoken_names if any(names)]

    @pytest.fixture
    def world(self, server: ListmonkServer) -> World:
        return ServerWorld(server)


class TestListmonk60(ListmonkConformance):
    @pytest.fixture
    def version(self) -> str:
        return "v6.0.0"


class TestListmonk61(ListmonkConformance):
    pass


class TestListmonk62(ListmonkConformance):
    @pytest.fixture
    def version(self) -> str:
        return "v6.2.0"


def people(server: ListmonkServer, list_id: int) -> dict[str, str]:
    """Return the state of each row of a list, by address."""
    rows = {key: row for key, row in server.rows.items() if key[0] == list_id}
    return {server.people[number].email: row.status for (_, number), row in rows.items()}


def bodies(server: ListmonkServer, action: str) -> list[dict[str, Any]]:
    return [request.fields for request in server.requests if request.action == action]


def name_of(server: ListmonkServer, who: Entry) -> str:
    return server.person(who.person.address).name


def known(server: ListmonkServer, address: str) -> None:
    """Let somebody become known who is on no list."""
    server.make_person(address, "Old", attribs={"city": "Tver"})


LOOK = "GET /api/subscribers"
WRITES = ("POST", "PUT", "PATCH", "DELETE")


def test_it_stands_in_the_table() -> None:
    assert BACKENDS["listmonk"] is Listmonk


def test_options_do_not_show_the_token() -> None:
    options = Listmonk.Options(url="https://lists.example.com", user="syncd", token="s3cret")

    assert "s3cret" not in repr(options)


# Versions.


@pytest.mark.parametrize("version", ["v4.1.0", "v5.0.3", "v5.1.0"])
@pytest.mark.parametrize("call", ["check", "find", "ensure", "delete", "read", "upsert", "remove"])
def test_an_old_version_is_refused_before_anything_is_done(
    backend: Backend, server: ListmonkServer, version: str, call: str
) -> None:
    news = server.make_list("News")
    calls: dict[str, Callable[[], object]] = {
        "check": backend.check,
        "find": lambda: backend.find_list("News"),
        "ensure": lambda: backend.ensure_list("News"),
        "delete": lambda: backend.delete_list(news),
        "read": lambda: list(backend.read(news)),
        "upsert": lambda: backend.upsert(news, [entry(1)], known=False),
        "remove": lambda: backend.remove(news, [entry(1)]),
    }

    with pytest.raises(ConfigurationError, match=version.removeprefix("v")) as caught:
        calls[call]()

    assert "6.0" in caught.value.hint
    assert server.actions == ["GET /api/config"]


@pytest.mark.parametrize("version", ["v6.3.0-beta1", "7.0.0"])
def test_a_later_version_is_taken_for_the_latest_known(
    backend: Backend, server: ListmonkServer, list_id: int
) -> None:
    backend.upsert(list_id, [entry(1)], known=False)

    results = backend.upsert(list_id, [entry(1, first="X")], known=True)

    assert results_of(results) == [Result.DONE]
    assert server.actions[-1] == "PATCH /api/subscribers/N"


@pytest.mark.parametrize("version", ["nightly"])
def test_a_version_without_numbers_is_not_listmonks(backend: Backend) -> None:
    with pytest.raises(ConfigurationError, match="not listmonk's"):
        backend.check()


def test_the_version_is_asked_for_once(backend: Backend, server: ListmonkServer) -> None:
    backend.check()
    backend.upsert(backend.ensure_list("News"), [entry(1)], known=False)

    assert server.actions.count("GET /api/config") == 1


# Lists.


def test_check_tells_version_and_lists(backend: Backend, server: ListmonkServer) -> None:
    nothing = backend.check()
    server.make_list("News")

    assert nothing == "127.0.0.1 is listmonk v6.1.0 with 0 lists"
    assert backend.check() == "127.0.0.1 is listmonk v6.1.0 with 1 list"


def test_a_list_is_made_private_and_asks_nobody_to_confirm(
    backend: Backend, server: ListmonkServer
) -> None:
    backend.ensure_list("Клиенты Юг")

    [made] = server.lists.values()
    assert (made.name, made.type, made.optin, made.tags) == (
        "Клиенты Юг",
        "private",
        "single",
        ["syncd"],
    )


def test_of_several_lists_of_one_name_ours_is_taken(
    backend: Backend, server: ListmonkServer
) -> None:
    server.make_list("News")
    ours = server.make_list("News", tags=["other", "syncd"])

    assert backend.ensure_list("News") == ours


@pytest.mark.parametrize("tags", [[], ["syncd"]])
def test_several_lists_of_one_name_are_for_a_person_to_tell_apart(
    backend: Backend, server: ListmonkServer, tags: list[str]
) -> None:
    server.make_list("News", tags=tags)
    server.make_list("News", tags=tags)

    with pytest.raises(ConfigurationError, match="2 lists of one name"):
        backend.find_list("News")


@pytest.mark.parametrize("fault", [Fault.DROP_DONE, Fault.CUT, Fault.EMPTY])
def test_a_list_whose_making_was_not_answered_is_found(
    backend: Backend, server: ListmonkServer, fault: Fault
) -> None:
    server.fail(fault, only=("POST",))

    made = backend.ensure_list("News")

    assert list(server.lists) == [made]


def test_a_list_that_may_come_late_is_not_made_again(
    backend: Backend, server: ListmonkServer
) -> None:
    server.fail(Fault.DROP, only=("POST",))

    with pytest.raises(AmbiguousError):
        backend.ensure_list("News")

    assert server.actions.count("POST /api/lists") == 1


def test_a_list_that_may_not_be_made_is_a_matter_of_the_config(backend: Backend) -> None:
    with pytest.raises(ConfigurationError, match="refused to make the list"):
        backend.ensure_list("x" * 2001)


def test_a_list_id_may_come_as_text(backend: Backend, server: ListmonkServer, list_id: int) -> None:
    results = backend.upsert(str(list_id), [entry(1)], known=False)

    assert results_of(results) == [Result.DONE]
    assert people(server, list_id) == {"person0001@example.com": "confirmed"}


@pytest.mark.parametrize("wrong", ["", "news", "1.5", "-1", 77])
def test_an_id_that_is_no_lists_is_refused(backend: Backend, wrong: ListId) -> None:
    with pytest.raises(ConfigurationError, match="has no list"):
        backend.upsert(wrong, [entry(1)], known=False)


# Requests: the table in docs/backends.md.


@pytest.mark.parametrize("count", [1, 20, 49, 50, 51, 100])
@pytest.mark.parametrize("change", ["add", "join", "name", "remove", "unsubscribe", "nothing"])
def test_the_number_of_requests_is_as_documented(
    backend: Backend, server: ListmonkServer, list_id: int, change: str, count: int
) -> None:
    entries = [entry(number) for number in range(count)]
    looks = ceil(count / 50)
    server.import_polls = 3
    if change == "join":
        for who in entries:
            server.make_person(who.person.address, "Анна Белова")
    elif change != "add":
        backend.upsert(list_id, entries, known=False)
    server.requests.clear()

    match change:
        case "add":
            results = backend.upsert(list_id, entries, known=False)
            expected = 1 + looks + count if count <= 20 else 1 + looks + 2 + 4 + looks
        case "join":
            results = backend.upsert(list_id, entries, known=False)
            expected = 1 + looks + 1
        case "name":
            renamed = [entry(number, first="X") for number in range(count)]
            results = backend.upsert(list_id, renamed, known=True)
            expected = 1 + looks + count
        case "nothing":
            results = backend.upsert(list_id, entries, known=True)
            expected = 1 + looks
        case _:
            leave = backend.remove if change == "remove" else backend.unsubscribe
            results = leave(list_id, entries)
            expected = 1 + looks + 1

    same = Result.UNCHANGED if change == "nothing" else Result.DONE
    assert results_of(results) == [same] * count
    first = change == "add" and server.actions[0] == "GET /api/config"
    assert len(server.requests) == expected + first


@pytest.mark.parametrize(("version", "expected"), [("v6.0.0", 4), ("v6.1.0", 3), ("v6.2.0", 3)])
def test_a_rename_costs_as_many_requests_as_documented(
    backend: Backend, server: ListmonkServer, list_id: int, expected: int
) -> None:
    backend.upsert(list_id, [entry(1)], known=False)
    server.requests.clear()

    backend.rename(list_id, entry(1).person.address, entry(1, "new@example.com"))

    assert len(server.requests) == expected


@pytest.mark.parametrize("count", [0, 999, 1000, 1999, 5000])
def test_a_read_costs_as_many_requests_as_documented(
    backend: Backend, server: ListmonkServer, list_id: int, count: int
) -> None:
    for number in range(count):
        server.join(list_id, server.make_person(f"{number}@example.com"))
    backend.check()
    server.requests.clear()

    assert len(list(backend.read(list_id))) == count

    assert len(server.requests) <= 2 + count / 900 + 2


# Nobody is put back.


def come_and_go(server: ListmonkServer, list_id: int, address: str) -> Callable[[], None]:
    """Return what lets somebody subscribe and leave at once."""

    def do() -> None:
        known = any(person.email == address for person in server.people.values())
        number = server.person(address).id if known else server.make_person(address)
        server.join(list_id, number)
        server.leave(list_id, address)

    return do


@pytest.mark.parametrize("count", [1, 30])
def test_a_newcomer_who_leaves_while_we_look_stays_out(
    backend: Backend, server: ListmonkServer, list_id: int, count: int
) -> None:
    entries = [entry(number) for number in range(count)]
    address = entries[0].person.address
    server.after(LOOK, come_and_go(server, list_id, address))

    results = backend.upsert(list_id, entries, known=False)

    assert results_of(results) == [Result.REFUSED] + [Result.DONE] * (count - 1)
    assert people(server, list_id)[address] == "unsubscribed"


@pytest.mark.parametrize("count", [1, 3])
def test_who_is_known_and_leaves_while_we_look_stays_out(
    backend: Backend, server: ListmonkServer, list_id: int, count: int
) -> None:
    entries = [entry(number) for number in range(count)]
    for who in entries:
        server.make_person(who.person.address)
    address = entries[0].person.address
    server.after(LOOK, come_and_go(server, list_id, address))

    backend.upsert(list_id, entries, known=False)

    assert people(server, list_id)[address] == "unsubscribed"


@pytest.mark.parametrize("count", [1, 30])
def test_who_left_is_not_put_back_by_any_number(
    backend: Backend, server: ListmonkServer, list_id: int, count: int
) -> None:
    entries = [entry(number) for number in range(count)]
    backend.upsert(list_id, entries, known=False)
    server.leave(list_id, entries[0].person.address)
    more = [entry(number) for number in range(count, 2 * count)]

    results = backend.upsert(list_id, entries + more, known=False, again=True)

    assert results[0].result is Result.REFUSED
    assert people(server, list_id)[entries[0].person.address] == "unsubscribed"


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        ([], Result.REFUSED),
        (["soft"], Result.REFUSED),
        (["hard"], Result.BLOCKED),
        (["soft", "hard"], Result.BLOCKED),
        (["hard", "complaint"], Result.REFUSED),
    ],
)
def test_whom_the_server_blocks_is_left_alone(
    backend: Backend, server: ListmonkServer, list_id: int, kinds: list[str], expected: Result
) -> None:
    backend.upsert(list_id, [entry(1)], known=False)
    server.make_person(entry(2).person.address)
    for who in (entry(1), entry(2)):
        for kind in kinds:
            server.bounce(who.person.address, kind, blocklist=False)
        server.blocklist(who.person.address)

    added = backend.upsert(list_id, [entry(1, first="X"), entry(2)], known=False)
    put_back = backend.resubscribe(list_id, [entry(1), entry(2)])

    assert results_of(added + put_back) == [expected] * 4
    assert people(server, list_id) == {"person0001@example.com": "unsubscribed"}


def test_a_persons_word_puts_him_back(
    backend: Backend, server: ListmonkServer, list_id: int
) -> None:
    backend.upsert(list_id, [entry(1), entry(2)], known=False)
    server.leave(list_id, entry(1).person.address)
    server.welcome.add(server.person(entry(1).person.address).id)

    results = backend.resubscribe(list_id, [entry(1, first="Eva"), entry(2), entry(3)])

    assert results_of(results) == [Result.DONE, Result.UNCHANGED, Result.DONE]
    assert people(server, list_id) == {
        "person0001@example.com": "confirmed",
        "person0002@example.com": "confirmed",
        "person0003@example.com": "confirmed",
    }
    assert name_of(server, entry(1)) == "Eva Белова"


def test_a_persons_word_is_not_repeated_by_itself(
    backend: Backend, server: ListmonkServer, list_id: int
) -> None:
    backend.upsert(list_id, [entry(1)], known=False)
    server.leave(list_id, entry(1).person.address)
    server.welcome.add(server.person(entry(1).person.address).id)
    server.fail(Fault.DROP_DONE, only=("PUT",))

    with pytest.raises(AmbiguousError):
        backend.resubscribe(list_id, [entry(1)])

    assert server.actions.count("PUT /api/subscribers/lists") == 1


@pytest.mark.parametrize("count", [1, 3])
def test_a_list_that_asks_to_confirm_asks_nobody_whom_we_add(
    backend: Backend, server: ListmonkServer, count: int
) -> None:
    double = server.make_list("Double", optin="double")
    known = [entry(number) for number in range(count)]
    for who in known:
        server.make_person(who.person.address)
    new = [entry(number) for number in range(count, 2 * count)]

    results = backend.upsert(double, known + new, known=False)

    assert results_of(results) == [Result.DONE] * 2 * count
    assert set(people(server, double).values()) == {"confirmed"}


def test_an_addition_to_a_list_that_asks_is_not_repeated_without_a_look(
    backend: Backend, server: ListmonkServer
) -> None:
    double = server.make_list("Double", optin="double")
    server.make_person(entry(1).person.address, "Анна Белова")
    server.fail(Fault.DROP_DONE, only=("PUT",))
    with pytest.raises(AmbiguousError):
        backend.upsert(double, [entry(1)], known=False)
    server.leave(double, entry(1).person.address)

    results = backend.upsert(double, [entry(1)], known=False, again=True)

    assert results_of(results) == [Result.REFUSED]


# Names.


@pytest.mark.parametrize("version", ["v6.0.0", "v6.1.0", "v6.2.0"])
def test_a_change_of_name_touches_nothing_else(
    backend: Backend, server: ListmonkServer, list_id: int
) -> None:
    others = [server.make_list("A"), server.make_list("B"), server.make_list("C", optin="double")]
    address = entry(1).person.address
    attribs = {"city": "Казань", "plan": {"paid": True}}
    number = server.make_person(address, attribs=attribs, status="disabled")
    for each, status in zip([list_id, *others], ["confirmed", "unsubscribed"] * 2, strict=True):
        server.join(each, number, status)
    before = {each: people(server, each) for each in server.lists}

    results = backend.upsert(list_id, [entry(1, first="Eva")], known=True)

    assert results_of(results) == [Result.DONE]
    person = server.person(address)
    assert (person.name, person.status, person.attribs) == ("Eva Белова", "disabled", attribs)
    assert {each: people(server, each) for each in server.lists} == before


@pytest.mark.parametrize("version", ["v6.1.0", "v6.2.0"])
def test_a_change_of_name_asks_nobody_to_confirm_another_list(
    backend: Backend, server: ListmonkServer, list_id: int
) -> None:
    double = server.make_list("Double", optin="double")
    number = server.make_person(entry(1).person.address)
    server.join(list_id, number)
    server.join(double, number, "unconfirmed")

    results = backend.upsert(list_id, [entry(1)], known=True)

    assert results_of(results) == [Result.DONE]
    assert people(server, double) == {"person0001@example.com": "unconfirmed"}


@pytest.mark.parametrize("version", ["v6.0.0"])
def test_an_old_way_that_would_confirm_another_list_is_not_gone(
    backend: Backend, server: ListmonkServer, list_id: int
) -> None:
    double = server.make_list("Double", optin="double")
    number = server.make_person(entry(1).person.address, "Was")
    server.join(list_id, number)
    server.join(double, number, "unconfirmed")

    [result] = backend.upsert(list_id, [entry(1)], known=True)

    assert result.result is Result.FAILED
    assert "6.1" in result.message
    assert name_of(server, entry(1)) == "Was"
    assert people(server, double) == {"person0001@example.com": "unconfirmed"}


@pytest.mark.parametrize("version", ["v6.0.0"])
def test_an_old_way_that_would_leave_lists_we_may_not_see_is_not_gone(
    backend: Backend, server: ListmonkServer, list_id: int
) -> None:
    secret = server.make_list("Secret")
    alone, shared = server.make_person("a@example.com"), server.make_person("b@example.com")
    for number in (alone, shared):
        server.join(list_id, number)
    server.join(secret, shared)
    server.permitted_lists = {list_id}

    results = backend.upsert(
        list_id, [entry(1, "a@example.com"), entry(2, "b@example.com")], known=True
    )

    assert results_of(results) == [Result.DONE, Result.FAILED]
    assert people(server, secret) == {"b@example.com": "confirmed"}


def test_an_empty_name_leaves_the_one_there_is(
    backend: Backend, server: ListmonkServer, list_id: int
) -> None:
    nameless = entry(1, "ivan.petrov@example.com", "", "")

    made = backend.upsert(list_id, [nameless], known=False)
    again = backend.upsert(list_id, [nameless], known=True)

    assert results_of(made + again) == [Result.DONE, Result.UNCHANGED]
    assert name_of(server, nameless) == "Ivan Petrov"


@pytest.mark.parametrize("count", [1, 21])
def test_names_go_out_on_one_line(
    backend: Backend, server: ListmonkServer, list_id: int, count: int
) -> None:
    address = AddressKey("odd@example.com")
    odd = Entry(ContactId(0), Person(address, address, 'Anna,\r\n"B;\t', " --syncd  x"))
    more = [entry(number) for number in range(1, count)]

    backend.upsert(list_id, [odd, *more], known=False)

    assert name_of(server, odd) == 'Anna, "B; --syncd x'


def test_a_name_that_is_too_long_fails_alone(backend: Backend, list_id: int) -> None:
    backend.upsert(list_id, [entry(1), entry(2)], known=False)

    results = backend.upsert(
        list_id, [entry(1, first="Ж" * 1001), entry(2, first="Eva")], known=True
    )

    assert results_of(results) == [Result.FAILED, Result.DONE]


# The import.

MANY = [entry(number) for number in range(30)]


def test_many_new_people_go_as_one_file(
    backend: Backend, server: ListmonkServer, list_id: int
) -> None:
    backend.upsert(list_id, MANY, known=False)

    [upload] = [r for r in server.requests if r.action == "POST /api/import/subscribers"]
    assert (
        b'"overwrite": false, "overwrite_userinfo": false, "overwrite_subscription_status": false'
        in upload.body
    )
    assert b'"subscription_status": "confirmed"' in upload.body
    assert b'.csv"\r\n' in upload.body
    assert "POST /api/subscribers" not in server.actions
    assert len(people(server, list_id)) == 30


def test_while_another_import_runs_people_are_added_one_by_one(
    backend: Backend, server: ListmonkServer, list_id: int
) -> None:
    server.begin_import()

    results = backend.upsert(list_id, MANY, known=False)

    assert results_of(results) == [Result.DONE] * 30
    assert server.actions.count("POST /api/subscribers") == 30


def test_an_import_that_begins_as_we_ask_is_not_waited_for(
    backend: Backend, server: ListmonkServer, list_id: int
) -> None:
    server.after("GET /api/import/subscribers", server.begin_import)

    results = backend.upsert(list_id, MANY, known=False)

    assert results_of(results) == [Result.DONE] * 30
    assert server.actions.count("POST /api/subscribers") == 30


def test_an_import_that_fails_is_made_up_for_one_by_one(
    backend: Backend, server: ListmonkServer, list_id: int
) -> None:
    server.failing_imports = True

    results = backend.upsert(list_id, MANY, known=False)

    assert results_of(results) == [Result.DONE] * 30
    assert server.actions.count("POST /api/subscribers") == 30


@pytest.mark.parametrize("fault", [Fault.DROP_DONE, Fault.DROP, Fault.CUT, Fault.ERROR])
def test_an_import_whose_answer_was_lost_is_not_sent_again(
    backend: Backend, server: ListmonkServer, list_id: int, fault: Fault
) -> None:
    server.fail(fault, only=("POST",))

    results = backend.upsert(list_id, MANY, known=False)

    assert results_of(results) == [Result.DONE] * 30
    assert server.actions.count("POST /api/import/subscribers") == 1


def test_an_import_that_does_not_end_leaves_the_call_in_doubt(
    connect: Connect, server: ListmonkServer, list_id: int
) -> None:
    server.import_polls = 10**9
    backend = connect(Retry(attempts=1, wait_s=0.001, timeout_s=0.2))

    with pytest.raises(AmbiguousError, match="still at work"):
        backend.upsert(list_id, MANY, known=False)


def test_an_import_that_another_one_followed_has_ended(
    backend: Backend, server: ListmonkServer, list_id: int
) -> None:
    server.import_polls = 0
    server.after("POST /api/import/subscribers", server.begin_import)

    results = backend.upsert(list_id, MANY, known=False)

    assert results_of(results) == [Result.DONE] * 30


def test_a_newcomer_of_an_import_who_was_known_keeps_what_he_has(
    backend: Backend, server: ListmonkServer, list_id: int
) -> None:
    address = MANY[0].person.address
    server.after(LOOK, partial(known, server, address))

    results = backend.upsert(list_id, MANY, known=False)

    assert results_of(results) == [Result.DONE] * 30
    assert server.person(address).attribs == {"city": "Tver"}
    assert name_of(server, MANY[0]) == "Анна Белова"


# Renames.


def test_a_rename_reaches_all_lists_and_keeps_every_state(
    backend: Backend, server: ListmonkServer, list_id: int
) -> None:
    other = server.make_list("Other")
    number = server.make_person("old@example.com", "A", attribs={"x": 1})
    server.join(list_id, number)
    server.join(other, number, "unsubscribed")

    result = backend.rename(list_id, "old@example.com", entry(1, "new@example.com"))

    assert result == ItemResult(Result.DONE, reference=str(number))
    assert people(server, list_id) == {"new@example.com": "confirmed"}
    assert people(server, other) == {"new@example.com": "unsubscribed"}
    assert server.people[number].attribs == {"x": 1}


def test_a_rename_to_someone_known_elsewhere_brings_that_one_on_the_list(
    backend: Backend, server: ListmonkServer, list_id: int
) -> None:
    backend.upsert(list_id, [entry(1, "old@example.com")], known=False)
    known = server.make_person("new@example.com")

    result = backend.rename(list_id, "old@example.com", entry(1, "new@example.com"))

    assert result == ItemResult(Result.DONE, reference=str(known))
    assert people(server, list_id) == {"new@example.com": "unconfirmed"}
    assert [member.status for member in backend.read(list_id)] == [MemberStatus.ACTIVE]


def test_a_rename_that_ended_halfway_is_ended_when_repeated(
    backend: Backend, server: ListmonkServer, list_id: int
) -> None:
    both = [entry(1, "old@example.com"), entry(1, "new@example.com")]
    backend.upsert(list_id, both, known=False)

    result = backend.rename(list_id, "old@example.com", both[1], again=True)

    assert result.result is Result.DONE
    assert people(server, list_id) == {"new@example.com": "confirmed"}


def test_a_rename_to_someone_whom_the_server_blocks_leaves_the_old_one(
    backend: Backend, server: ListmonkServer, list_id: int
) -> None:
    backend.upsert(list_id, [entry(1, "old@example.com")], known=False)
    server.make_person("new@example.com")
    server.bounce("new@example.com")

    result = backend.rename(list_id, "old@example.com", entry(1, "new@example.com"))

    assert result.result is Result.BLOCKED
    assert people(server, list_id) == {"old@example.com": "confirmed"}


def test_an_address_that_is_taken_while_we_look_is_refused(
    backend: Backend, server: ListmonkServer, list_id: int
) -> None:
    backend.upsert(list_id, [entry(1, "old@example.com")], known=False)
    server.after(LOOK, partial(known, server, "new@example.com"))

    result = backend.rename(list_id, "old@example.com", entry(1, "new@example.com"))

    assert result == ItemResult(Result.FAILED, "another member has the new address")


def test_a_rename_of_spelling_alone_changes_the_name_at_most(
    backend: Backend, server: ListmonkServer, list_id: int
) -> None:
    backend.upsert(list_id, [entry(1, "anna@example.com")], known=False)

    same = backend.rename(list_id, "anna@example.com", entry(1, "Anna@Example.com"))
    named = backend.rename(list_id, "anna@example.com", entry(1, "ANNA@example.com", "X"))

    assert [same.result, named.result] == [Result.UNCHANGED, Result.DONE]
    assert people(server, list_id) == {"anna@example.com": "confirmed"}


@pytest.mark.parametrize("fault", [Fault.DROP_DONE, Fault.CUT, Fault.EMPTY])
def test_a_rename_whose_answer_was_lost_is_done(
    backend: Backend, server: ListmonkServer, list_id: int, fault: Fault
) -> None:
    backend.upsert(list_id, [entry(1, "old@example.com")], known=False)
    server.fail(fault, only=("PATCH",))

    result = backend.rename(list_id, "old@example.com", entry(1, "new@example.com"))

    assert result.result is Result.DONE
    assert people(server, list_id) == {"new@example.com": "confirmed"}


# Leaving.


def test_a_removal_takes_one_row_and_no_person(
    backend: Backend, server: ListmonkServer, list_id: int
) -> None:
    other = backend.ensure_list("Other")
    for each in (list_id, other):
        backend.upsert(each, [entry(1), entry(2)], known=False)

    results = backend.remove(list_id, [entry(1), entry(3), entry(1)])

    assert results_of(results) == [Result.DONE, Result.ABSENT, Result.DONE]
    assert list(people(server, list_id)) == ["person0002@example.com"]
    assert len(people(server, int(other))) == 2


def test_whom_the_server_blocks_for_bounces_can_be_taken_off_and_stays_blocked(
    backend: Backend, server: ListmonkServer, list_id: int
) -> None:
    backend.upsert(list_id, [entry(1)], known=False)
    server.bounce(entry(1).person.address)

    results = backend.remove(list_id, [entry(1)])

    assert results_of(results) == [Result.DONE]
    assert people(server, list_id) == {}
    assert server.person(entry(1).person.address).status == "blocklisted"


def test_an_unsubscribe_keeps_the_row(
    backend: Backend, server: ListmonkServer, list_id: int
) -> None:
    backend.upsert(list_id, [entry(1)], known=False)

    first = backend.unsubscribe(list_id, [entry(1), entry(2)])
    second = backend.unsubscribe(list_id, [entry(1)], again=True)

    assert results_of(first + second) == [Result.DONE, Result.ABSENT, Result.UNCHANGED]
    assert people(server, list_id) == {"person0001@example.com": "unsubscribed"}


# Addresses.


@pytest.mark.parametrize("stored", ["anna@почта.example.com", "anna@xn--80a1acny.example.com"])
def test_a_domain_is_known_in_either_spelling(
    backend: Backend, server: ListmonkServer, list_id: int, stored: str
) -> None:
    server.join(list_id, server.make_person(stored, "Анна Белова"))

    results = backend.upsert(
        list_id,
        [entry(1, "anna@почта.example.com"), entry(1, "anna@xn--80a1acny.example.com")],
        known=True,
    )

    assert results_of(results) == [Result.UNCHANGED, Result.UNCHANGED]
    assert len(server.people) == 1


@pytest.mark.parametrize("left_first", [True, False])
def test_of_one_address_in_two_spellings_who_left_counts(
    backend: Backend, server: ListmonkServer, list_id: int, left_first: bool
) -> None:
    states = ["unsubscribed", "confirmed"] if left_first else ["confirmed", "unsubscribed"]
    stored = ["anna@почта.example.com", "anna@xn--80a1acny.example.com"]
    for address, status in zip(stored, states, strict=True):
        server.join(list_id, server.make_person(address), status)

    [result] = backend.upsert(list_id, [entry(1, stored[0])], known=True)
    [member] = backend.read(list_id)

    assert result.result is Result.REFUSED
    assert member.status is MemberStatus.UNSUBSCRIBED


@pytest.mark.parametrize(
    ("address", "fine"),
    [
        ("Anna@Example.com", True),
        ("ёлка@example.com", True),
        ("anna@ПОЧТА.example.com", True),
        ("Ёлка@example.com", False),
    ],
)
def test_capitals_that_would_get_lost_are_a_fault(
    backend: Backend, address: str, fine: bool
) -> None:
    assert (backend.fault_of(address) == "") is fine


@pytest.mark.parametrize("address", ["a.b+c@example.com", "a|b@example.com", "(a)*$^@example.com"])
def test_an_address_is_searched_for_as_it_stands(
    backend: Backend, server: ListmonkServer, list_id: int, address: str
) -> None:
    server.join(list_id, server.make_person("aXb+c@example.com"))
    backend.upsert(list_id, [entry(1, address)], known=False)

    results = backend.upsert(list_id, [entry(1, address)], known=True)

    assert results_of(results) == [Result.UNCHANGED]
    assert set(people(server, list_id)) == {"axb+c@example.com", address}


def test_a_name_that_is_an_address_finds_nobody(
    backend: Backend, server: ListmonkServer, list_id: int
) -> None:
    server.join(list_id, server.make_person("x@example.com", entry(1).person.address))

    results = backend.remove(list_id, [entry(1)])

    assert results_of(results) == [Result.ABSENT]


def test_a_person_whom_we_may_not_see_fails_alone(
    backend: Backend, server: ListmonkServer, list_id: int
) -> None:
    server.make_person("hidden@example.com")
    server.permitted_lists = {list_id}

    results = backend.upsert(list_id, [entry(1, "hidden@example.com"), entry(2)], known=False)

    assert results_of(results) == [Result.FAILED, Result.DONE]


# Reading.


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (("enabled", "confirmed", "single"), MemberStatus.ACTIVE),
        (("enabled", "unconfirmed", "single"), MemberStatus.ACTIVE),
        (("enabled", "confirmed", "double"), MemberStatus.ACTIVE),
        (("enabled", "unconfirmed", "double"), MemberStatus.PENDING),
        (("enabled", "unsubscribed", "single"), MemberStatus.UNSUBSCRIBED),
        (("disabled", "confirmed", "single"), MemberStatus.DISABLED),
        (("disabled", "unsubscribed", "single"), MemberStatus.UNSUBSCRIBED),
        (("blocklisted", "confirmed", "single"), MemberStatus.UNSUBSCRIBED),
        (("asleep", "confirmed", "single"), MemberStatus.UNKNOWN),
        (("enabled", "perhaps", "single"), MemberStatus.UNKNOWN),
    ],
)
def test_a_standing_is_read(
    backend: Backend,
    server: ListmonkServer,
    stored: tuple[str, str, str],
    expected: MemberStatus,
) -> None:
    person, row, optin = stored
    at = server.make_list("News", optin=optin)
    server.join(at, server.make_person("a@example.com", status=person), row)

    [member] = backend.read(at)

    assert (member.status, member.since) == (expected, "")


def test_an_unknown_standing_is_left_alone(
    backend: Backend, server: ListmonkServer, list_id: int
) -> None:
    server.join(list_id, server.make_person(entry(1).person.address), "perhaps")

    results = backend.upsert(list_id, [entry(1)], known=True)

    assert results_of(results) == [Result.FAILED]
    assert people(server, list_id) == {"person0001@example.com": "perhaps"}


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        (["hard"], MemberStatus.BLOCKED),
        (["soft"], MemberStatus.UNSUBSCRIBED),
        (["complaint", "hard"], MemberStatus.UNSUBSCRIBED),
        ([], MemberStatus.UNSUBSCRIBED),
    ],
)
def test_bounces_tell_who_is_blocked(
    backend: Backend,
    server: ListmonkServer,
    list_id: int,
    kinds: list[str],
    expected: MemberStatus,
) -> None:
    server.make_person("noise@example.com")
    for _ in range(1500):
        server.bounce("noise@example.com", "complaint", blocklist=False)
    server.join(list_id, server.make_person("a@example.com"))
    for kind in kinds:
        server.bounce("a@example.com", kind)
    server.blocklist("a@example.com")

    [member] = backend.read(list_id)

    assert member.status is expected


def test_bounces_are_read_only_where_somebody_is_blocked(
    backend: Backend, server: ListmonkServer, list_id: int
) -> None:
    server.join(list_id, server.make_person("a@example.com"))
    server.bounce("a@example.com", "soft", blocklist=False)

    list(backend.read(list_id))

    assert not [action for action in server.actions if "bounces" in action]


def fill(server: ListmonkServer, list_id: int, count: int) -> None:
    for number in range(count):
        server.join(list_id, server.make_person(f"{number:04}@example.com"))


@pytest.mark.parametrize("more", ["", "and one who joins"])
def test_nobody_is_missed_when_someone_goes_between_two_pages(
    backend: Backend, server: ListmonkServer, list_id: int, more: str
) -> None:
    late = server.make_person("late@example.com")
    fill(server, list_id, 2500)

    def change() -> None:
        server.wipe("0007@example.com")
        if more:  # then the total stays
            server.join(list_id, late)

    server.between_pages = change

    keys = {member.person.key for member in backend.read(list_id)}

    assert keys >= {f"{number:04}@example.com" for number in range(2500) if number != 7}


def test_nobody_is_missed_when_someone_joins_between_two_pages(
    backend: Backend, server: ListmonkServer, list_id: int
) -> None:
    early = server.make_person("early@example.com")
    fill(server, list_id, 2500)
    server.between_pages = lambda: server.join(list_id, early)

    keys = [member.person.key for member in backend.read(list_id)]

    assert len(keys) == len(set(keys)) == 2501


def test_a_list_that_keeps_changing_is_given_up(
    backend: Backend, server: ListmonkServer, list_id: int
) -> None:
    fill(server, list_id, 1500)
    gone = iter(range(100))

    def change() -> None:
        server.wipe(f"{next(gone):04}@example.com")
        server.between_pages = change

    server.between_pages = change

    with pytest.raises(TemporaryError, match="changed while it was read"):
        list(backend.read(list_id))

    assert next(gone) == 3


def test_a_page_shorter_than_asked_for_is_not_the_last_one(
    backend: Backend, server: ListmonkServer, list_id: int
) -> None:
    fill(server, list_id, 300)
    server.page_cap = 100

    with pytest.raises(TemporaryError):
        list(backend.read(list_id))


def test_a_list_that_is_deleted_between_two_pages_is_not_one_with_fewer_people(
    backend: Backend, server: ListmonkServer, list_id: int
) -> None:
    fill(server, list_id, 1500)
    server.between_pages = lambda: server.drop_list(list_id)

    with pytest.raises((ConfigurationError, TemporaryError)):
        list(backend.read(list_id))


def test_a_list_that_is_deleted_as_the_read_begins_does_not_read_as_empty(
    backend: Backend, server: ListmonkServer, list_id: int
) -> None:
    fill(server, list_id, 3)
    server.after("GET /api/lists/N", lambda: server.drop_list(list_id))

    with pytest.raises(ConfigurationError, match="has no list"):
        list(backend.read(list_id))


def test_a_list_that_we_may_not_see_is_a_matter_of_rights(
    backend: Backend, server: ListmonkServer, list_id: int
) -> None:
    other = server.make_list("Other")
    fill(server, other, 3)
    server.permitted_lists = {other}

    with pytest.raises(AuthenticationError, match="permission denied"):
        list(backend.read(list_id))


@pytest.mark.parametrize("here_too", [False, True])
def test_other_lists_people_are_never_taken_for_a_whole_list(
    backend: Backend, server: ListmonkServer, list_id: int, here_too: bool
) -> None:
    other = server.make_list("Other")
    fill(server, other, 3)
    if here_too:
        server.join(list_id, server.person("0000@example.com").id)
    server.shown_lists = {other}

    with pytest.raises(TemporaryError, match="not on list") as caught:
        list(backend.read(list_id))

    assert "role" in caught.value.hint


@pytest.mark.parametrize("fault", [Fault.CUT, Fault.EMPTY, Fault.DROP, Fault.SLOW])
@pytest.mark.parametrize("after", [1, 2, 3])
def test_an_answer_that_is_cut_concludes_nothing(
    connect: Connect, server: ListmonkServer, list_id: int, fault: Fault, after: int
) -> None:
    fill(server, list_id, 1200)
    backend = connect(Retry(attempts=1, timeout_s=0.3))
    backend.check()
    server.fail(fault, times=None, after=after)

    with pytest.raises(TemporaryError):
        list(backend.read(list_id))


# Errors.


PASSING = [
    Fault.BUSY,
    Fault.BUSY_RETRY_AFTER,
    Fault.UNAVAILABLE,
    Fault.ERROR,
    Fault.BAD_GATEWAY,
    Fault.CUT,
    Fault.EMPTY,
    Fault.DROP,
    Fault.DROP_DONE,
]


@pytest.mark.parametrize("version", ["v6.0.0", "v6.1.0"])
@pytest.mark.parametrize("fault", PASSING)
@pytest.mark.parametrize("write", ["add", "import", "join", "update", "rename", "remove", "leave"])
def test_a_passing_fault_costs_a_repetition_and_no_more(
    backend: Backend, server: ListmonkServer, list_id: int, write: str, fault: Fault
) -> None:
    backend.upsert(list_id, [entry(1), entry(2)], known=False)
    server.make_person(entry(3).person.address, "Анна Белова")
    server.fail(fault, only=WRITES)
    expected = {"person0001@example.com": "confirmed", "person0002@example.com": "confirmed"}

    match write:
        case "add":
            results = backend.upsert(list_id, [entry(4)], known=False)
            expected["person0004@example.com"] = "confirmed"
        case "import":
            results = backend.upsert(list_id, MANY[3:], known=False)
            expected |= {each.person.key: "confirmed" for each in MANY[4:]}
            expected["person0003@example.com"] = "unconfirmed"
        case "join":
            results = backend.upsert(list_id, [entry(3)], known=False)
            expected["person0003@example.com"] = "unconfirmed"
        case "update":
            results = backend.upsert(list_id, [entry(1, first="X")], known=True)
            assert name_of(server, entry(1)) == "X Белова"
        case "rename":
            moved = entry(1, "new@example.com")
            results = [backend.rename(list_id, entry(1).person.address, moved)]
            expected["new@example.com"] = expected.pop("person0001@example.com")
        case "remove":
            results = backend.remove(list_id, [entry(1)])
            del expected["person0001@example.com"]
        case _:
            results = backend.unsubscribe(list_id, [entry(1)])
            expected["person0001@example.com"] = "unsubscribed"

    assert all(result.ok for result in results)
    assert people(server, list_id) == expected


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.BUSY, TemporaryError),
        (Fault.UNAVAILABLE, TemporaryError),
        (Fault.ERROR, AmbiguousError),
        (Fault.BAD_GATEWAY, AmbiguousError),
        (Fault.PAGE, ConfigurationError),
        (Fault.REDIRECT, ConfigurationError),
        (Fault.CUT, AmbiguousError),
        (Fault.EMPTY, AmbiguousError),
        (Fault.DROP, AmbiguousError),
        (Fault.STALL, AmbiguousError),
        (Fault.STALL_DONE, AmbiguousError),
    ],
)
def test_a_lasting_fault_is_raised(
    connect: Connect,
    server: ListmonkServer,
    list_id: int,
    fault: Fault,
    error: type[SyncdError],
) -> None:
    backend = connect(HASTY)
    server.fail(fault, times=None, only=WRITES)

    with pytest.raises(error) as caught:
        backend.upsert(list_id, [entry(1)], known=False)

    assert type(caught.value) is error
    assert "@" not in str(caught.value)
    assert server.token not in str(caught.value)


def test_a_fault_after_the_first_write_leaves_the_call_in_doubt(
    connect: Connect, server: ListmonkServer, list_id: int
) -> None:
    backend = connect(ONCE)
    server.fail(Fault.BUSY, times=None, after=4)  # version, list, look, and the first person

    with pytest.raises(AmbiguousError):
        backend.upsert(list_id, [entry(1), entry(2)], known=False)

    assert len(people(server, list_id)) == 1


@pytest.mark.parametrize(("count", "calls"), [(2, 4), (30, 7)], ids=["joined", "imported"])
def test_a_fault_after_many_were_added_leaves_the_call_in_doubt(
    connect: Connect, server: ListmonkServer, list_id: int, count: int, calls: int
) -> None:
    backend = connect(ONCE)
    if count == 2:
        for who in MANY[:2]:
            known(server, who.person.address)
    server.fail(Fault.BUSY, times=None, after=calls)

    with pytest.raises(AmbiguousError):
        backend.upsert(list_id, MANY[:count], known=False)

    assert len(people(server, list_id)) == count


def test_a_doubt_outlives_a_repetition_that_was_not_taken(
    connect: Connect, server: ListmonkServer, list_id: int
) -> None:
    backend = connect(ONCE)
    server.fail(Fault.BUSY, times=None)

    with pytest.raises(AmbiguousError):
        backend.remove(list_id, [entry(1)], again=True)


def test_a_wrong_token_is_told_from_a_missing_right(
    connect: Connect, server: ListmonkServer, list_id: int
) -> None:
    backend = connect(ONCE)
    server.permissions.remove("subscribers:manage")
    with pytest.raises(AuthenticationError, match="subscribers:manage") as right:
        backend.upsert(list_id, [entry(1)], known=False)
    server.token = "another"

    with pytest.raises(AuthenticationError, match="invalid API credentials") as token:
        backend.check()

    assert "role" in right.value.hint
    assert "token" in token.value.hint


def test_a_refusal_shows_no_address(backend: Backend, server: ListmonkServer, list_id: int) -> None:
    backend.upsert(list_id, [entry(1)], known=False)
    server.fail(Fault.REFUSE, only=("PATCH",))

    results = backend.upsert(list_id, [entry(1, first="X")], known=True)

    assert results == [ItemResult(Result.FAILED, "refused for …")]


def test_a_question_that_is_refused_is_no_ones_own_fault(
    backend: Backend, server: ListmonkServer, list_id: int
) -> None:
    server.fail(Fault.REFUSE, only=(LOOK,))

    with pytest.raises(ConfigurationError, match="refused to answer"):
        backend.upsert(list_id, [entry(1)], known=True)


def test_one_who_goes_while_we_look_keeps_nobody_from_joining(
    backend: Backend, server: ListmonkServer, list_id: int
) -> None:
    entries = [entry(number) for number in range(3)]
    for who in entries:
        server.make_person(who.person.address, "Анна Белова")
    server.after(LOOK, lambda: server.wipe(entries[1].person.address))

    results = backend.upsert(list_id, entries, known=False)

    assert results_of(results) == [Result.DONE, Result.FAILED, Result.DONE]
    assert len(people(server, list_id)) == 2


def test_a_list_that_goes_while_we_look_is_a_matter_of_the_config(
    backend: Backend, server: ListmonkServer, list_id: int
) -> None:
    server.after(LOOK, lambda: server.drop_list(list_id))

    with pytest.raises(ConfigurationError, match="has no list"):
        backend.upsert(list_id, [entry(1)], known=False)


def test_a_wrong_path_is_a_matter_of_the_config(server: ListmonkServer) -> None:
    options = Listmonk.Options(url=f"{server.url}/lists", user=USER, token=server.token)

    with closing(Listmonk(options, ONCE)) as backend, pytest.raises(ConfigurationError):
        backend.check()


def test_an_address_with_a_slash_at_its_end_is_the_same(server: ListmonkServer) -> None:
    options = Listmonk.Options(url=f"{server.url}/", user=USER, token=server.token)

    with closing(Listmonk(options, ONCE)) as backend:
        assert backend.check()


# The fake.


def asked(
    server: ListmonkServer, method: str, path: str, fields: object = None, *, token: str = ""
) -> tuple[int, Any]:
    """Make a request by hand; return its status and what the answer holds."""
    pair = b64encode(f"{USER}:{token or server.token}".encode()).decode()
    headers = {"Authorization": f"Basic {pair}", "Content-Type": "application/json"}
    body = b"" if fields is None else json.dumps(fields).encode()
    client = transport.Transport(transport.Options(url=server.url, attempts=1))
    reply = client.call(
        body,
        headers=headers,
        read=lambda reply: reply,
        repeatable=False,
        method=method,
        path=path,
    )
    client.close()
    answer = json.loads(reply.body)
    return reply.status, answer.get("data", answer.get("message"))


@pytest.fixture
def wild() -> Iterator[ListmonkServer]:
    """A server whose counters may count."""
    with ListmonkServer() as server:
        yield server


@pytest.mark.parametrize(
    ("method", "path", "fields", "status"),
    [
        ("GET", "/api/nothing", None, 404),
        ("PATCH", "/api/lists", {}, 405),
        ("GET", "/api/config?x=1", None, 400),
        ("GET", "/api/subscribers?listid=1", None, 400),
        ("PUT", "/api/subscribers/lists", {"ids": [1], "action": "add", "lists": [1]}, 400),
        ("POST", "/api/subscribers", {"email": "a@example.com"}, 400),
        ("POST", "/api/lists", [], 500),
    ],
)
def test_the_fake_writes_down_what_no_listmonk_knows(
    wild: ListmonkServer, method: str, path: str, fields: object, status: int
) -> None:
    assert asked(wild, method, path, fields)[0] == status
    assert len(wild.strange) == 1


def test_the_fake_refuses_a_wrong_token_with_403(wild: ListmonkServer) -> None:
    answer = asked(wild, "GET", "/api/config", token="another")

    assert answer == (403, "invalid API credentials")


def test_the_fake_counts_who_was_put_back_against_their_will(wild: ListmonkServer) -> None:
    at, person = wild.make_list("News"), wild.make_person("a@example.com")
    wild.join(at, person, "unsubscribed")
    act = {"ids": [person], "action": "add", "target_list_ids": [at]}

    asked(wild, "PUT", "/api/subscribers/lists", {**act, "status": ""})
    before = wild.resubscribed
    asked(wild, "PUT", "/api/subscribers/lists", {**act, "status": "confirmed"})

    assert (before, wild.resubscribed) == (0, 1)


def test_the_fake_counts_whose_refusal_was_erased(wild: ListmonkServer) -> None:
    at, person = wild.make_list("News"), wild.make_person("a@example.com")
    wild.join(at, person, "unsubscribed")

    asked(wild, "PUT", f"/api/subscribers/{person}", {"email": "a@example.com", "name": "A"})

    assert wild.rows == {}
    assert wild.forgotten == 1


def test_the_fake_shows_the_newest_first_for_capital_letters(wild: ListmonkServer) -> None:
    numbers = [wild.make_person(f"{letter}@example.com") for letter in "abc"]

    orders = [
        [row["id"] for row in asked(wild, "GET", f"/api/subscribers?order={order}")[1]["results"]]
        for order in ("asc", "ASC")
    ]

    assert orders == [numbers, numbers[::-1]]


def test_the_fake_merges_what_is_known_of_a_person_and_replaces_lists(
    wild: ListmonkServer,
) -> None:
    first, second = wild.make_list("A"), wild.make_list("B")
    person = wild.make_person("a@example.com", "A", attribs={"x": 1})
    wild.join(first, person)

    asked(wild, "PATCH", f"/api/subscribers/{person}", {"attribs": {"y": 2}})
    asked(wild, "PATCH", f"/api/subscribers/{person}", {"lists": [second]})

    assert wild.people[person].attribs == {"x": 1, "y": 2}
    assert list(wild.rows) == [(second, person)]


@pytest.mark.parametrize(
    ("version", "flags", "name", "row"),
    [
        ("v6.1.0", {}, "Old", "unsubscribed"),
        ("v6.1.0", {"overwrite_userinfo": True}, "New", "unsubscribed"),
        ("v6.1.0", {"overwrite_subscription_status": True}, "Old", "confirmed"),
        ("v6.1.0", {"overwrite": True}, "New", "confirmed"),
        ("v5.1.0", {"overwrite_userinfo": True}, "Old", "unsubscribed"),
        ("v5.1.0", {"overwrite_subscription_status": True}, "Old", "unsubscribed"),
        ("v5.1.0", {"overwrite": True}, "New", "confirmed"),
    ],
)
def test_the_fake_imports_as_the_flags_say(
    wild: ListmonkServer, version: str, flags: dict[str, bool], name: str, row: str
) -> None:
    wild.version, wild.import_polls = version, 0
    at, person = wild.make_list("News"), wild.make_person("a@example.com", "Old", attribs={"x": 1})
    wild.join(at, person, "unsubscribed")
    content_type, body = encode_import([("a@example.com", "New")], at, name="x.csv")
    for flag in flags:
        body = body.replace(f'"{flag}": false'.encode(), f'"{flag}": true'.encode())
    pair = b64encode(f"{USER}:{wild.token}".encode()).decode()
    headers = {"Authorization": f"Basic {pair}", "Content-Type": content_type}
    client = transport.Transport(transport.Options(url=f"{wild.url}/api/import/subscribers"))

    client.post(body, headers=headers, repeatable=False)
    client.close()
    asked(wild, "GET", "/api/import/subscribers")

    assert (wild.people[person].name, wild.rows[at, person].status) == (name, row)
    assert wild.people[person].attribs == ({} if name == "New" else {"x": 1})
