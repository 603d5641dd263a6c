"""An SMS service to speak to."""

from collections.abc import Iterator

import pytest

from tests.fakes.sms_service import SmsService


@pytest.fixture
def gateway_service() -> Iterator[SmsService]:
    with SmsService() as service:
        yield service
