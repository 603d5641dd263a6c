"""People as the two sides know them."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple, NewType

from syncd.core.address import AddressKey, clean, fault_of, key_of

ContactId = NewType("ContactId", int)

NOBODY: Final = ContactId(0)
"""Stands for the contact of somebody who has none; Planfix gives no contact this number."""


class MemberStatus(StrEnum):
    """What a list says of a member."""

    ACTIVE = "active"
    PENDING = "pending"  # asked to confirm, no answer yet
    DISABLED = "disabled"  # delivery is off; still a member
    UNSUBSCRIBED = "unsubscribed"  # complaints too, where a list tells them from bounces
    BLOCKED = "blocked"  # the address bounces
    UNKNOWN = "unknown"  # a word of the list's that nobody has taught us

    @property
    def on_list(self) -> bool:
        """Whether the person is a member who has not left, mailed or not."""
        return self in {MemberStatus.ACTIVE, MemberStatus.PENDING, MemberStatus.DISABLED}


class Names(StrEnum):
    """How a list holds a name."""

    FIRST_LAST = "first_last"
    ONE = "one"  # one text; never split back into two


class Person(NamedTuple):
    """The values that both sides hold of one person.

    `address` is as its owner wrote it, `key` what it is compared by.
    """

    address: str
    key: AddressKey
    first: str
    last: str

    @classmethod
    def of(cls, address: str, first: str, last: str) -> "Person":
        """Clean what a side holds; a first name that is an e-mail address counts as empty."""
        address, first = clean(address), clean(first)
        if "@" in first and not fault_of(first):
            first = ""
        return cls(address, key_of(address), first, clean(last))

    @property
    def one_text(self) -> str:
        """Both names as a list holds them that has room for one text, on one line."""
        return " ".join(f"{self.first} {self.last}".split())


@dataclass(frozen=True, slots=True)
class CustomValue:
    """One custom field of a contact; `text` is what people see, `value` what is stored."""

    field: int
    name: str
    value: str
    text: str

    def says(self, value: str) -> bool:
        """Whether the field has this value, or shows it."""
        return value in {self.value, self.text}


class Contact(NamedTuple):
    """A person or company as Planfix's contact list gives it; `id` is the XML API's.

    `custom` holds the custom fields that were asked for.
    """

    id: ContactId
    person: Person
    custom: tuple[CustomValue, ...] = ()


class Member(NamedTuple):
    """A record of a mailing list; `reference` is the list's own, opaque.

    `since` is when the member took up this status (ISO 8601 in UTC, to the microsecond), empty
    where the list doesn't tell, or can't be believed. On a list that holds a name as one text,
    `person.first` is that text.
    """

    reference: str
    person: Person
    status: MemberStatus
    since: str = ""
