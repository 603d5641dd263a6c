"""A list service that speaks the protocol of Planfix's e-mail service integration.

It can be written and not read: what syncd sent is the only record of what is there. Nor can a
list be looked up, so a creation whose answer was lost is left to a person. A write that states
an end (import, update, delete) may be repeated; an `add` may not, and is repeated as an import
of that one contact, which adds or updates.
"""

import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import httpx

from syncd import transport
from syncd.backends.base import Backend, Retry, in_doubt, shortened
from syncd.core.link import IMPORT_BATCH
from syncd.core.people import Contact, Person
from syncd.core.plan import ItemResult, Result
from syncd.errors import AmbiguousError, ConfigurationError, ItemError, TemporaryError
from syncd.ports import Capabilities, Entry, ListId
from syncd.transport import Reply, Transport, check_url, fault_of_status
from syncd.wire.email_service import (
    CONTENT_TYPE,
    Accepted,
    Change,
    CreateList,
    CutError,
    DeleteList,
    ImportContacts,
    MalformedError,
    Refused,
    Request,
    UpdateContact,
    encode_request,
    read_reply,
)

_OK: Final = 200
_WHOLE_SERVICE: Final = {401, 403, 404, 405}
"""Client errors that speak of the service, whatever their body says; others may be refusals."""

_HEADERS: Final = {"Content-Type": CONTENT_TYPE, "Accept": CONTENT_TYPE}

# A name with a line break could end a header of a letter.
_BREAKS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")

_DONE: Final = ItemResult(Result.DONE)


