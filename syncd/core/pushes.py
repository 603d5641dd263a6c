"""What others push to us: Planfix's lists, and what list services report of their members."""

from dataclasses import dataclass

from syncd.core.address import AddressKey
from syncd.core.link import Selection
from syncd.core.people import ContactId, Member


@dataclass(frozen=True, slots=True)
class PushedList:
    """A list that Planfix made on us; `ended` when it said that it wants it no more."""

    id: str
    backend: str
    name: str
    ended: bool

    @property
    def selection(self) -> Selection:
        """The selection whose contacts are those that Planfix pushed to this list."""
        return pushed(self.id)


@dataclass(frozen=True, slots=True)
class Reported:
    """A member as their list service reported them last; they have no reference.

    `member.status` is active or unsubscribed, `member.since` the moment the report came.
    `contact` is the one paired with the member, `old_key` what they moved from, empty where
    they did not.
    """

    contact: ContactId | None
    member: Member
    old_key: AddressKey


def pushed(list_id: str) -> Selection:
    """Return the selection of a pushed list."""
    return Selection(f"pushed:{list_id}")
