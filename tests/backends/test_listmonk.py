"""listmonk: the suite in each version, then its own traps."""

from collections.abc import Callable, Iterator
from typing import ClassVar

import pytest

from syncd.backends import Backend, Retry
from syncd.backends.listmonk import Listmonk
from syncd.core.address import AddressKey, key_of
from syncd.ports import ListId
from tests.backends.conformance import (
    BackendConformance,
    Held,
    OneText,
    Trouble,
    World,
)
from tests.fakes.email_service import Fault
from tests.fakes.listmonk import USER, ListmonkServer, StoredPerson, StoredRow

PATIENT = Retry(attempts=3, wait_s=0.001, max_wait_s=0.002, timeout_s=5)
HASTY = Retry(attempts=2, wait_s=0.001, max_wait_s=0.002, timeout_s=0.5)
ONCE = Retry(attempts=1, wait_s=0.001, timeout_s=5)


class ServerWorld:
    """The server, as the suite looks at it."""

    troubles = frozenset(Trouble)
    bad_address = "anyone@refused.example.com"

    def __init__(self, server: ListmonkServer) -> None:
        self._server = server
        server.blocked_domains.add("refused.example.com")

    def members(self, list_id: ListId) -> dict[AddressKey, Held]:
        people, rows = self._server.people, self._server.rows
        on_list = [(people[number], row) for (at, number), row in rows.items() if at == list_id]
        return {
            key_of(who.email): OneText.of(who.name, _standing(who, row)) for who, row in on_list
        }

    def leave(self, list_id: ListId, address: str) -> None:
        self._server.leave(int(list_id), address)

    def block(self, list_id: ListId, address: str) -> None:
        self._server.bounce(address)

    def fail(self, trouble: Trouble) -> None:
        match trouble:
            case Trouble.LOST_ANSWER:
                self._server.fail(Fault.DROP_DONE, only=("POST", "PUT", "PATCH"))
            case Trouble.BUSY:
                self._server.fail(Fault.BUSY, times=None)
            case Trouble.ELSEWHERE:
                self._server.fail(Fault.PAGE, times=None)
            case Trouble.WRONG_KEY:
                self._server.token = "another"

    def recover(self) -> None:
        self._server.recover()


def _standing(person: StoredPerson, row: StoredRow) -> str:
    if person.status == "blocklisted":
        return "blocked"
    return "unsubscribed" if row.status == "unsubscribed" else "active"


@pytest.fixture
def version() -> str:
    return "v6.1.0"


@pytest.fixture
def server(version: str) -> Iterator[ListmonkServer]:
    with ListmonkServer(version) as server:
        yield server
    assert server.resubscribed == 0, "somebody was put back against their will"
    assert server.forgotten == 0, "somebody's refusal was erased"
    assert server.mails == []
    assert server.strange == []


Connect = Callable[[Retry], Listmonk]


@pytest.fixture
def connect(server: ListmonkServer) -> Iterator[Connect]:
    opened: list[Listmonk] = []

    def connect(retry: Retry) -> Listmonk:
        options = Listmonk.Options(url=server.url, user=USER, token=server.token)
        opened.append(Listmonk(options, retry))
        return opened[-1]

    yield connect
    for backend in opened:
        backend.close()


@pytest.fixture
def backend(connect: Connect) -> Listmonk:
    return connect(PATIENT)


@pytest.fixture
def list_id(backend: Backend, server: ListmonkServer) -> int:
    made = backend.ensure_list("News")
    server.requests.clear()
    assert isinstance(made, int)
    return made


class ListmonkConformance(BackendConformance):
    # An empty name is told by test_an_empty_name_leaves_the_one_there_is.
    spoken_names: ClassVar = [names for names in BackendConformance.spoken_names if any(names)]

    @pytest.fixture
    def world(self, server: ListmonkServer) -> World:
        return ServerWorld(server)


class TestListmonk60(ListmonkConformance):
    @pytest.fixture
    def version(self) -> str:
        return "v6.0.0"


class TestListmonk61(ListmonkConformance):
    pass


class TestListmonk62(ListmonkConformance):
    @pytest.fixture
    def version(self) -> str:
        return "v6.2.0"
