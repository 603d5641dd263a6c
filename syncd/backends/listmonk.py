"""listmonk, versions 6.0 to 6.2, by its REST API.

A person is known to the whole server once and has a row on each list; who unsubscribed keeps
that row. So each write looks at the people first, and then does what their rows allow: what
could overwrite a row is only sent where it was seen that there is none. That look also tells
what an earlier call did whose answer was lost, so nearly everything here may be repeated.

Facts are from listmonk's own source.
"""

import base64
import json
import re
import secrets
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any, Final, TypeVar
from urllib.parse import quote

import idna

from syncd import clock, transport
from syncd.backends.base import Backend, Retry, in_doubt, shortened, sorted_by_key
from syncd.core.address import AddressKey, key_of
from syncd.core.people import Member, MemberStatus, Names, Person
from syncd.core.plan import ItemResult, Result
from syncd.errors import (
    AmbiguousError,
    AuthenticationError,
    ConfigurationError,
    ItemError,
    TemporaryError,
)
from syncd.ports import Capabilities, Entry, ListId
from syncd.transport import Reply, Transport, fault_of_status
from syncd.wire.listmonk import (
    Bounce,
    CutError,
    MailingList,
    MalformedError,
    Subscriber,
    encode_import,
    read_bounce,
    read_bounces,
    read_data,
    read_import,
    read_list,
    read_lists,
    read_manages_all,
    read_message,
    read_page,
    read_subscriber,
    read_version,
    search_for,
)

T = TypeVar("T")
Row = TypeVar("Row", Bounce, Subscriber)

_JSON: Final = "application/json"
_IMPORT: Final = "/api/import/subscribers"

_OK: Final = 200
_BAD: Final = 400
_FORBIDDEN: Final = 403
_EXISTS: Final = 409
_UNKNOWN_USER: Final = re.compile("invalid (API credentials|session)")
"""Not translated, unlike most of what listmonk says; nor are PostgreSQL's words in it."""
_DUPLICATE: Final = "duplicate key"
_NO_SUCH_KEY: Final = "foreign key"

_OLDEST: Final = (6, 0)
_PATCHES: Final = (6, 1)
"""The first version that changes a person without a copy of all that is known of him."""

_TAG: Final = "syncd"
"""On each list that we make."""

_PAGE: Final = 1000
_LOOKUP: Final = 50
"""Addresses in one search: its line stays shorter than what proxies take."""
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

_TAKEN: Final = "another member has the new address"
_ABSENT: Final = ItemResult(Result.ABSENT)


