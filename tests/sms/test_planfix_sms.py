"""The SMS page's protocol as a client: one message, one of four fates."""

import socket

import pytest

from syncd.core.sms import ANSWER_MAX, Fate, Sending, phone_number
from syncd.errors import ConfigurationError
from syncd.sms.base import Options, readable
from syncd.sms.planfix_sms import PlanfixSms
from tests.fakes.sms_service import Answer, SmsService, Taken

TO = phone_number("+70000000001")


def gateway(service: SmsService, *, timeout_s: float = 10, password: str = "s3cret") -> PlanfixSms:
    return PlanfixSms(
        Options(
            url=service.url,
            login="acme-sms",
            password=password,
            sender="ACME",
            timeout_s=timeout_s,
        )
    )


def send(gateway: PlanfixSms, sender: str = "", text: str = "Заказ готов & ждёт") -> Sending:
    try:
        return gateway.send(sender, TO, text)
    finally:
        gateway.close()


def test_a_message_is_taken_with_the_answer_as_it_came(gateway_service: SmsService) -> None:
    sent = send(gateway(gateway_service))

    assert sent == Sending(fate=Fate.TAKEN, answer='{"success": true, "id": "m1"}')
    assert gateway_service.taken == [Taken("ACME", "+70000000001", "Заказ готов & ждёт")]


def test_a_sender_that_is_named_is_kept(gateway_service: SmsService) -> None:
    send(gateway(gateway_service), sender="Ромашка")

    assert gateway_service.taken[0].sender == "Ромашка"


def test_a_key_goes_instead_of_a_login() -> None:
    with SmsService(key="0123456789abcdef") as service:
        sent = send(PlanfixSms(Options(url=service.url, key="0123456789abcdef")))

    assert sent.fate is Fate.TAKEN


@pytest.mark.parametrize(
    ("answer", "fate"),
    [
        (Answer.PLAIN, Fate.TAKEN),
        (Answer.EMPTY, Fate.TAKEN),
        (Answer.REFUSE, Fate.REFUSED),
        (Answer.UNSUCCESSFUL, Fate.REFUSED),
        (Answer.DEEP, Fate.TAKEN),
        (Answer.NOT_FOUND, Fate.REFUSED),
        (Answer.REDIRECT, Fate.REFUSED),
        (Answer.BUSY, Fate.LATER),
        (Answer.SLOW_REQUEST, Fate.LATER),
        (Answer.AWAY, Fate.LATER),
        (Answer.FORBIDDEN, Fate.LATER),
        (Answer.BROKEN, Fate.UNKNOWN),
        (Answer.BAD_GATEWAY, Fate.UNKNOWN),
        (Answer.GATEWAY_TIMEOUT, Fate.UNKNOWN),
        (Answer.UNKNOWN_ERROR, Fate.UNKNOWN),
        (Answer.ODD_ENCODING, Fate.UNKNOWN),
        (Answer.DROP, Fate.UNKNOWN),
        (Answer.CUT, Fate.UNKNOWN),
    ],
)
def test_each_answer_has_its_fate_and_nothing_is_sent_twice(
    gateway_service: SmsService, answer: Answer, fate: Fate
) -> None:
    gateway_service.answer(answer)

    sent = send(gateway(gateway_service))

    assert sent.fate is fate
    assert gateway_service.requests == 1
    assert TO.strip("+") not in sent.why
    assert bool(sent.why) == (fate is not Fate.TAKEN)


def test_no_answer_in_time_is_unknown(gateway_service: SmsService) -> None:
    gateway_service.answer(Answer.STALL)

    sent = send(gateway(gateway_service, timeout_s=0.2))

    assert sent.fate is Fate.UNKNOWN
    assert len(gateway_service.taken) == 1


def test_a_service_that_is_not_there_has_taken_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}/send"

    sent = send(PlanfixSms(Options(url=url, key="k")))

    assert sent.fate is Fate.LATER


def test_the_pause_that_is_asked_for_is_told(gateway_service: SmsService) -> None:
    gateway_service.answer(Answer.BUSY)

    assert send(gateway(gateway_service)).retry_after_s == 90


def test_refused_credentials_are_told_apart(gateway_service: SmsService) -> None:
    gateway_service.answer(Answer.FORBIDDEN)

    assert send(gateway(gateway_service)).credentials_refused
    assert "not accepted" in send(gateway(gateway_service, password="wrong")).answer


def test_an_answer_is_shown_without_what_would_upset_a_terminal() -> None:
    assert readable(b"OK\x1b[2J\nl\xff" + b"x" * 5000) == f"OK [2J\nl\ufffd{'x' * (ANSWER_MAX - 9)}"


def test_a_plain_address_of_another_machine_is_refused() -> None:
    with pytest.raises(ConfigurationError):
        PlanfixSms(Options(url="http://sms.example.com/send", key="k"))
