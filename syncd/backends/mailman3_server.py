"""One Mailman core, call by call: what it is asked, what it says, what its refusals mean.

Facts are from Mailman 3.3.10, API 3.1, and were tried on it.
"""

import base64
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, Final, TypeVar
from urllib.parse import quote

from syncd import transport
from syncd.backends.base import Retry, shortened
from syncd.core.address import AddressKey
from syncd.errors import AmbiguousError, ConfigurationError, ItemError, TemporaryError
from syncd.ports import ListId
from syncd.transport import Reply, Transport, fault_of_status
from syncd.wire.mailman import (
    CutError,
    KnownAddress,
    MailingList,
    MalformedError,
    Subscriber,
    check_whole,
    last_segment,
    read_address,
    read_fields,
    read_list,
    read_members,
    read_refusal,
    read_status,
    read_total,
    read_version,
)

T = TypeVar("T")

_API: Final = "/3.1"
_JSON: Final = "application/json"

_CREATED: Final = 201
_ACCEPTED: Final = 202
_DONE: Final = 204
_REDIRECTS: Final = 300
_REFUSALS: Final = {400, 404, 409}

_ABSENT: Final = "404"
_SUBSCRIBED: Final = "Member already subscribed"
_PENDING: Final = "Subscription request already pending"
_NO_LIST: Final = "No such list"
_NO_DOMAIN: Final = "Domain does not exist"
_LIST_EXISTS: Final = "Mailing list exists"

# Two requests met in the database, which is no fault of what was asked.
_COLLISION: Final = re.compile(
    r"sqlite3\.|psycopg|IntegrityError|OperationalError|autoflush|database is locked"
)
_LIST_ID: Final = re.compile(r"[^\s/@]+\.[^\s/@]+").fullmatch

# Everybody comes in at once, and nobody hears of it.
_QUIET: Final = {
    "pre_verified": True,
    "pre_confirmed": True,
    "pre_approved": True,
    "send_welcome_message": False,
}
_LIST_SETTINGS: Final = {
    "advertised": False,
    "send_welcome_message": False,
    "send_goodbye_message": False,
}


