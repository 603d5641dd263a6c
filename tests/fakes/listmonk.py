"""A listmonk server on loopback, strict about its API: what it does not expect is written down.

It reads requests by itself rather than through our codec, so that a fault there shows here. It
does what listmonk's source does, the traps included, in four versions.
"""

import base64
import csv
import io
import json
import re
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import parse_qs, urlsplit

from syncd.core.address import key_of
from tests.fakes.email_service import DONE_FIRST, Fault

USER: Final = "syncd"
TOKEN: Final = "listmonk-api-token"

EVERYTHING: Final = frozenset(
    {
        "lists:get_all", "lists:manage_all", "subscribers:get_all", "subscribers:manage",
        "subscribers:import", "bounces:get",
    }
)  # fmt: skip

_HTML: Final = b"<html><body>Something else</body></html>"
_WRONG_ANSWERS: Final[dict[Fault, tuple[int, dict[str, str], bytes]]] = {
    Fault.REFUSE: (400, {}, b'{"message": "refused for a@example.com"}'),
    Fault.BUSY: (429, {}, b""),
    Fault.BUSY_RETRY_AFTER: (429, {"Retry-After": "0"}, b""),
    Fault.ERROR: (500, {}, b'{"message": "Error: pq: deadlock detected"}'),
    Fault.BAD_GATEWAY: (502, {}, _HTML),
    Fault.UNAVAILABLE: (503, {}, b""),
    Fault.PAGE: (200, {}, _HTML),
    Fault.EMPTY: (200, {}, b""),
    Fault.REDIRECT: (302, {"Location": "/admin/login"}, b""),
}


