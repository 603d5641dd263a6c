"""A real Kannel takes what we send, and its SMS centre gets it letter by letter."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from syncd.app.relay import relay_due
from syncd.core.sms import Fate, TextState, phone_number
from syncd.sms.base import Options
from syncd.sms.kannel import Kannel
from syncd.store.sms import Outbox
from tests.sms.conftest import NOW, text
from tests.sms.kannel import Arrived, KannelServer, kannel_server

TO = phone_number("+491511234567")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[KannelServer]:
    with kannel_server(tmp_path) as server:
        yield server


@pytest.fixture
def kannel(server: KannelServer) -> Iterator[Kannel]:
    kannel = Kannel(Options(url=server.url, login="acme", password="s3cret", sender="ACME"))
    yield kannel
    kannel.close()


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("Your order is ready", "text"),
        ("Größe: 5 €, {~^|} & + % = ok?", "text"),
        ("Заказ готов 🙂\nи ждёт", "ucs-2"),
        ("č only", "ucs-2"),
    ],
)
def test_every_letter_arrives(kannel: Kannel, server: KannelServer, words: str, kind: str) -> None:
    sent = kannel.send("", TO, words)

    assert sent.fate is Fate.TAKEN
    assert sent.answer in {"0: Accepted for delivery", "3: Queued for later delivery"}
    assert server.arrived() == Arrived("ACME", TO, kind, words)


def test_a_sender_that_is_named_is_kept(kannel: Kannel, server: KannelServer) -> None:
    kannel.send("+4930123456", TO, "hi")

    assert server.arrived().sender == "+4930123456"


@pytest.mark.parametrize("sender", ["Ромашка", "twelve signs", "A\r\nX-Kannel-To: 1"])
def test_a_sender_no_phone_can_show_gives_way_to_our_own(
    kannel: Kannel, server: KannelServer, sender: str
) -> None:
    sent = kannel.send(sender, TO, "hi")

    assert sent.fate is Fate.TAKEN
    assert server.arrived() == Arrived("ACME", TO, "text", "hi")


def test_without_any_sender_kannel_has_one(server: KannelServer) -> None:
    kannel = Kannel(Options(url=server.url, login="acme", password="s3cret"))

    kannel.send("", TO, "hi")
    kannel.close()

    assert server.arrived().sender == "Kannel"


def test_what_the_relay_hands_over_arrives(
    kannel: Kannel, server: KannelServer, outbox: Outbox
) -> None:
    message = outbox.put(text("Заказ готов", sender="Shop"), at=NOW)

    relay_due(outbox, {"gateway": kannel}, lambda: NOW)

    assert server.arrived() == Arrived("Shop", "+70000000001", "ucs-2", "Заказ готов")
    standing = outbox.standing(message)
    assert standing
    assert standing.state is TextState.DONE


def test_a_kannel_that_does_not_answer_may_have_the_message_and_here_it_has(
    server: KannelServer, outbox: Outbox
) -> None:
    kannel = Kannel(
        Options(url=server.url, login="acme", password="s3cret", sender="ACME", timeout_s=0.5)
    )
    message = outbox.put(text("once"), at=NOW)
    server.freeze()

    relay_due(outbox, {"gateway": kannel}, lambda: NOW)
    kannel.close()
    server.thaw()

    standing = outbox.standing(message)
    assert standing
    assert standing.state is TextState.UNKNOWN
    assert server.arrived().text == "once"


def test_a_wrong_password_waits_for_the_operator(server: KannelServer) -> None:
    kannel = Kannel(Options(url=server.url, login="acme", password="wrong", sender="ACME"))

    sent = kannel.send("", TO, "hi")
    kannel.close()

    assert (sent.fate, sent.answer) == (Fate.LATER, "Authorization failed for sendsms")
    assert sent.credentials_refused


def test_a_number_that_kannel_has_no_way_to_is_refused(kannel: Kannel) -> None:
    sent = kannel.send("", phone_number("+99912345678"), "hi")

    assert (sent.fate, sent.answer) == (Fate.REFUSED, "Not routable. Do not try again.")
    assert not sent.credentials_refused