class _ShiftedError(TemporaryError):
    """The list changed while it was read, so that someone may have been missed."""


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
        self._transport = Transport(
            transport.Options(
                url=options.url.rstrip("/"),
                timeout_s=retry.timeout_s,
                attempts=retry.attempts,
                wait_s=retry.wait_s,
                max_wait_s=retry.max_wait_s,
            )
        )
        # `Basic` and not listmonk's own `token`, which could not carry a name beyond ASCII.
        pair = base64.b64encode(f"{options.user}:{options.token}".encode()).decode()
        self._headers = {"Authorization": f"Basic {pair}", "Accept": _JSON}
        self._wrote = False

    def check(self) -> str:
        """Log in, and ask for the version and the lists that we may see."""
        self._insist_on_version()
        lists = len(self._get("/api/lists?minimal=true", read_lists))
        plural = "" if lists == 1 else "s"
        return f"{self._transport.host} is listmonk {self._version[0]} with {lists} list{plural}"

    def find_list(self, name: str) -> ListId | None:
        """Find a list by its name, which need not be unique: then, the one that we made.

        Raises:
            ConfigurationError: several lists have the name.
        """
        self._insist_on_version()
        lists = [
            each for each in self._get("/api/lists?minimal=true", read_lists) if each.name == name
        ]
        if len(lists) > 1:
            lists = [each for each in lists if _TAG in each.tags] or lists
        if len(lists) > 1:
            raise ConfigurationError(
                f"{self._transport.host} has {len(lists)} lists of one name",
                hint="Set list_id in the link, or rename the others there.",
            )
        return lists[0].id if lists else None

    def ensure_list(self, name: str) -> ListId:
        """Find a list, or make one that is private and asks nobody to confirm."""
        found = self.find_list(name)
        if found is not None:
            return found
        fields = {
            "name": name, "type": "private", "optin": "single", "tags": [_TAG], "description": "",
        }  # fmt: skip
        try:
            made = self._send("POST", "/api/lists", fields, read_list, repeatable=False)
        except AmbiguousError:
            found = self.find_list(name)
            if found is None:
                raise
            return found
        except ItemError as refusal:
            raise self._declined("make the list", refusal) from refusal
        return made.id

    def delete_list(self, list_id: ListId) -> None:
        """Delete a list; the people on it stay on the server."""
        self._insist_on_version()
        try:
            self._send("DELETE", f"/api/lists/{self._number(list_id)}", None, bool, repeatable=True)
        except ItemError as refusal:
            raise self._declined("delete the list", refusal) from refusal

    def fault_of(self, address: str) -> str:
        """Refuse capitals that listmonk would write small and we would then not know again."""
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
        self._insist_on_version()
        for left in reversed(range(_READS)):
            members = sorted_by_key(self._sweep(self._number(list_id)))
            try:
                first = next(members, None)
            except _ShiftedError:
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
        with self._writing(again=again):
            return self._put(self._list(list_id), entries, set())

    def rename(
        self, list_id: ListId, old_address: str, entry: Entry, *, again: bool = False
    ) -> ItemResult:
        """Change a person's address, on all lists of the server; reference and rows stay."""
        with self._writing(again=again):
            at = self._list(list_id)
            found = self._find(at, [old_address, entry.person.address])
            old_key = key_of(old_address)
            if old_key == entry.person.key:
                return self._judged(lambda: self._settle(at, entry, found, set()))
            return self._judged(lambda: self._move(at, old_key, entry, found, again=again))

    def remove(
        self, list_id: ListId, entries: Sequence[Entry], *, again: bool = False
    ) -> list[ItemResult]:
        """Take rows off the list, but not of who unsubscribed: that must not be forgotten."""
        with self._writing(again=again):
            return self._leave(self._list(list_id), entries, "remove")

    def unsubscribe(
        self, list_id: ListId, entries: Sequence[Entry], *, again: bool = False
    ) -> list[ItemResult]:
        """Note that people do not want the list; who has no row on it is absent."""
        with self._writing(again=again):
            return self._leave(self._list(list_id), entries, "unsubscribe")

    def resubscribe(
        self, list_id: ListId, entries: Sequence[Entry], *, again: bool = False
    ) -> list[ItemResult]:
        """Put people back who had left this list; whom the whole server blocks stays blocked."""
        with self._writing(again=again):
            at = self._list(list_id)
            found = self._find(at, [entry.person.address for entry in entries])
            left = {
                key: person
                for key, person in found.items()
                if person.status != "blocklisted" and _has_left(at, person)
            }
            if left:
                # Not repeatable: they may leave again before the second try.
                self._act(at, "add", left.values(), status="confirmed", repeatable=False)
            return self._put(at, entries, set(left))

    def close(self) -> None:
        """Let go of connections."""
        self._transport.close()

    # Reading.

    def _sweep(self, list_id: int) -> Iterator[Member]:
        """Yield who is on a list, by id; the list is there before and after."""
        self._list(list_id)

        @cache
        def kinds() -> Mapping[int, set[str]]:
            found = defaultdict[int, set[str]](set)
            for bounce in self._rows("/api/bounces?order_by=created_at&order=asc", read_bounce):
                found[bounce.subscriber].add(bounce.kind)
            return found

        last = 0
        for person in self._rows(f"/api/subscribers?list_id={list_id}&order=asc", read_subscriber):
            if person.id <= last:
                raise self._shifted()
            last = person.id
            here = list_id in person.subscriptions
            status = _status(list_id, person, lambda one: kinds()[one]) if here else None
            if status is None:
                # Either he left between two queries, or we are shown the lists that we may see.
                raise _ShiftedError(
                    f"{self._transport.host} shows people who are not on list {list_id}",
                    hint="Does the API user's role allow this list and its subscribers?",
                )
            yield Member(str(person.id), Person.of(person.email, person.name, ""), status)
        self._list(list_id)

    def _rows(self, path: str, read: Callable[[Any], Row]) -> Iterator[Row]:
        """Yield all rows of a table that changes while it is read.

        Pages are offsets. Each begins with a row that the one before ended with: where that
        row still stands in its place, no row behind it can have slid past us.
        """
        seen, last, whole = 0, -1, True
        total = 0
        while whole:
            start, size = _window(seen)
            rows, total = self._get(
                f"{path}&page={start // size + 1}&per_page={size}",
                lambda data: read_page(data, read),
            )
            known = seen - start
            if known and (len(rows) < known or rows[known - 1].id != last):
                raise self._shifted()
            yield from rows[known:]
            seen, whole = start + len(rows), len(rows) == size
            last = rows[-1].id if rows else last
        if seen != total:
            raise self._shifted()

    def _shifted(self) -> _ShiftedError:
        return _ShiftedError(f"a list of {self._transport.host} changed while it was read")

    def _list(self, list_id: ListId) -> MailingList:
        """Return a list as it is now.

        Raises:
            ConfigurationError: there is none, or the server is too old.
        """
        self._insist_on_version()
        path = f"/api/lists/{self._number(list_id)}"
        try:
            return self._send("GET", path, None, read_list, repeatable=True)
        except ItemError as refusal:
            raise self._no_list(list_id) from refusal

    def _number(self, list_id: ListId) -> int:
        """Return a list's id as listmonk has it; a config may hold it as text."""
        if not str(list_id).isdecimal():
            raise self._no_list(list_id)
        return int(list_id)

    def _find(self, at: MailingList, addresses: Sequence[str]) -> dict[AddressKey, Subscriber]:
        """Return whom the server knows by these addresses, on the list or not.

        Of two with one key, whoever left counts: a domain may be spelled in two ways.
        """
        wanted = {key_of(address) for address in addresses}
        spelled = sorted({text for key in wanted for text in _spellings(key)})
        found: dict[AddressKey, Subscriber] = {}
        for start in range(0, len(spelled), _LOOKUP):
            pattern = quote(search_for(spelled[start : start + _LOOKUP]), safe="")
            people, _ = self._get(
                f"/api/subscribers?search={pattern}&order=asc&per_page=all",
                lambda data: read_page(data, read_subscriber),
            )
            for person in people:
                key = key_of(person.email)
                # A search also looks into names.
                if key in wanted and (key not in found or _has_left(at, person)):
                    found[key] = person
        return found

    # Writing.

    @contextmanager
    def _writing(self, *, again: bool) -> Iterator[None]:
        """Leave a call in doubt that fails after it wrote something, now or the first time."""
        self._wrote = again
        try:
            yield
        except TemporaryError as error:
            if self._wrote:
                raise in_doubt(error) from error
            raise

    def _put(
        self, at: MailingList, entries: Sequence[Entry], added: set[AddressKey]
    ) -> list[ItemResult]:
        """Bring people on the list with their names; `added` were put there just now."""
        found = self._find(at, [entry.person.address for entry in entries])
        new = {e.person.key: e.person for e in entries if e.person.key not in found}
        if len(new) > _SINGLY:
            self._import(at, new)
            came = self._find(at, [person.address for person in new.values()])
            added |= {key for key, person in came.items() if at.id in person.subscriptions}
            found |= came
        joining = {key: person for key, person in found.items() if _may_join(at, person)}
        if len(joining) > 1:
            # Where one of them is gone, nobody was added: then each goes by himself.
            with suppress(ItemError):
                self._join(at, joining.values())
                added |= joining.keys()
        return self._singly(entries, lambda entry: self._settle(at, entry, found, added))

    def _settle(
        self,
        at: MailingList,
        entry: Entry,
        found: dict[AddressKey, Subscriber],
        added: set[AddressKey],
    ) -> ItemResult:
        """Bring one person on the list; `found` is told what became of him."""
        key = entry.person.key
        if key not in found:
            found[key] = self._create(at, entry.person, added)
        person = found[key]
        standing = self._standing(at, person)
        if standing is not None:
            return standing
        if key not in added and _may_join(at, person):
            self._join(at, [person])
            added.add(key)
        found[key] = self._name(person, entry.person)
        done = key in added or found[key] is not person
        return ItemResult(Result.DONE if done else Result.UNCHANGED, reference=str(person.id))

    def _create(self, at: MailingList, person: Person, added: set[AddressKey]) -> Subscriber:
        """Make a person known to the server, on the list; who was known is returned as he is."""
        fields = {
            "email": person.address,
            "name": _one_text(person),
            "status": "enabled",
            "lists": [at.id],
            "attribs": {},
            "preconfirm_subscriptions": True,  # else some lists mail a request to confirm
        }
        try:
            made = self._send("POST", "/api/subscribers", fields, read_subscriber, repeatable=True)
        except ItemError as refusal:
            if refusal.code != str(_EXISTS):
                raise
            # Made meanwhile, or by a first try whose answer was lost.
            known = self._find(at, [person.address]).get(person.key)
            if known is None:
                raise ItemError(
                    "the address is of a person whom the API user may not see"
                ) from refusal
            return known
        if at.id not in made.subscriptions:  # listmonk drops lists that it doesn't have
            raise self._no_list(at.id)
        added.add(person.key)
        return made

    def _import(self, at: MailingList, people: Mapping[AddressKey, Person]) -> None:
        """Send new people as a file, if the server takes one now; who came, a look will tell.

        An import leaves alone whoever is there already, so it can put nobody back.
        """
        if self._get(_IMPORT, read_import).running:
            return
        name = f"syncd-{at.id}-{secrets.token_hex(8)}.csv"
        rows = [(person.address, _one_text(person)) for person in people.values()]
        content_type, body = encode_import(rows, at.id, name=name)
        try:
            self._call("POST", _IMPORT, body, content_type, read_import, repeatable=False)
        except ItemError:
            return  # another one began meanwhile
        except AmbiguousError:
            self._wrote = True  # whether it began, the server will say
        deadline_s = clock.monotonic_s() + self._retry.timeout_s
        while (state := self._get(_IMPORT, read_import)).running and state.name == name:
            if clock.monotonic_s() > deadline_s:
                raise AmbiguousError(f"{self._transport.host} is still at work on our import")
            time.sleep(self._retry.wait_s)

    def _join(self, at: MailingList, people: Iterable[Subscriber]) -> None:
        """Give people a row who have none.

        Without a status no row that came meanwhile is changed; the new ones are unconfirmed,
        which only a list with confirmation minds. There, a second try needs a second look.
        """
        status = "confirmed" if at.double else ""
        self._act(at, "add", people, status=status, repeatable=not at.double)

    def _act(
        self,
        at: MailingList,
        action: str,
        people: Iterable[Subscriber],
        *,
        repeatable: bool,
        status: str | None = None,
    ) -> None:
        fields: dict[str, object] = {
            "ids": sorted({person.id for person in people}),
            "action": action,
            "target_list_ids": [at.id],
        }
        if status is not None:
            fields["status"] = status
        self._send("PUT", "/api/subscribers/lists", fields, bool, repeatable=repeatable)

    def _name(self, person: Subscriber, wanted: Person) -> Subscriber:
        """Give a person another name; listmonk keeps the old one where the new is empty."""
        name = _one_text(wanted)
        return person if name in {"", person.name} else self._change(person, {"name": name})

    def _change(self, person: Subscriber, fields: Mapping[str, object]) -> Subscriber:
        """Change a person's own fields.

        Raises:
            ItemError: the server refuses them, or its version can't do it without harm.
        """
        path = f"/api/subscribers/{person.id}"
        # Without this, either way mails whoever has not confirmed another list.
        quiet = {"preconfirm_subscriptions": True}
        if self._version[1] >= _PATCHES:
            return self._send("PATCH", path, {**fields, **quiet}, read_subscriber, repeatable=True)
        now = self._send("GET", path, None, read_subscriber, repeatable=True)
        rows = now.subscriptions
        unasked = any(row.double and row.status == "unconfirmed" for row in rows.values())
        if unasked or (len(rows) > 1 and not self._manages_all):
            raise ItemError(
                "listmonk 6.0 can't change this person without touching other lists: "
                "update it to 6.1, or give the API user lists:manage_all"
            )
        whole = {
            "email": now.email,
            "name": now.name,
            "status": now.status,
            "attribs": now.attribs,
            "lists": sorted(rows),
        }
        return self._send(
            "PUT", path, {**whole, **fields, **quiet}, read_subscriber, repeatable=True
        )

    def _move(
        self,
        at: MailingList,
        old_key: AddressKey,
        entry: Entry,
        found: dict[AddressKey, Subscriber],
        *,
        again: bool,
    ) -> ItemResult:
        """Bring a member to an address that is free, or that a person off the list has."""
        old, new = found.get(old_key), found.get(entry.person.key)
        here = new is not None and at.id in new.subscriptions
        if old is None or at.id not in old.subscriptions:
            # An earlier try may have done it.
            return self._settle(at, entry, found, set()) if here else _ABSENT
        standing = self._standing(at, old) or (self._standing(at, new) if new else None)
        if standing is not None:
            return standing
        if new is None:
            name = _one_text(entry.person)
            fields = {"email": entry.person.address} | ({"name": name} if name else {})
            try:
                self._change(old, fields)
            except ItemError as refusal:
                raise ItemError(_TAKEN) if refusal.code == _DUPLICATE else refusal from refusal
            return ItemResult(Result.DONE, reference=str(old.id))
        if here and not again:
            return ItemResult(Result.FAILED, _TAKEN)
        result = self._settle(at, entry, found, set())
        self._act(at, "remove", [old], repeatable=True)
        return ItemResult(Result.DONE, reference=result.reference)

    def _leave(self, at: MailingList, entries: Sequence[Entry], action: str) -> list[ItemResult]:
        found = self._find(at, [entry.person.address for entry in entries])
        on_list = {key: who for key, who in found.items() if at.id in who.subscriptions}
        going = {key: who for key, who in on_list.items() if not _has_left(at, who)}
        if going:
            try:
                self._act(at, action, going.values(), repeatable=True)
            except ItemError as refusal:
                raise self._declined(action, refusal) from refusal
            self._accepted += len(going)
        results = []
        for key in (entry.person.key for entry in entries):
            if key not in on_list:
                results.append(_ABSENT)
            else:
                result = Result.DONE if key in going else Result.UNCHANGED
                results.append(ItemResult(result, reference=str(on_list[key].id)))
        return results

    def _standing(self, at: MailingList, person: Subscriber) -> ItemResult | None:
        """Return what stands against writing to a person, or None."""
        reference = str(person.id)
        match _status(at.id, person, self._kinds):
            case MemberStatus.UNSUBSCRIBED:
                return ItemResult(Result.REFUSED, "the member unsubscribed", reference)
            case MemberStatus.BLOCKED:
                return ItemResult(Result.BLOCKED, "the address bounces", reference)
            case MemberStatus.UNKNOWN:
                return ItemResult(Result.FAILED, "a standing that syncd does not know", reference)
        return None

    def _kinds(self, person: int) -> set[str]:
        bounces = self._get(f"/api/subscribers/{person}/bounces", read_bounces)
        return {bounce.kind for bounce in bounces}

    # The server.

    @cached_property
    def _version(self) -> tuple[str, tuple[int, int]]:
        return self._get("/api/config", read_version)

    @cached_property
    def _manages_all(self) -> bool:
        return self._get("/api/profile", read_manages_all)

    def _insist_on_version(self) -> None:
        text, version = self._version
        if version < _OLDEST:
            raise ConfigurationError(
                f"{self._transport.host} is listmonk {text}, which can put people back who left",
                hint="Update listmonk to 6.0 or later, better to 6.1.",
            )

    def _get(self, path: str, read: Callable[[Any], T]) -> T:
        """Ask for something that is there whatever we know of people and lists."""
        try:
            return self._send("GET", path, None, read, repeatable=True)
        except ItemError as refusal:
            raise self._declined("answer", refusal) from refusal

    def _send(
        self,
        method: str,
        path: str,
        fields: Mapping[str, object] | None,
        read: Callable[[Any], T],
        *,
        repeatable: bool,
    ) -> T:
        body = b"" if fields is None else json.dumps(fields, ensure_ascii=False).encode()
        return self._call(method, path, body, _JSON, read, repeatable=repeatable)

    def _call(
        self,
        method: str,
        path: str,
        body: bytes,
        content_type: str,
        read: Callable[[Any], T],
        *,
        repeatable: bool,
    ) -> T:
        """Make one request.

        Raises:
            ItemError: the server refuses what was asked; `code` says how.
        """
        answer = self._transport.call(
            body,
            headers={**self._headers, **({"Content-Type": content_type} if body else {})},
            read=lambda reply: self._read(reply, read),
            repeatable=repeatable,
            method=method,
            path=path,
        )
        self._wrote |= method != "GET"
        return answer

    def _read(self, reply: Reply, read: Callable[[Any], T]) -> T:
        host, status = self._transport.host, reply.status
        if status == _OK:
            try:
                return read(read_data(reply.body))
            except CutError as error:
                raise AmbiguousError(f"{host} cut its reply short") from error
            except MalformedError as error:
                raise self._not_listmonk("something else") from error
        said = read_message(reply.body)
        message = shortened(said.replace(self._options.token, "…"))
        if status == _FORBIDDEN and message:
            who = _UNKNOWN_USER.search(message)
            raise AuthenticationError(
                f"{host}: {message}",
                hint="Check the backend's user and token."
                if who
                else "Give the API user's role the right that is named, for this list too.",
            )
        if status in {_BAD, _EXISTS} and message:
            raise ItemError(message, code=str(status))
        code = next((words for words in (_DUPLICATE, _NO_SUCH_KEY) if words in said), "")
        if code:
            raise ItemError(message, code=code)
        raise fault_of_status(status, reply.headers, who=host) or self._not_listmonk(
            f"HTTP {status}"
        )

    def _not_listmonk(self, what: str) -> ConfigurationError:
        return ConfigurationError(
            f"{self._transport.host} answered with {what}, which is not listmonk's",
            hint="Check the backend's url.",
        )

    def _no_list(self, list_id: ListId) -> ConfigurationError:
        return ConfigurationError(
            f"{self._transport.host} has no list {list_id}",
            hint="Give the list by its name, or rebase the link.",
        )

    def _declined(self, what: str, refusal: ItemError) -> ConfigurationError:
        return ConfigurationError(
            f"{self._transport.host} refused to {what}: {refusal}",
            hint="Check the server's own log.",
        )


