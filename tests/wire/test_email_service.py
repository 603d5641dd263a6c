"""The codec of the e-mail service protocol, against recorded bodies and against itself."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.core.people import Contact, ContactId, Person
from syncd.ports import ListId
from syncd.wire.email_service import (
    Accepted,
    Change,
    CreateList,
    CutError,
    DeleteList,
    Envelope,
    ImportContacts,
    MalformedError,
    NotUnderstoodError,
    Refused,
    Request,
    UpdateContact,
    encode_reply,
    encode_request,
    open_envelope,
    read_reply,
    read_request,
    slices,
)

TOKEN = "k3y-of-this-account"
LIST = "lst-000017"


def contact(number: int, address: str, first: str = "", last: str = "") -> Contact:
    return Contact(ContactId(number), Person.of(address, first, last))


ANNA = contact(101, "anna.belova@example.com", "Анна", "Белова")
ANNA_MOVED = contact(101, "a.belova@example.com", "Анна", "Белова")

REQUESTS: list[tuple[Request, dict[str, Any]]] = [
    (
        CreateList("Клиенты Юг — Ольга Ким"),
        {"action": "createList", "data": {"listName": "Клиенты Юг — Ольга Ким"}},
    ),
    (DeleteList(LIST), {"action": "deleteList", "data": {"listId": LIST}}),
    (
        ImportContacts(17, (ANNA, contact(102, "office@example.org", "ООО «Ромашка»"))),
        {
            "action": "importContacts",
            "data": {
                "listId": 17,
                "contacts": [
                    {
                        "id": 101,
                        "email": "anna.belova@example.com",
                        "firstName": "Анна",
                        "lastName": "Белова",
                    },
                    {
                        "id": 102,
                        "email": "office@example.org",
                        "firstName": "ООО «Ромашка»",
                        "lastName": "",
                    },
                ],
            },
        },
    ),
    (
        UpdateContact(LIST, Change.UPDATE, ANNA_MOVED, "anna.belova@example.com"),
        {
            "action": "updateContact",
            "data": {
                "listId": LIST,
                "action": "update",
                "contact": {
                    "id": 101,
                    "email": "a.belova@example.com",
                    "firstName": "Анна",
                    "lastName": "Белова",
                },
                "oldEmail": "anna.belova@example.com",
            },
        },
    ),
    (
        UpdateContact(LIST, Change.DELETE, ANNA_MOVED),
        {
            "action": "updateContact",
            "data": {
                "listId": LIST,
                "action": "delete",
                "contact": {
                    "id": 101,
                    "email": "a.belova@example.com",
                    "firstName": "Анна",
                    "lastName": "Белова",
                },
            },
        },
    ),
]


@pytest.mark.parametrize(("request_", "fields"), REQUESTS)
def test_a_request_is_written_as_the_page_shows_it(
    request_: Request, fields: dict[str, Any]
) -> None:
    written = json.loads(encode_request(request_, TOKEN))

    assert written == fields | {"authToken": TOKEN}


def test_letters_are_written_raw() -> None:
    body = encode_request(CreateList("Ёлка 🙂"), TOKEN)

    assert "Ёлка 🙂".encode() in body


@pytest.mark.parametrize(("request_", "fields"), REQUESTS)
@pytest.mark.parametrize("escaped", [True, False], ids=["escaped", "raw"])
def test_a_request_is_read_raw_or_escaped(
    request_: Request, fields: dict[str, Any], escaped: bool
) -> None:
    body = json.dumps(fields | {"authToken": TOKEN}, ensure_ascii=escaped).encode()

    envelope = open_envelope(body)

    assert envelope.token == TOKEN
    assert read_request(envelope) == request_


def test_an_awkward_import_keeps_what_can_be_read() -> None:
    people = [
        {"id": 103, "email": "", "firstName": "Иван", "lastName": "Сидоров"},
        {"id": "105", "email": " News.Reader@Example.COM ", "firstName": None, "lastName": None},
        {"id": 109, "email": "only.mail@example.com"},
        {"id": 110, "email": None, "firstName": 7, "lastName": ["x"]},
        {"id": True, "email": "true@example.com"},
        {"id": "x", "email": "x@example.com"},
        {"id": 2**63, "email": "huge@example.com"},
        {"email": "nobody@example.com"},
        "not an object",
    ]

    request = read_request(Envelope("importContacts", TOKEN, {"listId": LIST, "contacts": people}))

    assert request == ImportContacts(
        LIST,
        (
            contact(103, "", "Иван", "Сидоров"),
            contact(105, "News.Reader@Example.COM"),
            contact(109, "only.mail@example.com"),
        ),
        left_out=6,
    )


@pytest.mark.parametrize("ahead", ["", "a", "я", "🙂a", "я" * 10_000, " " * 60_000])
@pytest.mark.parametrize("count", [2000, 2500])
def test_a_long_import_is_one_of_few_contacts_after_another(ahead: str, count: int) -> None:
    contacts = [contact(n, f"p{n}@example.com", "Ёлка 🙂") for n in range(count)]
    people = [
        {"id": each.id, "email": each.person.address, "firstName": each.person.first}
        for each in contacts
    ]
    data = {"more": ahead, "contacts": people, "listId": LIST}
    fields = {"authToken": TOKEN, "action": "importContacts", "data": data}

    for body in (json.dumps(fields), "\ufeff" + json.dumps(fields, ensure_ascii=False)):
        envelope = open_envelope(body.encode())
        for _ in range(2):  # a second time as the first
            requests = [read_request(part) for part in slices(envelope)]
            assert requests == [
                ImportContacts(LIST, tuple(contacts[at : at + 1000]))
                for at in range(0, count, 1000)
            ]


@pytest.mark.parametrize(
    ("action", "request_"),
    [("importContacts", ImportContacts(LIST, ())), ("createList", CreateList("News"))],
)
def test_a_long_request_without_contacts_to_import_is_one(action: str, request_: Request) -> None:
    people = ["x" * 60_000] * 2 if action == "createList" else []
    data = {"listName": "News", "contacts": people, "listId": LIST, "more": "x" * 60_000}
    fields = {"authToken": TOKEN, "action": action, "data": data, "more": "x" * 60_000}

    parts = list(slices(open_envelope(json.dumps(fields).encode())))

    assert [read_request(part) for part in parts] == [request_]


def test_a_value_that_is_too_long_is_so_wherever_it_stands() -> None:
    for ahead in range(0, 60_000, 10_000):
        fields = {"x": "x" * ahead, "y": "y" * 66_000, "z": "z" * 60_000}
        with pytest.raises(MalformedError, match="too long"):
            open_envelope(json.dumps(fields).encode())


@pytest.mark.parametrize("old", [None, "", " a.belova@example.com "], ids=repr)
def test_an_old_address_that_says_nothing_is_none(old: str | None) -> None:
    data = {
        "listId": LIST,
        "action": "update",
        "contact": {"id": 101, "email": "a.belova@example.com"},
        "oldEmail": old,
    }

    request = read_request(Envelope("updateContact", TOKEN, data))

    assert request == UpdateContact(LIST, Change.UPDATE, contact(101, "a.belova@example.com"))


def test_half_a_surrogate_pair_becomes_a_replacement_character() -> None:
    body = rb'{"action":"createList","authToken":"t\ud800","data":{"listName":"A\ud83d"}}'

    envelope = open_envelope(body)

    assert envelope.token == "t\ufffd"
    assert read_request(envelope) == CreateList("A\ufffd")


def test_a_list_name_holds_nothing_that_a_terminal_or_a_page_obeys() -> None:
    name = "\x1b[2JCus\u202etomers\u2069\nand\x00 friends\u2028"

    read = read_request(Envelope("createList", "t", {"listName": name}))

    assert read == CreateList("[2JCustomersand friends")


@pytest.mark.parametrize(
    "body",
    [b"", b"listId=1", b"[1]", b'"x"', b"null", b"\xff\xfe{}", b"[" * 100_000, b"1" * 5000],
    ids=lambda body: repr(body[:8]),
)
def test_bytes_that_are_no_object_are_malformed_and_not_quoted(body: bytes) -> None:
    with pytest.raises(MalformedError) as caught:
        open_envelope(body)

    assert "listId" not in str(caught.value)


@pytest.mark.parametrize(
    ("action", "data"),
    [
        ("", {}),
        ("getContacts", {"listId": LIST}),
        ("createList", {}),
        ("createList", {"listName": "  "}),
        ("createList", {"listName": "\u202e \n"}),
        ("deleteList", {}),
        ("deleteList", {"listId": True}),
        ("deleteList", {"listId": ""}),
        ("deleteList", {"listId": -1}),
        ("importContacts", {"listId": LIST}),
        ("importContacts", {"listId": LIST, "contacts": {}}),
        ("importContacts", {"contacts": []}),
        ("updateContact", {"listId": LIST}),
        ("updateContact", {"listId": LIST, "action": "erase", "contact": {"id": 1}}),
        ("updateContact", {"listId": LIST, "action": "add"}),
        ("updateContact", {"listId": LIST, "action": "add", "contact": {"id": "one"}}),
        ("updateContact", {"action": "add", "contact": {"id": 1}}),
    ],
)
def test_what_an_action_needs_is_asked_for(action: str, data: dict[str, Any]) -> None:
    with pytest.raises(NotUnderstoodError):
        read_request(Envelope(action, TOKEN, data))


def test_an_envelope_opens_before_its_data_is_understood() -> None:
    body = json.dumps({"action": 7, "authToken": TOKEN, "data": []}).encode()

    assert open_envelope(body) == Envelope("", TOKEN, {})


@pytest.mark.parametrize(
    ("reply", "body"),
    [
        (Accepted(), {"success": True}),
        (Accepted("lst-000017"), {"success": True, "listId": "lst-000017"}),
        (Accepted(17), {"success": True, "listId": 17}),
        (Refused("Список не найден"), {"error": "Список не найден"}),
    ],
)
def test_a_reply_goes_both_ways(reply: Accepted | Refused, body: dict[str, Any]) -> None:
    assert json.loads(encode_reply(reply)) == body
    assert read_reply(json.dumps(body).encode()) == reply


@pytest.mark.parametrize(
    ("body", "reply"),
    [
        (b'\xef\xbb\xbf {"success": true}\r\n', Accepted()),
        (b'{"success": true, "error": null}', Accepted()),
        (b'{"success": true, "listId": null, "more": 1}', Accepted()),
        (b'{"success": true, "error": "no"}', Refused("no")),
        (b'{"success": true, "error": ""}', Refused("")),
        (b'{"success": false}', Refused("no reason given")),
        (b'{"error": {"code": 7}}', Refused('{"code": 7}')),
        (b'{"error": "\\ud800"}', Refused("\ufffd")),
    ],
)
def test_success_is_exactly_true_without_an_error(body: bytes, reply: Accepted | Refused) -> None:
    assert read_reply(body) == reply


@pytest.mark.parametrize("body", [b"", b" \n", b"{", b'{"success": tr', b'{"error": "\xd0'])
def test_a_reply_that_ends_early_is_cut(body: bytes) -> None:
    with pytest.raises(CutError):
        read_reply(body)


@pytest.mark.parametrize(
    "body",
    [
        b"<html></html>",
        b"OK",
        b"[]",
        b"true",
        b"{}",
        b"{'success': true}",
        b'{"success": "true"}',
        b'{"success": 1}',
        b'{"listId": "17"}',
    ],
)
def test_a_whole_reply_of_another_kind_is_malformed_and_not_cut(body: bytes) -> None:
    with pytest.raises(MalformedError) as caught:
        read_reply(body)

    assert type(caught.value) is MalformedError


LIST_IDS = st.one_of(st.text(min_size=1).filter(str.strip), st.integers(0, 2**63 - 1))
NAMES = st.text(max_size=30)
CONTACTS = st.builds(
    Contact,
    st.integers(0, 2**63 - 1).map(ContactId),
    st.builds(Person.of, st.text(max_size=30), NAMES, NAMES),
    st.just(()),  # the protocol has no custom fields
)


@given(LIST_IDS, st.lists(CONTACTS, max_size=4), st.text())
def test_any_import_survives_the_wire(list_id: ListId, contacts: list[Contact], token: str) -> None:
    request = ImportContacts(list_id, tuple(contacts))

    envelope = open_envelope(encode_request(request, token))

    assert envelope.token == token
    assert read_request(envelope) == request


@given(st.binary(max_size=60))
def test_no_bytes_break_the_reader_of_replies(body: bytes) -> None:
    try:
        reply = read_reply(body)
    except MalformedError:
        return

    assert read_reply(encode_reply(reply)) == reply
