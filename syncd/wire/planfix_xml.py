"""Planfix's XML API: requests to bytes, replies to values.

Facts are from the Planfix help pages on the XML API, or seen in what public clients send
and receive; where neither speaks, the docstring says "assumed".

A page of contacts can be read in two ways. `read_page` parses all of it. `split_page` cuts
it into one piece of bytes per contact without parsing, so that what was seen before can be
told by its digest, and `parse_pieces` reads the rest. The second way gives what the first
would, or declines:

- Head and tail match to the letter: no namespace, no entity, and no encoding but UTF-8.
- Each piece that is read begins with `<contact>`, and the bytes that end it are the only ones in
  it that look like the end tag of a contact.
- So many pieces are read as so many contacts side by side. Hence each of those ends is one, and
  stands in no comment or CDATA; and none is of a contact inside another. So each piece is one
  contact, whole by itself.
- A piece whose bytes were once read so is that wherever it stands. So on a page that changed,
  only the pieces that are new need a look.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, TypeVar

from lxml import etree

from syncd.core.people import Contact, ContactId, CustomValue, Person

Element: TypeAlias = etree._Element  # noqa: SLF001  (lxml gives its element no public name)
Value: TypeAlias = "str | int | Mapping[str, Value] | Sequence[tuple[str, Value]] | None"
Parameters: TypeAlias = "Mapping[str, Value] | Sequence[tuple[str, Value]]"

T = TypeVar("T")

Fields: TypeAlias = frozenset[int]
"""Custom fields, by their ids."""
NO_FIELDS: Final[Fields] = frozenset()


class BrokenReply(ValueError):  # noqa: N818  (a finding about bytes; the client makes an error of it)
    """These bytes are no reply of Planfix's, or not a whole one."""


class BrokenContent(BrokenReply):
    """The envelope is whole, but something inside it can't be read."""


