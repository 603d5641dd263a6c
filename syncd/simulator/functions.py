"""The functions of Planfix's XML API, as strict as its documentation.

Each takes the contact book and a request and returns what stands inside `<response>`, or
raises Refused with the code that Planfix would answer. Where no source settles what Planfix
does, the reading is the one that finds most faults in a client.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeAlias

from lxml import etree

from syncd.simulator.book import ContactBook
from syncd.simulator.faults import Page
from syncd.simulator.people import PHONE_TYPES, SimulatedContact, element

Value: TypeAlias = "str | list[Value] | dict[str, Value]"

_PAGE_SIZE_MAX: Final = 100
# The real default is not documented: a small one finds out who relies on it.
_PAGE_SIZE: Final = 20
_ENVELOPE: Final = {"account", "sid", "silent", "signature"}
_TEXTS: Final = {
    "name": "name",
    "midName": "mid_name",
    "lastName": "last_name",
    "post": "post",
    "email": "email",
    "address": "address",
    "description": "description",
    "sex": "sex",
    "site": "site",
    "skype": "skype",
    "facebook": "facebook",
    "vk": "vk",
    "icq": "icq",
    "birthdate": "birthdate",
}
_WRITABLE: Final = _TEXTS.keys() | {
    "template", "phones", "secondaryEmails", "lang", "canBeWorker", "canBeClient", "group",
    "customData", "responsible",
}  # fmt: skip
_SELECTORS: Final = ("general", "userid", "id")  # in contact.get the first one given wins
_USER_INFO: Final = {
    "password", "status", "email", "jabber", "pic", "notifyByEmail", "notifyByJabber",
    "notifyByPlanfix",
}  # fmt: skip
_ADDRESS: Final = re.compile(r"[^@\s<>,;]+@[^@\s<>,;.]+(\.[^@\s<>,;.]+)+").fullmatch
_DATE: Final = re.compile(r"\d\d-\d\d-\d{4}( \d\d:\d\d)?").fullmatch
_FILTERS: Final[dict[str, Callable[[SimulatedContact], Iterable[str]]]] = {
    "4001": lambda contact: (f"{contact.read_name} {contact.last_name}",),
    "4003": lambda contact: (number for number, _ in contact.phones),
    "4005": lambda contact: (contact.email,),
    "4014": lambda contact: (contact.read_name,),
    "4015": lambda contact: (contact.last_name,),
    "4221": lambda contact: contact.secondary_emails,
}


class Refused(Exception):  # noqa: N818 - a refusal of Planfix's is no error of ours
    """Planfix's refusal of a call, by its code."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class SimulatedRequest:
    """A call as it came in; `method` is empty where it was no request at all."""

    method: str
    root: etree._Element
    at: datetime

    @property
    def sid(self) -> str:
        """The session of a login by password, empty with a token."""
        return self.text("sid")

    @property
    def silent(self) -> bool:
        """Whether a write is to notify nobody."""
        return self.text("silent") == "1"

    @property
    def page(self) -> int:
        """The page asked for, 1 where none is."""
        number = self.text("pageCurrent")
        return int(number) if number.isdecimal() else 1

    @property
    def parameters(self) -> Value:
        """The parameters, nested as they came, without account, sid and signature."""
        values = _value(self.root)
        if not isinstance(values, dict):
            return {}
        return {
            name: value
            for name, value in values.items()
            if name not in {"account", "sid", "signature"}
        }

    def text(self, path: str) -> str:
        """Return the text at a path such as `contact/email`, empty where there is none."""
        return (self.root.findtext(path) or "").strip()


def _value(node: etree._Element) -> Value:
    children = list(node)
    if not children:
        return node.text or ""
    names = [child.tag for child in children]
    if len(names) > len(set(names)):
        return [_value(child) for child in children]
    return {str(child.tag): _value(child) for child in children}


