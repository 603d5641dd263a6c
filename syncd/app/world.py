"""What a run is given: the store, both sides, and the settings it needs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from syncd.core.link import ACCOUNT, ConsentScope, Link, LinkNumber
from syncd.core.report import Outcome
from syncd.errors import UsageError
from syncd.ports import ContactSide, ListId, MemberSide

if TYPE_CHECKING:
    from syncd.planfix.contacts import Contacts
    from syncd.store.snapshots import Snapshot
    from syncd.store.store import Store


@dataclass(frozen=True, kw_only=True)
class World:
    """Everything outside the engine, opened; made by `wiring`.

    `account` names the Planfix account a snapshot belongs to; `contacts` has its functions for an
    operator, who may call more of them than a run. `links` are the config's, then those that
    Planfix pushed. `scopes` says, per link, what its pairs are made with (guard 7), `places` of
    each backend where its lists are. `open_backend` opens a service anew, so that what it counts
    begins with each run. `alert` tells a person what a run document says, and which links refuse
    since that run, or failed in `after_failures` runs in a row with it. `relay` sends what is due
    by SMS, for a process that has no thread to do so; it is told when to stop.
    """

    settings: Any
    warnings: tuple[str, ...]
    account: str
    links: tuple[Link, ...]
    scopes: Mapping[str, str]
    places: Mapping[str, str]
    store: "Store"
    planfix: ContactSide
    contacts: "Contacts"
    open_backend: Callable[[str], MemberSide]
    alert: Callable[[Mapping[str, Any], Mapping[str, Outcome]], None] = lambda *_: None
    relay: Callable[[Callable[[], bool]], None] = lambda _: None
    after_failures: int = 3

    def chosen(self, names: Sequence[str]) -> tuple[Link, ...]:
        """Return the links of these names, or all.

        Raises:
            UsageError: there is no link of that name.
        """
        for name in names:
            self.link(name)
        return tuple(link for link in self.links if not names or link.name in names)

    @property
    def named_scopes(self) -> Mapping[str, str]:
        """Return the scopes of the config's own links: Planfix names the others."""
        return {
            link.name: self.scopes[link.name] for link in self.links if not link.selection.is_pushed
        }

    def link(self, name: str) -> Link:
        """Return one link by its name."""
        for link in self.links:
            if link.name == name:
                return link
        known = ", ".join(link.name for link in self.links)
        raise UsageError(f"There is no link {name!r} in the config.", hint=f"Links: {known}.")

    def sharing(self, link: Link) -> tuple[LinkNumber, ...]:
        """Return the numbers of the links that show consent in the same field; its own is one."""
        fellows = (
            other
            for other in self.links
            if other.name == link.name or other.consent.field == link.consent.field is not None
        )
        numbers = (self.store.links.number(other.name) for other in fellows)
        return tuple(number for number in numbers if number is not None)

    def list_id(self, link: Link) -> ListId | None:
        """Return the id of a link's list: the config's, else the one remembered."""
        number = self.store.links.number(link.name)
        if link.list_id is not None or number is None:
            return link.list_id
        return self.store.links.list_id(number)


@dataclass(frozen=True, kw_only=True)
class OpenLink:
    """One link in one run; `sharing` are those whose consent stands in the same field as its."""

    link: Link
    number: LinkNumber
    sharing: tuple[LinkNumber, ...]
    run: str
    backend: MemberSide
    snapshot: "Snapshot"
    store: "Store"
    planfix: ContactSide

    @property
    def consent_number(self) -> LinkNumber:
        """Return the link that a latch set here is written under: this one, or the account."""
        return ACCOUNT if self.link.consent.scope is ConsentScope.ACCOUNT else self.number
