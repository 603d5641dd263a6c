"""POST /planfix/sms: stored, then answered; what can't be accepted is told why."""

import asyncio
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from structlog.testing import capture_logs

from syncd.app.relay import relay_due
from syncd.core.sms import Text, TextStanding, phone_number
from syncd.errors import TemporaryError
from syncd.ports import TextQueue
from syncd.receiver.sms import BODY_MAX_BYTES, PER_MINUTE, SmsAccount, sms_routes
from syncd.sms.base import Options
from syncd.sms.planfix_sms import PlanfixSms
from syncd.store.sms import Outbox
from tests.fakes.sms_service import SmsService, Taken
from tests.sms.conftest import NOW

SAMPLES = Path(__file__).parents[1] / "samples" / "sms"

BY_LOGIN = SmsAccount(relay="gateway", login="acme-sms", password="s3cret")
BY_KEY = SmsAccount(relay="second", key="0123456789abcdef")
FORM = {
    "login": "acme-sms",
    "password": "s3cret",
    "from": "Acme",
    "to": "+70000000001",
    "text": "Test",
}


def sample(name: str) -> bytes:
    return (SAMPLES / name).read_bytes()


@dataclass
class Receiver:
    """The routes, called without a wire; `woken` counts the messages that the relay is told of."""

    queue: TextQueue
    accounts: Sequence[SmsAccount] = (BY_LOGIN, BY_KEY)
    now: datetime = NOW
    now_s: float = 0.0
    woken: int = 0
    app: Starlette = field(init=False)

    def __post_init__(self) -> None:
        self.app = Starlette(
            routes=sms_routes(
                self.accounts,
                self.queue,
                stored=self._wake,
                now=lambda: self.now,
                now_s=lambda: self.now_s,
            )
        )

    def _wake(self) -> None:
        self.woken += 1

    def call(self, method: str, path: str, **more: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
                return await client.request(method, path, **more)

        return asyncio.run(ask())

    def post(self, body: bytes | dict[str, str], sender: str = "192.0.2.1") -> httpx.Response:
        body_by = "content" if isinstance(body, bytes) else "data"
        headers = {"x-forwarded-for": sender}
        return self.call("POST", "/planfix/sms", headers=headers, **{body_by: body})


@pytest.fixture
def receiver(outbox: Outbox) -> Receiver:
    return Receiver(outbox)


def kept(outbox: Outbox) -> list[Text]:
    return [due.text for due in outbox.due(NOW)]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "login-request.txt",
            Text(
                login="acme-sms",
                relay="gateway",
                sender="Acme",
                recipient=phone_number("+70000000001"),
                text="Заказ готов",
            ),
        ),
        (
            "key-request.txt",
            Text(
                login="",
                relay="second",
                sender="Acme",
                recipient=phone_number("+37100000001"),
                text="Jūžu pasūtījums ir gatavs",
            ),
        ),
        (
            "plus-not-encoded-request.txt",
            Text(
                login="acme-sms",
                relay="gateway",
                sender="Acme",
                recipient=phone_number("+70000000001"),
                text="Test",
            ),
        ),
        (
            "unexpected-username-request.txt",
            Text(
                login="acme-sms",
                relay="gateway",
                sender="Acme",
                recipient=phone_number("+70000000001"),
                text="Test",
            ),
        ),
    ],
)
def test_a_message_is_kept_and_answered_with_its_id(
    receiver: Receiver, outbox: Outbox, name: str, text: Text
) -> None:
    answer = receiver.post(sample(name))

    (due,) = outbox.due(NOW)
    assert (answer.status_code, answer.json()) == (200, {"success": True, "id": due.id})
    assert answer.headers["content-type"] == "application/json"
    assert due.text == text
    assert receiver.woken == 1


def test_a_long_text_of_many_lines_is_kept_as_it_is(outbox: Outbox) -> None:
    receiver = Receiver(
        outbox, [SmsAccount(relay="gateway", login="acme-sms", password="s3cret&=+")]
    )

    assert receiver.post(sample("long-multiline-request.txt")).json()["success"]

    (text,) = kept(outbox)
    assert text.recipient == "80000000003"
    assert text.text.startswith("Первая строка\r\nВторая строка & знаки = + % 🙂")


