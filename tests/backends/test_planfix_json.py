"""A service of the e-mail service protocol: the suite, then what goes over the wire."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from syncd import transport
from syncd.backends import BACKENDS, Backend, Retry
from syncd.backends.planfix_json import PlanfixJson
from syncd.core.address import AddressKey, key_of
from syncd.core.people import ContactId, Person
from syncd.core.plan import ItemResult, Result
from syncd.errors import (
    AmbiguousError,
    AuthenticationError,
    ConfigurationError,
    SyncdError,
    TemporaryError,
)
from syncd.ports import Entry, ListId
from tests.backends.conformance import (
    BackendConformance,
    Held,
    Trouble,
    World,
    active,
    entry,
    results_of,
)
from tests.fakes.email_service import EmailService, Fault

PATIENT = Retry(attempts=3, wait_s=0.001, max_wait_s=0.002, timeout_s=5)
HASTY = Retry(attempts=2, wait_s=0.001, max_wait_s=0.002, timeout_s=0.5)
ONCE = Retry(attempts=1, wait_s=0.001, timeout_s=5)


class ServiceWorld:
    """The fake, as the suite looks at it."""

    troubles = frozenset(Trouble)
    bad_address = "poison@example.com"

    def __init__(self, service: EmailService) -> None:
        self._service = service
        service.poisoned.add(key_of(self.bad_address))
        service.refuses_absent_delete = True
        service.refuses_unknown_rename = True

    def members(self, list_id: ListId) -> dict[AddressKey, Held]:
        if list_id not in self._service.lists:
            return {}
        members = self._service.lists[list_id].members
        return {key: (who.first, who.last, "active") for key, who in members.items()}

    def leave(self, list_id: ListId, address: str) -> None:
        del self._service.lists[list_id].members[key_of(address)]
        self._service.opted_out.add(key_of(address))

    def block(self, list_id: ListId, address: str) -> None:
        self.leave(list_id, address)

    def fail(self, trouble: Trouble) -> None:
        match trouble:
            case Trouble.LOST_ANSWER:
                self._service.fail(Fault.DROP_DONE)
            case Trouble.BUSY:
                self._service.fail(Fault.BUSY, times=None)
            case Trouble.ELSEWHERE:
                self._service.fail(Fault.PAGE, times=None)
            case Trouble.WRONG_KEY:
                self._service.token = "another"
                self._service.refusal_status = 401

    def recover(self) -> None:
        self._service.recover()


@pytest.fixture
def service() -> Iterator[EmailService]:
    with EmailService() as service:
        yield service


@pytest.fixture
def connect(service: EmailService) -> Iterator[Callable[[Retry], PlanfixJson]]:
    opened: list[PlanfixJson] = []

    def connect(retry: Retry) -> PlanfixJson:
        options = PlanfixJson.Options(url=service.url, token=service.token)
        opened.append(PlanfixJson(options, retry))
        return opened[-1]

    yield connect
    for backend in opened:
        backend.close()


Connect = Callable[[Retry], PlanfixJson]


@pytest.fixture
def backend(connect: Connect) -> PlanfixJson:
    return connect(PATIENT)


@pytest.fixture
def list_id(backend: Backend, service: EmailService) -> ListId:
    made = backend.ensure_list("News")
    service.requests.clear()
    return made


class TestPlanfixJson(BackendConformance):
    @pytest.fixture
    def world(self, service: EmailService) -> World:
        return ServiceWorld(service)


def sent(service: EmailService) -> list[dict[str, Any]]:
    return [request.fields["data"] for request in service.requests]


def fields_of(who: Entry) -> dict[str, Any]:
    person = who.person
    return {
        "id": who.contact,
        "email": person.address,
        "firstName": person.first,
        "lastName": person.last,
    }


def test_it_stands_in_the_table() -> None:
    assert BACKENDS["planfix-json"] is PlanfixJson


def test_options_do_not_show_the_token() -> None:
    options = PlanfixJson.Options(url="https://lists.example.com/", token="s3cret")

    assert "s3cret" not in repr(options)


@pytest.mark.parametrize("numeric", [False, True], ids=["text", "number"])
def test_a_list_id_goes_back_as_it_came(numeric: bool) -> None:
    with EmailService(numeric_ids=numeric) as service:
        options = PlanfixJson.Options(url=service.url, token=service.token)
        with closing(PlanfixJson(options, ONCE)) as backend:
            list_id = backend.ensure_list("Клиенты Юг")
            results = backend.upsert(list_id, [entry(1)], known=False)

        assert results_of(results) == [Result.DONE]
        assert service.lists[list_id].name == "Клиенты Юг"
        assert isinstance(list_id, int) is numeric


def test_one_new_person_is_an_add(backend: Backend, service: EmailService, list_id: ListId) -> None:
    backend.upsert(list_id, [entry(1)], known=False)

    assert service.actions == ["updateContact add"]
    assert sent(service) == [{"listId": list_id, "action": "add", "contact": fields_of(entry(1))}]
    assert service.requests[0].headers["Content-Type"] == "application/json"


def test_several_new_people_are_imports_of_at_most_500(
    backend: Backend, service: EmailService, list_id: ListId
) -> None:
    backend.upsert(list_id, [entry(number) for number in range(1001)], known=False)

    assert service.actions == ["importContacts"] * 3
    assert [len(data["contacts"]) for data in sent(service)] == [500, 500, 1]


def test_known_people_are_updated_one_by_one(
    backend: Backend, service: EmailService, list_id: ListId
) -> None:
    backend.upsert(list_id, [entry(1), entry(2)], known=True)

    assert service.actions == ["updateContact update"] * 2
    assert all("oldEmail" not in data for data in sent(service))


def test_one_person_again_is_an_import(
    backend: Backend, service: EmailService, list_id: ListId
) -> None:
    backend.upsert(list_id, [entry(1)], known=False, again=True)

    assert service.actions == ["importContacts"]


def test_an_add_whose_answer_was_lost_is_repeated_as_an_import(
    backend: Backend, service: EmailService, list_id: ListId
) -> None:
    service.fail(Fault.DROP_DONE)

    results = backend.upsert(list_id, [entry(1)], known=False)

    assert results_of(results) == [Result.DONE]
    assert service.actions == ["updateContact add", "importContacts"]


def test_a_rename_is_one_update_with_the_old_address(
    backend: Backend, service: EmailService, list_id: ListId
) -> None:
    moved = entry(1, "new@example.com")

    backend.rename(list_id, "old@example.com", moved)

    assert sent(service) == [
        {
            "listId": list_id,
            "action": "update",
            "contact": fields_of(moved),
            "oldEmail": "old@example.com",
        }
    ]


def test_an_old_address_that_is_the_new_one_is_not_sent(
    backend: Backend, service: EmailService, list_id: ListId
) -> None:
    backend.rename(list_id, "a@example.com", entry(1, "a@example.com"))

    assert "oldEmail" not in sent(service)[0]


@pytest.mark.parametrize("fault", [None, Fault.DROP_DONE], ids=["again", "lost within the call"])
def test_a_repeated_rename_that_is_refused_is_tried_without_the_old_address(
    backend: Backend, service: EmailService, list_id: ListId, fault: Fault | None
) -> None:
    service.refuses_unknown_rename = True
    backend.upsert(list_id, [entry(1, "old@example.com")], known=False)
    moved = entry(1, "new@example.com")
    if fault is None:
        backend.rename(list_id, "old@example.com", moved)
    else:
        service.fail(fault)

    result = backend.rename(list_id, "old@example.com", moved, again=fault is None)

    assert result.result is Result.DONE
    assert ["oldEmail" in data for data in sent(service)][-2:] == [True, False]
    assert list(service.lists[list_id].members) == ["new@example.com"]


def test_a_rename_that_is_refused_the_first_time_is_not_tried_otherwise(
    backend: Backend, service: EmailService, list_id: ListId
) -> None:
    service.refuses_unknown_rename = True

    result = backend.rename(list_id, "old@example.com", entry(1, "new@example.com"))

    assert result == ItemResult(Result.FAILED, "unknown oldEmail …")
    assert len(service.requests) == 1


@pytest.mark.parametrize("leaving", ["remove", "unsubscribe"])
def test_leaving_is_a_delete_of_the_full_contact(
    backend: Backend, service: EmailService, list_id: ListId, leaving: str
) -> None:
    leave = backend.remove if leaving == "remove" else backend.unsubscribe

    leave(list_id, [entry(1), entry(2)])

    assert sent(service) == [
        {"listId": list_id, "action": "delete", "contact": fields_of(who)}
        for who in (entry(1), entry(2))
    ]


def test_a_refused_delete_is_done_only_when_it_is_a_repetition(
    backend: Backend, service: EmailService, list_id: ListId
) -> None:
    service.refuses_absent_delete = True

    [first] = backend.remove(list_id, [entry(1)])
    [second] = backend.remove(list_id, [entry(1)], again=True)

    assert first == ItemResult(Result.FAILED, "no such: …")
    assert second.result is Result.ABSENT
    assert second.ok


def test_a_repeated_deletion_of_a_list_that_is_refused_is_done(
    backend: Backend, service: EmailService, list_id: ListId
) -> None:
    service.fail(Fault.DROP_DONE)

    backend.delete_list(list_id)

    assert service.lists == {}
    assert service.actions == ["deleteList", "deleteList"]


def test_names_go_out_on_one_line(backend: Backend, service: EmailService, list_id: ListId) -> None:
    person = Person(
        "a@example.com", key_of("a@example.com"), "Anna\r\nBcc: x", "👩‍💻\u2028O\u00a0K"
    )

    backend.upsert(list_id, [Entry(ContactId(1), person)], known=False)

    [stored] = service.lists[list_id].members.values()
    assert (stored.first, stored.last) == ("Anna Bcc: x", "👩‍💻 O\u00a0K")


# Refusals.


def test_the_bad_contacts_of_an_import_are_found_by_halving(
    backend: Backend, service: EmailService, list_id: ListId
) -> None:
    entries = [entry(number) for number in range(500)]
    bad = {0, 250, 499}
    service.poisoned = {entries[number].person.key for number in bad}

    results = backend.upsert(list_id, entries, known=False)

    refused = ItemResult(Result.FAILED, "bad contact …")
    done = ItemResult(Result.DONE)
    assert results == [refused if number in bad else done for number in range(500)]
    assert service.lists[list_id].members.keys() == {
        e.person.key for number, e in enumerate(entries) if number not in bad
    }
    assert len(service.requests) < 60


@pytest.mark.parametrize("status", [200, 400, 422])
def test_a_refusal_may_come_with_any_client_error(
    backend: Backend, service: EmailService, list_id: ListId, status: int
) -> None:
    service.refusal_status = status
    service.poisoned = {entry(1).person.key}

    results = backend.upsert(list_id, [entry(1)], known=False)

    assert results == [ItemResult(Result.FAILED, "bad contact …")]


def test_three_refusals_and_nothing_accepted_is_a_service_that_refuses_everything(
    backend: Backend, service: EmailService, list_id: ListId
) -> None:
    service.fail(Fault.REFUSE, times=None)
    backend.upsert(list_id, [entry(1)], known=False)
    backend.remove(list_id, [entry(2)])

    with pytest.raises(ConfigurationError, match=r"refuses everything.*everything is refused"):
        backend.upsert(list_id, [entry(3)], known=True)


def test_an_import_that_is_refused_whole_ends_after_three_contacts(
    backend: Backend, service: EmailService, list_id: ListId
) -> None:
    service.fail(Fault.REFUSE, times=None)

    with pytest.raises(ConfigurationError):
        backend.upsert(list_id, [entry(number) for number in range(500)], known=False)

    assert len(service.requests) < 15


def test_many_refusals_after_something_was_accepted_are_the_contacts_own(
    backend: Backend, service: EmailService, list_id: ListId
) -> None:
    backend.upsert(list_id, [entry(0)], known=False)
    service.fail(Fault.REFUSE, times=None)

    results = [backend.rename(list_id, "x@example.com", entry(n)) for n in range(1, 6)]

    assert results_of(results) == [Result.FAILED] * 5


def test_a_repeated_delete_proves_nothing_accepted(
    backend: Backend, service: EmailService, list_id: ListId
) -> None:
    service.fail(Fault.REFUSE, times=None)
    backend.remove(list_id, [entry(number) for number in range(5)], again=True)

    with pytest.raises(ConfigurationError):
        backend.remove(list_id, [entry(number) for number in range(5)])


def test_a_wrong_token_is_not_shown(service: EmailService) -> None:
    options = PlanfixJson.Options(url=service.url, token="wr0ng-t0ken")

    with (
        closing(PlanfixJson(options, ONCE)) as backend,
        pytest.raises(ConfigurationError) as caught,
    ):
        backend.ensure_list("News")

    assert "authToken … not accepted" in str(caught.value)
    assert "wr0ng-t0ken" not in str(caught.value)


# Faults.


@pytest.mark.parametrize(
    "fault",
    [
        Fault.BUSY,
        Fault.BUSY_RETRY_AFTER,
        Fault.UNAVAILABLE,
        Fault.ERROR,
        Fault.BAD_GATEWAY,
        Fault.CUT,
        Fault.EMPTY,
        Fault.DROP,
        Fault.DROP_DONE,
    ],
)
@pytest.mark.parametrize("write", ["add", "import", "update", "rename", "remove"])
def test_a_passing_fault_costs_a_repetition_and_no_more(
    backend: Backend, service: EmailService, list_id: ListId, write: str, fault: Fault
) -> None:
    backend.upsert(list_id, [entry(1), entry(2)], known=False)
    service.requests.clear()
    service.refuses_absent_delete = service.refuses_unknown_rename = True
    moved = entry(1, "moved@example.com")
    service.fail(fault)

    match write:
        case "add":
            results = backend.upsert(list_id, [entry(3)], known=False)
            expected = [entry(1), entry(2), entry(3)]
        case "import":
            results = backend.upsert(list_id, [entry(3), entry(4)], known=False)
            expected = [entry(1), entry(2), entry(3), entry(4)]
        case "update":
            results = backend.upsert(list_id, [entry(2, first="X")], known=True)
            expected = [entry(1), entry(2, first="X")]
        case "rename":
            results = [backend.rename(list_id, entry(1).person.address, moved)]
            expected = [entry(2), moved]
        case _:
            results = backend.remove(list_id, [entry(2)])
            expected = [entry(1)]

    assert all(result.ok for result in results)
    assert ServiceWorld(service).members(list_id) == active(*expected)
    assert len(service.requests) <= 3


@pytest.mark.parametrize("fault", [Fault.STALL, Fault.STALL_DONE, Fault.SLOW])
def test_a_service_that_takes_too_long_is_asked_again(
    connect: Connect, service: EmailService, list_id: ListId, fault: Fault
) -> None:
    backend = connect(HASTY)
    service.fail(fault)

    results = backend.upsert(list_id, [entry(1)], known=False)

    assert results_of(results) == [Result.DONE]
    assert ServiceWorld(service).members(list_id) == active(entry(1))


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.BUSY, TemporaryError),
        (Fault.UNAVAILABLE, TemporaryError),
        (Fault.ERROR, AmbiguousError),
        (Fault.BAD_GATEWAY, AmbiguousError),
        (Fault.CUT, AmbiguousError),
        (Fault.EMPTY, AmbiguousError),
        (Fault.DROP, AmbiguousError),
        (Fault.PAGE, ConfigurationError),
        (Fault.REDIRECT, ConfigurationError),
    ],
)
def test_a_lasting_fault_is_told_by_its_class(
    connect: Connect,
    service: EmailService,
    list_id: ListId,
    fault: Fault,
    error: type[SyncdError],
) -> None:
    backend = connect(ONCE)
    service.fail(fault, times=None)

    with pytest.raises(error) as caught:
        backend.upsert(list_id, [entry(1)], known=True)

    assert type(caught.value) is error
    assert "@" not in str(caught.value)
    assert service.token not in str(caught.value)


@pytest.mark.parametrize("fault", [Fault.ERROR, Fault.CUT, Fault.EMPTY, Fault.DROP_DONE])
def test_a_list_is_never_made_twice(backend: Backend, service: EmailService, fault: Fault) -> None:
    service.fail(fault)

    with pytest.raises(AmbiguousError):
        backend.ensure_list("News")

    assert service.actions == ["createList"]


def test_making_a_list_waits_while_the_service_is_busy(
    backend: Backend, service: EmailService
) -> None:
    service.fail(Fault.BUSY)

    list_id = backend.ensure_list("News")

    assert list(service.lists) == [list_id]


def test_a_batch_after_one_that_was_taken_leaves_the_whole_call_in_doubt(
    connect: Connect, service: EmailService, list_id: ListId
) -> None:
    backend = connect(ONCE)
    entries = [entry(number) for number in range(4)]
    service.poisoned = {entries[0].person.key}
    # Refused: the whole, its first half, its first contact. The second contact is taken.
    service.fail(Fault.BUSY, after=4)

    with pytest.raises(AmbiguousError):
        backend.upsert(list_id, entries, known=False)


@pytest.mark.parametrize("again", [False, True], ids=["lost within the call", "again"])
def test_a_doubt_outlives_a_repetition_that_was_not_taken(
    connect: Connect, service: EmailService, list_id: ListId, again: bool
) -> None:
    backend = connect(ONCE)
    if not again:
        service.fail(Fault.DROP_DONE)
    service.fail(Fault.BUSY, times=None)

    with pytest.raises(AmbiguousError):
        backend.remove(list_id, [entry(1)], again=again)


@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_are_told_apart(
    backend: Backend, service: EmailService, list_id: ListId, status: int
) -> None:
    service.token = "another"
    service.refusal_status = status

    with pytest.raises(AuthenticationError):
        backend.upsert(list_id, [entry(1)], known=False)

    assert len(service.requests) == 1


@pytest.mark.parametrize("path", ["/elsewhere", ""])
def test_a_wrong_path_is_a_matter_of_the_config(service: EmailService, path: str) -> None:
    url = service.url.rsplit("/", 1)[0] + path
    options = PlanfixJson.Options(url=url, token=service.token)

    with closing(PlanfixJson(options, ONCE)) as backend, pytest.raises(ConfigurationError):
        backend.upsert("lst-000001", [entry(1)], known=False)


# Check.


def test_check_sends_nothing(backend: Backend, service: EmailService) -> None:
    line = backend.check()

    assert "127.0.0.1 can be reached" in line
    assert service.requests == []


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_check_tells_a_service_that_is_not_there(scheme: str) -> None:
    with EmailService() as gone:
        url = gone.url.replace("http", scheme, 1)
    options = PlanfixJson.Options(url=url, token="t")

    with closing(PlanfixJson(options, ONCE)) as backend, pytest.raises(TemporaryError):
        backend.check()


def test_check_insists_on_a_certificate(service: EmailService) -> None:
    url = service.url.replace("http", "https", 1)
    options = PlanfixJson.Options(url=url, token="t")

    with closing(PlanfixJson(options, ONCE)) as backend, pytest.raises(TemporaryError):
        backend.check()


def test_plain_http_to_another_machine_is_refused() -> None:
    options = PlanfixJson.Options(url="http://lists.example.com/", token="t")

    with pytest.raises(ConfigurationError):
        PlanfixJson(options, ONCE)


# The fake.


@pytest.mark.parametrize(
    "body",
    [
        {"action": "getContacts", "authToken": "T", "data": {}},
        {"action": "createList", "authToken": "wrong", "data": {"listName": "x"}},
        {"action": "createList", "authToken": "T", "data": {"listName": "x", "more": 1}},
        {"action": "createList", "authToken": "T", "data": {"listName": "Ёлка"}},
    ],
)
def test_the_fake_is_strict(body: dict[str, Any]) -> None:
    with EmailService(token="T") as service:
        client = transport.Transport(transport.Options(url=service.url, attempts=1))
        reply = client.post(
            json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
            repeatable=False,
        )
        client.close()

    assert reply.status == 200
    assert json.loads(reply.body).keys() == {"error"}


def test_the_fake_counts_who_was_put_back_against_their_will(
    backend: Backend, service: EmailService, list_id: ListId
) -> None:
    backend.upsert(list_id, [entry(1), entry(2)], known=False)
    ServiceWorld(service).leave(list_id, entry(1).person.address)

    backend.upsert(list_id, [entry(1), entry(2)], known=False)

    assert service.resubscribed == 1
