"""A link: one selection of contacts bound to one list."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NewType

LinkNumber = NewType("LinkNumber", int)
"""A link as the store numbers it."""

ACCOUNT: Final = LinkNumber(0)
"""Stands for every link of the account, in latches."""


class Direction(StrEnum):
    """Which way changes travel."""

    TO_LIST = "to-list"
    BOTH = "both"
    TO_PLANFIX = "to-planfix"


class Conflict(StrEnum):
    """Who wins where both sides changed the same field."""

    PLANFIX = "planfix"
    LIST = "list"
    HOLD = "hold"


class NewSubscribers(StrEnum):
    """What becomes of an active member without a contact."""

    IGNORE = "ignore"
    CREATE = "create"


class Vanished(StrEnum):
    """How a member's disappearance for an unknown reason is read."""

    UNSUBSCRIBE = "unsubscribe"
    RESTORE = "restore"


class ConsentScope(StrEnum):
    """How far one unsubscribe reaches."""

    LINK = "link"
    ACCOUNT = "account"


_PUSHED: Final = "pushed:"


@dataclass(frozen=True, slots=True)
class Selection:
    """Which contacts a link takes; `target` is the text Planfix's contact.getList takes.

    One whose contacts Planfix pushes to us is never read there.
    """

    target: str

    @classmethod
    def pushed(cls, list_id: str) -> "Selection":
        """Return the selection of a list that Planfix made here."""
        return cls(_PUSHED + list_id)

    @property
    def is_pushed(self) -> bool:
        """Whether Planfix tells its changes by itself."""
        return self.target.startswith(_PUSHED)

    def __str__(self) -> str:
        plain = self.is_pushed or self.target in {"contact", "company"}
        return self.target if plain else f"filter:{self.target}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How many members one day may take off a list."""

    removals: int = 200
    removals_percent: int = 10
    removals_floor: int = 3

    def allowance(self, pairs: int) -> int:
        """Return how many removals a link with so many pairs allows in 24 hours."""
        share = pairs * self.removals_percent // 100
        return min(self.removals, max(self.removals_floor, share))


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """How far a latch reaches, and where it is shown in Planfix."""

    scope: ConsentScope = ConsentScope.LINK
    field: int | None = None
    unsubscribed: str = ""
    subscribed: str = ""
    allow_planfix_release: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One `[[links]]` table of the config.

    `list_name` is made on the backend where missing; `list_id`, where given, is used as it is.
    """

    name: str
    selection: Selection
    backend: str
    list_name: str = ""
    list_id: str | int | None = None
    direction: Direction = Direction.TO_LIST
    conflict: Conflict = Conflict.PLANFIX
    new_subscribers: NewSubscribers = NewSubscribers.IGNORE
    vanished: Vanished = Vanished.UNSUBSCRIBE
    limits: Limits = Limits()
    consent: Consent = Consent()


SMALL_CHANGE: Final = 10
"""Up to so many adds of one link go singly; more go as imports (design: decision table)."""
IMPORT_BATCH: Final = 500
"""Contacts in one importContacts at most."""
