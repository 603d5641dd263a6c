"""What a run means to do, as data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntFlag, StrEnum
from typing import Final, NamedTuple

from syncd.core.address import NO_KEY, AddressKey
from syncd.core.people import ContactId, MemberStatus, Person


class Op(StrEnum):
    """One kind of change on one side; the names of the run document."""

    ADD = "add"
    UPDATE = "update"
    RENAME = "rename"
    REMOVE = "remove"
    UNSUBSCRIBE = "unsubscribe"
    PLANFIX_UPDATE = "planfix_update"
    PLANFIX_CREATE = "planfix_create"
    CONSENT = "consent"


TO_PLANFIX: Final = frozenset({Op.PLANFIX_UPDATE, Op.PLANFIX_CREATE, Op.CONSENT})
"""What is written to Planfix; everything else is written to the list."""


class Loses(IntFlag):
    """What an operation puts at stake; guards count these over the whole plan.

    Of a member: its names, its address (emptied, or for another one), or its place, though
    nobody asked Planfix whether the contact is really gone (`UNASKED`). In Planfix: values
    written over, contacts made. `VANISHED` and `RETURNED` stand for what a list showed of too
    many members at once.
    """

    NOTHING = 0
    FIRST = 1
    LAST = 2
    ADDRESS = 4
    OLD_ADDRESS = 8
    UNASKED = 16
    PLANFIX_VALUES = 32
    PLANFIX_NEW = 64
    VANISHED = 128
    RETURNED = 256


class Fields(IntFlag):
    """Values that both sides hold of a person."""

    FIRST = 1
    LAST = 2
    ADDRESS = 4
    ALL = 7


FIELD_NAMES: Final = {
    Fields.FIRST: "first name",
    Fields.LAST: "last name",
    Fields.ADDRESS: "address",
}
"""What people call the fields."""


class Operation(NamedTuple):
    """One write on one side, with its cause.

    `contact` 0 stands for a member of whom no contact is known. `person` is what the side
    shall hold afterwards; for a removal, what it was. `old` is the address that a rename
    leaves, and what Planfix held when a write to it was planned. `after` names contacts whose
    own operation must be done first, since it frees the address. `settles` are the fields
    on which both sides agree once this is done: where both are written, each settles its own.
    `resubscribes`: the person had left, and was released. `why` is a sentence without the
    address in it.
    """

    op: Op
    contact: ContactId
    person: Person
    why: str
    old_address: str = ""
    old_key: AddressKey = NO_KEY
    loses: Loses = Loses.NOTHING
    after: ContactId | None = None
    old_first: str = ""
    old_last: str = ""
    settles: Fields = Fields.ALL
    resubscribes: bool = False

    @property
    def old(self) -> Person:
        """What Planfix held when this was planned."""
        return Person(self.old_address, self.old_key, self.old_first, self.old_last)

    @property
    def overwrites(self) -> Mapping[Fields, tuple[str, str]]:
        """What a write to Planfix changes there: by field, the value before and the one after."""
        values = {
            Fields.FIRST: (self.old_first, self.person.first),
            Fields.LAST: (self.old_last, self.person.last),
            Fields.ADDRESS: (self.old_address, self.person.address),
        }
        return {field: of for field, of in values.items() if of[1] not in {of[0], ""}}


@dataclass(frozen=True, slots=True)
class Pairing:
    """A contact and a member are one person, and agree on these values: no write."""

    contact: ContactId
    base: Person
    status: MemberStatus
    reference: str
    why: str


@dataclass(frozen=True, slots=True)
class Repoint:
    """A pair's member goes to another contact: no write, only memory."""

    member: AddressKey  # the pair's key, which stays
    old: ContactId
    new: ContactId
    why: str
    swap: bool = False


@dataclass(frozen=True, slots=True)
class End:
    """A pair ends without a write: the person unsubscribed, and the contact has gone."""

    contact: ContactId
    why: str


@dataclass(frozen=True, slots=True)
class Held:
    """A contact waits for a cause to go away; tried again each run.

    `key` is the member's, where there is no contact. `until` is when the cause is asked for
    again (ISO 8601, UTC), where that needs calls of its own.
    """

    contact: ContactId
    why: str
    key: AddressKey = NO_KEY
    until: str = ""


@dataclass(frozen=True, slots=True)
class Suppressed:
    """A contact that a latch keeps out: counted, and told in their history where there is `now`.

    `edited`: their pair is known, and the contact was changed since.
    """

    contact: ContactId
    now: Person | None = field(default=None, compare=False)
    edited: bool = field(default=False, compare=False)


Step = Operation | Pairing | Repoint | End | Held | Suppressed


class Guard(StrEnum):
    """Which rule withheld an operation or stopped a link."""

    REMOVAL_LIMIT = "removal limit"
    EMPTY_READ = "empty read"
    MASS_CHANGE = "mass change"
    SCOPE = "scope"


@dataclass(frozen=True, slots=True)
class Finding:
    """Why a guard objects, in words for the operator."""

    guard: Guard
    message: str
    hint: str = ""


class Result(StrEnum):
    """What became of one item that was written to a list."""

    DONE = "done"
    UNCHANGED = "unchanged"
    REFUSED = "refused"  # the member's own wish stands against it: never try again
    BLOCKED = "blocked"  # the list knows that the address bounces
    ABSENT = "absent"
    CHANGED = "changed"  # what the far side holds now stands against it: see in the next run
    TAKEN = "taken"  # somebody else has the address there
    FAILED = "failed"


class ItemResult(NamedTuple):
    """The outcome of one item; `message` is for people and holds no address.

    `reference` is the member's, `contact` the one that was made in Planfix.
    """

    result: Result
    message: str = ""
    reference: str = ""
    contact: ContactId | None = None

    @property
    def ok(self) -> bool:
        """Whether the list now is as the operation wanted it."""
        return self.result in {Result.DONE, Result.UNCHANGED, Result.ABSENT}
