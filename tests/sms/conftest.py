"""An SMS service to speak to, a gateway that does, and an outbox."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from syncd.core.sms import Text, phone_number
from syncd.sms.base import Options
from syncd.sms.planfix_sms import PlanfixSms
from syncd.store.sms import Outbox
from syncd.store.store import Store
from tests.fakes.sms_service import SmsService

NOW = datetime(2026, 11, 24, 8, 30, tzinfo=UTC)


@pytest.fixture
def gateway_service() -> Iterator[SmsService]:
    with SmsService() as service:
        yield service


@pytest.fixture
def gateway(gateway_service: SmsService) -> Iterator[PlanfixSms]:
    gateway = PlanfixSms(
        Options(
            url=gateway_service.url,
            login="acme-sms",
            password="s3cret",
            sender="ACME",
            timeout_s=10,
        )
    )
    yield gateway
    gateway.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "syncd.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    store = Store(path)
    yield store
    store.close()


@pytest.fixture
def outbox(store: Store) -> Outbox:
    return store.outbox


def text(words: str = "Заказ готов", *, sender: str = "", relay: str = "gateway") -> Text:
    return Text(
        login="acme",
        relay=relay,
        sender=sender,
        recipient=phone_number("+70000000001"),
        text=words,
    )
