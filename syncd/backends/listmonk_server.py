"""One listmonk server, call by call: what it is asked, what it says, what its refusals mean.

Facts are from listmonk's own source, versions 6.0 to 6.2.
"""

import base64
import json
import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Final, TypeVar
from urllib.parse import quote

from syncd import clock, transport
from syncd.backends.base import Retry, shortened
from syncd.errors import (
    AmbiguousError,
    AuthenticationError,
    ConfigurationError,
    ItemError,
    TemporaryError,
)
from syncd.ports import ListId
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

EXISTS: Final = "409"
"""The code of a refusal: another person has the address, as a new one is made …"""
DUPLICATE: Final = "duplicate key"
"""… or as one is changed."""

TAG: Final = "syncd"
"""On each list that we make."""

_OLDEST: Final = (6, 0)
_PATCHES: Final = (6, 1)
"""The first version that changes a person without a copy of all that is known of him."""

_PAGE: Final = 1000
_LOOKUP: Final = 50
"""Addresses in one search: its line stays shorter than what proxies take."""

_JSON: Final = "application/json"
_LISTS: Final = "/api/lists"
_PEOPLE: Final = "/api/subscribers"
_IMPORT: Final = "/api/import/subscribers"

_OK: Final = 200
_FORBIDDEN: Final = 403
_REFUSALS: Final = {400, 409}

# Not translated, unlike most of what listmonk says; nor is what it quotes of PostgreSQL.
_UNKNOWN_USER: Final = re.compile("invalid (API credentials|session)")
_DATABASE: Final = re.compile("duplicate key|foreign key")

# Without it a change mails whoever has not confirmed some list that asks for it.
_QUIET: Final = {"preconfirm_subscriptions": True}


class ShiftedError(TemporaryError):
    """A table changed while it was read, so that someone may have been missed."""