def _window(seen: int) -> tuple[int, int]:
    """Return offset and size of the page that reaches furthest and holds the last row seen.

    An offset is a multiple of its page's size.
    """
    if not seen:
        return 0, _PAGE
    sizes = range(_PAGE // 2, _PAGE + 1)
    return max((((seen - 1) // size * size, size) for size in sizes), key=sum)


def _status(
    list_id: int, person: Subscriber, kinds: Callable[[int], set[str]]
) -> MemberStatus | None:
    """Return a person's standing; None where nothing is known of him and this list.

    Whom the server blocks, it blocks on every list; `kinds` tells of which kinds the letters
    were that came back. Who left stays so, delivery switched off or not.
    """
    if person.status == "blocklisted":
        returned = kinds(person.id)
        hard = "hard" in returned and "complaint" not in returned
        return MemberStatus.BLOCKED if hard else MemberStatus.UNSUBSCRIBED
    row = person.subscriptions.get(list_id)
    if row is None:
        return None
    if (person.status, row.status, row.double) == ("enabled", "unconfirmed", True):
        return MemberStatus.PENDING
    return _STATUSES.get((person.status, row.status), MemberStatus.UNKNOWN)


def _has_left(at: MailingList, person: Subscriber) -> bool:
    row = person.subscriptions.get(at.id)
    return row is not None and row.status == "unsubscribed"


def _may_join(at: MailingList, person: Subscriber) -> bool:
    return person.status != "blocklisted" and at.id not in person.subscriptions


def _one_text(person: Person) -> str:
    """Return a name as listmonk holds it: in one text, on one line."""
    return " ".join(f"{person.first} {person.last}".split())


def _spellings(key: AddressKey) -> set[str]:
    """Return how an address may be stored: its domain as it was given, in either spelling."""
    local, _, domain = key.rpartition("@")
    if "xn--" not in domain:
        return {key}
    try:
        return {key, f"{local}@{idna.decode(domain)}"}
    except idna.IDNAError:
        return {key}