def user_get(book: ContactBook, request: SimulatedRequest) -> str:
    """Tell who an employee is; without a selector, the robot that owns the token."""
    if request.text("user/id") not in {"", "9001"} or request.text("user/general") not in {"", "5"}:
        raise Refused("6004")
    return (
        "<user><id>9001</id><general>5</general><name>Робот</name><lastName>Syncd</lastName>"
        f"<midName/><login/><email/><secondaryEmails/><role>{book.role}</role>"
        f"<status>{book.status}</status><birthdate/><sex/><phones/>"
        "<isInvisibleOutOfGroup>0</isInvisibleOutOfGroup><isBlindOutOfGroup>0</isBlindOutOfGroup>"
        "<userPic/><isOnline>0</isOnline><timezone>Europe/Moscow</timezone>"
        "<post><id>0</id><name></name></post><userGroups/></user>"
    )


def get_list(book: ContactBook, request: SimulatedRequest) -> bytes:
    """Return one page of a listing."""
    number = _positive(request, "pageCurrent", 1)
    size = _positive(request, "pageSize", _PAGE_SIZE)
    if size > _PAGE_SIZE_MAX:
        raise Refused("0021")
    listing = book.listing(request.text("target") or "contact")
    if listing is None:
        raise Refused("0015")
    listing = _narrowed(book, request, listing)
    start = (number - 1) * size
    ids = listing[start : start + size]
    page = Page(listing=listing, start=start, ids=ids, total=len(listing), count=len(ids))
    book.faults.lie(page, number)
    head = f'<contacts totalCount="{page.total}" count="{page.count}"'
    if not page.ids:
        return f"{head}/>".encode()
    dates = _asked_dates(request)
    pieces = [f"{head}>".encode()]
    for contact_id in page.ids:
        pieces.append(book.listed(contact_id))
        if dates:
            pieces.append(_dates(book, contact_id, dates))
        pieces.append(b"</contact>")
    pieces.append(b"</contacts>")
    return b"".join(pieces)


def get(book: ContactBook, request: SimulatedRequest) -> bytes:
    """Return one contact in full."""
    _contact_node(request, _SELECTORS)
    contact = _selected(book, request, _SELECTORS)
    dates = _dates(book, contact.id, _asked_dates(request))
    return book.full(contact) + dates + b"</contact>"


def add(book: ContactBook, request: SimulatedRequest) -> str:
    """Add a contact; its address may be nobody else's."""
    node = _contact_node(request, _WRITABLE | {"isCompany"})
    fields = _written(book, node)
    is_company = _boolean(request.text("contact/isCompany") or "0")
    if not fields.get("name"):
        raise Refused("8003")
    _refuse_taken(book, fields)
    contact_id = book.add(is_company=is_company, **fields)
    contact = book.contacts[contact_id]
    return (
        f"<contact><id>{contact_id}</id><userid>{contact.userid}</userid>"
        f"<general>{contact.general}</general></contact>{_action(book, request, contact_id)}"
    )


def update(book: ContactBook, request: SimulatedRequest) -> str:
    """Change the fields given: an empty one is blanked, an absent one stays."""
    node = _contact_node(request, _WRITABLE | {"telegram", *_SELECTORS})
    contact = _writable(book, request)
    fields = _written(book, node, contact)
    if not fields.get("name", contact.name) and not fields.get("last_name", contact.last_name):
        raise Refused("8004")
    _refuse_taken(book, fields, contact)
    book.edit(contact.id, **fields)
    return _changed(book, request, contact)


def update_custom_data(book: ContactBook, request: SimulatedRequest) -> str:
    """Change custom fields alone."""
    node = _contact_node(request, {"customData", *_SELECTORS})
    if node.find("customData") is None:
        raise Refused("0009")
    contact = _writable(book, request)
    book.edit(contact.id, **_written(book, node, contact))
    return _changed(book, request, contact)


def delete(book: ContactBook, request: SimulatedRequest) -> str:
    """Delete a contact."""
    _contact_node(request, set(_SELECTORS))
    contact = _writable(book, request)
    book.delete(contact.id)
    _action(book, request, contact.id)
    return f"<contact><id>{contact.id}</id></contact>"


