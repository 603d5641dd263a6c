"""What every mailing-list backend is.

The terms, once for all backends:

service     the far side: somebody's list server, or our own file.
list        one mailing list there, under the id that the service gave it.
entry       one person on the way to a list, with the id of the contact behind it.
batch       entries that travel in one call: new people at most `capabilities.bulk_add`, known
            ones at most `bulk_update`.
refusal     the service's no to one entry. It becomes that entry's `ItemResult`; whatever
            concerns the whole service is raised as one of `syncd.errors`.
known       we put these people on the list before.
again       the same call may have been carried out already, its answer lost.
"""

import re
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import ClassVar, Final, TypeVar

from syncd.core.address import AddressKey
from syncd.core.people import Member, MemberStatus, Person
from syncd.core.plan import ItemResult, Result
from syncd.errors import AmbiguousError, ConfigurationError, ItemError, TemporaryError
from syncd.ports import Capabilities, Entry, ListChanges, ListId
from syncd.transport import never

Part = TypeVar("Part")

_REFUSALS: Final = 3
"""So many single refusals with nothing accepted: it is not the contacts' fault."""
_MESSAGE_MAX: Final = 200

# Also as forms and pages spell the sign, since a service may quote what it was sent.
_ADDRESS: Final = re.compile(r"\S*(?:@|＠|%40|&#64;|&commat;|\\u0040)\S*", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How patient a backend is: the config's `[retry]`, the same for every side.

    `stop` says when patience ends: no call is repeated then, and none waited for.
    """

    attempts: int = 5
    wait_s: float = 1.0
    max_wait_s: float = 60.0
    timeout_s: float = 120.0
    stop: Callable[[], bool] = never


class Backend(ABC):
    """One mailing-list service, for one run; fulfils `syncd.ports.MemberSide`.

    A new backend is a file with one subclass that fills in the abstract methods, a line in
    the table of `syncd.backends`, and a test file that plugs into the conformance suite.
    Each write returns one result per entry, in their order. A write never changes the status
    of an existing member, except `remove` and `unsubscribe`, whose purpose it is.

    An object serves one run, since it remembers what the service accepted in it: after three
    single refusals with nothing accepted it raises that the service refuses everything.
    """

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Options:
        """The keys of this type's `[[backends]]` table, besides `name` and `type`.

        Each backend declares its own: fields of type `str` or `Path`, those without a default
        being required. A field's metadata holds `help`, and `secret: True` where the value
        must not be shown.
        """

    capabilities: ClassVar[Capabilities]

    def __init__(self, options: Options, retry: Retry) -> None:
        self._options = options
        self._retry = retry
        self._accepted = 0
        self._refused = 0

    @abstractmethod
    def check(self) -> str:
        """Reach the service without changing anything; return a line for the operator."""

    def find_list(self, name: str) -> ListId | None:  # noqa: ARG002 - some can't be asked
        """Find a list without making it; None where there is none, or where nobody can tell."""
        return None

    @abstractmethod
    def ensure_list(self, name: str) -> ListId:
        """Find or make a list.

        Raises:
            AmbiguousError: a list may have been made, and cannot be found.
        """

    @abstractmethod
    def delete_list(self, list_id: ListId) -> None:
        """Delete a list; one that is absent is a success, where the service tells that."""

    def fault_of(self, address: str) -> str:  # noqa: ARG002 - most services take them all
        """Say what keeps a well-formed address from this service; empty where nothing does."""
        return ""

    def read(self, list_id: ListId) -> Iterator[Member]:
        """Read a list whole, sorted by key; overridden where `can_read`.

        Raises:
            TemporaryError: it could not be proved that nobody was missed.
            ConfigurationError: there is no such list.
        """
        raise NotImplementedError(f"list {list_id}: this backend cannot be read")

    def edition(self, list_id: ListId) -> str:  # noqa: ARG002 - most services can't be asked
        """Return a name of the list as it is, never used again once anything on it changed."""
        return ""

    def changes(
        self,
        list_id: ListId,  # noqa: ARG002 - most services can't be asked
        since: str,  # noqa: ARG002
        *,
        also: Collection[AddressKey],  # noqa: ARG002
        most: int,  # noqa: ARG002
    ) -> ListChanges | None:
        """Return what changed since an edition, None where nobody can tell."""
        return None

    @abstractmethod
    def upsert(
        self, list_id: ListId, entries: Sequence[Entry], *, known: bool, again: bool = False
    ) -> list[ItemResult]:
        """Add people, or update their names; never changes the status of an existing member."""

    @abstractmethod
    def rename(
        self, list_id: ListId, old_address: str, entry: Entry, *, again: bool = False
    ) -> ItemResult:
        """Move a member to another address."""

    @abstractmethod
    def remove(
        self, list_id: ListId, entries: Sequence[Entry], *, again: bool = False
    ) -> list[ItemResult]:
        """Take members off the list by our own decision."""

    @abstractmethod
    def unsubscribe(
        self, list_id: ListId, entries: Sequence[Entry], *, again: bool = False
    ) -> list[ItemResult]:
        """Take members off the list at their own wish."""

    def resubscribe(
        self, list_id: ListId, entries: Sequence[Entry], *, again: bool = False
    ) -> list[ItemResult]:
        """Subscribe people who had left: only at a person's word.

        A service that knows nothing of those who left takes them like new ones.
        """
        return self.upsert(list_id, entries, known=False, again=again)

    @abstractmethod
    def close(self) -> None:
        """Let go of connections and files."""

    # For backends whose service answers a batch as a whole.

    def _in_batches(
        self, entries: Sequence[Entry], send: Callable[[Sequence[Entry]], None]
    ) -> list[ItemResult]:
        """Send everything in batches; halve a refused one until the bad entry stands alone.

        `send` carries one batch out, or raises ItemError where the service refuses it.
        """
        size = self.capabilities.bulk_add
        batches = [entries[start : start + size] for start in range(0, len(entries), size)]
        return self._one_by_one(batches, lambda batch: self._halve(batch, send))

    def _singly(
        self, entries: Sequence[Entry], send: Callable[[Entry], ItemResult]
    ) -> list[ItemResult]:
        """Send each entry by itself; an ItemError from `send` is that entry's refusal."""
        return self._one_by_one(entries, lambda entry: [self._judged(lambda: send(entry))])

    def _judged(self, send: Callable[[], ItemResult]) -> ItemResult:
        """Send one entry, and turn the service's refusal into its result.

        Raises:
            ConfigurationError: the service has refused everything so far.
        """
        try:
            result = send()
        except ItemError as refusal:
            return self._refusal(refusal)
        # A repeated removal that was refused is absent, which proves nothing accepted.
        self._accepted += result.result is Result.DONE
        return result

    def _halve(
        self, entries: Sequence[Entry], send: Callable[[Sequence[Entry]], None]
    ) -> list[ItemResult]:
        try:
            send(entries)
        except ItemError as refusal:
            if len(entries) == 1:
                return [self._refusal(refusal)]
            middle = len(entries) // 2
            halves = (entries[:middle], entries[middle:])
            return self._one_by_one(halves, lambda half: self._halve(half, send))
        self._accepted += len(entries)
        return [ItemResult(Result.DONE)] * len(entries)

    def _one_by_one(
        self, parts: Sequence[Part], send: Callable[[Part], list[ItemResult]]
    ) -> list[ItemResult]:
        before = self._accepted
        results: list[ItemResult] = []
        for part in parts:
            try:
                results += send(part)
            except TemporaryError as error:
                if self._accepted == before:
                    raise
                # The results so far are lost to the caller, so the whole call is in doubt.
                raise in_doubt(error) from error
        return results

    def _refusal(self, refusal: ItemError) -> ItemResult:
        self._refused += 1
        message = shortened(str(refusal))
        if self._refused >= _REFUSALS and not self._accepted:
            raise ConfigurationError(
                f"the service refuses everything; its last words: {message}",
                hint="Check the backend's token and the list's id; then: syncd check",
            ) from refusal
        return ItemResult(Result.FAILED, message)


def sorted_by_key(members: Iterable[Member]) -> Iterator[Member]:
    """Sort members by their e-mail key, on disk where they are many.

    The stricter one stands for two with one key: who has left has left.
    """
    with closing(sqlite3.connect("")) as spool:  # a temporary file, gone with its connection
        spool.execute("CREATE TABLE member (key, reference, address, first, last, status, since)")
        spool.executemany(
            "INSERT INTO member VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                (
                    m.person.key, m.reference, m.person.address, m.person.first, m.person.last,
                    m.status.value, m.since,
                )
                for m in members
            ),
        )  # fmt: skip
        last = None
        for key, reference, address, first, last_name, status, since in spool.execute(
            "SELECT * FROM member ORDER BY key, status <> 'unsubscribed', status <> 'blocked'"
        ):
            if key != last:
                person = Person(address, key, first, last_name)
                yield Member(reference, person, MemberStatus(status), since)
            last = key


def in_doubt(error: TemporaryError) -> AmbiguousError:
    """Return the same fault as one of a write that may have happened."""
    return AmbiguousError(str(error), hint=error.hint, retry_after_s=error.retry_after_s)


def shortened(text: str) -> str:
    """Return a service's words on one line, short, and without any e-mail address."""
    line = "".join(letter if letter.isprintable() else " " for letter in text)
    line = " ".join(_ADDRESS.sub("…", line).split())
    return line if len(line) <= _MESSAGE_MAX else line[: _MESSAGE_MAX - 1] + "…"
