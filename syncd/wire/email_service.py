"""The e-mail service protocol: JSON requests and replies, both ways.

One URL, every request a POST of `{"action": …, "authToken": …, "data": {…}}`; every answer an
object with `"success": true` or with `"error": "text"`. Two fields are called `action`: the
outer one names the function, the one inside `data` says add, update or delete. The source is
Planfix's page on the mailing service integration; it leaves the HTTP status open.

Writing is strict: all four contact fields, `id` a number, raw UTF-8, `oldEmail` only where an
update changes the address. Reading is lenient where senders differ: an id as text, names that
are missing or null, an `oldEmail` that says nothing. A request is read piece by piece, since it
may be a long import by a sender whose token was not checked yet.
"""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import islice
from typing import Any, Final, TypeGuard

from syncd.core.address import clean
from syncd.core.people import NOBODY, Contact, ContactId, Person
from syncd.ports import ListId
from syncd.wire.json_reader import LONGEST_VALUE, JsonReader, NotJsonError, read_whole

CONTENT_TYPE: Final = "application/json"

_SLICE: Final = 1000
_LONGEST_FIELD: Final = 1000
_ENVELOPE: Final = frozenset({"action", "authToken"})
_DATA: Final = frozenset({"listName", "listId", "action", "contact", "oldEmail"})
_CONTACT: Final = ("id", "email", "firstName", "lastName")
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_DONE: Final = _ENCODER.encode({"success": True}).encode()
_UNSEEN: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""What has no place in a name: controls of terminals, lines, and the direction of writing."""
_DIGITS: Final = re.compile(r"[0-9]{1,19}").fullmatch
_LARGEST: Final = 2**63 - 1
"""The largest number that a database takes for an id."""


class Change(StrEnum):
    """What `updateContact` does with its contact."""

    ADD = "add"
    UPDATE = "update"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class CreateList:
    """Make a list; the one action whose reply carries a `listId`."""

    name: str


@dataclass(frozen=True, slots=True)
class DeleteList:
    """Delete a list."""

    list_id: ListId


@dataclass(frozen=True, slots=True)
class ImportContacts:
    """Add or update many contacts at once; it removes nobody.

    `left_out` counts what came in and was no contact: one bad one must not stop the others.
    """

    list_id: ListId
    contacts: tuple[Contact, ...]
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class UpdateContact:
    """Add, update or delete one contact; `old_address` only where an update changes it."""

    list_id: ListId
    change: Change
    contact: Contact
    old_address: str = ""


@dataclass(frozen=True, slots=True)
class MemberReport:
    """What a list service tells of a member whom it added, changed or lost.

    `old_address` only where an update changes the address.
    """

    list_id: ListId
    change: Change
    person: Person
    old_address: str = ""


Request = CreateList | DeleteList | ImportContacts | UpdateContact


@dataclass(frozen=True, slots=True)
class Envelope:
    """A request whose token is yet to be checked, its data yet to be understood."""

    action: str
    token: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Accepted:
    """The service did it; `list_id` only in the reply to createList."""

    list_id: ListId | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """The service says no, in its own words, which may hold an address."""

    error: str


class MalformedError(ValueError):
    """These bytes are not the protocol."""


class CutError(MalformedError):
    """These bytes are the beginning of a reply, or nothing at all."""


class NotUnderstoodError(ValueError):
    """An envelope asks for what the protocol does not have; the text may be its answer."""


def encode_request(request: Request, token: str) -> bytes:
    """Return a request's body."""
    action, data = _spell(request)
    return _dump({"action": action, "authToken": token, "data": data})


def open_envelope(body: bytes | memoryview) -> Envelope:
    """Read as much of a request as is needed to check its token.

    Raises:
        MalformedError: no JSON object, or one that is longer than any request. An envelope
            without an action or data is one, though: what it lacks is said by `read_request`,
            after the token was checked.
    """
    try:
        fields = read_whole(bytes(body)) if len(body) <= LONGEST_VALUE else _open(body)
    except NotJsonError as error:
        raise MalformedError(f"not a JSON object as expected: {error}") from None
    if not isinstance(fields, dict):
        raise MalformedError("not a JSON object")
    data = fields.get("data")
    return Envelope(
        action=_text(fields.get("action")),
        token=_text(fields.get("authToken")),
        data=data if isinstance(data, dict) else {},
    )


