"""What goes wrong, on demand: each fault by its name, so often and where it was told to.

A fault is armed from any thread. Of those that answer in Planfix's place the first one due
wins and the others wait, so that several make a sequence; of the others all that are due act.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Generic, TypedDict, TypeVar, Unpack

from syncd import clock
from syncd.simulator.people import element

Work = TypeVar("Work")

DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'
_HTML: Final = (
    b"<!DOCTYPE html>\n<html><head><title>502 Bad Gateway</title></head>"
    b"<body><center><h1>502 Bad Gateway</h1></center></body></html>\n"
)
_DAMAGE: Final = {"control_characters": b"\x0b&#x1F;", "unparsable_contact": b"<b>&"}
_SECOND_S: Final = 0.95  # a second as the network delivers it


class When(TypedDict, total=False):
    """When a fault acts; what is left out does not matter.

    `times`: so often, then no more (left out: until switched off). `method`: in calls of this
    function only. `page`: in calls of contact.getList for this page only.
    """

    times: int
    method: str
    page: int


@dataclass(slots=True)
class Reply:
    """What goes back; `length` is what Content-Length says where that is a lie."""

    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None
    pause_s: float = 0.0  # between two pieces of the body
    compressed: bool = False
    dropped: bool = False  # nothing goes back, the connection is closed


@dataclass(slots=True)
class Page:
    """One page of contact.getList before it is written; `listing` is all that matches."""

    listing: list[int]
    start: int
    ids: list[int]
    total: int
    count: int


@dataclass(slots=True)
class _Switch(Generic[Work]):
    """An armed fault."""

    act: Work
    when: When

    def due(self, method: str, page: int) -> bool:
        """Say whether the fault acts in this call, and count it."""
        fits = self.when.get("method", method) == method and self.when.get("page", page) == page
        if not fits or self.when.get("times") == 0:
            return False
        if "times" in self.when:
            self.when["times"] -= 1
        return True


def error_body(code: str, message: str = "") -> bytes:
    """Return Planfix's refusal of a call."""
    text = element("message", message) if message else ""
    return f'{DECLARATION}<response status="error"><code>{code}</code>{text}</response>'.encode()