def manage_access(book: ContactBook, request: SimulatedRequest) -> str:
    """Grant or withdraw access to Planfix; a grant sends a letter, silent or not."""
    node = _contact_node(request, {"email", "havePlanfixAccess", *_SELECTORS})
    contact = _writable(book, request)
    if node.find("havePlanfixAccess") is None:
        raise Refused("0009")
    access = _boolean(request.text("contact/havePlanfixAccess"))
    if access and not (request.text("contact/email") or contact.email):
        raise Refused("8006")
    book.edit(contact.id, has_access=access)
    if access:
        book.notified.append((request.method, contact.id))
    granted = "NOTICE_RESEND" if contact.has_access else "NOTICE_SEND"
    status = granted if access else "ACCESS_CANCELED"
    return f"<contact><id>{contact.id}</id><status>{status}</status></contact>"


def update_user_info(book: ContactBook, request: SimulatedRequest) -> str:
    """Take login data of a contact who has access; nothing of it can be read back."""
    node = _contact_node(request, {"user", *_SELECTORS})
    contact = _writable(book, request)
    user = node.find("user")
    if user is None:
        raise Refused("0009")
    if not contact.has_access:
        raise Refused("8005")
    if any(child.tag not in _USER_INFO for child in user) or (
        request.text("contact/user/status") not in {"", "ACTIVE", "UNACTIVE"}
    ):
        raise Refused("0015")
    book.notified.append((request.method, contact.id))
    return f"<contact><id>{contact.id}</id></contact>"


def update_contractors(book: ContactBook, request: SimulatedRequest) -> str:
    """Change which companies a person belongs to."""
    node = _contact_node(request, {"contractors", *_SELECTORS})
    contact = _writable(book, request)
    contractors = node.find("contractors")
    if contractors is None:
        raise Refused("0009")
    if any(child.tag not in {"addClient", "delClient"} for child in contractors):
        raise Refused("0015")
    added = _ids(contractors.find("addClient"))
    removed = _ids(contractors.find("delClient"))
    for company in added:
        if company not in book.contacts or not book.contacts[company].is_company:
            raise Refused("7002")
    kept = dict.fromkeys((*contact.companies, *added))
    book.edit(contact.id, companies=tuple(one for one in kept if one not in removed))
    _action(book, request, contact.id)
    return f"<contact><id>{contact.id}</id></contact>"


def get_group_list(book: ContactBook, _: SimulatedRequest) -> str:
    """Return the groups of contacts."""
    groups = "".join(
        f"<group><id>{number}</id>{element('name', name)}</group>"
        for number, name in book.groups.items()
    )
    count = len(book.groups)
    return f'<contactGroups count="{count}" totalCount="{count}">{groups}</contactGroups>'


def get_filter_list(book: ContactBook, _: SimulatedRequest) -> str:
    """Return the filters; their ID and Name are spelt with capitals."""
    filters = "".join(
        f"<contactFilter>{element('ID', number)}{element('Name', name)}</contactFilter>"
        for number, name in book.filters.items()
    )
    count = len(book.filters)
    return f'<contactFilterList totalCount="{count}">{filters}</contactFilterList>'


def get_phone_types(_: ContactBook, __: SimulatedRequest) -> str:
    """Return the types of phone numbers."""
    types = "".join(
        f"<phoneType><id>{number}</id>{element('name', name)}</phoneType>"
        for number, name in PHONE_TYPES.items()
    )
    return f'<phoneTypes totalCount="{len(PHONE_TYPES)}">{types}</phoneTypes>'


@dataclass(frozen=True, slots=True)
class Function:
    """A function, the parameters it takes beside the envelope, and those it must have."""

    run: Callable[[ContactBook, SimulatedRequest], str | bytes]
    takes: frozenset[str]
    needs: frozenset[str] = frozenset()


