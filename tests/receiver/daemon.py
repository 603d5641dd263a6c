"""A real process of syncd that serves, and whoever calls it."""

import json
import signal
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from syncd.app.serving import Serving
from syncd.app.wiring import read_config
from syncd.core.people import Contact, ContactId, Person
from syncd.wire.email_service import (
    Change,
    CreateList,
    ImportContacts,
    Request,
    UpdateContact,
    encode_request,
)
from tests.scene import Scene

TOKEN = "k3y-of-this-account"
RECEIVER = f"""
[receiver]
listen = "127.0.0.1:0"
admin_listen = "127.0.0.1:0"
[[receiver.email]]
token = "{TOKEN}"
backend = "news"
"""


class Called:
    """What Planfix and the list services call; `port` is that of the public side."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def push(self, request: Request, token: str = TOKEN) -> Any:
        """Push as Planfix does; return the answer, which must be HTTP 200."""
        answer = self.post(encode_request(request, token))
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, body: bytes | Iterable[bytes], path: str = "/planfix/email") -> httpx.Response:
        return httpx.post(f"{self.url}{path}", content=body, timeout=60)

    def create(self, name: str) -> str:
        return str(self.push(CreateList(name))["listId"])

    def bring(self, list_id: str, *addresses: str) -> None:
        contacts = tuple(contact(n, address) for n, address in enumerate(addresses, 101))
        assert self.push(ImportContacts(list_id, contacts)) == {"success": True}

    def update(
        self, list_id: str, number: int, address: str, change: Change = Change.UPDATE
    ) -> None:
        request = UpdateContact(list_id, change, contact(number, address))
        assert self.push(request) == {"success": True}


class Door(Called):
    """Our servers in this very process, without a run beside them."""

    def __init__(self, scene: Scene, pushed: Callable[[], None] = lambda: None) -> None:
        self._scene = scene
        self._serving = Serving(pushed, lambda: None)

    def __enter__(self) -> Self:
        self._serving.follow(read_config(self._scene.config).settings)
        self.port = self._serving.ports["listen"]
        return self

    def __exit__(self, *_: TracebackType | type[BaseException] | BaseException | None) -> None:
        self._serving.stop()


class Daemon(Called):
    """The process; every line it logs is read once, in order."""

    def __init__(self, scene: Scene) -> None:
        self._process = scene.start()
        self.told: list[dict[str, Any]] = []
        self.port = self.admin_port = 0

    def __enter__(self) -> Self:
        while not (self.port and self.admin_port):
            told = self.hear("server.started")
            if told["server"] == "listen":
                self.port = told["port"]
            else:
                self.admin_port = told["port"]
        return self

    def __exit__(self, *_: TracebackType | type[BaseException] | BaseException | None) -> None:
        self._process.kill()
        self._process.communicate()

    @property
    def pid(self) -> int:
        return self._process.pid

    def hear(self, event: str) -> dict[str, Any]:
        """Wait for a line of the log."""
        assert self._process.stderr is not None
        while line := self._process.stderr.readline():
            self.told.append(json.loads(line))
            if self.told[-1]["event"] == event:
                return self.told[-1]
        raise AssertionError(f"the process ended without {event}: {self.told}")

    def heard(self, event: str) -> dict[str, Any]:
        """Return the first line of this event, read already or still to come."""
        return next((line for line in self.told if line["event"] == event), None) or self.hear(
            event
        )

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def end(self) -> int:
        """Ask it to end; return its exit code."""
        self.signal(signal.SIGTERM)
        _, rest = self._process.communicate(timeout=60)
        self.told += [json.loads(line) for line in rest.splitlines()]
        return self._process.returncode

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    # An operator.

    def look(self, path: str = "/") -> httpx.Response:
        """Ask the operator's side."""
        return httpx.get(f"http://127.0.0.1:{self.admin_port}{path}", timeout=30)


def contact(number: int, address: str) -> Contact:
    return Contact(ContactId(number), Person.of(address, "", ""))


def resident_bytes(pid: int) -> int:
    """Return how much memory a process ever had at once."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    [peak] = [line for line in lines if line.startswith("VmHWM")]
    return int(peak.split()[1]) * 1024