@pytest.mark.parametrize(
    ("written", "number"),
    [
        (" 70000000001", "+70000000001"),
        (" 7 (000) 000-00-01", "+70000000001"),
        (" +70000000001", "+70000000001"),
        (" 0151 12345678", "015112345678"),
        ("70000000001", "70000000001"),
    ],
)
def test_a_plus_that_a_form_lost_is_put_back_where_it_stood(
    receiver: Receiver, outbox: Outbox, written: str, number: str
) -> None:
    receiver.post(FORM | {"to": written})

    assert [text.recipient for text in kept(outbox)] == [number]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"password": "wrong"}, "login or password not accepted"),
        ({"password": ""}, "login or password not accepted"),
        ({"login": ""}, "login or password not accepted"),
        ({"login": "", "password": ""}, "login or password not accepted"),
        ({"login": "", "password": "", "key": "wrong"}, "login or password not accepted"),
        ({"to": ""}, "to: not one phone number"),
        ({"to": "+70000000001,+70000000002"}, "to: not one phone number"),
        ({"text": ""}, "text: is empty"),
        ({"text": " \r\n"}, "text: is empty"),
    ],
)
def test_what_the_protocol_can_say_is_said_at_200(
    receiver: Receiver, outbox: Outbox, changes: dict[str, str], error: str
) -> None:
    answer = receiver.post(FORM | changes)

    assert answer.status_code == 200
    assert answer.json()["error"].startswith(error)
    assert kept(outbox) == []
    assert receiver.woken == 0


def test_credentials_of_two_accounts_do_not_mix(outbox: Outbox) -> None:
    receiver = Receiver(
        outbox, [BY_LOGIN, SmsAccount(relay="gateway", login="other", password="pass")]
    )

    assert "error" in receiver.post(FORM | {"password": "pass"}).json()
    assert receiver.post(FORM | {"login": "other", "password": "pass"}).json()["success"]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_another_method_is_405(receiver: Receiver, method: str) -> None:
    answer = receiver.call(method, "/planfix/sms")

    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert "error" in answer.json()


def test_a_message_is_only_asked_for(receiver: Receiver) -> None:
    answer = receiver.call("POST", "/planfix/sms/sms-0", data=FORM)

    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
    assert "error" in answer.json()


@pytest.mark.parametrize("body", [b"", b"{}", b"text=%ff", b"to=1&to=2", b"x=1&" * 60])
def test_what_is_no_form_is_400_and_logged(receiver: Receiver, body: bytes) -> None:
    with capture_logs() as logged:
        answer = receiver.post(body)

    assert answer.status_code == 400
    assert answer.json() == {"error": logged[0]["why"]}


def test_the_content_type_is_not_looked_at(receiver: Receiver) -> None:
    answer = receiver.call(
        "POST",
        "/planfix/sms",
        content=sample("login-request.txt"),
        headers={"content-type": "text/plain"},
    )

    assert answer.json()["success"]


def test_a_body_that_is_too_long_is_413(receiver: Receiver) -> None:
    fits = b"login=x&text=" + b"a" * (BODY_MAX_BYTES - 13)

    assert receiver.post(fits).status_code == 200
    assert receiver.post(fits + b"a").status_code == 413


def test_a_login_has_its_limit_a_minute_and_no_other_suffers(receiver: Receiver) -> None:
    for _ in range(PER_MINUTE):
        assert receiver.post(FORM).json()["success"]

    assert "too many messages" in receiver.post(FORM).json()["error"]
    assert receiver.post(sample("key-request.txt")).json()["success"]
    receiver.now_s += 60
    assert receiver.post(FORM).json()["success"]


def test_a_clock_that_is_set_back_does_not_keep_the_limit_up(receiver: Receiver) -> None:
    for _ in range(PER_MINUTE):
        receiver.post(FORM)
    receiver.now -= timedelta(days=1)
    receiver.now_s += 60

    assert receiver.post(FORM).json()["success"]


def test_a_wrong_password_does_not_use_up_the_limit(receiver: Receiver) -> None:
    for number in range(PER_MINUTE):
        receiver.post(FORM | {"password": "wrong"}, sender=f"192.0.2.{number}")

    assert receiver.post(FORM).json()["success"]


def test_who_guesses_waits_and_nobody_else_and_the_log_is_not_filled(receiver: Receiver) -> None:
    async def guess_and_send() -> tuple[set[str], bool, bool]:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(receiver.app), base_url="http://here"
        ) as client:
            wrong = FORM | {"password": "wrong"}
            guesses = [
                asyncio.create_task(client.post("/planfix/sms", data=wrong)) for _ in range(5)
            ]
            right = await client.post("/planfix/sms", data=FORM)
            waiting = any(not guess.done() for guess in guesses)
            answers = await asyncio.gather(*guesses)
            return {each.json()["error"] for each in answers}, right.json()["success"], waiting

    with capture_logs() as logged:
        errors, success, waiting = asyncio.run(guess_and_send())

    assert errors == {"login or password not accepted"}
    assert success
    assert waiting
    assert [line["times"] for line in logged if line["event"] == "push.refused"] == [1, 2, 4]


