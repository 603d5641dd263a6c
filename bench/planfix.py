"""A simulated Planfix in a process of its own, so that its work is never counted as ours."""

import base64
import http.client
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from urllib.parse import urlsplit

from syncd.simulator.planfix import SimulatedPlanfix
from syncd.wire import planfix_xml

PAGE = 100
_FIRST = 1001


@dataclass(frozen=True)
class Planfix:
    """The other process, as seen from here."""

    pipe: Connection
    url: str
    account: str
    api_key: str
    token: str

    def edit(self, *, spread: bool) -> None:
        """Give one contact in a hundred another last name: on every page, or side by side."""
        self._ask("edit", spread)

    def calls(self, method: str) -> int:
        """Return how many calls of a function came in."""
        return self._ask("calls", method)

    def pages(self) -> Iterator[bytes]:
        """Yield the bytes of every page, asked for with nothing of syncd's own in between."""
        place = urlsplit(self.url)
        secret = base64.b64encode(f"{self.api_key}:{self.token}".encode()).decode()
        headers = {"Content-Type": "application/xml", "Authorization": f"Basic {secret}"}
        connection = http.client.HTTPConnection(place.netloc)
        for number in range(1, self._ask("pages", "") + 1):
            values: planfix_xml.Parameters = {
                "pageCurrent": number,
                "pageSize": PAGE,
                "target": "contact",
            }
            body = planfix_xml.request("contact.getList", self.account, values)
            connection.request("POST", place.path, body, headers)
            yield connection.getresponse().read()
        connection.close()

    def _ask(self, what: str, value: str | int) -> int:
        self.pipe.send((what, value))
        return int(self.pipe.recv())


@contextmanager
def planfix(contacts: int) -> Iterator[Planfix]:
    """Run a Planfix with this many invented contacts."""
    spawning = multiprocessing.get_context("spawn")
    here, there = spawning.Pipe()
    process = spawning.Process(target=_serve, args=(there, contacts), daemon=True)
    process.start()
    there.close()
    yield Planfix(here, *here.recv())
    here.close()
    process.join()


def _serve(pipe: Connection, contacts: int) -> None:
    with SimulatedPlanfix() as simulated:
        simulated.log_requests = False
        simulated.populate(contacts)
        pipe.send((simulated.url, simulated.account, simulated.api_key, simulated.token))
        while True:
            try:
                what, value = pipe.recv()
            except EOFError:
                return
            if what == "calls":
                pipe.send(simulated.calls(value))
            elif what == "pages":
                pipe.send(-(-len(simulated.contacts) // PAGE))
            else:
                share = contacts // 100
                for contact in range(
                    _FIRST, _FIRST + (contacts if value else share), 100 if value else 1
                ):
                    before = simulated.contacts[contact].last_name
                    simulated.edit(contact, last_name=f"{before}a")
                pipe.send(share)