def read_request(envelope: Envelope) -> Request:
    """Understand an envelope's data.

    Raises:
        NotUnderstoodError: an unknown action, or data that misses what the action needs.
    """
    data = envelope.data
    match envelope.action:
        case "createList":
            return CreateList(_needed_text(data, "listName"))
        case "deleteList":
            return DeleteList(_list_id(data))
        case "importContacts":
            return _import(data)
        case "updateContact":
            return _update(data)
    raise NotUnderstoodError("unknown action")


def slices(envelope: Envelope) -> Iterator[Envelope]:
    """Yield a long import as one of few contacts after another; any other request as it is."""
    contacts = envelope.data.get("contacts")
    if envelope.action != "importContacts" or not isinstance(contacts, _Contacts):
        yield envelope
        return
    some = iter(contacts)
    yield _slice(envelope, some)
    while (part := _slice(envelope, some)).data["contacts"]:
        yield part


def read_report(envelope: Envelope) -> MemberReport:
    """Understand an envelope in which a list service tells of a member.

    Its contact needs no id, since a new subscriber has none.

    Raises:
        NotUnderstoodError: another action than updateContact, or data that misses something.
    """
    if envelope.action != "updateContact":
        raise NotUnderstoodError("unknown action: a list reports with updateContact alone")
    data = envelope.data
    change = _change(data)
    person = _person(_fields(data.get("contact")))
    if not person.address:
        raise NotUnderstoodError("a contact's email is missing")
    return MemberReport(_list_id(data), change, person, _old_address(data, change, person))


def encode_reply(reply: Accepted | Refused) -> bytes:
    """Return a reply's body."""
    if isinstance(reply, Refused):
        return _dump({"error": reply.error})
    if reply.list_id is None:
        return _DONE
    return _dump({"success": True, "listId": reply.list_id})


def read_reply(body: bytes) -> Accepted | Refused:
    """Understand a reply's body: success is exactly true, and there is no error.

    Raises:
        CutError: nothing, or an object that does not end.
        MalformedError: anything else that is not the protocol.
    """
    if not body.strip():
        raise CutError("an empty reply")
    try:
        fields = _load(body)
    except MalformedError as error:
        text = body.removeprefix(b"\xef\xbb\xbf").strip()
        if text.startswith(b"{") and not text.endswith(b"}"):
            raise CutError("a reply that was cut") from error
        raise
    if fields.get("error") is not None:
        return Refused(_worded(fields["error"]))
    if fields.get("success") is True:
        return Accepted(_id_or_none(fields.get("listId")))
    if fields.get("success") is False:
        return Refused("no reason given")
    raise MalformedError("a reply with neither success nor error")


def _spell(request: Request) -> tuple[str, dict[str, Any]]:
    match request:
        case CreateList(name):
            return "createList", {"listName": name}
        case DeleteList(list_id):
            return "deleteList", {"listId": list_id}
        case ImportContacts(list_id, contacts):
            people = [_fields_of(contact) for contact in contacts]
            return "importContacts", {"listId": list_id, "contacts": people}
        case UpdateContact(list_id, change, contact, old_address):
            data = {"listId": list_id, "action": str(change), "contact": _fields_of(contact)}
            if old_address:
                data["oldEmail"] = old_address
            return "updateContact", data


def _fields_of(contact: Contact) -> dict[str, Any]:
    person = contact.person
    return {
        "id": int(contact.id),
        "email": person.address,
        "firstName": person.first,
        "lastName": person.last,
    }


def _dump(fields: dict[str, Any]) -> bytes:
    return _ENCODER.encode(fields).encode()