class Server:
    """One server and one of its domains; each method is a call, or as many as it says.

    `wrote` turns true with the first write that was, or may have been, carried out; the caller
    turns it back. Everything raises TemporaryError (AmbiguousError where a write may have
    happened), AuthenticationError and ConfigurationError; what may be refused for one person's
    sake says so. Every write may be sent twice.
    """

    def __init__(self, url: str, user: str, password: str, domain: str, retry: Retry) -> None:
        self.domain = domain
        self.wrote = False
        self._retry = retry
        self._transport = Transport(
            transport.Options(
                url=url.rstrip("/").removesuffix(_API) + _API,
                timeout_s=retry.timeout_s,
                attempts=retry.attempts,
                wait_s=retry.wait_s,
                max_wait_s=retry.max_wait_s,
                may_be_empty=True,  # and which may is known here
            ),
            stop=retry.stop,
        )
        pair = base64.b64encode(f"{user}:{password}".encode()).decode()
        self._headers = {"Authorization": f"Basic {pair}", "Accept": _JSON}

    @property
    def host(self) -> str:
        """Its host, for messages."""
        return self._transport.host

    @cached_property
    def version(self) -> str:
        """What it runs, asked for once.

        It shows that the address is Mailman's: elsewhere a 404 may speak of a person.
        """
        try:
            return self._ask(
                "GET", "/system/versions", None, lambda b: read_version(read_fields(b))
            )
        except ItemError as refusal:
            raise self._not_mailman(f"HTTP {refusal.code}") from refusal

    def close(self) -> None:
        """Let go of connections."""
        self._transport.close()

    # Lists.

    def lists_here(self) -> int:
        """Return how many lists the domain has.

        Raises:
            ConfigurationError: there is no such domain.
        """
        try:
            path = f"/domains/{quote(self.domain, safe='')}/lists?count=1&page=1"
            return self._ask("GET", path, None, lambda body: read_total(read_fields(body)))
        except ItemError as refusal:
            raise self._no_domain() from refusal

    def find_list(self, local: str) -> MailingList | None:
        """Return a list of the domain by its address before the @; None where there is none."""
        try:
            return self._list(f"{local}.{self.domain}")
        except ItemError as refusal:
            if refusal.code != _ABSENT:
                raise self._declined("find the list", refusal) from refusal
            return None

    def list_at(self, list_id: ListId) -> MailingList:
        """Return a list as it is now.

        Raises:
            ConfigurationError: there is none.
        """
        try:
            return self._list(self._id(list_id))
        except ItemError as refusal:
            raise self._list_fault(list_id, refusal) from refusal

    def make_list(self, local: str) -> None:
        """Make a list, or find that it is there."""
        fields = {"fqdn_listname": f"{local}@{self.domain}", "style_name": "legacy-announce"}
        try:
            self._write("POST", "/lists", fields)
        except ItemError as refusal:
            if str(refusal).startswith(_NO_DOMAIN):
                raise self._no_domain() from refusal
            if str(refusal) != _LIST_EXISTS:
                raise self._declined("make the list", refusal) from refusal

    def set_up_list(self, local: str, display_name: str) -> str:
        """Give a list its name, let it greet nobody, and return its id."""
        list_id = f"{local}.{self.domain}"
        fields = {"display_name": display_name, **_LIST_SETTINGS}
        try:
            self._write("PATCH", f"/lists/{quote(list_id, safe='')}/config", fields)
        except ItemError as refusal:
            raise self._declined("set the list up", refusal) from refusal
        return list_id

    def delete_list(self, list_id: ListId) -> None:
        """Delete a list, unless it is gone; the people on it stay on the server."""
        try:
            self._write("DELETE", f"/lists/{self._quoted(list_id)}")
        except ItemError as refusal:
            if refusal.code != _ABSENT:
                raise self._declined("delete the list", refusal) from refusal

    # Members.

    def roster(self, list_id: ListId) -> Iterator[Subscriber]:
        """Yield everybody on a list, in one answer, which the database gives as of one moment.

        Raises:
            ConfigurationError: there is no such list.
            TemporaryError: at its end, where there are more or fewer than the server counted.
        """
        fields = "fields=email&fields=display_name&fields=member_id"
        path = f"/lists/{self._quoted(list_id)}/roster/member?{fields}"
        try:
            body = self._ask("GET", path, None, _whole)
        except ItemError as refusal:
            raise self._list_fault(list_id, refusal) from refusal
        try:
            yield from read_members(body)
        except MalformedError as error:
            raise TemporaryError(f"{self.host} gave a list that can't be read whole") from error

    def bounced(self, list_id: ListId) -> set[str]:
        """Return the ids of those to whom nothing is sent since their address bounces.

        The server looks through all members for it.
        """
        query = {"list_id": self._id(list_id), "delivery_status": "by_bounces"}
        return {member.id for member in self._find(query, ("member_id",))}

    def member(self, list_id: ListId, key: AddressKey) -> Subscriber | None:
        """Return who is on a list with an address; None also where there is no such list."""
        fields = ("email", "display_name", "member_id", "user", "subscription_mode")
        query = {"list_id": self._id(list_id), "subscriber": key}
        # A `*` in the address would stand for anything.
        found = (member for member in self._find(query, fields) if member.email == key)
        return next(found, None)

    def bounces(self, member: Subscriber) -> bool:
        """Say whether nothing is sent to a member since the address bounces.

        It may be known of the membership, the address or the user: this asks for all three.
        """
        path = f"/members/{member.id}/all/preferences"
        status = self._ask("GET", path, None, lambda body: read_status(read_fields(body)))
        return status == "by_bounces"

    def subscribe(self, list_id: ListId, address: str, name: str) -> str:
        """Put somebody on a list; return the reference, or nothing where they are there already.

        A name is only taken for an address that the server has never seen.

        Raises:
            ItemError: refused.
        """
        fields = {
            "list_id": self._id(list_id), "subscriber": address, "display_name": name, **_QUIET,
        }  # fmt: skip
        try:
            return self._write("POST", "/members", fields)
        except ItemError as refusal:
            words = str(refusal)
            if words == _SUBSCRIBED:
                return ""
            if words == _NO_LIST:
                raise self._no_list(list_id) from refusal
            if words == _PENDING:
                raise ItemError(
                    "a request of their own to join the list waits in Mailman for an answer"
                ) from refusal
            raise

    def bans(self, list_id: ListId, key: AddressKey) -> bool:
        """Say whether the list or the server bans an address, by itself or by a pattern."""
        path = f"/lists/{self._quoted(list_id)}/bans/{_quoted(key)}"
        return self._look(path, read_address) is not None

    def leave(self, list_id: ListId, keys: Iterable[AddressKey]) -> set[AddressKey]:
        """Take people off a list, all in one call and without any letter; return who was there.

        Mailman compares letter by letter with what it holds, which is small letters.

        Raises:
            ConfigurationError: there is no such list.
        """
        wanted = sorted(set(keys))
        path = f"/lists/{self._quoted(list_id)}/roster/member"
        try:
            # A DELETE without our flags may wait for a moderator; this one asks nobody.
            gone = self._change(
                "DELETE", path, {"emails": wanted}, lambda reply: read_fields(reply.body)
            )
        except ItemError as refusal:
            raise self._list_fault(list_id, refusal) from refusal
        return {key for key in wanted if gone.get(key) is True}

    # Addresses: each is known once, with one name, to all lists of the server.

    def name_member(self, member: Subscriber, name: str) -> None:
        """Give a member the name that is shown on the list."""
        if member.by_user:
            self._write("PATCH", f"/users/{member.user}", {"display_name": name})
        else:
            self.name_address(AddressKey(member.email), name)

    def name_address(self, key: AddressKey, name: str) -> None:
        """Give an address its name."""
        self._write("PATCH", f"/addresses/{_quoted(key)}", {"display_name": name})

    def address(self, key: AddressKey) -> KnownAddress | None:
        """Return what is known of an address, None where it is new."""
        return self._look(f"/addresses/{_quoted(key)}", read_address)

    def is_in_use(self, key: AddressKey, user: str) -> bool:
        """Say whether its user needs an address: on some list, in any role, or before others."""
        found = self._find({"subscriber": key}, ("email", "member_id"))
        if any(member.email == key for member in found):
            return True
        preferred = self._look(f"/users/{user}/preferred_address", read_address)
        return preferred is not None and preferred.email == key

    def add_address(self, user: str, address: str, key: AddressKey, name: str) -> None:
        """Give a user an address that is new, or that nobody has.

        Raises:
            ItemError: somebody else has it.
        """
        fields = {"email": address, "display_name": name}
        try:
            self._write("POST", f"/users/{user}/addresses", fields)
        except ItemError:
            # The same words if it is this user's own: then an answer was lost.
            known = self.address(key)
            if known is None or known.user != user:
                raise

    def hand_address(self, key: AddressKey, user: str) -> None:
        """Give a user an address that was another's."""
        path = f"/addresses/{_quoted(key)}/user"
        self._change("PUT", path, {"user_id": user}, _nothing)

    def move(self, member: Subscriber, key: AddressKey) -> None:
        """Move a membership to another address of its user, which needs no confirmation."""
        self._write("POST", f"/addresses/{_quoted(key)}/verify")
        self._write("PATCH", f"/members/{member.id}", {"address": key})

    # Calls.

    def _list(self, list_id: str) -> MailingList:
        path = f"/lists/{quote(list_id, safe='')}"
        return self._ask("GET", path, None, lambda body: read_list(read_fields(body)))

    def _find(self, query: Mapping[str, str], fields: Iterable[str]) -> list[Subscriber]:
        """Return who fits; without a list, in any role."""
        role = {"role": "member"} if "list_id" in query else {}
        wanted = {**query, **role, "fields": list(fields)}
        try:
            return self._ask("POST", "/members/find", wanted, lambda body: list(read_members(body)))
        except ItemError as refusal:
            raise self._declined("answer", refusal) from refusal

    def _look(self, path: str, read: Callable[[dict[str, Any]], T]) -> T | None:
        """Return what stands at a path, None where nothing does."""
        try:
            return self._ask("GET", path, None, lambda body: read(read_fields(body)))
        except ItemError as refusal:
            if refusal.code != _ABSENT:
                raise
            return None

    def _id(self, list_id: ListId) -> str:
        if not _LIST_ID(str(list_id)):
            raise self._no_list(list_id)
        return str(list_id)

    def _quoted(self, list_id: ListId) -> str:
        return quote(self._id(list_id), safe="")

    def _ask(
        self,
        method: str,
        path: str,
        fields: Mapping[str, object] | None,
        read: Callable[[bytes], T],
    ) -> T:
        """Make a request that changes nothing.

        Raises:
            ItemError: the server refuses it; `code` is the HTTP status.
        """
        return self._call(method, path, fields, lambda reply: read(reply.body), repeatable=True)

    def _write(self, method: str, path: str, fields: Mapping[str, object] | None = None) -> str:
        """Change something; return the id of what was made, if anything was."""
        return self._change(method, path, fields, _made)

    def _change(
        self,
        method: str,
        path: str,
        fields: Mapping[str, object] | None,
        read: Callable[[Reply], T],
    ) -> T:
        try:
            answer = self._call(method, path, fields, read, repeatable=False)
        except AmbiguousError as error:
            # From here on, a try that never left doesn't mean that nothing was done.
            self.wrote = True
            wait_s = self._retry.wait_s if error.retry_after_s is None else error.retry_after_s
            self._transport.pause(min(wait_s, self._retry.max_wait_s))
            answer = self._call(method, path, fields, read, repeatable=True)
        self.wrote = True
        return answer

    def _call(
        self,
        method: str,
        path: str,
        fields: Mapping[str, object] | None,
        read: Callable[[Reply], T],
        *,
        repeatable: bool,
    ) -> T:
        headers = self._headers if fields is None else {**self._headers, "Content-Type": _JSON}
        return self._transport.call(
            b"" if fields is None else json.dumps(fields).encode(),
            headers=headers,
            read=lambda reply: self._read(reply, read),
            repeatable=repeatable,
            method=method,
            path=path,
        )

    def _read(self, reply: Reply, read: Callable[[Reply], T]) -> T:
        if reply.status < _REDIRECTS:
            try:
                return read(reply)
            except CutError as error:
                raise AmbiguousError(f"{self.host} cut its reply short") from error
            except MalformedError as error:
                raise self._not_mailman("something else") from error
        words = read_refusal(reply.body)
        if words is not None and reply.status in _REFUSALS:
            if _COLLISION.search(words):
                raise AmbiguousError(f"{self.host} was busy with the same thing")
            raise ItemError(shortened(words), code=str(reply.status))
        fault = fault_of_status(reply.status, reply.headers, who=self.host)
        raise fault or self._not_mailman(f"HTTP {reply.status}")

    def _list_fault(self, list_id: ListId, refusal: ItemError) -> ConfigurationError:
        if refusal.code == _ABSENT:
            return self._no_list(list_id)
        return self._declined("answer", refusal)

    def _no_list(self, list_id: ListId) -> ConfigurationError:
        return ConfigurationError(
            f"{self.host} has no list {shortened(str(list_id))}",
            hint="Give the list by its name, or rebase the link. "
            "A list's id is its address with a dot in place of the @, in small letters.",
        )

    def _no_domain(self) -> ConfigurationError:
        return ConfigurationError(
            f"{self.host} has no domain {self.domain}",
            hint="Check the backend's domain, or add it to Mailman.",
        )

    def _not_mailman(self, what: str) -> ConfigurationError:
        return ConfigurationError(
            f"{self.host} answered with {what}, which is not Mailman's",
            hint="Check the backend's url: it is that of the REST API, not of the web pages.",
        )

    def _declined(self, what: str, refusal: ItemError) -> ConfigurationError:
        return ConfigurationError(
            f"{self.host} refused to {what}: {refusal}", hint="Check Mailman's own log."
        )


def _made(reply: Reply) -> str:
    """Return the id of what a write has made; empty where it has changed something."""
    if reply.status == _CREATED:
        return last_segment(reply.headers.get("location", ""))
    if reply.status == _ACCEPTED:
        raise ItemError("Mailman keeps it as a request, for somebody else to decide")
    if reply.status != _DONE:
        check_whole(reply.body)
        raise MalformedError("an answer to another request")
    return ""


def _nothing(reply: Reply) -> None:
    if reply.body:
        raise MalformedError("an answer to another request")


def _whole(body: bytes) -> bytes:
    check_whole(body)
    return body


def _quoted(key: AddressKey) -> str:
    return quote(key, safe="")
