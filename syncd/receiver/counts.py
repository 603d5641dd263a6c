"""How many requests came in, and what became of them: counted at the door, for the metrics."""

import json
from collections import Counter
from collections.abc import Collection, Mapping
from contextlib import suppress
from http import HTTPStatus

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Counts:
    """Requests since the process began, by place and result.

    A place is one of the addresses that we have, without its slash; whatever else is asked for
    counts as `elsewhere`, so that nobody can make us remember names. Results are `taken`,
    `refused` (in the protocol's own words, a wrong token too), `malformed` (it is no request of
    the protocol) and `failed` (it could not be stored, or a fault of ours).
    """

    def __init__(self) -> None:
        self._counted: Counter[tuple[str, str]] = Counter()

    def by_place(self) -> Mapping[tuple[str, str], int]:
        """Return the counts; from any thread."""
        return dict(self._counted)

    def counting(self, app: ASGIApp, places: Collection[str]) -> ASGIApp:
        """Return an application that answers as this one does, and is counted here."""

        async def counted(scope: Scope, receive: Receive, send: Send) -> None:
            status, body = HTTPStatus.INTERNAL_SERVER_ERROR.value, b""

            async def seen(message: Message) -> None:
                nonlocal status, body
                if message["type"] == "http.response.start":
                    status = message["status"]
                else:
                    body += message.get("body", b"")
                await send(message)

            try:
                await app(scope, receive, seen)
            finally:
                self._counted[_place(scope["path"], places), _result(status, body)] += 1

        return counted


def _place(path: str, places: Collection[str]) -> str:
    found = next((each for each in places if path == each or path.startswith(f"{each}/")), None)
    return "elsewhere" if found is None else found.removeprefix("/")


def _result(status: int, body: bytes) -> str:
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return "failed"
    if status >= HTTPStatus.BAD_REQUEST:
        return "malformed"
    with suppress(ValueError):
        answer = json.loads(body)
        if isinstance(answer, dict) and answer.get("success") is True:
            return "taken"
    return "refused"
