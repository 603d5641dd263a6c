"""Operations on their way, as the journal keeps them."""

from dataclasses import dataclass
from enum import StrEnum

from syncd.core.people import MemberStatus, Person
from syncd.core.plan import Operation


class State(StrEnum):
    """Where an operation stands."""

    PLANNED = "planned"
    SENT = "sent"  # without a result it is unknown: the next run settles it
    DONE = "done"
    FAILED = "failed"
    REFUSED = "refused"  # the member's own wish stands against it
    WITHHELD = "withheld"
    DROPPED = "dropped"  # planned by a run that ended before; planned anew where still due


@dataclass(frozen=True, slots=True)
class Entry:
    """One journaled operation; `batch` names those that were sent in one call."""

    id: int
    operation: Operation
    batch: int | None


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of a journaled operation; `status` and `reference` are the member's."""

    entry: Entry
    state: State
    error: str = ""
    status: MemberStatus = MemberStatus.ACTIVE
    reference: str = ""


def signature(operation: Operation) -> tuple[object, ...]:
    """Return what makes an operation the very one that a person approved."""
    person = operation.person
    return (
        operation.contact, operation.op.value, person.key, person.first, person.last,
        operation.old_key,
    )  # fmt: skip


def fingerprint(person: Person) -> str:
    """Return the values a contact failed with, as one text."""
    return f"{person.address}\x1f{person.first}\x1f{person.last}"
