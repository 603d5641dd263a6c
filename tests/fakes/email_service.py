"""A list service on loopback that speaks the e-mail service protocol, and is strict about it.

It reads requests by itself rather than through our codec, so that a fault there shows here.
"""

import json
import re
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from syncd.core.address import AddressKey, key_of
from syncd.ports import ListId

PATH = "/planfix_integration.php"


class Fault(StrEnum):
    """What may go wrong with an answer. Those in `DONE_FIRST` do the work before."""

    REFUSE = "refuse"
    STALL = "stall"
    STALL_DONE = "stall after the work"
    DROP = "drop the connection"
    DROP_DONE = "drop the connection after the work"
    BUSY = "429"
    BUSY_RETRY_AFTER = "429 with Retry-After"
    ERROR = "500"
    BAD_GATEWAY = "502 with HTML"
    UNAVAILABLE = "503"
    PAGE = "200 with HTML"
    CUT = "cut JSON"
    EMPTY = "empty body"
    REDIRECT = "redirect"
    SLOW = "slow body"


DONE_FIRST = {Fault.STALL_DONE, Fault.DROP_DONE, Fault.CUT, Fault.EMPTY, Fault.SLOW}

_HTML = b"<html><body>Something else</body></html>"
_PLAIN_ANSWERS: dict[Fault, tuple[int, dict[str, str], bytes]] = {
    Fault.BUSY: (429, {}, b""),
    Fault.BUSY_RETRY_AFTER: (429, {"Retry-After": "0"}, b""),
    Fault.ERROR: (500, {}, b'{"error": "inside"}'),
    Fault.BAD_GATEWAY: (502, {}, _HTML),
    Fault.UNAVAILABLE: (503, {}, b""),
    Fault.PAGE: (200, {}, _HTML),
    Fault.EMPTY: (200, {}, b""),
    Fault.REDIRECT: (302, {"Location": "/elsewhere"}, b""),
}


class RefusedError(Exception):
    """The service's no, in its words."""


@dataclass(frozen=True)
class StoredContact:
    """One person on one list."""

    id: int
    email: str
    first: str
    last: str


@dataclass
class StoredList:
    """One list; `members` by e-mail key."""

    name: str
    members: dict[AddressKey, StoredContact] = field(default_factory=dict)


@dataclass(frozen=True)
class LoggedRequest:
    """One request as it came in; `fields` is empty where it was no JSON object."""

    headers: dict[str, str]
    body: bytes
    fields: dict[str, Any]

    @property
    def action(self) -> str:
        """The function, with what updateContact shall do: `updateContact add`."""
        inner = self.fields.get("data", {}).get("action", "")
        return f"{self.fields.get('action', '')} {inner}".strip()


Lists = dict[ListId, StoredList]
Function = Callable[[dict[str, Any]], dict[str, Any]]


