"""POST /planfix/sms: messages that Planfix wants sent, kept and then relayed.

Planfix's SMS integration sends a form (`syncd.wire.sms`) and shows our answer to whoever sent
the message. It has no word for "again": what was answered with success is ours to deliver, so
it is stored before. The integration is told apart by its login and password, or its key.
"""

import base64
import hashlib
import hmac
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from syncd import clock
from syncd.core.sms import Text, phone_number
from syncd.errors import SyncdError
from syncd.ports import TextQueue
from syncd.receiver.limits import Guesses
from syncd.wire.sms import MalformedError, SmsRequest, decode_request

PATH: Final = "/planfix/sms"
PER_MINUTE: Final = 120
"""So many messages of one login at most: a script that runs wild costs no fortune."""
BODY_MAX_BYTES: Final = 64 * 1024

_COUNTRY_BEGINS: Final = frozenset("123456789")
_MINUTE_S: Final = 60.0
_ALL_METHODS: Final = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
_SOON_S: Final = 30
_WRONG_LOGIN: Final = "login or password not accepted"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class SmsAccount:
    """One `[[receiver.sms]]`: who it is, and the gateway that its messages go through.

    Either `key`, or `login` and `password`.
    """

    relay: str
    login: str = ""
    password: str = field(default="", repr=False)
    key: str = field(default="", repr=False)

    def is_proved_by(self, *, login: str, password: str, key: str) -> bool:
        """Whether these are its credentials; takes as long for wrong ones as for right ones."""
        by_key = _same(self.key, key) & bool(self.key)
        by_login = _same(self.login, login) & _same(self.password, password)
        return bool(by_key | (by_login & bool(self.login and self.password)))


def sms_routes(
    accounts: Sequence[SmsAccount],
    queue: TextQueue,
    *,
    stored: Callable[[], None],
    now: Callable[[], datetime],
    now_s: Callable[[], float] = clock.monotonic_s,
) -> list[Route]:
    """Return the routes that take messages and tell how they stand.

    `stored` is called, from any thread, once a message is in the queue: wake the relay there.
    """
    intake = _Intake(accounts, queue, stored=stored, now=now, now_s=now_s)
    return [
        Route(PATH, intake.take, methods=_ALL_METHODS),
        Route(f"{PATH}/{{message}}", intake.tell, methods=_ALL_METHODS),
    ]


class _RefusedError(Exception):
    """Why a message is not accepted, in words for whoever sent it."""


