from collections.abc import Iterator

import httpx
import pytest
from lxml import etree

from syncd.simulator.planfix import SimulatedPlanfix


class Caller:
    """Sends bodies to a simulated Planfix and reads what comes back."""

    def __init__(self, planfix: SimulatedPlanfix) -> None:
        self.planfix = planfix
        self.http = httpx.Client(
            headers={"Content-Type": "application/xml; charset=utf-8"}, trust_env=False, timeout=10
        )

    def post(
        self, method: str, content: str = "", *, key: str = "", token: str | None = None
    ) -> httpx.Response:
        body = f'<request method="{method}"><account>acme</account>{content}</request>'
        return self.send(body.encode(), key=key, token=token)

    def send(self, body: bytes, *, key: str = "", token: str | None = None) -> httpx.Response:
        auth = (key or self.planfix.api_key, self.planfix.token if token is None else token)
        return self.http.post(self.planfix.url, content=body, auth=auth)

    def call(self, method: str, content: str = "") -> etree._Element:
        reply = etree.fromstring(self.post(method, content).content)
        assert reply.get("status") == "ok", reply.findtext("code")
        return reply

    def code(self, method: str, content: str = "", *, token: str | None = None) -> str:
        reply = etree.fromstring(self.post(method, content, token=token).content)
        assert reply.get("status") == "error"
        return reply.findtext("code") or ""

    def ids(self, content: str = "<pageSize>100</pageSize>") -> list[int]:
        reply = self.call("contact.getList", content)
        return [int(node.text or "") for node in reply.iterfind("contacts/contact/id")]


@pytest.fixture
def planfix() -> Iterator[SimulatedPlanfix]:
    with SimulatedPlanfix() as planfix:
        yield planfix


@pytest.fixture
def caller(planfix: SimulatedPlanfix) -> Iterator[Caller]:
    caller = Caller(planfix)
    with caller.http:
        yield caller
