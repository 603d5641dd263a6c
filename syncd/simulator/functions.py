"""The functions of Planfix's XML API, as strict as its documentation.

Each takes the contact book and a request and returns what stands inside `<response>`, or
raises Refused with the code that Planfix would answer. Where no source settles what Planfix
does, the reading is the one that finds most faults in a client.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from lxml import etree

from syncd.simulator.book import ContactBook
from syncd.simulator.faults import Page
from syncd.simulator.fields import WRITABLE, refuse_taken, written
from syncd.simulator.people import PHONE_TYPES, SimulatedContact, element
from syncd.simulator.request import Refused, SimulatedRequest, boolean, ids, integer, positive

_PAGE_SIZE_MAX: Final = 100
# The real default is not documented: a small one finds out who relies on it.
_PAGE_SIZE: Final = 20
_ENVELOPE: Final = {"account", "sid", "silent", "signature"}
_SELECTORS: Final = ("general", "userid", "id")  # in contact.get the first one given wins
_USER_INFO: Final = {
    "password", "status", "email", "jabber", "pic", "notifyByEmail", "notifyByJabber",
    "notifyByPlanfix",
}  # fmt: skip
_FILTERS: Final[dict[str, Callable[[SimulatedContact], Iterable[str]]]] = {
    "4001": lambda contact: (f"{contact.read_name} {contact.last_name}",),
    "4003": lambda contact: (number for number, _ in contact.phones),
    "4005": lambda contact: (contact.email,),
    "4014": lambda contact: (contact.read_name,),
    "4015": lambda contact: (contact.last_name,),
    "4221": lambda contact: contact.secondary_emails,
}


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
    number = positive(request, "pageCurrent", 1)
    size = positive(request, "pageSize", _PAGE_SIZE)
    if size > _PAGE_SIZE_MAX:
        raise Refused("0021")
    listing = book.listing(request.text("target") or "contact")
    if listing is None:
        raise Refused("0015")
    listing = _narrowed(book, request, listing)
    start = (number - 1) * size
    shown = listing[start : start + size]
    page = Page(listing=listing, start=start, ids=shown, total=len(listing), count=len(shown))
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
    node = _contact_node(request, WRITABLE | {"isCompany"})
    fields = written(book, node)
    is_company = boolean(request.text("contact/isCompany") or "0")
    if not fields.get("name"):
        raise Refused("8003")
    refuse_taken(book, fields)
    contact_id = book.add(is_company=is_company, **fields)
    contact = book.contacts[contact_id]
    return (
        f"<contact><id>{contact_id}</id><userid>{contact.userid}</userid>"
        f"<general>{contact.general}</general></contact>{_action(book, request, contact_id)}"
    )


def update(book: ContactBook, request: SimulatedRequest) -> str:
    """Change the fields given: an empty one is blanked, an absent one stays."""
    node = _contact_node(request, WRITABLE | {"telegram", *_SELECTORS})
    contact = _writable(book, request)
    fields = written(book, node, contact)
    if not fields.get("name", contact.name) and not fields.get("last_name", contact.last_name):
        raise Refused("8004")
    refuse_taken(book, fields, contact)
    book.edit(contact.id, **fields)
    return _changed(book, request, contact)


def update_custom_data(book: ContactBook, request: SimulatedRequest) -> str:
    """Change custom fields alone."""
    node = _contact_node(request, {"customData", *_SELECTORS})
    if node.find("customData") is None:
        raise Refused("0009")
    contact = _writable(book, request)
    book.edit(contact.id, **written(book, node, contact))
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
    access = boolean(request.text("contact/havePlanfixAccess"))
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
    added = ids(contractors.find("addClient"))
    removed = ids(contractors.find("delClient"))
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


def _narrowed(book: ContactBook, request: SimulatedRequest, listing: list[int]) -> list[int]:
    tests: list[Callable[[SimulatedContact], bool]] = []
    if company := request.text("company"):
        number = integer(company)
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
        return listing
    contacts = ((one, book.find("id", one)) for one in listing)
    return [one for one, contact in contacts if contact and all(test(contact) for test in tests)]


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
            contact = book.find(selector, integer(value))
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


def _changed(book: ContactBook, request: SimulatedRequest, contact: SimulatedContact) -> str:
    return (
        f"<contact><id>{contact.id}</id><general>{contact.general}</general></contact>"
        f"{_action(book, request, contact.id)}"
    )


def _action(book: ContactBook, request: SimulatedRequest, contact_id: int) -> str:
    """Return the action that a write leaves in the contact's log: none where it is silent."""
    if request.silent:
        return "<actionid/>"
    book.notified.append((request.method, contact_id))
    return f"<actionid>{70000 + len(book.notified)}</actionid>"
