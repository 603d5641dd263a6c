"""listmonk, versions 6.0 to 6.2.

A person is known to the whole server once and has a row on each list; who unsubscribed keeps
that row. So each write looks at the people first, and then does what their rows allow: what
could overwrite a row is only sent where it was seen that there is none. That look also tells
what an earlier call did whose answer was lost, so nearly everything here may be repeated.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Final

import idna

from syncd.backends.base import Backend, Retry, in_doubt, sorted_by_key
from syncd.backends.listmonk_server import DUPLICATE, EXISTS, TAG, Server, ShiftedError
from syncd.core.address import AddressKey, key_of
from syncd.core.people import Member, MemberStatus, Names, Person
from syncd.core.plan import ItemResult, Result
from syncd.errors import AmbiguousError, ConfigurationError, ItemError, TemporaryError
from syncd.ports import Capabilities, Entry, ListId
from syncd.wire.listmonk import MailingList, Subscriber

_SINGLY: Final = 20
"""So many new people are added one by one; more go as an import."""
_READS: Final = 3
"""How often a list that changes under the reader is read."""

_STATUSES: Final = {
    ("enabled", "confirmed"): MemberStatus.ACTIVE,
    ("enabled", "unconfirmed"): MemberStatus.ACTIVE,  # of a list that asks for nothing
    ("disabled", "confirmed"): MemberStatus.DISABLED,
    ("disabled", "unconfirmed"): MemberStatus.DISABLED,
    ("enabled", "unsubscribed"): MemberStatus.UNSUBSCRIBED,
    ("disabled", "unsubscribed"): MemberStatus.UNSUBSCRIBED,
}

_ABSENT: Final = ItemResult(Result.ABSENT)
_TAKEN: Final = ItemResult(Result.FAILED, "another member has the new address")

Found = dict[AddressKey, Subscriber]
"""Whom the server knows, on the list or not."""


class Listmonk(Backend):
    """One listmonk server, as one of its API users."""

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Options(Backend.Options):
        """The keys of a `listmonk` backend."""

        url: str = field(metadata={"help": "The server's address, without `/api`."})
        user: str = field(metadata={"help": "The name of an API user."})
        token: str = field(repr=False, metadata={"secret": True, "help": "That user's token."})

    _options: Options

    capabilities = Capabilities(
        can_read=True,
        tells_unsubscribe=True,
        tells_blocked=True,
        finds_lists=True,
        bulk_add=500,
        bulk_update=100,
        bulk_remove=500,
        names=Names.ONE,
        keeps_reference=True,
    )

    def __init__(self, options: Options, retry: Retry) -> None:
        super().__init__(options, retry)
        self._server = Server(options.url, options.user, options.token, retry)

    def check(self) -> str:
        """Log in, and ask for the version and the lists that we may see."""
        version, lists = self._server.version, len(self._server.lists())
        plural = "" if lists == 1 else "s"
        return f"{self._server.host} is listmonk {version} with {lists} list{plural}"

    def find_list(self, name: str) -> ListId | None:
        """Find a list by its name, which need not be unique: then, the one that we made.

        Raises:
            ConfigurationError: several lists have the name.
        """
        with self._writing(again=False) as server:
            lists = [each for each in server.lists() if each.name == name]
        if len(lists) > 1:
            lists = [each for each in lists if TAG in each.tags] or lists
        if len(lists) > 1:
            raise ConfigurationError(
                f"{self._server.host} has {len(lists)} lists of one name",
                hint="Set list_id in the link, or rename the others there.",
            )
        return lists[0].id if lists else None

    def ensure_list(self, name: str) -> ListId:
        """Find a list, or make one that is private and asks nobody to confirm."""
        found = self.find_list(name)
        if found is not None:
            return found
        try:
            return self._server.make_list(name).id
        except AmbiguousError:
            found = self.find_list(name)
            if found is None:
                raise
            return found

    def delete_list(self, list_id: ListId) -> None:
        """Delete a list; the people on it stay on the server."""
        with self._writing(again=False) as server:
            server.delete_list(list_id)

    def fault_of(self, address: str) -> str:
        """Refuse capitals that listmonk would write small, so that we wouldn't know it again."""
        if key_of(address.lower()) != key_of(address):
            return "listmonk would write its capital letters small"
        return ""

    def read(self, list_id: ListId) -> Iterator[Member]:
        """Read a list whole, sorted by key; again, where it changes meanwhile.

        No member tells since when: listmonk's own time of a change moves when an import
        touches a row without changing it, and stays when a row is put back.

        Raises:
            TemporaryError: it kept changing, or shows people who are not on it.
            ConfigurationError: there is no such list, or it went away.
        """
        for left in reversed(range(_READS)):
            members = sorted_by_key(self._sweep(list_id))
            try:
                first = next(members, None)
            except ShiftedError:
                if not left:
                    raise
                continue
            if first is not None:
                yield first
                yield from members
            return

    def upsert(
        self,
        list_id: ListId,
        entries: Sequence[Entry],
        *,
        known: bool,  # noqa: ARG002 - the server knows by itself
        again: bool = False,
    ) -> list[ItemResult]:
        """Add people or change their names; a person's row on the list stays as it is."""
        with self._writing(again=again) as server:
            return self._put(server.list_at(list_id), entries, set())

    def rename(
        self, list_id: ListId, old_address: str, entry: Entry, *, again: bool = False
    ) -> ItemResult:
        """Change a person's address, on all lists of the server; reference and rows stay."""
        old_key = key_of(old_address)
        with self._writing(again=again) as server:
            at = server.list_at(list_id)
            found = self._find(at, {old_key, entry.person.key})
            if old_key == entry.person.key:
                return self._judged(lambda: self._settle(at, entry, found, set()))
            return self._judged(lambda: self._move(at, old_key, entry, found, again=again))

    def remove(
        self, list_id: ListId, entries: Sequence[Entry], *, again: bool = False
    ) -> list[ItemResult]:
        """Take rows off the list, but not of who unsubscribed: that must not be forgotten."""
        with self._writing(again=again) as server:
            at = server.list_at(list_id)
            return self._leave(at, entries, lambda going: server.remove(at, going))

    def unsubscribe(
        self, list_id: ListId, entries: Sequence[Entry], *, again: bool = False
    ) -> list[ItemResult]:
        """Note that people do not want the list; who has no row on it is absent."""
        with self._writing(again=again) as server:
            at = server.list_at(list_id)
            return self._leave(at, entries, lambda going: server.unsubscribe(at, going))

    def resubscribe(
        self, list_id: ListId, entries: Sequence[Entry], *, again: bool = False
    ) -> list[ItemResult]:
        """Put people back who had left this list; whom the whole server blocks stays blocked."""
        with self._writing(again=again) as server:
            at = server.list_at(list_id)
            found = self._find(at, {entry.person.key for entry in entries})
            left = {
                key: person
                for key, person in found.items()
                if person.status != "blocklisted" and _has_left(at, person)
            }
            if left:
                with suppress(ItemError):  # one of them is gone: then nobody was put back
                    server.put_back(at, left.values())
            return self._put(at, entries, set(left))

    def close(self) -> None:
        """Let go of connections."""
        self._server.close()

    @contextmanager
    def _writing(self, *, again: bool) -> Iterator[Server]:
        """Give the server, if it is one for us; leave in doubt what fails after a write.

        `again`: there may have been one before.
        """
        self._server.wrote = again
        try:
            _ = self._server.version
            yield self._server
        except TemporaryError as error:
            if self._server.wrote:
                raise in_doubt(error) from error
            raise

    def _sweep(self, list_id: ListId) -> Iterator[Member]:
        """Yield who is on a list, by id; the list is there before and after."""
        _ = self._server.version
        at = self._server.list_at(list_id)

        @cache
        def kinds() -> Mapping[int, set[str]]:
            found = defaultdict[int, set[str]](set)
            for bounce in self._server.bounces():
                found[bounce.subscriber].add(bounce.kind)
            return found

        for person in self._server.people_of(at.id):
            status = _standing(at, person, lambda one: kinds()[one])
            yield Member(str(person.id), Person.of(person.email, person.name, ""), status)
        self._server.list_at(list_id)

    def _find(self, at: MailingList, keys: set[AddressKey]) -> Found:
        """Return whom the server knows by these addresses.

        Of two with one key, whoever left counts: a domain may be spelled in two ways.
        """
        found: Found = {}
        spelled = sorted({text for key in keys for text in _spellings(key)})
        for person in self._server.people_with(spelled):
            key = key_of(person.email)
            if key in keys and (key not in found or _has_left(at, person)):
                found[key] = person
        return found

    def _put(
        self, at: MailingList, entries: Sequence[Entry], added: set[AddressKey]
    ) -> list[ItemResult]:
        """Bring people on the list with their names; `added` were put there just now."""
        found = self._find(at, {entry.person.key for entry in entries})
        new = {e.person.key: e.person for e in entries if e.person.key not in found}
        if len(new) > _SINGLY:
            rows = [(person.address, person.one_text) for person in new.values()]
            self._server.take_in(at, rows)
            came = self._find(at, set(new))
            added |= {key for key, person in came.items() if at.id in person.subscriptions}
            found |= came
        joining = {key: person for key, person in found.items() if _may_join(at, person)}
        if len(joining) > 1:
            # Where one of them is gone, nobody was added: then each goes by himself.
            with suppress(ItemError):
                self._server.join(at, joining.values())
                added |= joining.keys()
        return self._singly(entries, lambda entry: self._settle(at, entry, found, added))

    def _settle(
        self, at: MailingList, entry: Entry, found: Found, added: set[AddressKey]
    ) -> ItemResult:
        """Bring one person on the list; `found` and `added` are told what became of him."""
        key = entry.person.key
        if key not in found:
            found[key] = self._make(at, entry.person, added)
        person = found[key]
        objection = self._objection(at, person)
        if objection is not None:
            return objection
        if key not in added and _may_join(at, person):
            self._server.join(at, [person])
            added.add(key)
        name = entry.person.one_text
        if name not in {"", person.name}:
            found[key] = self._server.change_person(person, {"name": name})
        done = key in added or found[key] is not person
        return ItemResult(Result.DONE if done else Result.UNCHANGED, reference=str(person.id))

    def _make(self, at: MailingList, person: Person, added: set[AddressKey]) -> Subscriber:
        """Make somebody known; who became known meanwhile is returned as he is."""
        try:
            made = self._server.make_person(person.address, person.one_text, at)
        except ItemError as refusal:
            if refusal.code != EXISTS:
                raise
            known = self._find(at, {person.key}).get(person.key)
            if known is None:
                words = "the address is of somebody whom the API user may not see"
                raise ItemError(words) from refusal
            return known
        added.add(person.key)
        return made

    def _move(
        self, at: MailingList, old_key: AddressKey, entry: Entry, found: Found, *, again: bool
    ) -> ItemResult:
        """Bring a member to an address that is free, or that somebody off the list has."""
        old, new = found.get(old_key), found.get(entry.person.key)
        here = new is not None and at.id in new.subscriptions
        if old is None or at.id not in old.subscriptions:
            # An earlier try may have done it.
            return self._settle(at, entry, found, set()) if here else _ABSENT
        objection = self._objection(at, old) or (self._objection(at, new) if new else None)
        if objection is not None:
            return objection
        if new is None:
            fields = {"email": entry.person.address, "name": entry.person.one_text}
            try:
                self._server.change_person(old, fields)
            except ItemError as refusal:
                if refusal.code != DUPLICATE:
                    raise
                return _TAKEN
            return ItemResult(Result.DONE, reference=str(old.id))
        if here and not again:
            return _TAKEN
        result = self._settle(at, entry, found, set())
        self._server.remove(at, [old])
        return ItemResult(Result.DONE, reference=result.reference)

    def _leave(
        self,
        at: MailingList,
        entries: Sequence[Entry],
        leave: Callable[[Sequence[Subscriber]], None],
    ) -> list[ItemResult]:
        """Let everybody go who is on the list and has not left already."""
        found = self._find(at, {entry.person.key for entry in entries})
        here = {key: person for key, person in found.items() if at.id in person.subscriptions}
        going = {key: person for key, person in here.items() if not _has_left(at, person)}
        if going:
            leave(list(going.values()))
        results: list[ItemResult] = []
        for entry in entries:
            person = here.get(entry.person.key)
            if person is None:
                results.append(_ABSENT)
            else:
                result = Result.DONE if entry.person.key in going else Result.UNCHANGED
                results.append(ItemResult(result, reference=str(person.id)))
        return results

    def _objection(self, at: MailingList, person: Subscriber) -> ItemResult | None:
        """Return what stands against writing to a person, or None."""
        reference = str(person.id)
        if _may_join(at, person):
            return None
        match _standing(at, person, self._kinds):
            case MemberStatus.UNSUBSCRIBED:
                return ItemResult(Result.REFUSED, "the member unsubscribed", reference)
            case MemberStatus.BLOCKED:
                return ItemResult(Result.BLOCKED, "the address bounces", reference)
            case MemberStatus.UNKNOWN:
                return ItemResult(Result.FAILED, "a standing that syncd does not know", reference)
        return None

    def _kinds(self, person: int) -> set[str]:
        return {bounce.kind for bounce in self._server.bounces_of(person)}


