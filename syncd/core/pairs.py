"""Pairs, and what is compared with them."""

from dataclasses import dataclass
from enum import StrEnum

from syncd.core.address import AddressKey
from syncd.core.people import ContactId, MemberStatus, Person


class Standing(StrEnum):
    """What is known of a contact's presence in its selection."""

    PRESENT = "present"
    LEFT = "left"  # confirmed: it exists, and two sweeps missed it
    DELETED = "deleted"  # confirmed: Planfix knows no such contact
    UNASKED = "unasked"  # missed, over the removal limit anyhow: nobody asked
    MISSING = "missing"  # missed, and nothing proves that it is gone


@dataclass(frozen=True, slots=True)
class Pair:
    """What both halves last agreed on (the base), and what the store knows of the member."""

    base: Person
    status: MemberStatus
    reference: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One identity of a link that may need something: a contact, its pair, who stands in its way.

    `now` is what was last read (of an absent contact: the last that was seen); `fault` says
    why its address can't be used. `holder` is the contact whose pair has the key of `now`,
    other than this one's; `contested` says that further contacts have that key too.
    """

    contact: ContactId
    now: Person
    fault: str
    standing: Standing
    pair: Pair | None
    holder: ContactId | None = None
    contested: bool = False


@dataclass(frozen=True, slots=True)
class NewLatch:
    """A latch to be set: of a contact, or of an address key."""

    why: str
    contact: ContactId | None = None
    key: AddressKey | None = None
