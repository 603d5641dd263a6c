"""GNU Mailman 3.3, by the REST API of its core.

Mailman keeps no trace of who left: they are absent, and could be added at any time without being
asked. So a member who is known and not found is left alone, and syncd's own latches stand in the
way of everything else. An address is known once, with one name, to all lists of the server.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from syncd.backends.base import Backend, Retry, in_doubt, sorted_by_key
from syncd.backends.mailman3_server import Server
from syncd.core.address import AddressKey, fault_of, key_of
from syncd.core.people import Member, MemberStatus, Names, Person
from syncd.core.plan import ItemResult, Result
from syncd.errors import ConfigurationError, TemporaryError
from syncd.ports import Capabilities, Entry, ListId
from syncd.wire.mailman import MailingList, Subscriber, local_part_of

# Mailman's own rule, but for the slash, which no path of its API can hold.
_LOCAL: Final = re.compile(r"[-0-9A-Za-z!#$%&'*+.=?@_`{}~]+").fullmatch

_ABSENT: Final = ItemResult(Result.ABSENT)
_BANNED: Final = ItemResult(Result.FAILED, "the new address is banned")
_TAKEN: Final = ItemResult(Result.FAILED, "another member has the new address")


class Mailman3(Backend):
    """One domain of one Mailman server."""

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Options(Backend.Options):
        """The keys of a `mailman3` backend."""

        url: str = field(metadata={"help": "The REST API's address, with or without `/3.1`."})
        user: str = field(metadata={"help": "The API's user: Mailman's `admin_user`."})
        password: str = field(
            repr=False, metadata={"secret": True, "help": "Its password: `admin_pass`."}
        )
        domain: str = field(metadata={"help": "The mail domain of the lists."})

    _options: Options

    capabilities = Capabilities(
        can_read=True,
        tells_unsubscribe=False,
        tells_blocked=True,
        finds_lists=True,
        bulk_add=1,
        bulk_update=1,
        bulk_remove=200,
        names=Names.ONE,
        keeps_reference=True,
    )

    def __init__(self, options: Options, retry: Retry) -> None:
        super().__init__(options, retry)
        if fault_of(f"a@{options.domain}"):
            raise ConfigurationError(
                "the domain is none", hint="Write it like lists.example.com: the lists' domain."
            )
        domain = key_of(f"a@{options.domain}").removeprefix("a@")
        self._server = Server(options.url, options.user, options.password, domain, retry)

    def check(self) -> str:
        """Log in, and ask for the version and for the domain's lists."""
        version, lists = self._server.version, self._server.lists_here()
        plural = "" if lists == 1 else "s"
        where = f"at {self._server.domain}"
        return f"{self._server.host} is {version} with {lists} list{plural} {where}"

    def find_list(self, name: str) -> ListId | None:
        """Find a list by its address or its name.

        Its address before the @ follows from the name: the name itself, or what is left of it
        in small ASCII letters. In the second case the list's own name decides.

        Raises:
            ConfigurationError: the address is another list's.
        """
        with self._writing(again=False) as server:
            found = server.find_list(local_part_of(name))
        if found is None:
            return None
        if name == found.display_name or name.lower() == found.local:
            return found.id
        if _unfinished(found):
            return None
        raise ConfigurationError(
            f"{self._server.host} has a list {found.id} of another name",
            hint="If it is the one that is meant, set list_id in the link.",
        )

    def ensure_list(self, name: str) -> ListId:
        """Find a list, or make one for announcements that greets nobody."""
        found = self.find_list(name)
        if found is not None:
            return found
        local = local_part_of(name)
        with self._writing(again=False) as server:
            server.make_list(local)
            return server.set_up_list(local, name)

    def delete_list(self, list_id: ListId) -> None:
        """Delete a list; the addresses on it stay known to the server."""
        with self._writing(again=False) as server:
            server.delete_list(list_id)

    def fault_of(self, address: str) -> str:
        """Refuse what Mailman refuses: all but plain signs before the @."""
        if not _LOCAL(address.rpartition("@")[0]):
            return "Mailman takes only plain letters, digits and few signs before the @"
        return ""

    def read(self, list_id: ListId) -> Iterator[Member]:
        """Read a list whole, sorted by key, in one answer.

        Whose delivery is off for another reason than bounces counts as active.

        Raises:
            TemporaryError: the answer holds other members than the server counted.
            ConfigurationError: there is no such list.
        """
        _ = self._server.version
        # The list comes last: where it is gone, that is noticed.
        bounced = self._server.bounced(list_id)
        yield from sorted_by_key(
            Member(
                each.id,
                Person.of(each.email, each.name, ""),
                MemberStatus.BLOCKED if each.id in bounced else MemberStatus.ACTIVE,
            )
            for each in self._server.roster(list_id)
        )

    def upsert(
        self, list_id: ListId, entries: Sequence[Entry], *, known: bool, again: bool = False
    ) -> list[ItemResult]:
        """Add people, or change the names of known ones; a known one who is gone stays so."""
        with self._writing(again=again):
            if known:
                return self._singly(entries, lambda entry: self._update(list_id, entry.person))
            return self._singly(entries, lambda entry: self._add(list_id, entry.person))

    def rename(
        self, list_id: ListId, old_address: str, entry: Entry, *, again: bool = False
    ) -> ItemResult:
        """Move a membership to another address; reference and settings stay, with few exceptions.

        They are new where the membership follows its user's preferred address, or where the
        new address is another user's who is on some list with it or prefers it.
        """
        old_key, person = key_of(old_address), entry.person
        with self._writing(again=again):
            if old_key == person.key:
                return self._judged(lambda: self._update(list_id, person))
            return self._judged(lambda: self._move(list_id, old_key, person, again=again))

    def remove(
        self, list_id: ListId, entries: Sequence[Entry], *, again: bool = False
    ) -> list[ItemResult]:
        """Take members off the list, without a letter."""
        keys = [entry.person.key for entry in entries]
        size = self.capabilities.bulk_remove
        results: list[ItemResult] = []
        with self._writing(again=again) as server:
            for start in range(0, len(keys), size):
                batch = keys[start : start + size]
                gone = server.leave(list_id, batch)
                results += [ItemResult(Result.DONE) if key in gone else _ABSENT for key in batch]
        return results

    def unsubscribe(
        self, list_id: ListId, entries: Sequence[Entry], *, again: bool = False
    ) -> list[ItemResult]:
        """Take members off the list: Mailman has no other word for leaving."""
        return self.remove(list_id, entries, again=again)

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

    def _add(self, list_id: ListId, person: Person) -> ItemResult:
        name = person.one_text
        reference = self._server.subscribe(list_id, _sent(person), name)
        if not reference:
            return self._update(list_id, person)
        if name:
            # Of an address that it has met before, Mailman has not taken the name.
            self._server.name_address(person.key, name)
        return ItemResult(Result.DONE, reference=reference)

    def _update(self, list_id: ListId, person: Person) -> ItemResult:
        member = self._server.member(list_id, person.key)
        if member is None:
            self._server.list_at(list_id)
            return _ABSENT
        return self._blocked(member) or self._named(member, person)

    def _named(self, member: Subscriber, person: Person) -> ItemResult:
        """Give a member another name; none at all would be none on the server's other lists."""
        name = person.one_text
        if name in {"", member.name}:
            return ItemResult(Result.UNCHANGED, reference=member.id)
        self._server.name_member(member, name)
        return ItemResult(Result.DONE, reference=member.id)

    def _blocked(self, member: Subscriber) -> ItemResult | None:
        """Return the result for a member whose address bounces, None for others."""
        if not self._server.bounces(member):
            return None
        return ItemResult(Result.BLOCKED, "the address bounces", member.id)

    def _move(
        self, list_id: ListId, old_key: AddressKey, person: Person, *, again: bool
    ) -> ItemResult:
        """Bring a member to another address, or see that this was done."""
        server = self._server
        old, new = server.member(list_id, old_key), server.member(list_id, person.key)
        if old is None:
            if new is not None:
                return self._named(new, person)
            server.list_at(list_id)
            return _ABSENT
        if new is None:
            return self._readdress(list_id, old, person)
        if not again:
            return _TAKEN
        # Two memberships at one address would be more than Mailman can show.
        server.leave(list_id, [old_key])
        self._named(new, person)
        return ItemResult(Result.DONE, reference=new.id)

    def _readdress(self, list_id: ListId, member: Subscriber, person: Person) -> ItemResult:
        """Bring a member to an address that nobody has on this list."""
        server, name = self._server, person.one_text
        objection = self._blocked(member)
        if objection is not None:
            return objection
        if server.bans(list_id, person.key):
            return _BANNED  # of which Mailman only minds additions
        known = server.address(person.key)
        owner = known.user if known else ""
        anothers = owner not in {"", member.user} and server.is_in_use(person.key, owner)
        if member.by_user or not member.user or anothers:
            result = self._add(list_id, person)
            server.leave(list_id, [AddressKey(member.email)])
            return result
        if not owner:
            server.add_address(member.user, _sent(person), person.key, name)
        elif owner != member.user:
            server.hand_address(person.key, member.user)
        server.move(member, person.key)
        if known and name not in {"", known.name}:
            server.name_address(person.key, name)
        return ItemResult(Result.DONE, reference=member.id)


def _sent(person: Person) -> str:
    """Return an address as its owner wrote it, its domain as Mailman takes it."""
    local, at, _ = person.address.rpartition("@")
    return f"{local}{at}{person.key.rpartition('@')[2]}"


def _unfinished(found: MailingList) -> bool:
    """Say whether a list may be one of ours that has not got its name yet."""
    return not found.members and found.display_name == found.local.capitalize()