class Server:
    """One server, as one of its API users; each method is a call, or as many as it says.

    `wrote` turns true with the first write that was, or may have been, carried out; the caller
    turns it back. Everything raises TemporaryError (AmbiguousError where a write may have
    happened), AuthenticationError and ConfigurationError; what may be refused for one person's
    sake says so.
    """

    def __init__(self, url: str, user: str, token: str, retry: Retry) -> None:
        self._retry = retry
        self._token = token
        self._transport = Transport(
            transport.Options(
                url=url.rstrip("/"),
                timeout_s=retry.timeout_s,
                attempts=retry.attempts,
                wait_s=retry.wait_s,
                max_wait_s=retry.max_wait_s,
            ),
            stop=retry.stop,
        )
        # `Basic` and not listmonk's own `token`, which could not carry a name beyond ASCII.
        pair = base64.b64encode(f"{user}:{token}".encode()).decode()
        self._headers = {"Authorization": f"Basic {pair}", "Accept": _JSON}
        self.wrote = False

    @property
    def host(self) -> str:
        """Its host, for messages."""
        return self._transport.host

    @cached_property
    def version(self) -> str:
        """What it runs, asked for once.

        Raises:
            ConfigurationError: something too old.
        """
        text, version = self._version
        if version < _OLDEST:
            raise ConfigurationError(
                f"{self.host} is listmonk {text}, which can put people back who left",
                hint="Update listmonk to 6.0 or later, better to 6.1.",
            )
        return text

    def close(self) -> None:
        """Let go of connections."""
        self._transport.close()

    # Lists.

    def lists(self) -> list[MailingList]:
        """Return the lists that we may see."""
        return self._get(f"{_LISTS}?minimal=true", read_lists)

    def list_at(self, list_id: ListId) -> MailingList:
        """Return a list as it is now.

        Raises:
            ConfigurationError: there is none.
        """
        try:
            path = f"{_LISTS}/{self._number(list_id)}"
            return self._send("GET", path, None, read_list, repeatable=True)
        except ItemError as refusal:
            raise self.no_list(list_id) from refusal

    def make_list(self, name: str) -> MailingList:
        """Make a list that is private and asks nobody to confirm."""
        fields = {
            "name": name, "type": "private", "optin": "single", "tags": [TAG], "description": "",
        }  # fmt: skip
        try:
            return self._send("POST", _LISTS, fields, read_list, repeatable=False)
        except ItemError as refusal:
            raise self._declined("make the list", refusal) from refusal

    def delete_list(self, list_id: ListId) -> None:
        """Delete a list; the people on it stay on the server."""
        path = f"{_LISTS}/{self._number(list_id)}"
        try:
            self._send("DELETE", path, None, bool, repeatable=True)
        except ItemError as refusal:
            raise self._declined("delete the list", refusal) from refusal

    def no_list(self, list_id: ListId) -> ConfigurationError:
        """Return the fault of a list that isn't there."""
        return ConfigurationError(
            f"{self.host} has no list {list_id}",
            hint="Give the list by its name, or rebase the link.",
        )

    # People.

    def people_of(self, list_id: int) -> Iterator[Subscriber]:
        """Yield everybody with a row on a list, by id, page by page.

        Raises:
            ShiftedError: someone may have been missed.
        """
        last = 0
        # Without `asc`, in small letters, the newest come first.
        for person in self._rows(f"{_PEOPLE}?list_id={list_id}&order=asc", read_subscriber):
            if person.id <= last:
                raise self._shifted()
            last = person.id
            if list_id not in person.subscriptions:
                # Either he left between two queries, or we are shown the lists that we may see.
                raise ShiftedError(
                    f"{self.host} shows people who are not on list {list_id}",
                    hint="Does the API user's role allow this list and its subscribers?",
                )
            yield person

    def people_with(self, addresses: Sequence[str]) -> Iterator[Subscriber]:
        """Yield everybody with one of these addresses, and others: a search looks at names too.

        Fifty addresses are one call.
        """
        for start in range(0, len(addresses), _LOOKUP):
            pattern = quote(search_for(addresses[start : start + _LOOKUP]), safe="")
            people, _ = self._get(
                f"{_PEOPLE}?search={pattern}&order=asc&per_page=all",
                lambda data: read_page(data, read_subscriber),
            )
            yield from people

    def make_person(self, email: str, name: str, at: MailingList) -> Subscriber:
        """Make somebody known, on a list and confirmed.

        Raises:
            ItemError: refused; `EXISTS` where the address is known, perhaps by a first try.
        """
        fields = {
            "email": email, "name": name, "status": "enabled", "lists": [at.id], "attribs": {},
        }  # fmt: skip
        made = self._send("POST", _PEOPLE, {**fields, **_QUIET}, read_subscriber, repeatable=True)
        if at.id not in made.subscriptions:  # listmonk drops lists that it doesn't have
            raise self.no_list(at.id)
        return made

    def change_person(self, person: Subscriber, fields: Mapping[str, str]) -> Subscriber:
        """Change somebody's name or address; where an empty one is given, the old one stays.

        Raises:
            ItemError: refused, `DUPLICATE` where another has the address; or this version
                can't do it without harm.
        """
        path = f"{_PEOPLE}/{person.id}"
        if self._version[1] >= _PATCHES:
            return self._send("PATCH", path, {**fields, **_QUIET}, read_subscriber, repeatable=True)
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
            "PUT", path, {**whole, **fields, **_QUIET}, read_subscriber, repeatable=True
        )

    def join(self, at: MailingList, people: Iterable[Subscriber]) -> None:
        """Give a row to people who have none; all of them or nobody.

        Without a status no row that came meanwhile is changed. The new ones are unconfirmed,
        which only a list with confirmation minds: there, a second try needs a second look.

        Raises:
            ItemError: one of them is gone.
        """
        status = "confirmed" if at.double else ""
        self._act(at, "add", people, {"status": status}, repeatable=not at.double)

    def put_back(self, at: MailingList, people: Iterable[Subscriber]) -> None:
        """Make rows confirmed, whatever they were; not repeated, since people may leave again.

        Raises:
            ItemError: one of them is gone.
        """
        self._act(at, "add", people, {"status": "confirmed"}, repeatable=False)

    def remove(self, at: MailingList, people: Iterable[Subscriber]) -> None:
        """Take rows away, and with them the memory of who left."""
        self._act(at, "remove", people, {}, repeatable=True)

    def unsubscribe(self, at: MailingList, people: Iterable[Subscriber]) -> None:
        """Mark rows as left; who has none gets none."""
        self._act(at, "unsubscribe", people, {}, repeatable=True)

    def take_in(self, at: MailingList, people: Sequence[tuple[str, str]]) -> None:
        """Send new people as a file, address and name, if one is taken now; see who came.

        An import leaves alone whoever has a row already. There is one at a time; it tells
        nothing of single people, and all or nobody of a file comes.

        Raises:
            AmbiguousError: it did not end in time.
        """
        if self._get(_IMPORT, read_import).running:
            return
        name = f"syncd-{at.id}-{secrets.token_hex(8)}.csv"
        content_type, body = encode_import(people, at.id, name=name)
        try:
            self._call("POST", _IMPORT, body, content_type, read_import, repeatable=False)
        except ItemError:
            return  # another one began meanwhile
        except AmbiguousError:
            self.wrote = True  # the next answer says whether it began
        deadline_s = clock.monotonic_s() + self._retry.timeout_s
        while (state := self._get(_IMPORT, read_import)).running and state.name == name:
            if clock.monotonic_s() > deadline_s:
                raise AmbiguousError(f"{self.host} is still at work on our import")
            self._transport.pause(self._retry.wait_s)

    # Bounces.

    def bounces(self) -> Iterator[Bounce]:
        """Yield all bounces there are."""
        return self._rows("/api/bounces?order_by=created_at&order=asc", read_bounce)

    def bounces_of(self, person: int) -> list[Bounce]:
        """Return one person's bounces."""
        return self._get(f"{_PEOPLE}/{person}/bounces", read_bounces)

    # Calls.

    @cached_property
    def _version(self) -> tuple[str, tuple[int, int]]:
        return self._get("/api/config", read_version)

    @cached_property
    def _manages_all(self) -> bool:
        return self._get("/api/profile", read_manages_all)

    def _number(self, list_id: ListId) -> int:
        """Return a list's id as listmonk has it; a config may hold it as text."""
        if not str(list_id).isdecimal():
            raise self.no_list(list_id)
        return int(list_id)

    def _act(
        self,
        at: MailingList,
        action: str,
        people: Iterable[Subscriber],
        more: Mapping[str, str],
        *,
        repeatable: bool,
    ) -> None:
        ids = sorted({person.id for person in people})
        fields = {"ids": ids, "action": action, "target_list_ids": [at.id], **more}
        self._send("PUT", f"{_PEOPLE}/lists", fields, bool, repeatable=repeatable)

    def _rows(self, path: str, read: Callable[[Any], Row]) -> Iterator[Row]:
        """Yield all rows of a table that changes while it is read.

        Pages are offsets. Each begins with a row that the one before ended with: where that
        row still stands in its place, no row behind it can have slid past us.
        """
        seen, last, total, more = 0, -1, 0, True
        while more:
            start, size = _window(seen)
            rows, total = self._get(
                f"{path}&page={start // size + 1}&per_page={size}",
                lambda data: read_page(data, read),
            )
            known = seen - start
            if known and (len(rows) < known or rows[known - 1].id != last):
                raise self._shifted()
            yield from rows[known:]
            seen, more = start + len(rows), len(rows) == size
            last = rows[-1].id if rows else last
        if seen != total:
            raise self._shifted()

    def _shifted(self) -> ShiftedError:
        return ShiftedError(f"a list of {self.host} changed while it was read")

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
        self.wrote |= method != "GET"
        return answer

    def _read(self, reply: Reply, read: Callable[[Any], T]) -> T:
        status = reply.status
        if status == _OK:
            try:
                return read(read_data(reply.body))
            except CutError as error:
                raise AmbiguousError(f"{self.host} cut its reply short") from error
            except MalformedError as error:
                raise self._not_listmonk("something else") from error
        said = read_message(reply.body).replace(self._token, "…")
        message = shortened(said)
        if status == _FORBIDDEN and message:
            raise self._forbidden(message)
        if status in _REFUSALS and message:
            raise ItemError(message, code=str(status))
        broken = _DATABASE.search(said)
        if broken:
            raise ItemError(message, code=broken[0])
        fault = fault_of_status(status, reply.headers, who=self.host)
        raise fault or self._not_listmonk(f"HTTP {status}")

    def _forbidden(self, message: str) -> AuthenticationError:
        """Return the fault of a user who is unknown, or lacks a right: both are 403."""
        remedy = "Give the API user's role the right that is named, for this list too."
        if _UNKNOWN_USER.search(message):
            remedy = "Check the backend's user and token."
        return AuthenticationError(f"{self.host}: {message}", hint=remedy)

    def _not_listmonk(self, what: str) -> ConfigurationError:
        return ConfigurationError(
            f"{self.host} answered with {what}, which is not listmonk's",
            hint="Check the backend's url.",
        )

    def _declined(self, what: str, refusal: ItemError) -> ConfigurationError:
        return ConfigurationError(
            f"{self.host} refused to {what}: {refusal}", hint="Check the server's own log."
        )


def _window(seen: int) -> tuple[int, int]:
    """Return offset and size of the page that reaches furthest and holds the last row seen.

    An offset is a multiple of its page's size.
    """
    if not seen:
        return 0, _PAGE
    sizes = range(_PAGE // 2, _PAGE + 1)
    return max((((seen - 1) // size * size, size) for size in sizes), key=sum)
