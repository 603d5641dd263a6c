"""`send-test-sms`: one message through the gateway, and its raw answer."""

import socket
from collections.abc import Iterator

import pytest

from tests.cli.conftest import CommandLine
from tests.fakes.sms_service import Answer, SmsService, Taken


@pytest.fixture
def gateway() -> Iterator[SmsService]:
    with SmsService(key="0123456789abcdef") as service:
        yield service


def add_gateway(syncd: CommandLine, url: str, *more: str) -> None:
    lines = [
        "",
        "[[sms]]",
        'name = "gateway"',
        'type = "planfix-sms"',
        f'url = "{url}"',
        'key = "0123456789abcdef"',
        'sender = "ACME"',
        *more,
    ]
    with (syncd.folder / "config.toml").open("a") as config:
        config.write("\n".join(lines) + "\n")


def test_a_message_goes_out_and_the_answer_comes_back_raw(
    syncd: CommandLine, gateway: SmsService
) -> None:
    add_gateway(syncd, gateway.url)

    done = syncd("send-test-sms", "+49 (151) 123-45678", "Hello & привет")

    assert (done.code, done.err) == (0, "")
    assert done.out == '{"success": true, "id": "m1"}\n'
    assert gateway.taken == [Taken("ACME", "+4915112345678", "Hello & привет")]


@pytest.mark.parametrize(
    ("answer", "code", "out"),
    [
        (Answer.PLAIN, 0, "OK 42\n"),
        (Answer.EMPTY, 0, ""),
        (Answer.REFUSE, 78, '{"error": "нет денег"}\n'),
        (Answer.FORBIDDEN, 77, "no\n"),
        (Answer.NOT_FOUND, 78, "nothing here\n"),
        (Answer.BUSY, 69, '{"error": "slower"}\n'),
        (Answer.BAD_GATEWAY, 69, ""),
        (Answer.DROP, 69, ""),
    ],
)
def test_each_answer_has_its_exit_code_and_nothing_is_sent_twice(
    syncd: CommandLine, gateway: SmsService, answer: Answer, code: int, out: str
) -> None:
    add_gateway(syncd, gateway.url)
    gateway.answer(answer)

    done = syncd("send-test-sms", "+4915112345678", "hi")

    assert (done.code, done.out) == (code, out)
    assert ("Error: [[sms]] gateway: " in done.err) == (code != 0)
    assert "15112345678" not in done.err
    assert gateway.requests == 1


def test_a_message_that_may_have_gone_out_is_told_so(
    syncd: CommandLine, gateway: SmsService
) -> None:
    add_gateway(syncd, gateway.url)
    gateway.answer(Answer.DROP)

    assert "It may have been sent" in syncd("send-test-sms", "+4915112345678", "hi").err


def test_a_gateway_that_is_not_there_is_69(syncd: CommandLine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        add_gateway(syncd, f"http://127.0.0.1:{free.getsockname()[1]}/send")

    assert syncd("send-test-sms", "+4915112345678", "hi").code == 69


def test_the_first_of_several_gateways_is_taken(syncd: CommandLine, gateway: SmsService) -> None:
    add_gateway(syncd, gateway.url)
    with SmsService() as other:
        with (syncd.folder / "config.toml").open("a") as config:
            config.write(
                f'[[sms]]\nname = "other"\ntype = "kannel"\nurl = "{other.url}"\n'
                'login = "acme"\npassword = "s3cret"\n'
            )

        assert syncd("send-test-sms", "+4915112345678", "hi").code == 0

        assert (gateway.requests, other.requests) == (1, 0)


def test_without_a_gateway_it_is_a_matter_of_the_config(syncd: CommandLine) -> None:
    done = syncd("send-test-sms", "+4915112345678", "hi")

    assert done.code == 78
    assert "[[sms]]" in done.err


@pytest.mark.parametrize(
    ("to", "text"),
    [
        ("12", "hi"),
        ("a@example.com", "hi"),
        ("+491511234567", " "),
        ("+491511234567", "caf\udce9"),
        ("+49151123456\udcff7", "hi"),
    ],
)
def test_what_is_no_number_or_no_text_is_wrong_usage(
    syncd: CommandLine, gateway: SmsService, to: str, text: str
) -> None:
    add_gateway(syncd, gateway.url)

    done = syncd("send-test-sms", to, text)

    assert done.code == 2
    assert to == "12" or to not in done.err
    assert gateway.requests == 0


def test_a_refused_run_is_told_by_sms_at_once_and_a_storm_is_not(
    synced: CommandLine, gateway: SmsService
) -> None:
    add_gateway(synced, gateway.url)
    config = synced.folder / "config.toml"
    text = config.read_text().replace(
        'backend = "news"\nlist = "Customers"', 'backend = "news"\nlist = "Elsewhere"'
    )
    config.write_text(text + '\n[alerts]\nsms = { via = "gateway", to = ["+4915112345678"] }\n')

    assert synced("--once").code == 4
    assert synced("--once").code == 4

    (told,) = gateway.taken
    assert told.to == "+4915112345678"
    assert "refused, exit code 4; links: customers" in told.text
