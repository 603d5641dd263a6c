"""The e-mail service protocol as the service: what a push means for the store."""

import hashlib
import hmac
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Final, assert_never

from syncd.core.address import clean, key_of
from syncd.core.link import Link, LinkNumber
from syncd.wire.email_service import (
    Accepted,
    Change,
    CreateList,
    DeleteList,
    ImportContacts,
    MemberReport,
    Refused,
    Request,
    UpdateContact,
)

if TYPE_CHECKING:
    from syncd.store.pushes import PushBatch
    from syncd.store.reports import ReportBatch

Answer = Accepted | Refused
Effect = Callable[["PushBatch"], Answer]
"""What a push does to the store, within a transaction, and what is answered once that is kept."""

UNKNOWN_LIST: Final = Refused("unknown list")


@dataclass(frozen=True, slots=True)
class Token:
    """What a sender proves itself by, and the backend that it speaks for."""

    token: str = field(repr=False)
    backend: str


class Tokens:
    """The tokens that one address takes."""

    def __init__(self, tokens: Iterable[Token]) -> None:
        self._digests = [(_digest(each.token), each.backend) for each in tokens]

    def backends(self, token: str) -> tuple[str, ...]:
        """Return the backends of a token, none where it is wrong.

        Takes the same time whichever token it is, and however much of it is right.
        """
        digest = _digest(token)
        return tuple([name for known, name in self._digests if hmac.compare_digest(digest, known)])


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def pushed(request: Request, backend: str, *, taken: Collection[str], at: datetime) -> Effect:
    """Return what a push of Planfix's does.

    `taken` are the names, casefolded, that no list of this backend may have; `at` is the moment
    it came.
    """
    return partial(_carry_out, request, backend, taken, at)


def _carry_out(
    request: Request, backend: str, taken: Collection[str], at: datetime, batch: "PushBatch"
) -> Answer:
    match request:
        case CreateList(name):
            return Accepted(batch.create(backend, clean(name), taken=taken, at=at))
        case DeleteList(list_id):
            batch.end(backend, list_id, at=at)
            return Accepted()
        case ImportContacts(list_id, contacts):
            found = batch.put(backend, list_id, contacts, at=at)
        case UpdateContact(list_id, Change.DELETE, contact):
            found = batch.leave(backend, list_id, contact)
        case UpdateContact(list_id, _, contact, old_address):
            found = batch.put(backend, list_id, (contact,), old_key=key_of(old_address), at=at)
        case never:
            assert_never(never)
    return Accepted() if found else UNKNOWN_LIST


def reported(
    report: MemberReport, backends: Sequence[str], links: Sequence[Link], *, at: datetime
) -> Effect:
    """Return what a list service's report of a member does; `links` are the config's."""

    def effect(batch: "PushBatch") -> Answer:
        for backend in backends:
            found = batch.reports.link_of(backend, report.list_id, links)
            if found is not None:
                _keep(report, *found, at, batch.reports)
                return Accepted()
        return UNKNOWN_LIST

    return effect


def _keep(
    report: MemberReport,
    link: LinkNumber,
    latched_in: LinkNumber,
    at: datetime,
    batch: "ReportBatch",
) -> None:
    match report.change:
        case Change.DELETE:
            batch.left(link, latched_in, report.person, at=at)
        case Change.ADD:
            batch.joined(link, report.person, at=at)
        case Change.UPDATE:
            old_key = key_of(report.old_address)
            batch.changed(link, latched_in, report.person, old_key=old_key, at=at)
        case never:
            assert_never(never)