class Refusal(Exception):  # noqa: N818  (what Planfix said; the client makes an error of it)
    """Planfix answered with an error; codes are text, `0005` and `5` are two."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code)
        self.code = code
        self.message = message


# Requests.

_DECLARATION: Final = b'<?xml version="1.0" encoding="UTF-8"?>\n'

# What XML 1.0 has no place for: code 0003 would come, or a page that can't be parsed.
_FORBIDDEN: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def request(
    method: str,
    account: str,
    parameters: Parameters,
    *,
    sid: str | None = None,
    signature_key: str | None = None,
    silent: bool = False,
) -> bytes:
    """Write a request; a None is left out, an empty text becomes an empty element.

    Planfix leaves an absent value alone, and blanks one that comes as an empty element
    (assumed).
    """
    root = etree.Element("request", method=method)
    _fill(root, [("account", account), ("sid", sid), ("silent", 1 if silent else None)])
    _fill(root, parameters)
    if signature_key is not None:
        _fill(root, [("signature", _signature(root, method, signature_key))])
    return _DECLARATION + etree.tostring(root, encoding="UTF-8", xml_declaration=False)


def _fill(parent: Element, values: Parameters) -> None:
    pairs = values.items() if isinstance(values, Mapping) else values
    for name, value in pairs:
        if value is None:
            continue
        child = etree.SubElement(parent, name)
        if isinstance(value, str):
            child.text = _FORBIDDEN.sub("", value) or None
        elif isinstance(value, int):
            child.text = str(int(value))
        else:
            _fill(child, value)


def _signature(root: Element, method: str, key: str) -> str:
    """Sign a request: the method, every text in the order of element names, then the key.

    Elements of one name stay as they stand, as the help page's sample code does it.
    """
    text = method + "".join(_texts(root)) + key
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _texts(parent: Element) -> Iterator[str]:
    for child in sorted(parent, key=lambda child: str(child.tag)):
        if len(child):
            yield from _texts(child)
        else:
            yield child.text or ""


# Replies.


def _parser() -> etree.XMLParser:
    return etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )


_PARSER: Final = _parser()


def open_reply(body: bytes) -> Element:
    """Return the root of a successful reply.

    Raises:
        BrokenReply: the bytes are not a whole reply.
        Refusal: Planfix answered with an error.
    """
    return _opened(_root(body))


def _opened(root: Element) -> Element:
    if root.tag != "response":
        raise BrokenReply("the root is not a response")
    status = root.get("status")
    if status == "ok":
        return root
    if status == "error":
        raise Refusal(text_of(root, "code"), text_of(root, "message"))
    raise BrokenReply("the response has no known status")


def _root(body: bytes) -> Element:
    if b"<!DOCTYPE" in body:
        raise BrokenReply("it declares a document type")
    try:
        root = etree.fromstring(body, _PARSER)
    except etree.XMLSyntaxError as error:
        raise _fault_of(body) from error
    # In an encoding that hid it above; the stubs lack the attribute.
    if root.getroottree().docinfo.doctype:  # type: ignore[union-attr]
        raise BrokenReply("it declares a document type")
    return root


_WHOLE: Final = re.compile(
    rb"\s*(?:<\?xml[^>]*\?>\s*)?<response\s[^>]*>.*</response>\s*", re.DOTALL
)


def _fault_of(body: bytes) -> BrokenReply:
    if _WHOLE.fullmatch(body):
        return BrokenContent("something in it is no XML")
    return BrokenReply("it is no XML, or cut short")


def text_of(parent: Element, name: str) -> str:
    """Return the text of a direct child, stripped; empty where there is none."""
    return (parent.findtext(name) or "").strip()


def _number_of(parent: Element, name: str) -> int:
    """Return a child's number; 0 stands for none, as it does in Planfix's own replies."""
    text = text_of(parent, name)
    return int(text) if _DIGITS(text) else 0


_DIGITS: Final = re.compile(r"[0-9]{1,18}").fullmatch
_TRUE: Final = frozenset({"1", "true"})


# Pages of contacts, parsed whole.


@dataclass(frozen=True, slots=True)
class ContactPage:
    """One page of contact.getList: `total` is of the whole selection, `count` of the page."""

    total: int
    count: int
    contacts: tuple[Contact, ...]


def read_page(body: bytes, fields: Fields = NO_FIELDS) -> ContactPage:
    """Read a page whole; forbidden control characters are dropped where they stand in the way.

    `fields` are the custom fields that are wanted, by id.

    Raises:
        BrokenContent: the envelope is whole, but not every contact can be read.
        BrokenReply: the bytes are no page, or their counts don't agree.
        Refusal: Planfix answered with an error.
    """
    try:
        root = _root(body)
    except BrokenContent:
        root = _root(_mended(body))
    found = _opened(root).findall("contacts")
    if len(found) != 1:
        raise BrokenReply("it holds no list of contacts")
    elements = found[0].findall("contact")
    total, count = (found[0].get(name, "").strip() for name in ("totalCount", "count"))
    if not (_DIGITS(total) and _DIGITS(count)) or int(count) != len(elements):
        raise BrokenReply("its count is not that of its contacts")
    contacts = tuple(contact for each in elements if (contact := _contact(each, fields)))
    if len(contacts) != len(elements):
        raise BrokenContent("a contact has no id")
    return ContactPage(int(total), int(count), contacts)


_READ: Final = ("id", "email", "name", "lastName", "isCompany")


def _contact(element: Element, fields: Fields) -> Contact | None:
    """Read a contact of a list; None where it has no id.

    The patronymic stays in the first name. A company has its name in `name` alone; what
    stands in its `lastName` is not shown by Planfix either (assumed).
    """
    # From the last on, so that the first of a name counts.
    children = element.iterchildren(*_READ, reversed=True)
    values = {child.tag: child.text or "" for child in children}
    number = values.get("id", "").strip()
    if not _DIGITS(number) or not int(number):
        return None
    company = values.get("isCompany", "").strip().lower() in _TRUE
    person = Person.of(
        values.get("email", ""),
        values.get("name", ""),
        "" if company else values.get("lastName", ""),
    )
    custom: tuple[CustomValue, ...] = ()
    if fields:
        every = map(_custom, element.findall("customData/customValue"))
        custom = tuple(value for value in every if value.field in fields)
    return Contact(ContactId(int(number)), person, custom)


_PROLOGUE: Final = re.compile(rb"\s*<\?xml\b[^>]*\?>")
_ENCODING: Final = re.compile(rb"""\bencoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")
_REFERENCE: Final = re.compile(r"&#(?:x([0-9A-Fa-f]{1,8})|([0-9]{1,10}));")


