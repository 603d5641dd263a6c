"""The public side: its addresses, and what is answered when."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import structlog
from starlette.responses import Response
from starlette.routing import BaseRoute, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from syncd import clock
from syncd.core.link import Link
from syncd.errors import SyncdError
from syncd.receiver.intake import Intake
from syncd.receiver.limits import SHORT_BODY_BYTES, Bodies, Guesses, RefusedBodyError
from syncd.receiver.pushes import Answer, Effect, Tokens, pushed, reported
from syncd.wire.email_service import (
    CONTENT_TYPE,
    Accepted,
    Envelope,
    ImportContacts,
    MalformedError,
    NotUnderstoodError,
    Refused,
    encode_reply,
    open_envelope,
    read_report,
    read_request,
    slices,
)

if TYPE_CHECKING:
    from syncd.store.pushes import PushBatch

log = structlog.get_logger()

EMAIL: Final = "/planfix/email"
LIST_EVENTS: Final = "/list-events"

_RETRY_AFTER_S: Final = 60
_WRONG_TOKEN: Final = Refused("authToken not accepted")

_Meaning = Callable[[Envelope, tuple[str, ...]], Effect]
"""What an envelope means that came just now, of a sender who speaks for these backends."""


def application(
    *,
    intake: Intake,
    pushes: Tokens,
    lists: Tokens,
    links: Sequence[Link],
    taken: Mapping[str, Collection[str]],
    more: Sequence[BaseRoute] = (),
) -> ASGIApp:
    """Return the server's application.

    `pushes` are the tokens of Planfix's integrations, `lists` those of the backends, `links` the
    config's; `taken` says of each backend which names no pushed list may have there, casefolded.
    `more` are the routes of other protocols.
    """
    bodies, guesses = Bodies(clock.monotonic_s), Guesses(clock.monotonic_s)

    def from_planfix(envelope: Envelope, backends: tuple[str, ...]) -> Effect:
        backend = backends[0]
        request = read_request(envelope)
        if isinstance(request, ImportContacts) and request.left_out:
            log.warning("push.left_out", list=request.list_id, contacts=request.left_out)
        return pushed(request, backend, taken=taken.get(backend, ()), at=clock.now())

    def from_list(envelope: Envelope, backends: tuple[str, ...]) -> Effect:
        return reported(read_report(envelope), backends, links, at=clock.now())

    def place(tokens: Tokens, meaning: _Meaning) -> "_Place":
        return _Place(intake, bodies, guesses, tokens, meaning)

    places: dict[str, ASGIApp] = {
        EMAIL: place(pushes, from_planfix),
        LIST_EVENTS: place(lists, from_list),
    }
    # Elsewhere no redirects: a sender who is redirected may turn its POST into a GET.
    elsewhere = Router(more, redirect_slashes=False, default=_no_such_address)

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        await places.get(scope["path"], elsewhere)(scope, receive, send)

    return answer


class _Place:
    """One address of the e-mail service protocol, as an ASGI application."""

    def __init__(
        self, intake: Intake, bodies: Bodies, guesses: Guesses, tokens: Tokens, meaning: _Meaning
    ) -> None:
        self._intake = intake
        self._bodies = bodies
        self._guesses = guesses
        self._tokens = tokens
        self._meaning = meaning

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, when what it asks for is durable."""
        response = await self._answer(scope, receive)
        await response(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive) -> Response:
        if scope["method"] != "POST":
            return refusal(HTTPStatus.METHOD_NOT_ALLOWED, "only POST is taken here", Allow="POST")
        try:
            with self._bodies.room() as room:
                answer = await self._carry_out(await room.read(scope, receive))
        except RefusedBodyError as refused:
            return refusal(refused.status, str(refused))
        except MalformedError as error:
            return refusal(HTTPStatus.BAD_REQUEST, str(error))
        except SyncdError:
            return refusal(HTTPStatus.SERVICE_UNAVAILABLE, "can't be stored now; try again")
        except Exception:  # the border of a request; its words may name a person
            log.exception("push.failed")
            return refusal(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error")
        if answer is _WRONG_TOKEN:
            await self._guesses.slow_down(scope, why="wrong token")
        return _DONE if answer == Accepted() else _said(answer)

    async def _carry_out(self, body: bytes | memoryview) -> Answer:
        """Do what a body asks for (MalformedError where it is none)."""
        if len(body) > SHORT_BODY_BYTES:  # which would keep the others waiting
            return await self._carry_out_long(body)
        effect = self._understand(open_envelope(body))
        return effect if isinstance(effect, Refused) else await self._intake.take(effect)

    async def _carry_out_long(self, body: bytes | memoryview) -> Answer:
        async with self._bodies.one_at_a_time:
            envelope = await asyncio.to_thread(open_envelope, body)
        if not self._tokens.backends(envelope.token):
            return _WRONG_TOKEN
        return await asyncio.to_thread(self._intake.take_long, partial(self._put_all, envelope))

    def _put_all(self, envelope: Envelope, batch: "PushBatch") -> Answer:
        """Carry out a long request in slices: of an import's contacts but a few are in memory."""
        answer: Answer = Accepted()
        for part in slices(envelope):
            effect = self._understand(part)
            answer = effect if isinstance(effect, Refused) else effect(batch)
            if isinstance(answer, Refused):
                break
            batch.write()
        return answer

    def _understand(self, envelope: Envelope) -> Effect | Refused:
        backends = self._tokens.backends(envelope.token)
        if not backends:
            return _WRONG_TOKEN
        try:
            return self._meaning(envelope, backends)
        except NotUnderstoodError as error:
            return Refused(str(error))


def _said(answer: Answer) -> Response:
    return Response(encode_reply(answer), media_type=CONTENT_TYPE)


_DONE: Final = _said(Accepted())


def refusal(status: int, words: str, **headers: str) -> Response:
    """Return what the protocol can't say, in its form all the same; the connection ends."""
    headers["Connection"] = "close"
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = str(_RETRY_AFTER_S)
    return Response(encode_reply(Refused(words)), status, headers, CONTENT_TYPE)


async def _no_such_address(scope: Scope, receive: Receive, send: Send) -> None:
    await refusal(HTTPStatus.NOT_FOUND, "no such address")(scope, receive, send)
