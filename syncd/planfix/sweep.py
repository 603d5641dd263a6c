"""Read a selection whole through contact.getList, and say whether that is proved.

Planfix promises no order and has no sorting, so contacts that come or go while pages are read
shift the rest (its help page on contact.getList). A sweep is certified when each page stated
the same total and as many distinct contacts came, none of them twice.
"""

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import structlog

from syncd.core.link import Selection
from syncd.core.people import Contact, ContactId
from syncd.errors import StoppedError
from syncd.planfix.client import PlanfixClient, UnreadablePageError
from syncd.ports import KeptPage, ReadPage, SnapshotWriter, SweepReport
from syncd.wire import planfix_xml as xml
from syncd.wire.planfix_xml import SplitPage

Progress = Callable[[int, int], None]
"""Told the pages that are done, and how many there will be."""

_log = structlog.get_logger()

_PASSES: Final = 3
_KEPT_TOGETHER: Final = 2000
"""How many contacts are kept in one transaction, at the most, and a page."""
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
    """One page as it was read; `read` is None when its bytes are those that the snapshot holds.

    `count` is how many contacts stood on it, readable or not, `twice` how often one stood there
    again.
    """

    total: int
    count: int
    read: ReadPage | None = None
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
    came: int = 0
    read: int = 0  # distinct contacts
    twice: int = 0
    calls: int = 0
    changed: bool = False
    unreadable: list[str] = field(default_factory=list)
    pending: list[ReadPage] = field(default_factory=list)  # read, and not yet kept

    def run(self) -> None:
        """Read page after page until nothing more can come."""
        number = 0
        more = True
        while more:
            number += 1
            if self.stop():
                self._keep()
                raise StoppedError("Asked to stop while contacts were being read.")
            page = self._page(number)
            self._note(page)
            if self.progress is not None:
                self.progress(number, max(number, -(-self.total // self.page_size)))
            more = (
                page.count >= self.page_size
                and number * self.page_size < self.total
                and self.came < self.total
            )
        self._keep()
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

    def _note(self, page: _Page) -> None:
        self.total = page.total
        self.totals.add(page.total)
        self.came += page.count
        self.twice += page.twice
        if page.read is None:
            self.read += page.count
            return
        self.changed = True
        self.read += len(page.read.digests)
        self.pending.append(page.read)
        if len(self.pending) * self.page_size >= _KEPT_TOGETHER:
            self._keep()

    def _keep(self) -> None:
        """Keep the pages read so far: some at a time, since each commit costs as much as a page."""
        if self.pending:
            again = self.snapshot.keep(self.pending)
            self.read -= again
            self.twice += again
            self.pending.clear()

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
        kept = self._kept(number, digest)
        if kept is None:
            return self._read(number, body, digest)
        total = xml.total_of(body)
        if total is None:
            total = xml.read_page(body).total
        return _Page(total, kept.size)

    def _kept(self, number: int, digest: bytes) -> KeptPage | None:
        """Return the page that the snapshot holds, where its bytes are these.

        It may hold them no more once the pages before are kept: somebody may have come from here.
        """
        kept = self.snapshot.page(number)
        if kept is not None and kept.digest == digest and self.pending:
            self._keep()
            kept = self.snapshot.page(number)
        return kept if kept is not None and kept.digest == digest else None

    def _read(self, number: int, body: bytes, digest: bytes) -> _Page:
        """Read a page; contacts whose bytes were read before need no parsing."""
        split = xml.split_page(body)
        page = self._read_split(number, split, digest) if split else None
        if page is not None:
            return page
        whole = xml.read_page(body, self.snapshot.fields)
        digests = [(contact.id, b"") for contact in whole.contacts]
        return _made(whole.total, number, digest, digests, whole.contacts)

    def _read_split(self, number: int, split: SplitPage, digest: bytes) -> _Page | None:
        stood = self.snapshot.digests_on(number)
        ids = [stood.get(piece_digest, _UNREAD) for piece_digest in split.digests]
        new = [place for place, contact in enumerate(ids) if contact == _UNREAD]
        if new and stood:  # or they stood elsewhere; on a page of newcomers nobody did
            new = self._not_met_elsewhere(split, ids, new, stood.values())
        contacts = xml.parse_pieces([split.pieces[place] for place in new], self.snapshot.fields)
        if contacts is None:
            return None
        for place, contact in zip(new, contacts, strict=True):
            ids[place] = contact.id
        digests = list(zip(ids, split.digests, strict=True))
        return _made(split.total, number, digest, digests, contacts)

    def _not_met_elsewhere(
        self,
        split: SplitPage,
        ids: list[ContactId],
        new: Sequence[int],
        here: Collection[ContactId],
    ) -> list[int]:
        """Find in `ids` the places of those who came from another page; return the others."""
        guesses = {place: split.guess(place) for place in new}
        elsewhere = [guess for guess in guesses.values() if guess and guess not in here]
        known = self.snapshot.digests_of(elsewhere) if elsewhere else {}
        for place, guess in guesses.items():
            if known.get(guess) == split.digests[place]:
                ids[place] = guess
        return [place for place in new if ids[place] == _UNREAD]

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
        read = [piece.read for piece in pieces if piece.read is not None]
        whole = _made(
            pieces[-1].total,
            number,
            b"",
            [held for piece in read for held in piece.digests.items()],
            [contact for piece in read for contact in piece.changed],
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

    def page(self, number: int) -> KeptPage | None:  # noqa: ARG002
        """Remember no page's bytes."""
        return None

    def digests_on(self, number: int) -> Mapping[bytes, ContactId]:  # noqa: ARG002
        """Remember no contact's bytes."""
        return {}

    def digests_of(self, ids: Sequence[ContactId]) -> Mapping[ContactId, bytes]:  # noqa: ARG002
        """Remember no contact's bytes."""
        return {}

    def keep(self, pages: Sequence[ReadPage]) -> int:
        """Note the ids; return how many stood on an earlier page of this sweep."""
        again = 0
        for page in pages:
            if page.number == 1:
                self.page_of.clear()
            before = self.page_of.keys() & page.digests
            self.page_of |= dict.fromkeys(page.digests.keys() - before, page.number)
            again += len(before)
        return again

    def forget_pages_after(self, number: int) -> None:
        """Do nothing: no page is left over from another sweep."""


def _made(
    total: int,
    number: int,
    digest: bytes,
    digests: Sequence[tuple[ContactId, bytes]],
    changed: Sequence[Contact],
) -> _Page:
    """Return a page of these contacts; whoever stands on it twice counts once."""
    each = dict(digests)
    twice = len(digests) - len(each)
    if twice:  # what comes last of one is what both are read as
        digest, changed = b"", list({contact.id: contact for contact in changed}.values())
    return _Page(total, len(digests), ReadPage(number, digest, each, changed), twice)
