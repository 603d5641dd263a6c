"""Whatever comes to either address, the answer is one of the protocol, and nothing goes wrong."""

import asyncio
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.types import ASGIApp
from structlog.testing import capture_logs

from syncd.core.link import Link, Selection
from syncd.receiver.app import application
from syncd.receiver.intake import Intake
from syncd.receiver.pushes import Token, Tokens
from syncd.store.store import Store

PUSH, LIST = "push-token", "list-token"
PLACES = {"/planfix/email": PUSH, "/list-events": LIST}
_SENDERS = itertools.count()
LINK = Link(name="known", selection=Selection("contact"), backend="news", list_id="lst-7")


@pytest.fixture
def app(tmp_path: Path) -> Iterator[ASGIApp]:
    intake = Intake(lambda: Store(tmp_path / "syncd.db"), "acme", stored=lambda: None)
    intake.start()
    yield application(
        intake=intake,
        pushes=Tokens([Token(PUSH, "news")]),
        lists=Tokens([Token(LIST, "news")]),
        links=(LINK,),
        taken={},
    )
    intake.stop()


def ask(app: ASGIApp, place: str, body: bytes) -> httpx.Response:
    async def post() -> httpx.Response:
        # Each from another place, or wrong tokens would be slowed down.
        transport = httpx.ASGITransport(app, client=(f"sender {next(_SENDERS)}", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.post(place, content=body)

    with capture_logs() as logs:
        answer = asyncio.run(post())
    assert [told for told in logs if told["event"] == "push.failed"] == []
    return answer


def is_of_the_protocol(answer: httpx.Response) -> bool:
    fields = answer.json()
    if answer.status_code == 200:
        return ("error" in fields) is not (fields.get("success") is True)
    return answer.status_code == 400 and fields.keys() == {"error"}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
# Mostly what a field may be, now and then anything.
addresses = st.emails() | st.sampled_from(["", " Anna@Example.com ", "anna@example.com", "no"])
ids = st.integers(0, 9) | st.integers().map(str) | st.integers()
list_ids = st.sampled_from(["lst-7", "lst-0", 7]) | json_values
contacts = st.fixed_dictionaries(
    {},
    optional={
        "id": ids | json_values,
        "email": addresses | json_values,
        "firstName": st.text() | json_values,
        "lastName": st.text() | json_values,
        "more": json_values,
    },
)
data = st.fixed_dictionaries(
    {},
    optional={
        "listName": st.text(min_size=1) | json_values,
        "listId": list_ids,
        "action": st.sampled_from(["add", "update", "delete"]) | json_values,
        "contact": contacts | json_values,
        "contacts": st.lists(contacts | json_values, max_size=4) | json_values,
        "oldEmail": addresses | json_values,
    },
)
actions = st.sampled_from(["createList", "deleteList", "importContacts", "updateContact"])


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, bytes]:
    place = draw(st.sampled_from(sorted(PLACES)))
    fields: dict[str, Any] = {
        "authToken": draw(st.just(PLACES[place]) | json_values),
        "action": draw(actions | json_values),
        "data": draw(data | json_values),
    }
    return place, json.dumps(fields, ensure_ascii=draw(st.booleans())).encode("utf-8", "replace")


one_app_for_all = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@one_app_for_all
@given(st.sampled_from(sorted(PLACES)), st.binary(max_size=200))
def test_any_bytes_get_an_answer(app: ASGIApp, place: str, body: bytes) -> None:
    assert is_of_the_protocol(ask(app, place, body))


@one_app_for_all
@given(requests())
def test_any_request_gets_an_answer(app: ASGIApp, request_: tuple[str, bytes]) -> None:
    assert is_of_the_protocol(ask(app, *request_))


@one_app_for_all
@given(requests(), st.integers(0, 300), st.binary(max_size=3))
def test_a_request_with_a_spoiled_piece_gets_an_answer(
    app: ASGIApp, request_: tuple[str, bytes], at: int, piece: bytes
) -> None:
    place, body = request_

    assert is_of_the_protocol(ask(app, place, body[:at] + piece + body[at + len(piece) :]))


@one_app_for_all
@given(requests())
def test_the_same_request_twice_gets_the_same_answer_and_changes_nothing(
    app: ASGIApp, request_: tuple[str, bytes]
) -> None:
    first, second = ask(app, *request_), ask(app, *request_)

    assert (first.status_code, first.json()) == (second.status_code, second.json())
