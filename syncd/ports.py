"""What a run needs from outside, as Protocols: the seams between engine, edges and app."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from syncd.core.address import AddressKey
from syncd.core.link import Selection
from syncd.core.people import Contact, ContactId, Member, Names, Person
from syncd.core.plan import ItemResult
from syncd.core.sms import DueText, PhoneNumber, Sending, Text, TextStanding, TextState

ListId = str | int
"""A list's id as its service gave it: sent back as it came."""


# The list side.


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a backend can do; the run asks this and never a backend's name.

    `tells_unsubscribe`: a member who left can be told from one who was never there.
    `keeps_reference`: a rename leaves the member's reference as it was.
    """

    can_read: bool
    tells_unsubscribe: bool
    tells_blocked: bool
    finds_lists: bool  # an ambiguous creation can be looked up
    bulk_add: int  # entries in one upsert of new people at most
    bulk_update: int  # entries in one upsert of known people at most
    bulk_remove: int = 1  # entries in one removal at most
    names: Names = Names.FIRST_LAST
    keeps_reference: bool = False


class Entry(NamedTuple):
    """One person on the way to a list; `contact` is Planfix's id, 0 where there is none."""

    contact: ContactId
    person: Person


@dataclass(frozen=True, slots=True)
class ListChanges:
    """What changed on a list since an edition.

    `edition` names the list as it is now, `count` is how many members it has. `members` are those
    at the addresses in `keys`, sorted by key; at the others of them nobody is on the list.
    """

    edition: str
    count: int
    keys: frozenset[AddressKey]
    members: tuple[Member, ...]


class MemberSide(Protocol):
    """One mailing-list service. Each write returns one result per entry, in their order.

    `known`: we put these people there before. `again`: the same call may have been carried
    out already, its answer lost. A refusal of one entry is a result; what concerns the whole
    service is raised: TemporaryError (AmbiguousError when a write may have happened),
    AuthenticationError or ConfigurationError.
    """

    @property
    def capabilities(self) -> Capabilities:
        """What this backend can do."""

    def check(self) -> str:
        """Reach the service without changing anything; return a line for the operator."""

    def find_list(self, name: str) -> ListId | None:
        """Find a list without making it; None where there is none, or where `finds_lists` is no."""

    def ensure_list(self, name: str) -> ListId:
        """Find or make a list."""

    def delete_list(self, list_id: ListId) -> None:
        """Delete a list; one that is absent is a success."""

    def fault_of(self, address: str) -> str:
        """Say what keeps a well-formed address from this service; empty where nothing does."""

    def read(self, list_id: ListId) -> Iterator[Member]:
        """Read a list whole, sorted by key; only where `can_read`.

        Raises:
            TemporaryError: it could not be proved that nobody was missed.
            ConfigurationError: there is no such list.
        """

    def edition(self, list_id: ListId) -> str:
        """Return a name of the list as it is: another one as soon as anything on it changed.

        Empty where nobody can tell. No list ever has the name again that it had before a
        change, not even when a backup of it is put back and changed anew.
        """

    def changes(
        self, list_id: ListId, since: str, *, also: Collection[AddressKey], most: int
    ) -> ListChanges | None:
        """Return what changed since an edition, and how members stand at the addresses `also`.

        None where nobody can tell, or where more than `most` changed.
        """

    def upsert(
        self, list_id: ListId, entries: Sequence[Entry], *, known: bool, again: bool = False
    ) -> list[ItemResult]:
        """Add people, or update their names; never changes the status of an existing member."""

    def rename(
        self, list_id: ListId, old_address: str, entry: Entry, *, again: bool = False
    ) -> ItemResult:
        """Move a member to another address."""

    def remove(
        self, list_id: ListId, entries: Sequence[Entry], *, again: bool = False
    ) -> list[ItemResult]:
        """Take members off the list by our own decision."""

    def unsubscribe(
        self, list_id: ListId, entries: Sequence[Entry], *, again: bool = False
    ) -> list[ItemResult]:
        """Take members off the list at their own wish."""

    def resubscribe(
        self, list_id: ListId, entries: Sequence[Entry], *, again: bool = False
    ) -> list[ItemResult]:
        """Subscribe people who had left: only at a person's word (the command `release`)."""

    def close(self) -> None:
        """Let go of connections and files."""


# The contact side.


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepReport:
    """How a full read of a selection went.

    `read` counts the distinct contacts, `pages` the calls made. `doubts` says, for people,
    why the read is not certified; `unreadable` counts contacts that no parser could take
    (they count as present).
    """

    total: int
    read: int
    pages: int
    certified: bool
    changed: bool  # whether any page differed from the one remembered
    doubts: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()


class ReadPage(NamedTuple):
    """A page off the wire; its digest is empty where its bytes must not look certain next time.

    `digests` are those of everyone on it, each once, by their ids, and empty like the page's;
    `changed` are the contacts whose bytes are new.
    """

    number: int
    digest: bytes
    digests: Mapping[ContactId, bytes]
    changed: Sequence[Contact]


