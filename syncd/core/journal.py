"""Operations on their way, as the journal keeps them."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from syncd.core.address import NO_KEY, AddressKey
from syncd.core.link import LinkNumber
from syncd.core.people import ContactId, MemberStatus, Person
from syncd.core.plan import TO_PLANFIX, Loses, Operation


class State(StrEnum):
    """Where an operation stands."""

    PLANNED = "planned"
    SENT = "sent"  # without a result it is unknown: the next run settles it
    DONE = "done"
    FAILED = "failed"
    REFUSED = "refused"  # the member's own wish stands against it
    WITHHELD = "withheld"
    DROPPED = "dropped"  # planned by a run that ended before; planned anew where still due


class Entry(NamedTuple):
    """One journaled operation; `batch` names those that were sent in one call."""

    id: int
    operation: Operation
    batch: int | None


class Ended(NamedTuple):
    """What became of a journaled operation.

    `status` and `reference` are the member's; `contact` is the one that was made for it.
    """

    entry: Entry
    state: State
    error: str = ""
    status: MemberStatus = MemberStatus.ACTIVE
    reference: str = ""
    contact: ContactId | None = None


@dataclass(frozen=True, slots=True)
class Story:
    """One operation as it stands, for `history`: when, in which run, for which link.

    `at` is when it took up its state, ISO 8601 in UTC; `error` what the far side said.
    """

    at: str
    run: str
    link: str
    operation: Operation
    state: State
    error: str


class Written(NamedTuple):
    """A write to Planfix that a run made for a link, or sent and had no answer to."""

    link: LinkNumber
    entry: Entry
    state: State


class Subject(NamedTuple):
    """Whom a failure keeps in quarantine: a contact, or a member without one, on one side."""

    contact: ContactId
    key: AddressKey
    planfix: bool


_SEEN: Final = Loses.VANISHED | Loses.RETURNED
"""To let somebody go is another word than to take them back."""


def subject(operation: Operation) -> Subject:
    """Return whom an operation's failure keeps in quarantine."""
    key = NO_KEY if operation.contact else operation.person.key
    return Subject(operation.contact, key, operation.op in TO_PLANFIX)


def signature(operation: Operation) -> tuple[object, ...]:
    """Return what makes an operation the very one that a person approved."""
    person = operation.person
    return (
        operation.contact, operation.op.value, person.key, person.first, person.last,
        operation.old_key, int(operation.loses & _SEEN),
    )  # fmt: skip


def fingerprint(person: Person) -> str:
    """Return the values a contact failed with, as one text."""
    return f"{person.address}\x1f{person.first}\x1f{person.last}"
