"""Read a selection whole through contact.getList, and say whether that is proved.

Planfix promises no order and has no sorting, so contacts that come or go while pages are read
shift the rest (its help page on contact.getList). A sweep is certified when each page stated
the same total and as many distinct contacts came, none of them twice.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import structlog

from syncd.core.link import Selection
from syncd.core.people import Contact, ContactId
from syncd.errors import StoppedError
from syncd.planfix.client import PlanfixClient, UnreadablePageError
from syncd.ports import ReadContact, Remembered, SnapshotWriter, SweepReport
from syncd.wire import planfix_xml as xml
from syncd.wire.planfix_xml import SplitPage

Progress = Callable[[int, int], None]
"""Told the pages that are done, and how many there will be."""

_log = structlog.get_logger()

_PASSES: Final = 3
_SMALLER: Final = 10
_UNREAD: Final = ContactId(0)
_UNREADABLE_MAX: Final = 10
"""More contacts that can't be read in one pass: it is not the contacts' fault."""


def sweep(
    client: PlanfixClient,
    selection: Selection,
    snapshot: SnapshotWriter,
    page_size: int,
    *,
    progress: Progress | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> SweepReport:
    """Read a selection whole into its snapshot, up to three times until it is certified.

    Raises:
        StoppedError: `stop`, asked before each page, said so.
        TemporaryError, AuthenticationError, ConfigurationError: a page could not be had.
    """
    calls, changed, passes = 0, False, 0
    while True:
        reading = _Pass(client, selection, snapshot, page_size, progress, stop)
        reading.run()
        calls += reading.calls
        changed = changed or reading.changed
        doubts = reading.doubts()
        passes += 1
        if not doubts or passes == _PASSES:
            break
    unreadable = tuple(reading.unreadable)
    certified = not doubts and not unreadable
    _log.debug("sweep.certified" if certified else "sweep.doubtful", pages=calls)
    return SweepReport(
        total=reading.total,
        read=reading.read,
        pages=calls,
        certified=certified,
        changed=changed,
        doubts=doubts,
        unreadable=unreadable,
    )


def sweep_ids(
    client: PlanfixClient, selection: Selection, page_size: int
) -> tuple[frozenset[ContactId], bool]:
    """Read only the ids of a selection; the second value says whether that is certified."""
    ids = _OnlyIds()
    report = sweep(client, selection, ids, page_size)
    return frozenset(ids.page_of), report.certified


@dataclass(frozen=True, slots=True)
class _Page:
    """One page as it was read; `kept` when its bytes are those that the snapshot holds.

    `count` is how many contacts stood on it, readable or not, `present` which, each once;
    `twice` is how often one stood there again.
    """

    total: int
    count: int
    digest: bytes = b""
    kept: bool = False
    present: tuple[ContactId, ...] = ()
    changed: tuple[ReadContact, ...] = ()
    twice: int = 0


@dataclass(slots=True)
class _Pass:
    """One reading of all pages, and what was seen on the way."""

    client: PlanfixClient
    selection: Selection
    snapshot: SnapshotWriter
    page_size: int
    progress: Progress | None
    stop: Callable[[], bool]

    total: int = 0
    totals: set[int] = field(default_factory=set)
    read: int = 0  # distinct contacts
    twice: int = 0
    calls: int = 0
    changed: bool = False
    unreadable: list[str] = field(default_factory=list)

    def run(self) -> None:
        """Read page after page until nothing more can come."""
        number = 0
        more = True
        while more:
            number += 1
            if self.stop():
                raise StoppedError("Asked to stop while contacts were being read.")
            page = self._page(number)
            self._note(number, page)
            if self.progress is not None:
                self.progress(number, max(number, -(-self.total // self.page_size)))
            more = (
                page.count >= self.page_size
                and number * self.page_size < self.total
                and self.read < self.total
            )
        self.snapshot.forget_pages_after(number)

    def doubts(self) -> tuple[str, ...]:
        """Say why this reading proves nothing about who is missing, as far as repeating helps."""
        doubts = []
        if len(self.totals) > 1:
            seen = " and ".join(str(total) for total in sorted(self.totals))
            doubts.append(f"Planfix changed its total while it was read: {seen}")
        came = self.read + len(self.unreadable)
        if came != self.total:
            doubts.append(f"{came} contacts came where Planfix speaks of {self.total}")
        if self.twice:
            doubts.append(f"{self.twice} contacts came twice")
        return tuple(doubts)

    def _note(self, number: int, page: _Page) -> None:
        self.total = page.total
        self.totals.add(page.total)
        if page.kept:
            self.read += page.count
            return
        self.changed = True
        before = self.snapshot.keep_page(
            number, b"" if page.twice else page.digest, page.present, page.changed
        )
        self.read += len(page.present) - len(before)
        self.twice += page.twice + len(before)

    def _page(self, number: int) -> _Page:
        try:
            return self._ask(number, self.page_size, lambda body: self._look(number, body))
        except UnreadablePageError as error:
            return self._in_smaller_pieces(number, error)

    def _ask(self, number: int, page_size: int, look: Callable[[bytes], _Page]) -> _Page:
        self.calls += 1
        return self.client.read(
            "contact.getList",
            {"pageCurrent": number, "pageSize": page_size, "target": self.selection.target},
            look,
        )

    def _look(self, number: int, body: bytes) -> _Page:
        """Read a page, unless its bytes are those of the last time."""
        digest = hashlib.sha256(body).digest()
        if self.snapshot.page_digest(number) != digest:
            return self._read(number, body, digest)
        total = xml.total_of(body)
        if total is None:
            total = xml.read_page(body).total
        return _Page(total, self.snapshot.page_size_of(number), digest, kept=True)

    def _read(self, number: int, body: bytes, digest: bytes) -> _Page:
        """Read a page; contacts whose bytes were read before need no parsing."""
        split = xml.split_page(body)
        page = self._read_split(number, split, digest) if split else None
        if page is not None:
            return page
        whole = xml.read_page(body, self.snapshot.fields)
        ids = [read.contact.id for read in whole.contacts]
        known = self._remembered(ids)
        changed = [
            read
            for read in whole.contacts
            if not read.digest or not _same(known, read.contact.id, read.digest)
        ]
        return self._made(whole.total, digest, ids, changed)

    def _read_split(self, number: int, split: SplitPage, digest: bytes) -> _Page | None:
        stood = self.snapshot.digests_on(number)
        ids = [stood.get(piece_digest, _UNREAD) for piece_digest in split.digests]
        new = [place for place, contact in enumerate(ids) if contact == _UNREAD]
        if new:  # or they stood elsewhere
            guesses = {place: split.guess(place) for place in new}
            known = self._remembered([guess for guess in guesses.values() if guess])
            for place, guess in guesses.items():
                if _same(known, guess, split.digests[place]):
                    ids[place] = guess
            new = [place for place in new if ids[place] == _UNREAD]
        contacts = self._parsed([split.pieces[place] for place in new])
        if contacts is None:
            return None
        for place, contact in zip(new, contacts, strict=True):
            ids[place] = contact.id
        changed = [
            ReadContact(contact, split.digests[place])
            for place, contact in zip(new, contacts, strict=True)
        ]
        return self._made(split.total, digest, ids, changed)

    def _parsed(self, pieces: Sequence[bytes]) -> Sequence[Contact] | None:
        return xml.parse_pieces(pieces, self.snapshot.fields) if pieces else ()

    def _made(
        self,
        total: int,
        digest: bytes,
        ids: Sequence[ContactId],
        changed: Sequence[ReadContact],
    ) -> _Page:
        present = tuple(dict.fromkeys(ids))
        return _Page(
            total,
            len(ids),
            digest,
            present=present,
            changed=tuple({read.contact.id: read for read in changed}.values()),
            twice=len(ids) - len(present),
        )

    def _remembered(self, ids: Sequence[ContactId]) -> Mapping[ContactId, Remembered]:
        return self.snapshot.remembered(ids) if ids else {}

    def _in_smaller_pieces(self, number: int, error: UnreadablePageError) -> _Page:
        """Read what a page holds in pages of ten, and where that fails, one by one.

        Such a page gets no digest, so that it is read anew next time.
        """
        lost_before = len(self.unreadable)
        pieces: list[_Page] = []
        self._read_span(_Span(number, number, self.page_size), pieces, error)
        if not pieces:
            raise error  # not even one by one: it is not the contacts' fault
        self.totals.update(piece.total for piece in pieces)
        whole = self._made(
            pieces[-1].total,
            b"",
            [contact for piece in pieces for contact in piece.present],
            [read for piece in pieces for read in piece.changed],
        )
        lost = len(self.unreadable) - lost_before
        return replace(whole, count=whole.count + lost)

    def _read_span(self, span: "_Span", pieces: list[_Page], error: UnreadablePageError) -> None:
        if span.size == 1:
            self.unreadable.append(f"page {span.page}, contact {span.number} of the selection")
            if len(self.unreadable) > _UNREADABLE_MAX:
                raise error
            return
        for part in span.parts():
            if pieces and (part.number - 1) * part.size >= pieces[-1].total:
                return
            try:
                piece = self._ask(
                    part.number, part.size, lambda body: self._read(span.page, body, b"")
                )
            except UnreadablePageError as again:
                self._read_span(part, pieces, again)
            else:
                pieces.append(piece)


@dataclass(frozen=True, slots=True)
class _Span:
    """The contacts of page `number` at `size` a page, a part of the broken page `page`."""

    page: int
    number: int
    size: int

    def parts(self) -> Iterator["_Span"]:
        """Yield the same contacts in smaller pages."""
        size = _SMALLER if self.size > _SMALLER and self.size % _SMALLER == 0 else 1
        share = self.size // size
        for number in range((self.number - 1) * share + 1, self.number * share + 1):
            yield _Span(self.page, number, size)


class _OnlyIds:
    """A snapshot of nothing but the ids of the sweep under way, and where they stood."""

    fields: frozenset[int] = frozenset()

    def __init__(self) -> None:
        self.page_of: dict[ContactId, int] = {}

    def page_digest(self, number: int) -> bytes | None:  # noqa: ARG002
        """Remember no page's bytes."""
        return None

    def page_size_of(self, number: int) -> int:
        """Return how many contacts that page held."""
        return sum(1 for page in self.page_of.values() if page == number)

    def digests_on(self, number: int) -> Mapping[bytes, ContactId]:  # noqa: ARG002
        """Remember no contact's bytes."""
        return {}

    def remembered(self, ids: Sequence[ContactId]) -> dict[ContactId, Remembered]:
        """Return where these contacts stood; their bytes are not remembered."""
        return {each: Remembered(b"", self.page_of[each]) for each in ids if each in self.page_of}

    def keep_page(
        self,
        number: int,
        digest: bytes,  # noqa: ARG002
        present: Sequence[ContactId],
        changed: Sequence[ReadContact],  # noqa: ARG002
    ) -> frozenset[ContactId]:
        """Note the ids; return those that stood on an earlier page of this sweep."""
        if number == 1:
            self.page_of.clear()
        before = self.page_of.keys() & present
        self.page_of |= dict.fromkeys(set(present) - before, number)
        return frozenset(before)

    def forget_pages_after(self, number: int) -> None:
        """Do nothing: no page is left over from another sweep."""


def _same(known: Mapping[ContactId, Remembered], contact: ContactId, digest: bytes) -> bool:
    held = known.get(contact)
    return held is not None and held.digest == digest