def _load(body: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(body.decode("utf-8-sig"))
    # ValueError: no UTF-8, no JSON, or a number of thousands of digits.
    except (ValueError, RecursionError) as error:
        # `from None`: the decoder's words quote the body, which holds people and a token.
        raise MalformedError(f"no JSON ({type(error).__name__})") from None
    if not isinstance(fields, dict):
        raise MalformedError("JSON, but no object")
    return fields


def _open(body: bytes | memoryview) -> dict[str, Any]:
    """Keep of a long request what the protocol knows."""
    reader = JsonReader(body)
    fields: dict[str, Any] = {}
    for name in reader.members():
        if name == "data" and reader.peek() == "{":
            fields[name] = _open_data(reader, body)
            continue
        value = reader.value()
        if name in _ENVELOPE:
            fields[name] = value
    reader.end()
    return fields


def _open_data(reader: JsonReader, body: bytes | memoryview) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for name in reader.members():
        if name == "contacts" and reader.peek() == "[":
            data[name] = _Contacts(body, reader.tell())
            for _ in reader.elements():
                reader.value()  # which shows that it is one
            continue
        value = reader.value()
        if name in _DATA:
            data[name] = value
    return data


def _slice(envelope: Envelope, contacts: Iterator[dict[str, Any] | None]) -> Envelope:
    return replace(envelope, data={**envelope.data, "contacts": list(islice(contacts, _SLICE))})


class _Contacts:
    """The contacts of a long import, read anew each time that somebody goes through them."""

    def __init__(self, body: bytes | memoryview, at: int) -> None:
        self._body = body
        self._at = at

    def __iter__(self) -> Iterator[dict[str, Any] | None]:
        """Yield of each contact what the protocol knows; None where it is none."""
        reader = JsonReader(self._body, self._at)
        for _ in reader.elements():
            value = reader.value()
            yield _known_fields(value) if isinstance(value, dict) else None


def _known_fields(contact: dict[str, Any]) -> dict[str, Any]:
    """Return what the protocol knows; of a text as much as shows that it is too long."""
    fields: dict[str, Any] = {}
    for name in _CONTACT:
        value = contact.get(name)
        if isinstance(value, str):
            fields[name] = value[: _LONGEST_FIELD + 1]
        elif isinstance(value, int):
            fields[name] = value
    return fields


def _update(data: dict[str, Any]) -> UpdateContact | ImportContacts:
    change = _change(data)
    fields = _fields(data.get("contact"))
    if change is Change.DELETE:
        contact = Contact(_id_of(fields) or NOBODY, _person(fields))
    else:
        contact = _contact(fields)
        if not _has_address(fields):
            return ImportContacts(_list_id(data), (), left_out=1)  # passed over, as in an import
    old_address = _old_address(data, change, contact.person)
    return UpdateContact(_list_id(data), change, contact, old_address)


def _change(data: dict[str, Any]) -> Change:
    try:
        return Change(_text(data.get("action")))
    except ValueError:
        words = "data.action is none of add, update, delete"
        raise NotUnderstoodError(words) from None


def _old_address(data: dict[str, Any], change: Change, person: Person) -> str:
    if change is not Change.UPDATE:
        return ""
    old_address = clean(_text(data.get("oldEmail")))
    return "" if old_address == person.address else old_address


def _import(data: dict[str, Any]) -> ImportContacts:
    people = data.get("contacts")
    if not isinstance(people, list):
        raise NotUnderstoodError("contacts is no array")
    contacts = []
    for value in people:
        with suppress(NotUnderstoodError):
            if _has_address(fields := _fields(value)):
                contacts.append(_contact(fields))
    return ImportContacts(_list_id(data), tuple(contacts), len(people) - len(contacts))


def _contact(fields: dict[str, Any]) -> Contact:
    number = _id_of(fields)
    if number is None:
        raise NotUnderstoodError("a contact's id is no number")
    return Contact(number, _person(fields))


def _id_of(fields: dict[str, Any]) -> ContactId | None:
    number = fields.get("id")
    if isinstance(number, str) and _DIGITS(number):
        number = int(number)
    return ContactId(number) if _is_id(number) else None


def _has_address(fields: dict[str, Any]) -> bool:
    """Whether an address was given, be it an empty one: without any, a contact is passed over."""
    return isinstance(fields.get("email"), str)


def _fields(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise NotUnderstoodError("a contact is no object")
    return value


def _person(fields: dict[str, Any]) -> Person:
    email, first, last = [_text(fields.get(name)) for name in _CONTACT[1:]]
    if max(len(email), len(first), len(last)) > _LONGEST_FIELD:
        raise NotUnderstoodError("a contact's field is too long")
    return Person.of(email, first, last)


def _list_id(data: dict[str, Any]) -> ListId:
    list_id = _id_or_none(data.get("listId"))
    if list_id is None:
        raise NotUnderstoodError("listId is missing")
    return list_id


def _id_or_none(value: object) -> ListId | None:
    if isinstance(value, str):
        return _text(value) or None
    return value if _is_id(value) else None


def _is_id(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST


def _needed_text(data: dict[str, Any], name: str) -> str:
    text = _UNSEEN.sub("", _text(data.get(name))).strip()
    if not text:
        raise NotUnderstoodError(f"{name} is missing")
    if len(text) > _LONGEST_FIELD:
        raise NotUnderstoodError(f"{name} is too long")
    return text


def _text(value: object) -> str:
    if not isinstance(value, str):
        return ""
    try:
        value.encode()
    except UnicodeEncodeError:
        # JSON can spell half a surrogate pair, which no database or socket takes.
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return value


def _worded(error: object) -> str:
    return _text(error) if isinstance(error, str) else json.dumps(error, ensure_ascii=False)