class Faults:
    """The switches, all off at first; `off` and `clear` switch off again."""

    def __init__(self, sessions: dict[str, datetime]) -> None:
        self.stopped = threading.Event()
        self._lock = threading.Lock()
        self._sessions = sessions
        self._armed: dict[str, list[When]] = {}
        self._accepts: list[_Switch[None]] = []
        self._instead: list[_Switch[Callable[[], Reply | None]]] = []
        self._pages: list[_Switch[Callable[[Page], None]]] = []
        self._replies: list[_Switch[Callable[[Reply], None]]] = []
        self._spoilt: dict[int, bytes] = {}
        self._remaining: int | None = None

    def off(self, name: str) -> None:
        """Switch one fault off, by the name of its method."""
        getattr(self, name)  # a name misspelt would switch nothing off
        with self._lock:
            for when in self._armed.get(name, ()):
                when["times"] = 0
            for contact_id, damage in tuple(self._spoilt.items()):
                if damage == _DAMAGE.get(name):
                    del self._spoilt[contact_id]
            if name == "quota":
                self._remaining = None

    def clear(self) -> None:
        """Switch everything off."""
        with self._lock:
            for switches in (self._accepts, self._instead, self._pages, self._replies):
                switches.clear()
            self._armed.clear()
            self._spoilt.clear()
            self._remaining = None

    # In Planfix's place: the call's work is not done.

    def error_code(self, code: str, message: str = "", **when: Unpack[When]) -> None:
        """Answer with this error code."""
        self._answer("error_code", lambda: Reply(error_body(code, message)), when)

    def http_status(
        self, status: int, retry_after: str | float | None = None, **when: Unpack[When]
    ) -> None:
        """Answer with this HTTP status and a body that isn't XML."""
        headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        self._answer("http_status", lambda: Reply(b"no\n", status, dict(headers)), when)

    def html_page(self, **when: Unpack[When]) -> None:
        """Answer with a proxy's 502 page."""
        self._answer("html_page", lambda: Reply(_HTML, 502, {"Content-Type": "text/html"}), when)

    def redirect(self, location: str = "/moved/xml/", **when: Unpack[When]) -> None:
        """Answer that the API lies elsewhere."""
        self._answer("redirect", lambda: Reply(b"", 301, {"Location": location}), when)

    def refuse_connections(self, **when: Unpack[When]) -> None:
        """Close new connections at once, and open ones at their next call."""
        with self._lock:
            self._armed.setdefault("refuse_connections", []).append(when)
            self._accepts.append(_Switch(None, when))

    def too_many_per_second(self, **when: Unpack[When]) -> None:
        """Answer 0007 to a call that starts within a second of the one before."""
        last_s = -1.0

        def judge() -> Reply | None:
            nonlocal last_s
            before_s, last_s = last_s, clock.monotonic_s()
            return Reply(error_body("0007")) if last_s - before_s < _SECOND_S else None

        self._answer("too_many_per_second", judge, when)

    def shift(self, callback: Callable[[], object], **when: Unpack[When]) -> None:
        """Run a callback just before a page is made: before page 2 and once, if not told else."""

        def run() -> None:
            callback()

        self._answer("shift", run, {"page": 2, "times": 1, **when})

    # A page of contact.getList that lies.

    def wrong_total(self, by: int = 1, **when: Unpack[When]) -> None:
        """State a totalCount that is too large by so many."""

        def act(page: Page) -> None:
            page.total += by

        self._page("wrong_total", act, when)

    def wrong_count(self, by: int = 1, **when: Unpack[When]) -> None:
        """State a count that is too large by so many."""

        def act(page: Page) -> None:
            page.count += by

        self._page("wrong_count", act, when)

    def duplicate(self, **when: Unpack[When]) -> None:
        """Begin a page with the last contact of the page before, in place of its own first."""

        def act(page: Page) -> None:
            if page.ids and page.start:
                page.ids[0] = page.listing[page.start - 1]

        self._page("duplicate", act, when)

    def short_page(self, **when: Unpack[When]) -> None:
        """Leave the last contact of a page out."""

        def act(page: Page) -> None:
            del page.ids[-1:]
            page.count = len(page.ids)

        self._page("short_page", act, when)

    # A reply that was damaged: the work is done.

    def broken_xml(self, **when: Unpack[When]) -> None:
        """End the document with a tag that was never opened."""
        self._rewrite("broken_xml", lambda body: body.replace(b"</response>", b"</respond>"), when)

    def truncated(self, **when: Unpack[When]) -> None:
        """Send two thirds of the body as if they were all."""
        self._rewrite("truncated", lambda body: body[: len(body) * 2 // 3], when)

    def empty_body(self, **when: Unpack[When]) -> None:
        """Send no body."""
        self._rewrite("empty_body", lambda _: b"", when)

    def doctype(self, **when: Unpack[When]) -> None:
        """Put a DOCTYPE with an entity before the reply."""
        doctype = b'<!DOCTYPE response [<!ENTITY name "Anna">]>\n<response '
        self._rewrite("doctype", lambda body: body.replace(b"<response ", doctype, 1), when)

    def wrong_root(self, **when: Unpack[When]) -> None:
        """Call the root something else."""
        self._rewrite("wrong_root", lambda body: body.replace(b"response", b"answer"), when)

    def status_other(self, **when: Unpack[When]) -> None:
        """Give a status that is neither ok nor error."""
        self._rewrite(
            "status_other", lambda body: body.replace(b'status="ok"', b'status="partial"', 1), when
        )

    def cut_connection(self, **when: Unpack[When]) -> None:
        """Declare the whole body, send half of it and close the connection."""

        def act(reply: Reply) -> None:
            reply.length = len(reply.body)
            reply.body = reply.body[: len(reply.body) // 2]

        self._reply("cut_connection", act, when)

    def drop_after_work(self, **when: Unpack[When]) -> None:
        """Do the work, then close the connection without an answer."""

        def act(reply: Reply) -> None:
            reply.dropped = True

        self._reply("drop_after_work", act, when)

    def slow_body(self, pause_s: float = 0.05, **when: Unpack[When]) -> None:
        """Send the body in small pieces, with a pause after each."""

        def act(reply: Reply) -> None:
            reply.pause_s = pause_s

        self._reply("slow_body", act, when)

    def gzip(self, **when: Unpack[When]) -> None:
        """Compress the body where the client takes that."""

        def act(reply: Reply) -> None:
            reply.compressed = True

        self._reply("gzip", act, when)

    def stall(self, until: float | threading.Event, **when: Unpack[When]) -> threading.Event:
        """Do the work, then hold the answer for so many seconds or until the event is set.

        The event returned is set as soon as a call stands still.
        """
        reached = threading.Event()

        def act(_: Reply) -> None:
            reached.set()
            if not isinstance(until, threading.Event):
                self.stopped.wait(until)
                return
            while not until.wait(0.02) and not self.stopped.is_set():
                pass

        self._reply("stall", act, when)
        return reached

    # What lasts.

    def control_characters(self, contact_id: int) -> None:
        """Put U+000B, raw, and U+001F, as a reference, into a contact's name."""
        self._spoilt[contact_id] = _DAMAGE["control_characters"]

    def unparsable_contact(self, contact_id: int) -> None:
        """Make a contact ill-formed XML however it is read."""
        self._spoilt[contact_id] = _DAMAGE["unparsable_contact"]

    def quota(self, remaining: int) -> None:
        """Allow so many calls more, then answer 0007; replies tell how many are left."""
        self._remaining = remaining

    def expire_sessions(self) -> None:
        """Make every sid invalid, as after its hour."""
        self._sessions.clear()

    # Asked by the server.

    def refuses_connection(self) -> bool:
        """Say whether a connection is to be closed at once."""
        with self._lock:
            return any(switch.due("", 0) for switch in self._accepts)

    def instead(self, method: str, page: int) -> Reply | None:
        """Return what a fault answers in Planfix's place."""
        for switch in tuple(self._instead):
            with self._lock:
                due = switch.due(method, page)
            # Not under the lock: a callback may arm or switch off faults.
            reply = switch.act() if due else None
            if reply is not None:
                return reply
        return None

    def lie(self, page: Page, number: int) -> None:
        """Change a page before it is written."""
        for switch in self._due(self._pages, "contact.getList", number):
            switch.act(page)

    def damage(self, reply: Reply, method: str, page: int) -> None:
        """Change a reply before it is sent."""
        for switch in self._due(self._replies, method, page):
            switch.act(reply)

    def spoil(self, contact_id: int, xml: bytes) -> bytes:
        """Return a contact's XML as damaged as it was told to be."""
        damage = self._spoilt.get(contact_id)
        if damage is None:
            return xml
        named = xml.replace(b"<name/>", b"<name></name>", 1)
        return named.replace(b"</name>", damage + b"</name>", 1)

    def spend_call(self) -> int | None:
        """Count a call; return how many are left, below zero where there was none."""
        with self._lock:
            if self._remaining is not None:
                self._remaining = max(self._remaining - 1, -1)
            return self._remaining

    def _due(self, switches: list[_Switch[Work]], method: str, page: int) -> list[_Switch[Work]]:
        with self._lock:
            return [switch for switch in switches if switch.due(method, page)]

    def _answer(self, name: str, act: Callable[[], Reply | None], when: When) -> None:
        with self._lock:
            self._armed.setdefault(name, []).append(when)
            self._instead.append(_Switch(act, when))

    def _page(self, name: str, act: Callable[[Page], None], when: When) -> None:
        with self._lock:
            self._armed.setdefault(name, []).append(when)
            self._pages.append(_Switch(act, when))

    def _reply(self, name: str, act: Callable[[Reply], None], when: When) -> None:
        with self._lock:
            self._armed.setdefault(name, []).append(when)
            self._replies.append(_Switch(act, when))

    def _rewrite(self, name: str, act: Callable[[bytes], bytes], when: When) -> None:
        def rewrite(reply: Reply) -> None:
            reply.body = act(reply.body)

        self._reply(name, rewrite, when)
