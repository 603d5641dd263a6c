"""Pairs, and what is compared with them."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from syncd.core.address import AddressKey
from syncd.core.people import ContactId, Member, MemberStatus, Person


class Standing(StrEnum):
    """What is known of a contact's presence in its selection."""

    PRESENT = "present"
    LEFT = "left"  # confirmed: it exists, and two sweeps missed it
    DELETED = "deleted"  # confirmed: Planfix knows no such contact
    UNASKED = "unasked"  # missed, over the removal limit anyhow: nobody asked
    MISSING = "missing"  # missed, and nothing proves that it is gone


class Pair(NamedTuple):
    """What both halves last agreed on (the base), and what the store knows of the member."""

    base: Person
    status: MemberStatus
    reference: str = ""


class Row(NamedTuple):
    """One identity of a link that may need something: a contact, its pair, who stands in its way.

    `now` is what was last read (of an absent contact: the last that was seen); `fault` says
    why its address can't be used. `holder` is the contact whose member has the key of `now`,
    other than this one's; `contested` says that further contacts have that key too. `taken`: a
    member whose contact nobody knows is active under that key.
    """

    contact: ContactId
    now: Person
    fault: str
    standing: Standing
    pair: Pair | None
    holder: ContactId | None = None
    contested: bool = False
    sighting: "Sighting | None" = None
    taken: bool = False

    @property
    def seen(self) -> Member | None:
        """The member as the list showed it, where that isn't what the pair says."""
        return self.sighting.member if self.sighting is not None else None

    @property
    def is_elsewhere(self) -> bool:
        """Whether the member is no longer where the pair says: moved on the list, or gone."""
        if self.pair is None or self.sighting is None:
            return False
        return self.seen is None or self.seen.person.key != self.pair.base.key

    @property
    def member(self) -> Person:
        """The values the member has on the list; the contact's own where there is none."""
        if self.seen is not None:
            return self.seen.person
        return self.pair.base if self.pair is not None else self.now


class Release(StrEnum):
    """Whether a person's word to subscribe somebody again was carried out."""

    NO = ""  # nobody said so, or it is done
    DUE = "due"
    PERHAPS = "perhaps"  # it was sent, and nobody knows the answer


class Gone(NamedTuple):
    """Someone whom we saw off a list: when (ISO 8601, UTC), and the reference they had.

    Of one who was released, `at` is when.
    """

    at: str
    reference: str
    release: Release = Release.NO


class Sighting(NamedTuple):
    """What a list showed otherwise than its pairs say.

    `contact` is the one whose member this is, None for a member without a pair; `member` is
    None where the list has it no longer. On a list that holds a name as one text, the member's
    names are those of the base where they come to the same text. `returns`: they had left, seem
    to be back with too many others, and a person has to say whether they are.
    """

    key: AddressKey
    contact: ContactId | None
    member: Member | None
    returns: bool = False


@dataclass(frozen=True, slots=True)
class Compared:
    """What comparing a whole list with its pairs came to, when it was the `edition` of that name.

    `members` is how many it had. `rewritten` are the addresses of pairs that were written since,
    `until` the number of the last note of one.
    """

    edition: str
    members: int
    differences: tuple[Sighting, ...]
    rewritten: frozenset[AddressKey] = frozenset()
    until: int = 0


class Known(NamedTuple):
    """A pair as it is streamed beside a list: the member's key, values and standing."""

    key: AddressKey
    contact: ContactId
    address: str
    first: str
    last: str
    status: str
    reference: str


MET: Final = "met at an address that unsubscribed"
"""Why a contact is latched that has, or had, a latched address."""


@dataclass(frozen=True, slots=True)
class NewLatch:
    """A latch to be set: of a contact, or of an address key."""

    why: str
    contact: ContactId | None = None
    key: AddressKey | None = None