def test_who_asks_for_a_message_by_guessing_is_counted_too(receiver: Receiver) -> None:
    with capture_logs() as logged:
        receiver.call("GET", "/planfix/sms/sms-0", auth=("acme-sms", "wrong"))

    assert [(line["event"], line["times"]) for line in logged] == [("push.refused", 1)]


class FullDisk:
    """A queue whose disk is full."""

    def put(self, text: Text, *, at: datetime) -> str:
        raise TemporaryError("The store can't be written: disk full.")

    def standing(self, message: str) -> TextStanding | None:
        raise TemporaryError("The store can't be written: disk full.")


def test_a_store_that_cannot_be_written_is_503_so_that_it_comes_again() -> None:
    receiver = Receiver(FullDisk())

    answer = receiver.post(FORM)

    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "30"
    assert "error" in answer.json()
    assert receiver.woken == 0


def test_nothing_of_a_message_or_a_login_is_logged(receiver: Receiver) -> None:
    with capture_logs() as logged:
        receiver.post(FORM | {"text": "words"})
        receiver.post(FORM | {"password": "wr0ng"})
        receiver.post(FORM | {"to": "+7000000000x"})

    assert [line["event"] for line in logged] == ["sms.stored", "push.refused", "sms.rejected"]
    for secret in ("7000000000", "words", "s3cret", "wr0ng", "acme-sms"):
        assert secret not in repr(logged)


def test_how_a_message_stands_is_told_to_who_handed_it_in(
    receiver: Receiver, outbox: Outbox, gateway: PlanfixSms
) -> None:
    message = receiver.post(FORM).json()["id"]
    relay_due(outbox, {"gateway": gateway}, lambda: NOW)

    answer = receiver.call("GET", f"/planfix/sms/{message}", auth=("acme-sms", "s3cret"))

    assert (answer.status_code, answer.json()) == (
        200,
        {"id": message, "at": NOW.isoformat(), "state": "done", "attempts": 1, "error": ""},
    )


def test_a_key_is_shown_as_a_bearer(receiver: Receiver) -> None:
    message = receiver.post(sample("key-request.txt")).json()["id"]

    answer = receiver.call(
        "GET",
        f"/planfix/sms/{message}",
        headers={"authorization": "Bearer 0123456789abcdef"},
    )

    assert answer.json()["state"] == "queued"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"authorization": "Basic !!!"}, 401),
        ({"authorization": "Bearer wrong"}, 401),
        ({"authorization": "Bearer "}, 401),
        ({"authorization": "Bearer 0123456789abcdef"}, 404),
    ],
)
def test_nobody_else_is_told(receiver: Receiver, headers: dict[str, str], status: int) -> None:
    message = receiver.post(FORM).json()["id"]

    answer = receiver.call("GET", f"/planfix/sms/{message}", headers=headers)

    assert answer.status_code == status
    assert "state" not in answer.json()


def test_an_unknown_message_is_404(receiver: Receiver) -> None:
    answer = receiver.call("GET", "/planfix/sms/sms-0", auth=("acme-sms", "s3cret"))

    assert answer.status_code == 404


@contextmanager
def served(app: Starlette) -> Iterator[str]:
    """Serve an app on loopback; yield its address."""
    ready = threading.Event()

    class Server(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            ready.set()

    server = Server(uvicorn.Config(app, port=0, log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    assert ready.wait(30)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


def test_over_a_wire_our_own_client_hands_in_what_the_gateway_then_gets(
    receiver: Receiver, outbox: Outbox, gateway: PlanfixSms, gateway_service: SmsService
) -> None:
    with served(receiver.app) as url:
        planfix = PlanfixSms(Options(url=f"{url}/planfix/sms", login="acme-sms", password="s3cret"))
        sent = planfix.send("Ромашка", phone_number("+70000000001"), "Заказ готов")
        planfix.close()
    relay_due(outbox, {"gateway": gateway}, lambda: NOW)

    assert json.loads(sent.answer)["success"] is True
    assert gateway_service.taken == [Taken("Ромашка", "+70000000001", "Заказ готов")]
