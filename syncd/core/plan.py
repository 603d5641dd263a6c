"""What a run means to do, as data."""

from dataclasses import dataclass
from enum import IntFlag, StrEnum

from syncd.core.address import NO_KEY, AddressKey
from syncd.core.people import ContactId, Person


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


class Loses(IntFlag):
    """What an operation takes from its member; guard 5 counts these over the whole plan.

    `UNASKED`: its place, though nobody asked Planfix whether the contact is really gone.
    """

    NOTHING = 0
    FIRST = 1
    LAST = 2
    ADDRESS = 4
    OLD_ADDRESS = 8
    UNASKED = 16


@dataclass(frozen=True, slots=True)
class Operation:
    """One write on the list, with its cause.

    `contact` 0 stands for a member of whom no contact is known. `person` is what the
    member shall be afterwards; for a removal, what it was. `old` is the address that a
    rename leaves. `after` names contacts whose own operation must be done first, since it
    frees the address. `why` is a sentence without the address in it.
    """

    op: Op
    contact: ContactId
    person: Person
    why: str
    old_address: str = ""
    old_key: AddressKey = NO_KEY
    loses: Loses = Loses.NOTHING
    after: ContactId | None = None


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
    """A contact waits for a cause to go away; tried again each run."""

    contact: ContactId
    why: str


@dataclass(frozen=True, slots=True)
class Suppressed:
    """A contact that is not added because of a latch."""

    contact: ContactId


Step = Operation | Repoint | End | Held | Suppressed


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
    CHANGED = "changed"  # the far side holds another value than was read: see in the next run
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ItemResult:
    """The outcome of one item; `message` is for people and holds no address."""

    result: Result
    message: str = ""
    reference: str = ""

    @property
    def ok(self) -> bool:
        """Whether the list now is as the operation wanted it."""
        return self.result in {Result.DONE, Result.UNCHANGED, Result.ABSENT}