class KeptPage(NamedTuple):
    """A page as last kept: the digest of its bytes, and how many contacts it held."""

    digest: bytes
    size: int


class SnapshotWriter(Protocol):
    """Where a sweep puts what it reads, some pages at a time; each call is durable by itself.

    Pages are numbered from 1 and kept in order within a sweep. A page whose digest is the
    one remembered need not be kept again. `fields` are the custom fields that are to be read
    with each contact.
    """

    @property
    def fields(self) -> frozenset[int]:
        """The custom fields that are wanted, by their ids."""

    def page(self, number: int) -> KeptPage | None:
        """Return what is remembered of a page, or None."""

    def digests_on(self, number: int) -> Mapping[bytes, ContactId]:
        """Return who stood on a page when it was last kept, by the digests of their bytes."""

    def digests_of(self, ids: Sequence[ContactId]) -> Mapping[ContactId, bytes]:
        """Return the digests of these contacts' bytes, wherever they stand, as far as known."""

    def keep(self, pages: Sequence[ReadPage]) -> int:
        """Remember pages; return how many on them an earlier page of this sweep has shown already.

        Who stood on an earlier page stays there as read there, and this page's digest is not
        remembered: else its bytes, and those of the other, would look certain the next time.
        """

    def forget_pages_after(self, number: int) -> None:
        """End a sweep: pages past the last one hold nobody any more."""


class ContactSide(Protocol):
    """Planfix, as far as a run needs it."""

    def sweep(
        self,
        selection: Selection,
        snapshot: SnapshotWriter,
        *,
        stop: Callable[[], bool],
    ) -> SweepReport:
        """Read a selection whole; `stop` is asked before each page.

        Raises:
            StoppedError: it said so.
            TemporaryError, AuthenticationError, ConfigurationError: a page could not be had.
        """

    def sweep_ids(self, selection: Selection, page_size: int) -> tuple[frozenset[ContactId], bool]:
        """Read only the ids of a selection; the second value says whether that is certified."""

    def exists(self, contact: ContactId) -> bool | None:
        """Ask contact.get: True, False (code 8002), or None where we have no right to know."""

    def correct(self, contact: ContactId, *, was: Person, wanted: Person) -> ItemResult:
        """Write the fields in which `wanted` differs from `was`, where they still are as read.

        A field that has the wanted value already is left alone; one that has neither is
        somebody's later word: Result.CHANGED, and nothing is written; so where somebody else has
        the address. An empty value is never written. Any other refusal of this contact is
        Result.FAILED. May be repeated.
        """

    def create(self, person: Person) -> ItemResult:
        """Add a person's contact, unless somebody has the address already: Result.CHANGED.

        Raises:
            AmbiguousError: it may have been added: look before adding it again.
        """

    def says(self, contact: ContactId, *, field: int, value: str) -> bool:
        """Ask contact.get whether a custom field has a value; False where it can't be seen."""

    def mark(self, contact: ContactId, *, field: int, value: str) -> ItemResult:
        """Set a custom field and see that it reads back so; unchanged where it did before.

        May be repeated.
        """

    def check(self) -> str:
        """Log in and ask who we are; return a line for the operator."""

    def close(self) -> None:
        """Let go of connections."""


# Short messages.


class TextSender(Protocol):
    """An SMS gateway: it sends once, and never repeats by itself."""

    def send(self, sender: str, to: PhoneNumber, text: str) -> Sending:
        """Send one message; an empty `sender` is the gateway's own."""

    def close(self) -> None:
        """Let go of connections."""


class TextQueue(Protocol):
    """Where messages are kept until a gateway has them."""

    def put(self, text: Text, *, at: datetime) -> str:
        """Keep a message durably; return its id (TemporaryError where it can't be kept)."""

    def standing(self, message: str) -> TextStanding | None:
        """Return how a message stands; None where there is none of this id."""


class Outbox(TextQueue, Protocol):
    """The same, for the relay, which takes out what is due.

    Each call is durable by itself. A message that was marked as sent is either ended or
    postponed; where neither happened, `settle` finds it. What `end` or `postpone` could not
    write (TemporaryError), the next `settle` writes.
    """

    def due(self, now: datetime) -> list[DueText]:
        """Return whose turn it is: the gateways in turn, each with its longest waiting first.

        Not all of very many.
        """

    def next_due(self) -> datetime | None:
        """Return when a message is due next; None where none waits."""

    def mark_sent(self, message: str) -> bool:
        """Commit that a message goes out now; False where it is no longer queued."""

    def end(self, message: str, state: TextState, *, error: str, answer: str) -> None:
        """Remember how a message has ended."""

    def postpone(self, message: str, until: datetime, *, error: str, answer: str) -> None:
        """Queue a message again that was sent and not taken."""

    def settle(self) -> list[str]:
        """Call unknown what was sent and has no result; return the ids of those."""

    def relaying(self) -> AbstractContextManager[None]:
        """Be the only one who sends (BusyError where somebody else does)."""