class PlanfixJson(Backend):
    """One service of the e-mail service protocol, by its one URL and the token it gave us."""

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Options(Backend.Options):
        """The keys of a `planfix-json` backend."""

        url: str = field(metadata={"help": "The address that takes every request."})
        token: str = field(
            repr=False, metadata={"secret": True, "help": "What the service knows us by."}
        )

    _options: Options

    capabilities = Capabilities(
        can_read=False,
        tells_unsubscribe=False,
        tells_blocked=False,
        finds_lists=False,
        bulk_add=IMPORT_BATCH,
        bulk_update=1,
    )

    def __init__(self, options: Options, retry: Retry) -> None:
        super().__init__(options, retry)
        self._transport = Transport(
            transport.Options(
                url=options.url,
                timeout_s=retry.timeout_s,
                attempts=retry.attempts,
                wait_s=retry.wait_s,
                max_wait_s=retry.max_wait_s,
            ),
            stop=retry.stop,
        )

    def check(self) -> str:
        """Open a connection and send nothing: the protocol has no harmless request."""
        url = check_url(self._options.url)
        try:
            _connect(url, self._retry.timeout_s)
        except (OSError, UnicodeError) as error:
            raise TemporaryError(
                f"{url.host} can't be reached ({type(error).__name__})",
                hint="Check the address, the network and the service's certificate.",
            ) from error
        return f"{url.host} can be reached; token and lists show at the first write"

    def ensure_list(self, name: str) -> ListId:
        """Make a list, without looking for one: the protocol can't."""
        try:
            accepted = self._call(CreateList(name), repeatable=False)
        except ItemError as refusal:
            raise _refused("make the list", refusal) from refusal
        if accepted.list_id is None:
            # The list is there; asking again would make a second one.
            raise AmbiguousError(
                f"{self._transport.host} made a list and gave no listId",
                hint="Find the list on the service and set list_id.",
            )
        return accepted.list_id

    def delete_list(self, list_id: ListId) -> None:
        """Delete a list.

        The service does not tell an absent list from any other refusal, so only a repetition
        that is refused counts as done.
        """
        request = DeleteList(list_id)
        try:
            if self._went_through(request):
                return
        except ItemError as refusal:
            raise _refused("delete the list", refusal) from refusal
        self._repeat_removal(request)

    def upsert(
        self, list_id: ListId, entries: Sequence[Entry], *, known: bool, again: bool = False
    ) -> list[ItemResult]:
        """Update each known member; add one person; import several."""
        if known:
            return self._singly(entries, lambda entry: self._update(list_id, entry, again=again))
        if len(entries) == 1:
            return self._singly(entries, lambda entry: self._add(list_id, entry, again=again))
        return self._in_batches(entries, lambda batch: self._import(list_id, batch, again=again))

    def rename(
        self, list_id: ListId, old_address: str, entry: Entry, *, again: bool = False
    ) -> ItemResult:
        """Update a member with `oldEmail`; refused when repeated, once without it."""
        return self._judged(lambda: self._move(list_id, old_address, entry, again=again))

    def remove(
        self, list_id: ListId, entries: Sequence[Entry], *, again: bool = False
    ) -> list[ItemResult]:
        """Delete each member; a repetition that is refused finds the member absent."""
        return self._singly(entries, lambda entry: self._delete(list_id, entry, again=again))

    def unsubscribe(
        self, list_id: ListId, entries: Sequence[Entry], *, again: bool = False
    ) -> list[ItemResult]:
        """Delete each member: the protocol has no other word for leaving."""
        return self.remove(list_id, entries, again=again)

    def close(self) -> None:
        """Let go of connections."""
        self._transport.close()

    def _add(self, list_id: ListId, entry: Entry, *, again: bool) -> ItemResult:
        request = UpdateContact(list_id, Change.ADD, _contact(entry))
        if again or not self._went_through(request):
            self._import(list_id, [entry], again=True)
        return _DONE

    def _import(self, list_id: ListId, batch: Sequence[Entry], *, again: bool) -> None:
        request = ImportContacts(list_id, tuple(_contact(entry) for entry in batch))
        if again or not self._went_through(request):
            self._repeat(request)

    def _update(self, list_id: ListId, entry: Entry, *, again: bool) -> ItemResult:
        request = UpdateContact(list_id, Change.UPDATE, _contact(entry))
        if again or not self._went_through(request):
            self._repeat(request)
        return _DONE

    def _move(self, list_id: ListId, old_address: str, entry: Entry, *, again: bool) -> ItemResult:
        if old_address == entry.person.address:
            return self._update(list_id, entry, again=again)
        request = UpdateContact(list_id, Change.UPDATE, _contact(entry), old_address)
        if not again and self._went_through(request):
            return _DONE
        try:
            self._repeat(request)
        except ItemError:
            # The old address may be gone because the first try did its work.
            return self._update(list_id, entry, again=True)
        return _DONE

    def _delete(self, list_id: ListId, entry: Entry, *, again: bool) -> ItemResult:
        request = UpdateContact(list_id, Change.DELETE, _contact(entry))
        if not again and self._went_through(request):
            return _DONE
        return self._repeat_removal(request)

    def _repeat_removal(self, request: Request) -> ItemResult:
        try:
            self._repeat(request)
        except ItemError as refusal:
            return ItemResult(Result.ABSENT, str(refusal))
        return _DONE

    def _went_through(self, request: Request) -> bool:
        """Send for the first time; False where the answer was lost, so the next is a repetition.

        Raises:
            ItemError: the service refused it, and did nothing.
        """
        try:
            self._call(request, repeatable=False)
        except AmbiguousError as error:
            wait_s = self._retry.wait_s if error.retry_after_s is None else error.retry_after_s
            self._transport.pause(min(wait_s, self._retry.max_wait_s))
            return False
        return True

    def _repeat(self, request: Request) -> None:
        """Send what may have been carried out already, and may be carried out twice."""
        try:
            self._call(request, repeatable=True)
        except TemporaryError as error:
            # Even where this try never left, the one before may have done its work.
            raise in_doubt(error) from error

    def _call(self, request: Request, *, repeatable: bool) -> Accepted:
        return self._transport.call(
            encode_request(request, self._options.token),
            headers=_HEADERS,
            read=self._read,
            repeatable=repeatable,
        )

    def _read(self, reply: Reply) -> Accepted:
        host = self._transport.host
        fault = fault_of_status(reply.status, reply.headers, who=host)
        of_service = isinstance(fault, TemporaryError) or reply.status in _WHOLE_SERVICE
        if fault is not None and of_service:
            raise fault
        if fault is None and reply.status != _OK:
            fault = _not_the_protocol(host, f"HTTP {reply.status}")
        try:
            answer = read_reply(reply.body)
        except CutError as error:
            raise fault or AmbiguousError(f"{host} cut its reply short") from error
        except MalformedError as error:
            raise fault or _not_the_protocol(host, "something else") from error
        if isinstance(answer, Refused):
            raise ItemError(shortened(answer.error.replace(self._options.token, "…")))
        if fault is not None:
            raise fault
        return answer


def _not_the_protocol(host: str, what: str) -> ConfigurationError:
    return ConfigurationError(
        f"{host} answered with {what}, which is not the e-mail service protocol",
        hint="Check the backend's url.",
    )


def _refused(what: str, refusal: ItemError) -> ConfigurationError:
    return ConfigurationError(
        f"the service refused to {what}: {refusal}",
        hint="Check the backend's token, and whether the list is still there.",
    )


def _contact(entry: Entry) -> Contact:
    person = entry.person
    first, last = _one_line(person.first), _one_line(person.last)
    return Contact(entry.contact, Person(person.address, person.key, first, last))


def _one_line(name: str) -> str:
    return name if name.isprintable() else _BREAKS.sub(" ", name).strip()


def _connect(url: httpx.URL, timeout_s: float) -> None:
    """Open a connection as far as a request would, certificate included."""
    secure = url.scheme == "https"
    address = (url.host, url.port or (443 if secure else 80))
    with socket.create_connection(address, timeout_s) as connection:
        if secure:
            context = httpx.create_ssl_context(trust_env=False)
            context.load_default_certs()
            context.wrap_socket(connection, server_hostname=url.host).close()