def _mended(body: bytes) -> bytes:
    """Drop what XML has no place for, as characters or as references to them."""
    prologue = _PROLOGUE.match(body)
    declared = _ENCODING.search(prologue[0]) if prologue else None
    try:
        text = body[prologue.end() if prologue else 0 :].decode(
            declared[1].decode() if declared else "utf-8-sig"
        )
    except (LookupError, UnicodeDecodeError) as error:
        raise BrokenContent("its characters can't be told") from error
    return _REFERENCE.sub(_allowed, _FORBIDDEN.sub("", text)).encode()


def _allowed(reference: re.Match[str]) -> str:
    code = int(reference[1], 16) if reference[1] else int(reference[2])
    if code > 0x10FFFF or _FORBIDDEN.match(chr(code)):  # noqa: PLR2004
        return ""
    return reference[0]


# Pages of contacts, cut into pieces.

_HEAD: Final = re.compile(
    rb"""(?:<\?xml\s+version=["']1\.0["'](?:\s+encoding=["'][Uu][Tt][Ff]-8["'])?\s*\?>)?\s*"""
    rb"""<response\s+status=["']ok["']\s*>\s*<contacts"""
    rb"""(?:\s+totalCount=["'](?P<total>[0-9]{1,18})["']\s+count=["'](?P<count>[0-9]{1,18})["']"""
    rb"""|\s+count=["'](?P<count2>[0-9]{1,18})["']\s+totalCount=["'](?P<total2>[0-9]{1,18})["'])"""
    rb"""\s*(?P<end>/?)>"""
)
_TAIL: Final = re.compile(rb"\s*</contacts\s*>\s*</response\s*>\s*")
_BEGIN: Final = re.compile(rb"\s*<contact>")
_END: Final = b"</contact>"
_ANY_END: Final = b"</contact"
_GUESS: Final = re.compile(rb"<id>\s*([0-9]{1,18})\s*</id>")


@dataclass(frozen=True, slots=True)
class SplitPage:
    """A page cut into pieces of bytes, each up to an end tag; nothing in it has been parsed.

    That a piece is one contact is certain once `parse_pieces` took it, on whatever page.
    """

    total: int
    pieces: Sequence[bytes]
    digests: Sequence[bytes]

    def guess(self, place: int) -> ContactId:
        """Guess the id of a piece's contact, 0 for none.

        To be trusted only where the contact of that id was read from the very same bytes before.
        """
        found = _GUESS.search(self.pieces[place])
        return ContactId(int(found[1]) if found else 0)


def total_of(body: bytes) -> int | None:
    """Return the total in the head of a page that was read before; None where it's unusual."""
    head = _HEAD.match(body)
    return int(head["total"] or head["total2"]) if head else None


def split_page(body: bytes) -> SplitPage | None:
    """Cut a page into pieces; None where its head, its tail or its count is unusual."""
    head = _HEAD.match(body)
    if head is None or head["end"]:
        return None
    *pieces, tail = body[head.end() :].split(_END)
    if len(pieces) != int(head["count"] or head["count2"]) or not _TAIL.fullmatch(tail):
        return None
    digests = [hashlib.sha256(piece).digest() for piece in pieces]
    return SplitPage(int(head["total"] or head["total2"]), pieces, digests)


def parse_pieces(pieces: Sequence[bytes], fields: Fields = NO_FIELDS) -> list[Contact] | None:
    """Read pieces of a split page, in one go; None where it isn't certain that each is a contact.

    The proof is at the top of this file.
    """
    if not pieces:
        return []
    inside = b"".join([piece + _END for piece in pieces])
    if inside.count(_ANY_END) != len(pieces) or not all(map(_BEGIN.match, pieces)):
        return None
    try:
        root = etree.fromstring(b"<pieces>" + inside + b"</pieces>", _PARSER)
    except etree.XMLSyntaxError:
        return None
    elements = list(root)
    if len(elements) != len(pieces):
        return None
    contacts = [_contact(element, fields) for element in elements if element.tag == "contact"]
    readable = [contact for contact in contacts if contact]
    return readable if len(readable) == len(pieces) else None


