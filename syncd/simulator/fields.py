"""What the contact element of a write sets, and what Planfix refuses of it."""

import re
from collections.abc import Mapping
from typing import Any, Final

from lxml import etree

from syncd.simulator.book import ContactBook
from syncd.simulator.people import PHONE_TYPES, SimulatedContact
from syncd.simulator.request import Refused, ids, integer

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
WRITABLE: Final = _TEXTS.keys() | {
    "template", "phones", "secondaryEmails", "lang", "canBeWorker", "canBeClient", "group",
    "customData", "responsible",
}  # fmt: skip
_ADDRESS: Final = re.compile(r"[^@\s<>,;]+@[^@\s<>,;.]+(\.[^@\s<>,;.]+)+").fullmatch
_DATE: Final = re.compile(r"\d\d-\d\d-\d{4}( \d\d:\d\d)?").fullmatch


def written(
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
                fields["template"] = integer(text)
            case "phones":
                fields["phones"] = tuple(_phone(phone) for phone in child)
            case "secondaryEmails":
                fields["secondary_emails"] = tuple((one.text or "").strip() for one in child)
            case "group":
                fields["group"] = integer(child.findtext("id") or "0")
            case "telegram":
                fields["telegram"] = child.findtext("id") or ""
            case "responsible":
                fields["responsible_users"] = ids(child.find("users"))
                fields["responsible_groups"] = ids(child.find("groups"))
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
        field = integer(custom.findtext("id"))
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


def refuse_taken(
    book: ContactBook, fields: Mapping[str, Any], own: SimulatedContact | None = None
) -> None:
    """Refuse addresses that anybody but `own` has."""
    addresses = own.addresses if own else ()
    if any(book.in_use(address, addresses) for address in _addresses(fields)):
        raise Refused("8007")
