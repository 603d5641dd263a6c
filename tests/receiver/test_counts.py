"""Requests are counted by the place they came to and by what became of them."""

import asyncio
from collections.abc import Mapping

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from syncd.receiver.counts import Counts

PLACES = ("/planfix/email", "/planfix/sms")


async def _echo(request: Request) -> Response:
    """Answer with the status and the body that the request asks for."""
    status = int(request.headers["status"])
    if status == 599:
        raise ZeroDivisionError
    return Response(await request.body(), status)


def asked(*requests: tuple[str, int, bytes]) -> Mapping[tuple[str, str], int]:
    """Return the counts after requests, each the path, and the status and body of its answer."""
    counts = Counts()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        response = await _echo(Request(scope, receive))
        await response(scope, receive, send)

    async def ask() -> None:
        transport = httpx.ASGITransport(counts.counting(app, PLACES), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            for path, status, body in requests:
                await client.post(path, content=body, headers={"status": str(status)})

    asyncio.run(ask())
    return counts.by_place()


@pytest.mark.parametrize(
    ("status", "body", "result"),
    [
        (200, b'{"success": true}', "taken"),
        (200, b'{"success": true, "listId": "lst-1"}', "taken"),
        (200, b'{"error": "authToken not accepted"}', "refused"),
        (200, b'{"success": "true"}', "refused"),
        (200, b"", "refused"),
        (200, b"[1", "refused"),
        (400, b'{"error": "not JSON"}', "malformed"),
        (413, b'{"error": "too long"}', "malformed"),
        (503, b'{"error": "try again"}', "failed"),
        (599, b"", "failed"),
    ],
)
def test_a_request_counts_as_what_its_answer_says(status: int, body: bytes, result: str) -> None:
    assert asked(("/planfix/email", status, body)) == {("planfix/email", result): 1}


def test_counts_add_up_and_what_is_not_ours_is_remembered_by_no_name() -> None:
    yes = b'{"success": true}'

    found = asked(
        ("/planfix/email", 200, yes),
        ("/planfix/email", 200, yes),
        ("/planfix/sms", 200, yes),
        ("/planfix/sms/sms-0123", 200, yes),
        ("/planfix/smsx", 404, b""),
        ("/wp-login.php", 404, b""),
    )

    assert found == {
        ("planfix/email", "taken"): 2,
        ("planfix/sms", "taken"): 2,
        ("elsewhere", "malformed"): 2,
    }