# Other replies.


@dataclass(frozen=True, slots=True)
class NamedItem:
    """A group, a filter or a kind of phone; `id` is text, since Planfix's own filters have `:`."""

    id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A contact as contact.get shows it; `name` holds the patronymic too, 0 means none."""

    id: ContactId
    userid: int
    general: int
    name: str
    mid_name: str
    last_name: str
    is_company: bool
    email: str
    secondary_emails: tuple[str, ...]
    group: NamedItem | None
    custom: tuple[CustomValue, ...]


@dataclass(frozen=True, slots=True)
class Employee:
    """The employee or robot behind a token; `status` is ACTIVE or UNACTIVE (sic)."""

    id: int
    name: str
    role: str
    status: str
    timezone: str


def sid_of(reply: Element) -> str:
    """Return the session of auth.login."""
    sid = text_of(reply, "sid")
    if not sid:
        raise BrokenReply("it holds no session")
    return sid


def contact_id_of(reply: Element) -> ContactId:
    """Return the id in the reply to contact.add, update, updateCustomData or delete."""
    number = _number_of(_child(reply, "contact"), "id")
    if not number:
        raise BrokenReply("it names no contact")
    return ContactId(number)


def card_of(reply: Element) -> Card:
    """Read the reply to contact.get."""
    contact = _child(reply, "contact")
    group = contact.find("group")
    return Card(
        id=contact_id_of(reply),
        userid=_number_of(contact, "userid"),
        general=_number_of(contact, "general"),
        name=text_of(contact, "name"),
        mid_name=text_of(contact, "midName"),
        last_name=text_of(contact, "lastName"),
        is_company=text_of(contact, "isCompany").lower() in _TRUE,
        email=text_of(contact, "email"),
        secondary_emails=tuple(
            text for each in contact.findall("secondaryEmails/email") if (text := _stripped(each))
        ),
        group=_item(group) if group is not None and _number_of(group, "id") else None,
        custom=tuple(_custom(each) for each in contact.findall("customData/customValue")),
    )


def _custom(element: Element) -> CustomValue:
    field = element.find("field")
    return CustomValue(
        field=_number_of(field, "id") if field is not None else 0,
        name=text_of(field, "name") if field is not None else "",
        value=text_of(element, "value"),
        text=text_of(element, "text"),
    )


def groups_of(reply: Element) -> tuple[NamedItem, ...]:
    """Read the reply to contact.getGroupList."""
    return _each(_child(reply, "contactGroups"), "group", _item)


def filters_of(reply: Element) -> tuple[NamedItem, ...]:
    """Read the reply to contact.getFilterList, whose elements are written ID and Name."""
    return _each(
        _child(reply, "contactFilterList"),
        "contactFilter",
        lambda found: NamedItem(text_of(found, "ID"), text_of(found, "Name")),
    )


def phone_types_of(reply: Element) -> tuple[NamedItem, ...]:
    """Read the reply to contact.getPhoneTypes."""
    return _each(_child(reply, "phoneTypes"), "phoneType", _item)


def employee_of(reply: Element) -> Employee:
    """Read the reply to user.get."""
    user = _child(reply, "user")
    return Employee(
        id=_number_of(user, "id"),
        name=" ".join(filter(None, (text_of(user, "name"), text_of(user, "lastName")))),
        role=text_of(user, "role"),
        status=text_of(user, "status"),
        timezone=text_of(user, "timezone"),
    )


def _item(element: Element) -> NamedItem:
    return NamedItem(text_of(element, "id"), text_of(element, "name"))


def _each(parent: Element, name: str, read: Callable[[Element], T]) -> tuple[T, ...]:
    found: Iterable[Element] = parent.findall(name)
    return tuple(read(each) for each in found)


def _child(parent: Element, name: str) -> Element:
    found = parent.find(name)
    if found is None:
        raise BrokenReply(f"it holds no {name}")
    return found


def _stripped(element: Element) -> str:
    return (element.text or "").strip()