def _standing(
    at: MailingList, person: Subscriber, kinds: Callable[[int], set[str]]
) -> MemberStatus:
    """Return how a person with a row on the list, or whom the server blocks, stands to it.

    A block is for every list; `kinds` tells of which kinds the letters were that came back.
    Who left stays so, whether delivery is switched off or not.
    """
    if person.status == "blocklisted":
        returned = kinds(person.id)
        hard = "hard" in returned and "complaint" not in returned
        return MemberStatus.BLOCKED if hard else MemberStatus.UNSUBSCRIBED
    row = person.subscriptions[at.id]
    if (person.status, row.status, at.double) == ("enabled", "unconfirmed", True):
        return MemberStatus.PENDING
    return _STATUSES.get((person.status, row.status), MemberStatus.UNKNOWN)


def _has_left(at: MailingList, person: Subscriber) -> bool:
    row = person.subscriptions.get(at.id)
    return row is not None and row.status == "unsubscribed"


def _may_join(at: MailingList, person: Subscriber) -> bool:
    return person.status != "blocklisted" and at.id not in person.subscriptions


def _spellings(key: AddressKey) -> set[str]:
    """Return how an address may be stored: its domain as it was given, in either spelling."""
    local, _, domain = key.rpartition("@")
    if "xn--" not in domain:
        return {key}
    try:
        return {key, f"{local}@{idna.decode(domain)}"}
    except idna.IDNAError:
        return {key}