_CONTACT: Final = frozenset({"contact"})
FUNCTIONS: Final[Mapping[str, Function]] = {
    "user.get": Function(user_get, frozenset({"user"})),
    "contact.getList": Function(
        get_list,
        frozenset({"pageCurrent", "pageSize", "target", "company", "search", "filters", "fields"}),
    ),
    "contact.get": Function(get, _CONTACT | {"fields"}, _CONTACT),
    "contact.add": Function(add, _CONTACT, _CONTACT),
    "contact.update": Function(update, _CONTACT, _CONTACT),
    "contact.updateCustomData": Function(update_custom_data, _CONTACT, _CONTACT),
    "contact.delete": Function(delete, _CONTACT, _CONTACT),
    "contact.managePlanfixAccess": Function(manage_access, _CONTACT, _CONTACT),
    "contact.updateUserInfo": Function(update_user_info, _CONTACT, _CONTACT),
    "contact.updateContractors": Function(update_contractors, _CONTACT, _CONTACT),
    "contact.getGroupList": Function(get_group_list, frozenset()),
    "contact.getFilterList": Function(get_filter_list, frozenset()),
    "contact.getPhoneTypes": Function(get_phone_types, frozenset()),
}


def run(book: ContactBook, request: SimulatedRequest) -> bytes:
    """Carry a request out; the caller has checked who sends it.

    Raises:
        Refused: Planfix does not do that.
    """
    function = FUNCTIONS.get(request.method)
    if function is None:
        raise Refused("0008")
    given = {child.tag for child in request.root}
    if given - _ENVELOPE - function.takes:
        raise Refused("0015")
    if function.needs - given:
        raise Refused("0009")
    with book.lock:
        content = function.run(book, request)
    return content if isinstance(content, bytes) else content.encode()


# What the functions share.


def _positive(request: SimulatedRequest, name: str, default: int) -> int:
    if request.root.find(name) is None:
        return default
    number = _integer(request.text(name))
    if number < 1:
        raise Refused("0015")
    return number


def _integer(text: str | None) -> int:
    if not re.fullmatch("[0-9]{1,18}", text or ""):
        raise Refused("0015")
    return int(text or "")


def _boolean(text: str) -> bool:
    if text not in {"0", "1", "true", "false"}:
        raise Refused("0015")
    return text in {"1", "true"}


def _ids(node: etree._Element | None) -> tuple[int, ...]:
    if node is None:
        return ()
    if any(child.tag != "id" for child in node):
        raise Refused("0015")
    return tuple(_integer(child.text) for child in node)


def _narrowed(book: ContactBook, request: SimulatedRequest, ids: list[int]) -> list[int]:
    tests: list[Callable[[SimulatedContact], bool]] = []
    if company := request.text("company"):
        number = _integer(company)
        tests.append(lambda contact: number in contact.companies)
    if search := request.text("search").casefold():
        tests.append(
            lambda contact: any(
                search in text.casefold()
                for text in (contact.read_name, contact.last_name, contact.email)
            )
        )
    tests.extend(_filter_test(node) for node in request.root.iterfind("filters/filter"))
    if not tests:
        return ids
    everybody = book.templates | dict(book.contacts)
    return [one for one in ids if all(test(everybody[one]) for test in tests)]


def _filter_test(node: etree._Element) -> Callable[[SimulatedContact], bool]:
    texts = _FILTERS.get(node.findtext("type") or "")
    operator = node.findtext("operator")
    value = (node.findtext("value") or "").strip().casefold()
    if texts is None or operator not in {"equal", "notequal"} or not value:
        raise Refused("0015")
    wanted = operator == "equal"
    return lambda contact: any(value in text.casefold() for text in texts(contact)) == wanted


def _asked_dates(request: SimulatedRequest) -> list[str]:
    asked = [field.text for field in request.root.iterfind("fields/field")]
    return [name for name in ("lastUpdateDate", "lastCommentDate") if name in asked]


def _dates(book: ContactBook, contact_id: int, names: list[str]) -> bytes:
    contact = book.contacts.get(contact_id)
    values = {"lastUpdateDate": contact.last_update if contact else ""}
    return "".join(element(name, values.get(name, "")) for name in names).encode()


def _contact_node(request: SimulatedRequest, allowed: Iterable[str]) -> etree._Element:
    node = request.root.find("contact")
    if node is None or not len(node):
        raise Refused("0009")
    if {child.tag for child in node}.difference(allowed):
        raise Refused("0015")
    return node