class _Intake:
    def __init__(
        self,
        accounts: Sequence[SmsAccount],
        queue: TextQueue,
        *,
        stored: Callable[[], None],
        now: Callable[[], datetime],
        now_s: Callable[[], float],
    ) -> None:
        self._accounts = tuple(accounts)
        self._queue = queue
        self._stored = stored
        self._now = now
        self._now_s = now_s
        self._guesses = Guesses(now_s)
        self._latest = {each: deque[float](maxlen=PER_MINUTE) for each in self._accounts}

    async def take(self, http: Request) -> Response:
        """Keep one message, and answer with its id."""
        if http.method != "POST":
            return JSONResponse({"error": "only POST"}, 405, {"Allow": "POST"})
        try:
            body = await _body(http)
            if body is None:
                return JSONResponse({"error": "too long"}, 413)
            request = decode_request(body)
        except (MalformedError, ClientDisconnect) as error:
            why = str(error) or "the body broke off"
            self._guesses.count(http.scope, why=why)
            return JSONResponse({"error": why}, 400)
        of = self._account(login=request.login, password=request.password, key=request.key)
        if of is None:
            await self._guesses.slow_down(http.scope, why=_WRONG_LOGIN)
            return JSONResponse({"error": _WRONG_LOGIN})
        return await self._keep(request, of)

    async def tell(self, http: Request) -> Response:
        """Tell how a message stands, to whoever handed it in."""
        if http.method not in {"GET", "HEAD"}:
            return JSONResponse({"error": "only GET"}, 405, {"Allow": "GET"})
        of = self._account(**_credentials(http.headers.get("authorization", "")))
        if of is None:
            await self._guesses.slow_down(http.scope, why=_WRONG_LOGIN)
            return JSONResponse({"error": _WRONG_LOGIN}, 401, {"WWW-Authenticate": "Basic"})
        try:
            standing = await run_in_threadpool(self._queue.standing, http.path_params["message"])
        except SyncdError:
            return JSONResponse({"error": "not now, try again"}, 503, {"Retry-After": str(_SOON_S)})
        if standing is None or (standing.login, standing.relay) != (of.login, of.relay):
            return JSONResponse({"error": "no such message"}, 404)
        return JSONResponse(
            {
                "id": standing.id,
                "at": standing.at.isoformat(),
                "state": standing.state.value,
                "attempts": standing.attempts,
                "error": standing.error,
            }
        )

    async def _keep(self, request: SmsRequest, of: SmsAccount) -> Response:
        try:
            text = self._accept(request, of)
            message = await run_in_threadpool(self._queue.put, text, at=self._now())
        except _RefusedError as refusal:
            log.warning("sms.rejected", why=str(refusal))
            return JSONResponse({"error": str(refusal)})
        except SyncdError as error:
            log.error("sms.unstored", why=str(error), hint=error.hint)  # noqa: TRY400  (expected)
            return JSONResponse({"error": "not now, try again"}, 503, {"Retry-After": str(_SOON_S)})
        self._stored()
        log.info("sms.stored", message=message)
        return JSONResponse({"success": True, "id": message})

    def _accept(self, request: SmsRequest, of: SmsAccount) -> Text:
        try:
            number = phone_number(_with_plus(request.recipient))
        except ValueError as error:
            raise _RefusedError(f"to: {error}") from error
        if not request.text.strip():
            raise _RefusedError("text: is empty")
        self._keep_to_the_limit(of)
        return Text(
            login=of.login,
            relay=of.relay,
            sender=request.sender.strip(),
            recipient=number,
            text=request.text,
        )

    def _account(self, *, login: str, password: str, key: str) -> SmsAccount | None:
        """Return whose credentials these are; every account is looked at."""
        proved = [
            account
            for account in self._accounts
            if account.is_proved_by(login=login, password=password, key=key)
        ]
        return proved[0] if proved else None

    def _keep_to_the_limit(self, of: SmsAccount) -> None:
        latest, now_s = self._latest[of], self._now_s()
        if len(latest) == PER_MINUTE and now_s - latest[0] < _MINUTE_S:
            raise _RefusedError(f"too many messages: {PER_MINUTE} a minute at most")
        latest.append(now_s)


def _with_plus(number: str) -> str:
    """Put back a plus sign that a form did not encode, and that came as a blank."""
    lost = number[:1] == " " and number[1:2] in _COUNTRY_BEGINS
    return f"+{number[1:]}" if lost else number


async def _body(http: Request) -> bytes | None:
    """Return the whole body; None for one that is too long."""
    body = b""
    async for chunk in http.stream():
        body += chunk
        if len(body) > BODY_MAX_BYTES:
            return None
    return body


def _credentials(authorization: str) -> dict[str, str]:
    """Read `Basic` or `Bearer` of an Authorization header; empty where there is neither."""
    scheme, _, value = authorization.partition(" ")
    login = password = key = ""
    match scheme.lower():
        case "bearer":
            key = value.strip()
        case "basic":
            with suppress(ValueError):
                login, _, password = base64.b64decode(value, validate=True).decode().partition(":")
    return {"login": login, "password": password, "key": key}


def _same(ours: str, theirs: str) -> bool:
    # Digests are of one length, so that not even that of ours shows.
    return hmac.compare_digest(_digest(ours), _digest(theirs))


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