class RefusedError(Exception):
    """The server's no."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class StoredList:
    """One list."""

    id: int
    name: str
    type: str = "private"
    optin: str = "single"
    tags: list[str] = field(default_factory=list)


@dataclass
class StoredPerson:
    """One subscriber, global to the server."""

    id: int
    email: str
    name: str
    status: str = "enabled"
    attribs: dict[str, Any] = field(default_factory=dict)


@dataclass
class StoredRow:
    """One person's row on one list."""

    status: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class LoggedRequest:
    """One request as it came in; `query` holds the last value of each parameter."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def fields(self) -> dict[str, Any]:
        """The body, where it is a JSON object."""
        found = json.loads(self.body)
        assert isinstance(found, dict)
        return found

    @property
    def action(self) -> str:
        """Method and path, numbers left out."""
        return f"{self.method} {re.sub(r'/[0-9]+', '/N', self.path)}"


@dataclass
class _Import:
    """The one import there is; `polls` is how often it will say that it is still at work."""

    name: str = ""
    status: str = "none"
    total: int = 0
    imported: int = 0
    polls: int = 0
    work: Callable[[], None] = lambda: None


Answer = Callable[[LoggedRequest, int], Any]


class ListmonkServer:
    """The server, its state, its log and its switches.

    `resubscribed` counts who was put back against their will, `forgotten` whose refusal was
    erased, `mails` who was asked to confirm, and `strange` what no listmonk knows.
    """

    def __init__(self, version: str = "v6.1.0") -> None:
        self.version = version
        self.token = TOKEN
        self.lists: dict[int, StoredList] = {}
        self.people: dict[int, StoredPerson] = {}
        self.rows: dict[tuple[int, int], StoredRow] = {}
        self.bounces: list[dict[str, Any]] = []
        self.requests: list[LoggedRequest] = []
        self.strange: list[str] = []
        self.mails: list[str] = []
        self.resubscribed = 0
        self.welcome: set[int] = set()  # who asked to be put back
        self.forgotten = 0
        self.permissions = set(EVERYTHING)
        self.permitted_lists: set[int] | None = None  # without get_all and manage_all
        self.shown_lists: set[int] | None = None  # whose people are shown, whatever is asked for
        self.blocked_domains: set[str] = set()
        self.page_cap = 10**6  # of which listmonk itself has none, but a proxy or a fork may
        self.import_polls = 1
        self.failing_imports = False
        self.between_pages: Callable[[], None] | None = None
        self._after_request: dict[str, Callable[[], None]] = {}
        self._now = datetime(2026, 1, 10, 23, 7, 16, tzinfo=UTC)
        self._import = _Import()
        self._ids = iter(range(1, 10**9))
        self._faults: deque[Fault | None] = deque()
        self._lasting: Fault | None = None
        self._only: tuple[str, ...] = ("",)
        self._lock = threading.RLock()
        self._closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def url(self) -> str:
        """The server's address."""
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def actions(self) -> list[str]:
        """What was asked for so far, in order."""
        return [request.action for request in self.requests]

    @property
    def _number(self) -> tuple[int, ...]:
        return tuple(int(part) for part in re.findall(r"\d+", self.version)[:2])

    def fail(
        self, fault: Fault, *, times: int | None = 1, after: int = 0, only: tuple[str, ...] = ("",)
    ) -> None:
        """Answer the next requests wrongly; `times` None is until `recover`.

        `after` lets so many through first; those count whose action begins with one of `only`.
        """
        self._only = only
        self._faults.extend([None] * after)
        if times is None:
            self._lasting = fault
        else:
            self._faults.extend([fault] * times)

    def recover(self) -> None:
        """Answer rightly from now on."""
        self._faults.clear()
        self._lasting = None

    def after(self, action: str, then: Callable[[], None]) -> None:
        """Let something happen as soon as the next request of this kind was carried out."""
        self._after_request[action] = then

    # What people and administrators do.

    def make_list(self, name: str, **more: Any) -> int:
        """Make a list by hand."""
        number = next(self._ids)
        self.lists[number] = StoredList(number, name, **more)
        return number

    def make_person(self, email: str, name: str = "", **more: Any) -> int:
        """Make somebody known who is on no list."""
        number = next(self._ids)
        self.people[number] = StoredPerson(number, email.lower(), name or _made_up(email), **more)
        return number

    def join(self, list_id: int, person: int, status: str = "confirmed") -> None:
        """Let a person subscribe, at his own will."""
        self.rows[list_id, person] = StoredRow(status, self._now, self._now)

    def leave(self, list_id: int, email: str) -> None:
        """Let a person unsubscribe."""
        row = self.rows[list_id, self.person(email).id]
        row.status, row.updated_at = "unsubscribed", self._now

    def bounce(self, email: str, kind: str = "hard", *, blocklist: bool = True) -> None:
        """Let a letter come back, and the server's rules block the person.

        They leave the rows as they are, unlike a person who blocks himself.
        """
        person = self.person(email)
        self.bounces.append(
            {
                "id": next(self._ids),
                "type": kind,
                "source": "api",
                "meta": {},
                "created_at": _shown(self._now),
                "email": person.email,
                "subscriber_uuid": _uuid(person.id),
                "subscriber_id": person.id,
                "subscriber_status": person.status,
                "campaign": None,
            }
        )
        if blocklist:
            person.status = "blocklisted"

    def blocklist(self, email: str) -> None:
        """Block a person from everything: by his own wish, or an administrator's."""
        person = self.person(email)
        person.status = "blocklisted"
        for (_, whose), row in self.rows.items():
            if whose == person.id:
                row.status, row.updated_at = "unsubscribed", self._now

    def wipe(self, email: str) -> None:
        """Delete a person with all rows."""
        self._delete(self.person(email).id)

    def drop_list(self, list_id: int) -> None:
        """Delete a list with all rows."""
        self.lists.pop(list_id, None)
        for key in [key for key in self.rows if key[0] == list_id]:
            del self.rows[key]

    def person(self, email: str) -> StoredPerson:
        """Return who has this address, however it is spelled."""
        [found] = [p for p in self.people.values() if key_of(p.email) == key_of(email)]
        return found

    def begin_import(self, name: str = "by-hand.csv", polls: int = 10**6) -> None:
        """Let an administrator import something."""
        self._import = _Import(name, "importing", polls=polls)

    def _delete(self, person: int) -> None:
        del self.people[person]
        for key in [key for key in self.rows if key[1] == person]:
            del self.rows[key]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    # Answers.

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Take one request and answer it, rightly or wrongly."""
        length = handler.headers.get("Content-Length", "")
        body = handler.rfile.read(int(length)) if length.isdigit() else b""
        parts = urlsplit(handler.path)
        query = {key: values[-1] for key, values in parse_qs(parts.query, True).items()}
        request = LoggedRequest(handler.command, parts.path, query, dict(handler.headers), body)
        with self._lock:
            self._now += timedelta(seconds=1)
            self.requests.append(request)
            fault = self._next_fault(request)
            status, fields = 500, dict[str, Any]()
            if fault is None or fault in DONE_FIRST:
                status, fields = self._judge(request)
                self._after_request.pop(request.action, lambda: None)()
        answer = json.dumps(fields).encode()
        if fault is None:
            _send(handler, status, {}, answer)
        elif fault in _WRONG_ANSWERS:
            _send(handler, *_WRONG_ANSWERS[fault])
        else:
            self._misbehave(handler, fault, answer)

    def _next_fault(self, request: LoggedRequest) -> Fault | None:
        if not request.action.startswith(self._only):
            return None
        return self._faults.popleft() if self._faults else self._lasting

    def _misbehave(self, handler: BaseHTTPRequestHandler, fault: Fault, answer: bytes) -> None:
        handler.close_connection = True
        match fault:
            case Fault.STALL | Fault.STALL_DONE:
                self._closing.wait(30)
            case Fault.CUT:
                _send(handler, 200, {}, answer[:-2])
            case Fault.SLOW:
                _send(handler, 200, {}, b"", length=len(answer))
                for byte in answer:
                    if self._closing.wait(0.1) or not _write(handler, bytes([byte])):
                        return

    def _judge(self, request: LoggedRequest) -> tuple[int, dict[str, Any]]:
        try:
            return 200, {"data": self._carry_out(request)}
        except RefusedError as refusal:
            return refusal.status, {"message": str(refusal)}
        except (AssertionError, AttributeError, KeyError, TypeError, ValueError) as error:
            self.strange.append(f"{request.action}: {error!r}")
            return 500, {"message": "a request that listmonk would not be sent"}

    def _carry_out(self, request: LoggedRequest) -> Any:
        if not request.path.startswith("/api/"):
            raise RefusedError(404, "404 unknown endpoint")
        if request.headers.get("Authorization", "") not in self._credentials():
            raise RefusedError(403, "invalid API credentials")
        if "Cookie" in request.headers:
            self.strange.append("a cookie")
        methods: dict[str, Answer] = {}
        number = 0
        for pattern, answers in self._routes():
            found = re.fullmatch(pattern, request.path)
            if found:
                methods, number = answers, int(found.groupdict().get("id") or 0)
                break
        if request.method not in methods:
            self.strange.append(request.action)
            missing = "Method Not Allowed" if methods else "404 unknown endpoint"
            raise RefusedError(405 if methods else 404, missing)
        return methods[request.method](request, number)

    def _routes(self) -> tuple[tuple[str, dict[str, Answer]], ...]:
        one: dict[str, Answer] = {"GET": self._get_person, "PUT": self._put_person}
        if self._number >= (6, 1):
            one["PATCH"] = self._patch_person
        number = r"(?P<id>[1-9]\d*)"
        return (
            ("/api/config", {"GET": self._get_config}),
            ("/api/profile", {"GET": self._get_profile}),
            ("/api/lists", {"GET": self._get_lists, "POST": self._post_list}),
            (f"/api/lists/{number}", {"GET": self._get_list, "DELETE": self._delete_list}),
            ("/api/subscribers", {"GET": self._get_people, "POST": self._post_person}),
            ("/api/subscribers/lists", {"PUT": self._put_lists}),
            (f"/api/subscribers/{number}", one),
            (f"/api/subscribers/{number}/bounces", {"GET": self._get_bounces_of}),
            ("/api/import/subscribers", {"GET": self._get_import, "POST": self._post_import}),
            ("/api/bounces", {"GET": self._get_bounces}),
        )

    def _credentials(self) -> set[str]:
        pair = f"{USER}:{self.token}"
        return {f"token {pair}", f"Basic {base64.b64encode(pair.encode()).decode()}"}

    # Rights.

    def _need(self, *permissions: str) -> None:
        if not self.permissions & set(permissions):
            raise RefusedError(403, f"permission denied: {permissions[0]}")

    def _permitted(self, lists: list[int]) -> list[int]:
        return [
            each for each in lists if self.permitted_lists is None or each in self.permitted_lists
        ]

    def _some_permitted(self, lists: list[int]) -> list[int]:
        left = self._permitted(lists)
        if lists and not left:
            raise RefusedError(403, "permission denied: lists")
        return left

    # Lists.

    def _get_config(self, request: LoggedRequest, _: int) -> Any:
        self._strict(request, query=set())
        return {"version": self.version, "lang": "en"}

    def _get_profile(self, request: LoggedRequest, _: int) -> Any:
        self._strict(request, query=set())
        limited = (
            {"lists:get_all", "lists:manage_all"} if self.permitted_lists is not None else set()
        )
        permissions = sorted(self.permissions - limited)
        return {"id": 2, "username": USER, "user_role": {"id": 3, "permissions": permissions}}

    def _get_lists(self, request: LoggedRequest, _: int) -> Any:
        self._strict(request, query={"minimal"})
        assert request.query == {"minimal": "true"}
        rows = [self._list_fields(self.lists[each]) for each in self._permitted(sorted(self.lists))]
        if not rows:
            return []
        return {"results": rows, "total": len(rows), "page": 1, "per_page": len(rows)}

    def _post_list(self, request: LoggedRequest, _: int) -> Any:
        self._need("lists:manage_all")
        fields = self._body(request, {"name", "type", "optin", "tags", "description"})
        if not fields["name"] or len(fields["name"].encode()) > 2000:
            raise RefusedError(400, "Invalid name")
        number = self.make_list(
            fields["name"], type=fields["type"], optin=fields["optin"], tags=fields["tags"]
        )
        return self._list_fields(self.lists[number])

    def _get_list(self, request: LoggedRequest, number: int) -> Any:
        self._strict(request, query=set())
        if not self._permitted([number]):
            raise RefusedError(403, f"permission denied: list {number}")
        if number not in self.lists:
            raise RefusedError(400, "List not found")
        return self._list_fields(self.lists[number])

    def _delete_list(self, request: LoggedRequest, number: int) -> Any:
        self._strict(request, query=set())
        if not self._permitted([number]):
            raise RefusedError(403, f"permission denied: list {number}")
        self.drop_list(number)
        return True

    def _list_fields(self, stored: StoredList) -> dict[str, Any]:
        return {
            "id": stored.id,
            "uuid": _uuid(stored.id),
            "name": stored.name,
            "type": stored.type,
            "optin": stored.optin,
            "status": "active",
            "tags": stored.tags,
            "description": "",
            "created_at": _shown(self._now),
            "updated_at": _shown(self._now),
        }

    # People.

    def _get_people(self, request: LoggedRequest, _: int) -> Any:
        self._need("subscribers:get_all", "subscribers:get")
        self._strict(request, query={"list_id", "search", "order", "page", "per_page"})
        query = request.query
        if int(query.get("page", "1")) > 1 and self.between_pages is not None:
            then, self.between_pages = self.between_pages, None
            then()
        asked = [int(query["list_id"])] if "list_id" in query else []
        lists = self._permitted(asked)
        if self.permitted_lists is not None and not lists:
            lists = sorted(self.permitted_lists)  # and not what was asked for
        if asked and self.shown_lists is not None:
            lists = sorted(self.shown_lists)
        people = [
            person
            for number, person in sorted(self.people.items())
            if not lists or any((each, number) in self.rows for each in lists)
        ]
        if query.get("search"):
            pattern = re.compile(query["search"], re.IGNORECASE)
            people = [p for p in people if pattern.search(p.name) or pattern.search(p.email)]
        if query.get("order") != "asc":  # "ASC" included
            people.reverse()
        return self._page(query, [self._person_fields(person) for person in people])

    def _page(self, query: Mapping[str, str], rows: list[dict[str, Any]]) -> dict[str, Any]:
        page, size = int(query.get("page", "1")), query.get("per_page", "20")
        start = 0 if size == "all" else (page - 1) * int(size)
        end = start + min(self.page_cap, len(rows) if size == "all" else int(size))
        return {
            "results": rows[start:end],
            "search": query.get("search", ""),
            "query": "",
            "total": len(rows),
            "per_page": 0 if size == "all" else int(size),
            "page": page,
        }

    def _get_person(self, request: LoggedRequest, number: int) -> Any:
        self._need("subscribers:get_all", "subscribers:get")
        self._strict(request, query=set())
        return self._person_fields(self._known(number))

    def _post_person(self, request: LoggedRequest, _: int) -> Any:
        self._need("subscribers:manage")
        fields = self._body(
            request, {"email", "name", "status", "lists", "attribs", "preconfirm_subscriptions"}
        )
        email, name = self._valid(fields["email"], fields["name"])
        lists = self._some_permitted(fields["lists"])
        if any(person.email == email for person in self.people.values()):
            raise RefusedError(409, "E-mail already exists.")
        number = self.make_person(email, name, status=fields["status"], attribs=fields["attribs"])
        sure = fields["preconfirm_subscriptions"]
        for each in lists:
            if each in self.lists:  # others are dropped without a word
                self._set_row(each, number, "confirmed" if sure else "unconfirmed")
        if not sure:
            self._ask_to_confirm(number, lists)
        return self._person_fields(self.people[number])

    def _patch_person(self, request: LoggedRequest, number: int) -> Any:
        fields = self._change_of(request)
        person = self._known(number)
        merged = {
            "email": person.email,
            "name": person.name,
            "status": person.status,
            **fields,
            "attribs": person.attribs | fields.get("attribs", {}),
        }
        return self._change(number, merged, fields.get("lists"), whole=False)

    def _put_person(self, request: LoggedRequest, number: int) -> Any:
        fields = self._change_of(request)
        self._known(number)
        defaults = {"email": "", "name": "", "status": "", "attribs": {}}
        return self._change(number, defaults | fields, fields.get("lists", []), whole=True)

    def _change_of(self, request: LoggedRequest) -> dict[str, Any]:
        self._need("subscribers:manage")
        known = {"email", "name", "status", "lists", "attribs", "preconfirm_subscriptions"}
        return self._body(request, known, some=True)

    def _change(
        self, number: int, fields: Mapping[str, Any], lists: list[int] | None, *, whole: bool
    ) -> Any:
        person = self.people[number]
        email, _ = self._valid(fields["email"], fields["name"] or "x")
        if any(other.email == email and other.id != number for other in self.people.values()):
            raise RefusedError(
                500,
                "Error updating Subscriber: pq: duplicate key value violates unique constraint "
                f'"subscribers_email_key". Key (email)=({email}) already exists.',
            )
        status = fields["status"] or person.status
        self.resubscribed += person.status == "blocklisted" and status != "blocklisted"
        person.email, person.status = email, status
        person.name = fields["name"].strip() or person.name
        person.attribs = fields["attribs"]
        sure = fields.get("preconfirm_subscriptions", False)
        if lists is not None:
            self._replace_rows(number, self._some_permitted(lists), sure=sure, whole=whole)
        if not sure:
            self._ask_to_confirm(number, [])
        return self._person_fields(person)

    def _replace_rows(self, number: int, lists: list[int], *, sure: bool, whole: bool) -> None:
        spared = self.permitted_lists if self._number >= (6, 1) else None
        for each, whose in list(self.rows):
            if whose == number and each not in lists and (spared is None or each in spared):
                self._drop_row(each, number)
        for each in lists:
            if each not in self.lists:
                continue
            row = self.rows.get((each, number))
            if row is None or row.status == "unconfirmed":
                self._set_row(each, number, "confirmed" if sure else "unconfirmed")

    def _ask_to_confirm(self, number: int, lists: list[int]) -> None:
        """Mail who has not confirmed a list that asks for it; no lists are all of them."""
        for (each, whose), row in self.rows.items():
            asks = self.lists[each].optin == "double" and (each in lists or not lists)
            if whose == number and asks and row.status == "unconfirmed":
                self.mails.append(self.people[number].email)

    def _put_lists(self, request: LoggedRequest, _: int) -> Any:
        self._need("subscribers:manage")
        fields = self._body(
            request, {"ids", "action", "target_list_ids", "status"}, optional={"status"}
        )
        if not fields["ids"]:
            raise RefusedError(400, "No IDs given.")
        lists = self._some_permitted(fields["target_list_ids"])
        match fields["action"]:
            case "add":
                self._add(fields["ids"], lists, fields.get("status", ""))
            case "remove":
                for each in lists:
                    for number in fields["ids"]:
                        self._drop_row(each, number)
            case "unsubscribe":
                for each in lists:
                    for number in fields["ids"]:
                        if (each, number) in self.rows:
                            self._set_row(each, number, "unsubscribed")
            case _:
                raise RefusedError(400, "Invalid action.")
        return True

    def _add(self, ids: list[int], lists: list[int], status: str) -> None:
        if set(ids) - self.people.keys() or set(lists) - self.lists.keys():
            raise RefusedError(
                500,
                'Error updating Subscribers: pq: insert or update on table "subscriber_lists" '
                'violates foreign key constraint "subscriber_lists_subscriber_id_fkey"',
            )
        for each in lists:
            for number in ids:
                row = self.rows.get((each, number))
                if row is None or status:
                    self._set_row(each, number, status or "unconfirmed", touch=row is None)

    def _set_row(self, list_id: int, number: int, status: str, *, touch: bool = True) -> None:
        row = self.rows.get((list_id, number))
        if row is None:
            self.rows[list_id, number] = StoredRow(status, self._now, self._now)
            return
        left = row.status == "unsubscribed" and number not in self.welcome
        self.resubscribed += left and status != "unsubscribed"
        row.status = status
        if touch:
            row.updated_at = self._now

    def _drop_row(self, list_id: int, number: int) -> None:
        row = self.rows.pop((list_id, number), None)
        self.forgotten += row is not None and row.status == "unsubscribed"

    def _known(self, number: int) -> StoredPerson:
        if number not in self.people:
            raise RefusedError(400, f"Subscriber ({number}: ) not found")
        return self.people[number]

    def _valid(self, email: str, name: str) -> tuple[str, str]:
        email = email.strip().lower()
        if not re.fullmatch(r"[^\s@<>\"]+@[^\s@]+\.[^\s@]+", email) or len(email) > 1000:
            raise RefusedError(400, "Invalid email.")
        if email.rpartition("@")[2] in self.blocked_domains:
            raise RefusedError(400, "The e-mail domain is blocklisted.")
        if len(name.encode()) > 2000:
            raise RefusedError(400, "Invalid name.")
        return email, name.strip() or _made_up(email)

    def _person_fields(self, person: StoredPerson) -> dict[str, Any]:
        lists = [
            {
                "subscription_status": row.status,
                "subscription_created_at": _shown(row.created_at),
                "subscription_updated_at": _shown(row.updated_at),
                "subscription_meta": {},
                **self._list_fields(stored),
            }
            for stored in self.lists.values()
            if (row := self.rows.get((stored.id, person.id))) is not None
        ]
        return {
            "id": person.id,
            "created_at": _shown(self._now),
            "updated_at": _shown(self._now),
            "uuid": _uuid(person.id),
            "email": person.email,
            "name": person.name,
            "attribs": person.attribs,
            "status": person.status,
            "lists": lists,
        }

    # Bounces.

    def _get_bounces(self, request: LoggedRequest, _: int) -> Any:
        self._need("bounces:get")
        self._strict(request, query={"order_by", "order", "page", "per_page"})
        rows = sorted(
            self.bounces,
            key=lambda row: str(row["created_at"]),
            reverse=request.query.get("order") != "asc",
        )
        page = self._page(request.query, rows)
        return page if page["results"] else {"results": [], "total": 0, "page": 0, "per_page": 0}

    def _get_bounces_of(self, request: LoggedRequest, number: int) -> Any:
        self._need("bounces:get")
        self._strict(request, query=set())
        return [row for row in self.bounces if row["subscriber_id"] == number]

    # The import.

    def _get_import(self, request: LoggedRequest, _: int) -> Any:
        self._need("subscribers:import")
        self._strict(request, query=set())
        running = self._import
        if running.status == "importing":
            if running.polls == 0:
                running.status = "finished"
                running.work()
            running.polls -= 1
        return self._import_fields()

    def _import_fields(self) -> dict[str, Any]:
        done = self._import
        return {
            "name": done.name, "total": done.total, "imported": done.imported,
            "status": done.status,
        }  # fmt: skip

    def _post_import(self, request: LoggedRequest, _: int) -> Any:
        self._need("subscribers:import")
        if self._import.status == "importing":
            raise RefusedError(400, "An import is already running. Wait for it to finish.")
        parts = _multipart(request)
        assert parts.keys() == {"params", "file"}
        params = json.loads(parts["params"][1])
        assert params.keys() <= {
            "mode", "subscription_status", "delim", "lists", "overwrite", "overwrite_userinfo",
            "overwrite_subscription_status",
        }  # fmt: skip
        params["lists"] = self._some_permitted(params["lists"])
        name, table = parts["file"]
        if params["mode"] != "subscribe" or len(params["delim"]) != 1:
            raise RefusedError(400, "Invalid mode or delim")
        if not name.lower().endswith(".csv"):
            raise RefusedError(500, "Error processing ZIP: zip: not a valid zip file")
        rows = list(csv.DictReader(io.StringIO(table), delimiter=params["delim"]))
        self._import = _Import(name, "importing", len(rows), polls=self.import_polls)
        self._import.work = lambda: self._take_in(params, rows)
        if self.import_polls == 0:
            self._import.polls = 0
        return self._import_fields()

    def _take_in(self, params: Mapping[str, Any], rows: list[dict[str, str]]) -> None:
        """Carry an import out: all rows or, where one fails, none of them."""
        if self.failing_imports or set(params["lists"]) - self.lists.keys():
            self._import.status = "failed"
            return
        everything = params["overwrite"]
        info, states = everything, everything
        if self._number >= (6, 0):
            info |= params.get("overwrite_userinfo", False)
            states |= params.get("overwrite_subscription_status", False)
        known = {person.email: person for person in self.people.values()}
        for row in rows:
            try:
                email, name = self._valid(row["email"], row.get("name", ""))
            except RefusedError:
                continue  # told in the logs alone
            attribs = json.loads(row.get("attributes") or "{}")
            if email not in known:
                known[email] = self.people[self.make_person(email, name, attribs=attribs)]
            elif info:
                known[email].name, known[email].attribs = name, attribs
            self._take_in_one(known[email], params, states=states)
            self._import.imported += 1

    def _take_in_one(
        self, person: StoredPerson, params: Mapping[str, Any], *, states: bool
    ) -> None:
        wanted = params["subscription_status"]
        wanted = "unsubscribed" if person.status == "blocklisted" else wanted
        for each in params["lists"]:
            row = self.rows.get((each, person.id))
            if row is None or states:
                self._set_row(each, person.id, wanted)
            else:
                row.updated_at = self._now

    # Strictness.

    def _strict(self, request: LoggedRequest, *, query: set[str]) -> None:
        unknown = request.query.keys() - query
        if unknown or request.body:
            self.strange.append(f"{request.action} with {sorted(unknown)} and a body")
            raise RefusedError(400, "unexpected parameters")

    def _body(
        self,
        request: LoggedRequest,
        known: set[str],
        *,
        some: bool = False,
        optional: frozenset[str] | set[str] = frozenset(),
    ) -> dict[str, Any]:
        plain = request.headers.get("Content-Type") == "application/json" and not request.query
        fields = request.fields
        missing = set() if some else known - optional - fields.keys()
        if not plain or missing or fields.keys() - known:
            self.strange.append(f"{request.action} with {sorted(fields)}")
            raise RefusedError(400, "unexpected fields")
        return fields


def _handler_of(server: ListmonkServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else each answer waits for a delayed ACK

        def do_GET(self) -> None:
            server.answer(self)

        do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 - the server's names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    return Handler


def _multipart(request: LoggedRequest) -> dict[str, tuple[str, str]]:
    """Return the parts of a form by name: the file's name, and the text."""
    head = f"Content-Type: {request.headers['Content-Type']}\r\n\r\n".encode()
    parts: dict[str, tuple[str, str]] = {}
    for part in message_from_bytes(head + request.body).walk():
        if part.is_multipart():
            continue
        payload = part.get_payload(decode=True)
        assert isinstance(payload, bytes)
        name = part.get_param("name", header="Content-Disposition")
        parts[str(name)] = (part.get_filename() or "", payload.decode())
    return parts


def _made_up(email: str) -> str:
    """Return the name that listmonk gives who has none."""
    return " ".join(word.capitalize() for word in email.partition("@")[0].split("."))


def _shown(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds")


def _uuid(number: int) -> str:
    return f"ea06b2e7-0000-4000-8000-{number:012}"


def _send(
    handler: BaseHTTPRequestHandler,
    status: int,
    headers: dict[str, str],
    body: bytes,
    *,
    length: int | None = None,
) -> None:
    try:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(body) if length is None else length))
        handler.end_headers()
    except OSError:
        return  # the client hung up
    _write(handler, body)


def _write(handler: BaseHTTPRequestHandler, body: bytes) -> bool:
    try:
        handler.wfile.write(body)
    except OSError:
        return False
    return True
