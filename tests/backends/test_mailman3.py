"""Mailman: the suite against a real one, then its own traps."""

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest

from syncd.backends import Backend, Retry
from syncd.backends.mailman3 import Mailman3
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
from tests.fakes.mailman import API, USER, MailmanServer
from tests.fakes.proxy import Proxy

DOMAIN = "lists.example.com"
PATIENT = Retry(attempts=3, wait_s=0.001, max_wait_s=0.002, timeout_s=30)
ONCE = Retry(attempts=1, wait_s=0.001, max_wait_s=0.002, timeout_s=30)

WRITES = r"POST (?!/members/find)|PUT|PATCH|DELETE"
FIND = "POST /members/find"
ADD = "POST /members$"


class MailmanWorld:
    """The server, as the suite looks at it: past the proxy."""

    troubles = frozenset(Trouble)
    bad_address = "who|what@example.com"

    def __init__(self, mailman: MailmanServer, proxy: Proxy) -> None:
        self._mailman = mailman
        self._proxy = proxy

    def members(self, list_id: ListId) -> dict[AddressKey, Held]:
        bounced = {row["email"] for row in found(self._mailman, list_id, "by_bounces")}
        return {
            key_of(row["email"]): OneText.of(
                row.get("display_name", ""), "blocked" if row["email"] in bounced else "active"
            )
            for row in found(self._mailman, list_id)
        }

    def leave(self, list_id: ListId, address: str) -> None:
        leave(self._mailman, list_id, address)

    def block(self, list_id: ListId, address: str) -> None:
        bounce(self._mailman, list_id, address)

    def fail(self, trouble: Trouble) -> None:
        match trouble:
            case Trouble.LOST_ANSWER:
                self._proxy.fail(Fault.DROP_DONE, only=WRITES)
            case Trouble.BUSY:
                self._proxy.fail(Fault.UNAVAILABLE, times=None)
            case Trouble.ELSEWHERE:
                self._proxy.fail(Fault.PAGE, times=None)
            case Trouble.WRONG_KEY:
                refusal = {"title": "401 Unauthorized", "description": "authorization failed"}
                self._proxy.say(401, refusal, only="")

    def recover(self) -> None:
        self._proxy.recover()


def found(mailman: MailmanServer, list_id: ListId, status: str = "") -> list[dict[str, Any]]:
    """Return the members of a list as Mailman shows them, all or those of one standing."""
    query = {"list_id": list_id, "role": "member"} | ({"delivery_status": status} if status else {})
    return list(mailman.ask("POST", "/members/find", query).get("entries", []))


def one(mailman: MailmanServer, list_id: ListId, address: str) -> dict[str, Any]:
    """Return one member as Mailman shows them."""
    [row] = [row for row in found(mailman, list_id) if row["email"] == address.lower()]
    return row


def names(mailman: MailmanServer, list_id: ListId) -> dict[str, str]:
    """Return the names on a list, by address."""
    return {row["email"]: row.get("display_name", "") for row in found(mailman, list_id)}


def join(mailman: MailmanServer, list_id: ListId, address: str, name: str = "") -> None:
    """Put somebody on a list by hand, as its owner would."""
    fields = {"list_id": list_id, "subscriber": address, "display_name": name, **QUIET}
    mailman.ask("POST", "/members", fields)


def leave(mailman: MailmanServer, list_id: ListId, address: str) -> None:
    """Let a member leave."""
    mailman.ask("DELETE", f"/lists/{list_id}/roster/member", {"emails": [address.lower()]})


def bounce(mailman: MailmanServer, list_id: ListId, address: str) -> None:
    """Let Mailman stop delivery since letters came back."""
    member = one(mailman, list_id, address)["member_id"]
    stopped = {"delivery_status": "by_bounces"}
    mailman.ask("PATCH", f"/members/{member}/preferences", stopped)


QUIET = {
    "pre_verified": True,
    "pre_confirmed": True,
    "pre_approved": True,
    "send_welcome_message": False,
}


@pytest.fixture(scope="session")
def _mailman_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MailmanServer]:
    with MailmanServer(tmp_path_factory.mktemp("mailman")) as server:
        yield server


@pytest.fixture
def mailman(_mailman_process: MailmanServer) -> Iterator[MailmanServer]:
    """An empty Mailman with one domain; at its end, nobody may have been written to."""
    _mailman_process.reset()
    _mailman_process.ask("POST", "/domains", {"mail_host": DOMAIN})
    yield _mailman_process
    assert _mailman_process.mails == []


@pytest.fixture
def proxy(mailman: MailmanServer) -> Iterator[Proxy]:
    with Proxy(mailman.port, API) as proxy:
        yield proxy


Connect = Callable[[Retry], Mailman3]


@pytest.fixture
def connect(mailman: MailmanServer, proxy: Proxy) -> Iterator[Connect]:
    opened: list[Mailman3] = []

    def connect(retry: Retry) -> Mailman3:
        options = Mailman3.Options(
            url=proxy.root, user=USER, password=mailman.password, domain=DOMAIN
        )
        opened.append(Mailman3(options, retry))
        return opened[-1]

    yield connect
    for backend in opened:
        backend.close()


@pytest.fixture
def backend(connect: Connect) -> Mailman3:
    return connect(PATIENT)


@pytest.fixture
def list_id(backend: Backend, proxy: Proxy) -> ListId:
    made = backend.ensure_list("News")
    proxy.requests.clear()
    return made


class TestMailman3(BackendConformance):
    page = 12  # a list comes in one answer, however long
    # An empty name is told by test_an_empty_name_leaves_the_one_there_is.
    spoken_names: ClassVar = [names for names in BackendConformance.spoken_names if any(names)]

    @pytest.fixture
    def world(self, mailman: MailmanServer, proxy: Proxy) -> World:
        return MailmanWorld(mailman, proxy)
