"""People as the two sides know them."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NewType

from syncd.core.address import AddressKey, clean, fault_of, key_of

ContactId = NewType("ContactId", int)


class MemberStatus(StrEnum):
    """What a list says of a member."""

    ACTIVE = "active"
    UNSUBSCRIBED = "unsubscribed"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True)
class Person:
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


@dataclass(frozen=True, slots=True)
class Contact:
    """A person or company as Planfix's contact list gives it; `id` is the XML API's."""

    id: ContactId
    person: Person


@dataclass(frozen=True, slots=True)
class Member:
    """A record of a mailing list; `reference` is the list's own, opaque."""

    reference: str
    person: Person
    status: MemberStatus
