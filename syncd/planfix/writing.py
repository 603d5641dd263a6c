"""What a run writes to Planfix: only what changed, and only where it still is as it was read.

There is no version check, and the later writer wins (the Planfix help page on contact.update):
so each write reads first, and is silent. Every function here may be repeated, but `create`.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from syncd.core.address import key_of
from syncd.core.people import Contact, ContactId, Person
from syncd.core.plan import ItemResult, Result
from syncd.errors import ItemError
from syncd.planfix.contacts import FURTHER_ADDRESS, MAIN_ADDRESS, Contacts
from syncd.wire.planfix_xml import Card

_TARGETS: Final = ("contact", "company")
_TAKEN: Final = "8007"


def find(planfix: Contacts, address: str) -> tuple[ContactId, ...]:
    """Return whose main or additional address this is, persons and companies, by id.

    The filters match parts of addresses, so each contact they show is compared. An additional
    address stands in contact.get alone.
    """
    key = key_of(address)
    found = {
        contact.id
        for contact in _shown(planfix, address, MAIN_ADDRESS)
        if contact.person.key == key
    }
    for contact in (shown.id for shown in _shown(planfix, address, FURTHER_ADDRESS)):
        if contact not in found and key in map(key_of, planfix.get(contact).secondary_emails):
            found.add(contact)
    return tuple(sorted(found))


def correct(planfix: Contacts, contact: ContactId, *, was: Person, wanted: Person) -> ItemResult:
    """Write the fields in which `wanted` differs from `was`, where they still are as read.

    A field that has the wanted value already is left alone; one that has neither is somebody's
    later word: Result.CHANGED, and nothing is written; so where somebody else has the address,
    Result.TAKEN. Either value may be one that we wrote: a first name is known again with its
    patronymic. Any other refusal of Planfix's is Result.FAILED.
    """
    try:
        card = planfix.get(contact)
        changes = _changes(was, wanted, person_of(card), card.mid_name)
        if changes is None:
            return ItemResult(Result.CHANGED, "changed in Planfix meanwhile")
        if not changes:
            return ItemResult(Result.UNCHANGED)
        name = changes.get("first", "")
        planfix.update(
            contact,
            name=_without_patronymic(name, card.mid_name),
            mid_name=card.mid_name if name else "",
            last_name=changes.get("last", ""),
            address=changes.get("address", ""),
        )
    except ItemError as refusal:
        return _refused(refusal)
    return ItemResult(Result.DONE)


def create(planfix: Contacts, person: Person) -> ItemResult:
    """Add a person's contact, unless somebody has the address already: Result.CHANGED.

    The result names the contact that was made.

    Raises:
        AmbiguousError: it may have been added.
    """
    try:
        if find(planfix, person.address):
            return ItemResult(Result.CHANGED, "Planfix has the address outside the selection")
        made = planfix.add(address=person.address, name=person.first, last_name=person.last)
    except ItemError as refusal:
        return _refused(refusal)
    return ItemResult(Result.DONE, contact=made)


def mark(planfix: Contacts, contact: ContactId, *, field: int, value: str) -> ItemResult:
    """Set a custom field and see that it reads back so; unchanged where it did before.

    A field whose values are records of a directory reads back an id, with the label beside it
    (seen in client code): either counts.
    """
    try:
        if _says(planfix.get(contact), field, value):
            return ItemResult(Result.UNCHANGED)
        planfix.update_custom_data(contact, {field: value})
        if _says(planfix.get(contact), field, value):
            return ItemResult(Result.DONE)
    except ItemError as refusal:
        return ItemResult(Result.FAILED, str(refusal))
    return ItemResult(Result.FAILED, f"custom field {field} does not take the value {value!r}")


def says(planfix: Contacts, contact: ContactId, *, field: int, value: str) -> bool:
    """Say whether a custom field has a value; a contact that can't be seen says nothing."""
    try:
        return _says(planfix.get(contact), field, value)
    except ItemError:
        return False


def person_of(card: Card) -> Person:
    """Return a contact of contact.get as contact.getList gives it: a company has no last name."""
    return Person.of(card.email, card.name, "" if card.is_company else card.last_name)


def _refused(refusal: ItemError) -> ItemResult:
    if refusal.code == _TAKEN:
        return ItemResult(Result.TAKEN, "somebody else in Planfix has the address")
    return ItemResult(Result.FAILED, str(refusal))


def _shown(planfix: Contacts, address: str, kind: int) -> Iterator[Contact]:
    for target in _TARGETS:
        yield from planfix.listed(target, address=address, kind=kind)


def _changes(was: Person, wanted: Person, now: Person, mid_name: str) -> Mapping[str, str] | None:
    """Return the values to write, by field; None where one of them is no longer as it was."""
    changes: dict[str, str] = {}
    for name in ("address", "first", "last"):
        before, after, current = (getattr(person, name) for person in (was, wanted, now))
        if name == "first" and mid_name:
            # `wanted` was read with this patronymic, so it is the name alone that differs.
            if after.endswith(f" {mid_name}"):
                before = _with_patronymic(before, mid_name)
            if current == _with_patronymic(after, mid_name):
                continue
        if after in {before, current, ""}:
            continue
        if current != before:
            return None
        changes[name] = after
    return changes


def _with_patronymic(name: str, mid_name: str) -> str:
    """Return a first name as Planfix reads it back, whether it is one already or not."""
    return f"{_without_patronymic(name, mid_name)} {mid_name}"


def _without_patronymic(name: str, mid_name: str) -> str:
    """Return the first name alone: Planfix reads it back with the patronymic behind it."""
    return name.removesuffix(f" {mid_name}") if mid_name else name


def _says(card: Card, field: int, value: str) -> bool:
    return any(custom.says(value) for custom in card.custom if custom.field == field)
