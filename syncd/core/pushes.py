"""What others push to us: Planfix's lists, and what list services report of their members."""

from dataclasses import dataclass, replace

from syncd.core.address import AddressKey
from syncd.core.link import Link, Selection
from syncd.core.people import ContactId, Member


@dataclass(frozen=True, slots=True)
class PushedList:
    """A list that Planfix made on us; `ended` when it is wanted no more.

    `name` is what Planfix calls it, `link` what its link and its list on the backend are called:
    the same, with a number behind it where that name is taken.
    """

    id: str
    backend: str
    name: str
    link: str
    ended: bool

    def as_link(self) -> Link:
        """Return the link that brings the list in step with what Planfix pushed."""
        return Link(
            name=self.link,
            selection=Selection.pushed(self.id),
            backend=self.backend,
            list_name=self.link,
        )


@dataclass(frozen=True, slots=True)
class Reported:
    """A member as their list service reported them last; they have no reference.

    `member.status` is active or unsubscribed, `member.since` the moment the report came.
    `contact` is the one paired with the member, `old_key` what they moved from, empty where
    they did not. `joined`: they subscribed, for all we know by themselves.
    """

    contact: ContactId | None
    member: Member
    old_key: AddressKey
    joined: bool = False

    def of(self, contact: ContactId) -> "Reported":
        """Return the report as one of a contact's member."""
        return replace(self, contact=contact)
