"""What a run learned of people: for their consent, for their pairs, and for their history."""

from dataclasses import dataclass, field
from enum import StrEnum

from syncd.core.address import AddressKey
from syncd.core.pairs import NewLatch
from syncd.core.people import ContactId, MemberStatus


class What(StrEnum):
    """What was seen of a person, apart from what the journal tells.

    An event's detail says when, on the list, for those that a list shows; what the contact had
    become, for `EDITED`; when, and after a blank the cause, for `RELEASED` and `HELD`.
    """

    LEFT = "left"
    VANISHED = "vanished"
    LET_GO = "let_go"  # vanished with many others, which a person approved
    RETURNED = "returned"
    SEEMS_BACK = "seems_back"  # taken for a return, though nothing proves it
    RELEASED = "released"
    FIELD_RELEASED = "field_released"
    BOUNCED = "bounced"
    WORKS = "works"
    EDITED = "edited"  # in Planfix, after having left
    KEPT_OUT = "kept_out"
    HELD = "held"


@dataclass(frozen=True, slots=True)
class Event:
    """One sighting, for `history`; one with the same `detail` is told once."""

    what: What
    contact: ContactId | None
    key: AddressKey
    detail: str


@dataclass(frozen=True, slots=True)
class Seen:
    """One sighting as it was kept: when (ISO 8601, UTC), by which run, on which link's list."""

    at: str
    run: str
    link: str
    what: What
    contact: ContactId | None
    detail: str


@dataclass(slots=True)
class Learned:
    """News to be kept all at once.

    `lifted` ends the latches of contacts and addresses, in the link and in the account.
    `gone` says who was seen off the list (key, reference, ISO 8601 time in UTC), `back` whose
    record of that kind ends. `marked` are members' standings and references. `approved` are
    those whose departure or return a person approved, by the contact and address withheld.
    """

    latches: list[NewLatch] = field(default_factory=list)
    lifted: list[NewLatch] = field(default_factory=list)
    gone: list[tuple[AddressKey, str, str]] = field(default_factory=list)
    back: list[AddressKey] = field(default_factory=list)
    marked: list[tuple[ContactId, MemberStatus, str]] = field(default_factory=list)
    approved: list[tuple[ContactId, AddressKey]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def __bool__(self) -> bool:
        return any(
            (
                self.latches, self.lifted, self.gone, self.back, self.marked, self.approved,
                self.events,
            )
        )  # fmt: skip