class EmailService:
    """The service, its state, its log and its switches.

    `opted_out` holds the keys of people who left and do not want to be back;
    `resubscribed` counts how often somebody put one of them back.
    """

    def __init__(self, *, numeric_ids: bool = False, token: str = "list-service-token") -> None:
        self.token = token
        self.numeric_ids = numeric_ids
        self.lists: Lists = {}
        self.requests: list[LoggedRequest] = []
        self.opted_out: set[AddressKey] = set()
        self.resubscribed = 0
        self.poisoned: set[AddressKey] = set()
        self.refusal_status = 200
        self.refuses_absent_delete = False
        self.refuses_unknown_rename = False
        self._faults: deque[Fault | None] = deque()
        self._lasting: Fault | None = None
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._made = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def url(self) -> str:
        """The one address."""
        return f"http://127.0.0.1:{self._server.server_port}{PATH}"

    @property
    def actions(self) -> list[str]:
        """What was asked for so far, in order."""
        return [request.action for request in self.requests]

    def fail(self, fault: Fault, *, times: int | None = 1, after: int = 0) -> None:
        """Answer the next requests wrongly; `times` None is until `recover`.

        `after` lets so many through first.
        """
        self._faults.extend([None] * after)
        if times is None:
            self._lasting = fault
        else:
            self._faults.extend([fault] * times)

    def recover(self) -> None:
        """Answer rightly from now on."""
        self._faults.clear()
        self._lasting = None

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
        with self._lock:
            request = LoggedRequest(dict(handler.headers), body, _object(body))
            self.requests.append(request)
            fault = self._faults.popleft() if self._faults else self._lasting
            if fault is None or fault in DONE_FIRST:
                status, fields = self._judge(request)
            else:
                status, fields = 200, {"error": "everything is refused"}
        answer = json.dumps(fields, ensure_ascii=False).encode()
        if fault is None or fault is Fault.REFUSE:
            _send(handler, status, {}, answer)
        elif fault in _PLAIN_ANSWERS:
            _send(handler, *_PLAIN_ANSWERS[fault])
        else:
            self._misbehave(handler, fault, answer)

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
            return 200, {"success": True} | self._carry_out(request)
        except RefusedError as refusal:
            return self.refusal_status, {"error": str(refusal)}

    def _carry_out(self, request: LoggedRequest) -> dict[str, Any]:
        fields = request.fields
        media_type = request.headers.get("Content-Type", "").partition(";")[0]
        _insist(media_type == "application/json", "wrong content type")
        _insist(not re.search(rb"\\u00[89a-f]|\\u0[1-9a-f]|\\u[1-9a-f]", request.body), "escaped")
        _insist(fields.keys() == {"action", "authToken", "data"}, "wrong fields")
        if fields["authToken"] != self.token:
            raise RefusedError(f"authToken {fields['authToken']} not accepted")
        functions: dict[str, Function] = {
            "createList": self._create_list,
            "deleteList": self._delete_list,
            "importContacts": self._import_contacts,
            "updateContact": self._update_contact,
        }
        _insist(fields["action"] in functions, f"unknown action: {fields['action']}")
        data = fields["data"]
        _insist(isinstance(data, dict), "data is no object")
        return functions[fields["action"]](data)

    def _create_list(self, data: dict[str, Any]) -> dict[str, Any]:
        _insist(data.keys() == {"listName"}, "wrong fields")
        _insist(bool(data["listName"]) and isinstance(data["listName"], str), "no name")
        self._made += 1
        list_id = self._made if self.numeric_ids else f"lst-{self._made:06}"
        self.lists[list_id] = StoredList(data["listName"])
        return {"listId": list_id}

    def _delete_list(self, data: dict[str, Any]) -> dict[str, Any]:
        _insist(data.keys() == {"listId"}, "wrong fields")
        self._list_of(data)
        del self.lists[data["listId"]]
        return {}

    def _import_contacts(self, data: dict[str, Any]) -> dict[str, Any]:
        _insist(data.keys() == {"listId", "contacts"}, "wrong fields")
        members = self._list_of(data).members
        contacts = [self._contact(fields) for fields in data["contacts"]]
        for contact in contacts:  # all or nothing
            self._put(members, contact)
        return {}

    def _update_contact(self, data: dict[str, Any]) -> dict[str, Any]:
        action = data.get("action")
        optional = {"oldEmail"} if action == "update" else set()
        keys = {"listId", "action", "contact"}
        _insist(keys <= data.keys() <= keys | optional, "wrong fields")
        members = self._list_of(data).members
        contact = self._contact(data["contact"])
        if action == "delete":
            gone = members.pop(key_of(contact.email), None)
            _insist(gone is not None or not self.refuses_absent_delete, f"no such: {contact.email}")
            return {}
        _insist(action in {"add", "update"}, "unknown action in data")
        if "oldEmail" in data:
            self._leave_old_address(members, data["oldEmail"], contact)
        self._put(members, contact)
        return {}

    def _leave_old_address(
        self, members: dict[AddressKey, StoredContact], old: object, contact: StoredContact
    ) -> None:
        _insist(isinstance(old, str) and "@" in old, "oldEmail is no address")
        old_key = key_of(str(old))
        known = old_key in members
        _insist(known or not self.refuses_unknown_rename, f"unknown oldEmail {old}")
        taken = key_of(contact.email) in members and key_of(contact.email) != old_key
        _insist(not (known and taken), f"{contact.email} is taken")
        members.pop(old_key, None)

    def _list_of(self, data: dict[str, Any]) -> StoredList:
        list_id = data.get("listId")
        _insist(isinstance(list_id, str | int), "no listId")
        # 1 == True == 1.0, and all three would be found.
        _insist(type(list_id) is (int if self.numeric_ids else str), "listId of another type")
        _insist(list_id in self.lists, f"unknown list: {list_id}")
        return self.lists[data["listId"]]

    def _contact(self, fields: object) -> StoredContact:
        _insist(isinstance(fields, dict), "a contact is no object")
        assert isinstance(fields, dict)
        _insist(fields.keys() == {"id", "email", "firstName", "lastName"}, "wrong contact fields")
        _insist(type(fields["id"]) is int, "a contact's id is no number")
        texts = [fields["email"], fields["firstName"], fields["lastName"]]
        _insist(all(isinstance(text, str) for text in texts), "a contact's field is no text")
        _insist("@" in fields["email"], f"{fields['email']} is no address")
        _insist(key_of(fields["email"]) not in self.poisoned, f"bad contact <{fields['email']}>!")
        return StoredContact(fields["id"], *texts)

    def _put(self, members: dict[AddressKey, StoredContact], contact: StoredContact) -> None:
        key = key_of(contact.email)
        self.resubscribed += key in self.opted_out
        members[key] = contact

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # else each answer waits for a delayed ACK

            def do_POST(self) -> None:
                if self.path == PATH:
                    service.answer(self)
                else:
                    _send(self, 404, {}, _HTML)

            def do_GET(self) -> None:
                _send(self, 405, {"Allow": "POST"}, b"")

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        return Handler


def _insist(condition: bool, words: str) -> None:
    if not condition:
        raise RefusedError(words)


def _object(body: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(body.decode())
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}


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
