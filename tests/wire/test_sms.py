"""The SMS page's protocol, as forms."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.wire.sms import (
    MalformedError,
    SmsRequest,
    decode_request,
    encode_request,
    refusal_in,
)

SAMPLES = Path(__file__).parents[1] / "samples" / "sms"


def sample(name: str) -> bytes:
    return (SAMPLES / name).read_bytes()


def request(**changes: str) -> SmsRequest:
    fields = {
        "login": "acme-sms",
        "password": "s3cret",
        "sender": "Acme",
        "recipient": "+70000000001",
        "text": "Test",
    }
    return SmsRequest(**(fields | changes))


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("login-request.txt", request(text="Заказ готов")),
        (
            "key-request.txt",
            request(
                login="",
                password="",
                key="0123456789abcdef",
                recipient="+37100000001",
                text="Jūžu pasūtījums ir gatavs",
            ),
        ),
        ("unexpected-username-request.txt", request()),
        ("plus-not-encoded-request.txt", request(recipient=" 70000000001")),
        ("several-numbers-request.txt", request(recipient="+70000000001,+70000000002")),
        ("empty-text-request.txt", request(text="")),
    ],
)
def test_a_request_is_read_as_it_was_meant(name: str, wanted: SmsRequest) -> None:
    assert decode_request(sample(name)) == wanted


def test_a_long_text_keeps_its_lines_and_signs() -> None:
    read = decode_request(sample("long-multiline-request.txt"))

    assert read.password == "s3cret&=+"
    assert read.sender == "Ромашка"
    assert read.recipient == "8 (000) 000-00-03"
    assert read.text.startswith("Первая строка\r\nВторая строка & знаки = + % 🙂")


def test_utf_8_is_read_where_it_was_not_encoded() -> None:
    raw = "login=acme-sms&password=s3cret&from=Acme&to=%2B70000000001&text=Заказ+готов%21"

    assert decode_request(raw.encode()) == request(text="Заказ готов!")


@pytest.mark.parametrize("name", ["login-request.txt", "key-request.txt"])
def test_what_we_write_is_what_planfix_writes(name: str) -> None:
    assert encode_request(decode_request(sample(name))) == sample(name)


@given(sender=st.text(), recipient=st.text(), text=st.text(), key=st.text())
def test_every_text_comes_back_as_it_was(sender: str, recipient: str, text: str, key: str) -> None:
    login = {} if key else {"login": "acme", "password": "s3cret"}
    sent = SmsRequest(key=key, sender=sender, recipient=recipient, text=text, **login)

    assert decode_request(encode_request(sent)) == sent


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b'{"login": "acme"}',
        b"login=acme&text=%ff",
        "login=é".encode("latin-1"),
        b"to=%2B70000000001&to=%2B70000000002",
        b"&".join(b"a=b" for _ in range(100)),
    ],
)
def test_what_is_no_request_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedError):
        decode_request(body)


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        (sample("ok-reply.json"), None),
        (sample("error-reply.json"), "login or password not accepted"),
        (b"OK 42", None),
        (b"", None),
        (b"[1]", None),
        (b"[" * 100_000, None),
        ('{"error": "нет"}'.encode("cp1251"), "\ufffd\ufffd\ufffd"),
        ('{"error": "нет"}'.encode("utf-16"), "нет"),
        ('{"error": "нет"}'.encode("utf-8-sig"), "нет"),
        (b'{"error": null, "id": 1}', None),
        (b'{"error": 0}', None),
        (b'{"error": ""}', None),
        (b'{"error": {"code": 7}}', '{"code": 7}'),
        (b'{"success": false}', "no reason given"),
    ],
)
def test_an_answer_refuses_only_by_an_error(body: bytes, refusal: str | None) -> None:
    assert refusal_in(body) == refusal


def test_a_secret_is_not_in_what_is_shown() -> None:
    assert "s3cret" not in repr(request())