def _selected(
    book: ContactBook, request: SimulatedRequest, order: Iterable[str]
) -> SimulatedContact:
    for selector in order:
        if value := request.text(f"contact/{selector}"):
            contact = book.find(selector, _integer(value))
            break
    else:
        raise Refused("0009")
    if contact is None:
        raise Refused("8002")
    if book.is_hidden(contact.id):
        raise Refused("8001")
    return contact


def _writable(book: ContactBook, request: SimulatedRequest) -> SimulatedContact:
    # The other way round than in contact.get: general counts only where there is no id.
    contact = _selected(book, request, reversed(_SELECTORS))
    if contact.id in book.templates:
        raise Refused("8001")
    return contact


def _written(
    book: ContactBook, node: etree._Element, before: SimulatedContact | None = None
) -> dict[str, Any]:
    """Return the fields that a contact element sets, by their names in SimulatedContact."""
    fields: dict[str, Any] = {}
    for child in node:
        text = (child.text or "").strip()
        match str(child.tag):
            case tag if tag in _TEXTS:
                fields[_TEXTS[tag]] = text
            case "template":
                fields["template"] = _integer(text)
            case "phones":
                fields["phones"] = tuple(_phone(phone) for phone in child)
            case "secondaryEmails":
                fields["secondary_emails"] = tuple((one.text or "").strip() for one in child)
            case "group":
                fields["group"] = _integer(child.findtext("id") or "0")
            case "telegram":
                fields["telegram"] = child.findtext("id") or ""
            case "responsible":
                fields["responsible_users"] = _ids(child.find("users"))
                fields["responsible_groups"] = _ids(child.find("groups"))
            case "customData":
                fields["custom"] = _custom(book, child, before)
    _refuse_bad(book, fields)
    return fields


def _phone(node: etree._Element) -> tuple[str, str]:
    kind = node.findtext("typeId") or "1"
    number = (node.findtext("number") or "").strip()
    if node.tag != "phone" or kind not in PHONE_TYPES or not number:
        raise Refused("0015")
    return number, kind


def _custom(
    book: ContactBook, node: etree._Element, before: SimulatedContact | None
) -> dict[int, str]:
    values = dict(before.custom) if before else {}
    for custom in node:
        # The shape of a reply, field/id, is refused: it is not the one of a request.
        field = _integer(custom.findtext("id"))
        value = custom.find("value")
        if field not in book.custom_fields or value is None:
            raise Refused("0015")
        values[field] = (value.text or "").strip()
    return values


def _refuse_bad(book: ContactBook, fields: Mapping[str, Any]) -> None:
    if any(not _ADDRESS(address) for address in _addresses(fields)):
        raise Refused("8010")
    templates = {template.general for template in book.templates.values()}
    good = (
        fields.get("sex", "") in {"", "MALE", "FEMALE"}
        and (not fields.get("birthdate") or _DATE(fields["birthdate"]))
        and fields.get("template", 1) in templates
        and fields.get("group", 0) in {0, *book.groups}
        and book.employees.keys() >= set(fields.get("responsible_users", ()))
        and book.employee_groups.keys() >= set(fields.get("responsible_groups", ()))
    )
    if not good:
        raise Refused("0015")


def _addresses(fields: Mapping[str, Any]) -> tuple[str, ...]:
    main = (fields["email"],) if fields.get("email") else ()
    return (*main, *fields.get("secondary_emails", ()))


def _refuse_taken(
    book: ContactBook, fields: Mapping[str, Any], own: SimulatedContact | None = None
) -> None:
    addresses = own.addresses if own else ()
    if any(book.in_use(address, addresses) for address in _addresses(fields)):
        raise Refused("8007")


def _changed(book: ContactBook, request: SimulatedRequest, contact: SimulatedContact) -> str:
    ids = f"<contact><id>{contact.id}</id><general>{contact.general}</general></contact>"
    return ids + _action(book, request, contact.id)


def _action(book: ContactBook, request: SimulatedRequest, contact_id: int) -> str:
    """Return the action that a write leaves in the contact's log: none where it is silent."""
    if request.silent:
        return "<actionid/>"
    book.notified.append((request.method, contact_id))
    return f"<actionid>{70000 + len(book.notified)}</actionid>"
