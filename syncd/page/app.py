"""The operator's side as an ASGI application: it answers GET, and shows; it changes nothing."""

import ipaddress
import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Final, TypeVar
from urllib.parse import urlsplit

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from syncd.core.overview import Overview, Pulse
from syncd.errors import SyncdError
from syncd.page import view
from syncd.page.health import problems

T = TypeVar("T")

log = structlog.get_logger()

_HEADERS: Final = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src {view.STYLE_SOURCE}; img-src 'self'; base-uri 'none';"
        " form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_RETRY_AFTER_S: Final = 30


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the operator's side has it from; each may be called by several threads at once.

    `overview` reads how things stand, `run_ended` no more than when the last run did (SyncdError
    where the store can't be read). `pulse` asks the scheduler, and is None where there is none
    yet. `pushes` counts what came in since the process began, by place and result.
    """

    overview: Callable[[], Overview]
    run_ended: Callable[[], datetime | None]
    pulse: Callable[[], Pulse | None]
    pushes: Callable[[], Mapping[tuple[str, str], int]]


Exposition = Callable[[Overview, Pulse | None, Mapping[tuple[str, str], int]], bytes]
"""What makes the metrics' text of all that."""


def application(
    sources: Sources,
    *,
    metrics: Exposition,
    metrics_type: str,
    now: Callable[[], datetime],
    names: Iterable[str] = (),
) -> ASGIApp:
    """Return the application.

    `names` are those under which it may be asked for, beside `localhost` and any address.
    """
    answers = _Answers(sources, metrics, metrics_type, now)
    router = Router(
        [
            Route("/", answers.page),
            Route("/metrics", answers.metrics),
            Route("/health", answers.health),
            Route("/icon.svg", _icon),
        ],
        redirect_slashes=False,
        default=PlainTextResponse("There is nothing here.\n", HTTPStatus.NOT_FOUND),
    )
    return _Guarded(router, frozenset(name.lower() for name in names) | {"localhost"})


class _Answers:
    def __init__(
        self,
        sources: Sources,
        metrics: Exposition,
        metrics_type: str,
        now: Callable[[], datetime],
    ) -> None:
        self._sources = sources
        self._exposition = metrics
        self._metrics_type = metrics_type
        self._now = now

    async def page(self, _: Request) -> Response:
        """Show how things stand to a person."""
        return await run_in_threadpool(self._page)

    def _page(self) -> Response:
        now, pulse = self._now(), self._sources.pulse()
        found = _read(self._sources.overview)
        ended = found.run_ended if isinstance(found, Overview) else found
        html = view.page(
            found if isinstance(found, Overview) else None,
            pulse=pulse,
            pushes=self._sources.pushes(),
            problems=problems(ended, pulse, now),
            now=now,
        )
        return Response(html, _status(found), media_type="text/html")

    async def metrics(self, _: Request) -> Response:
        """Show it to Prometheus."""
        return await run_in_threadpool(self._metrics)

    def _metrics(self) -> Response:
        found = _read(self._sources.overview)
        if isinstance(found, SyncdError):
            return PlainTextResponse(f"{found}\n", _status(found))
        sources = self._sources
        text = self._exposition(found, sources.pulse(), sources.pushes())
        return Response(text, headers={"Content-Type": self._metrics_type})

    async def health(self, _: Request) -> Response:
        """Show whether syncd does its work, to whoever only looks at the status."""
        return await run_in_threadpool(self._health)

    def _health(self) -> Response:
        ended = _read(self._sources.run_ended)
        wrong = problems(ended, self._sources.pulse(), self._now())
        body = {"status": "failing" if wrong else "ok", "problems": [asdict(one) for one in wrong]}
        status = HTTPStatus.SERVICE_UNAVAILABLE if wrong else HTTPStatus.OK
        return Response(json.dumps(body), status, media_type="application/json")


def _read(source: Callable[[], T]) -> T | SyncdError:
    try:
        return source()
    except SyncdError as error:
        return error


def _status(found: Overview | SyncdError) -> HTTPStatus:
    return HTTPStatus.OK if isinstance(found, Overview) else HTTPStatus.SERVICE_UNAVAILABLE


async def _icon(_: Request) -> Response:
    return Response(view.ICON, media_type="image/svg+xml")


class _Guarded:
    """Answers only who asks for us by a name of ours, and sends the headers of every answer.

    A page elsewhere can have its own name lead to this machine, and then read what is here as if
    it were its own (DNS rebinding): the name that the browser asks for gives it away. Whoever
    names no host at all is no browser.
    """

    def __init__(self, app: ASGIApp, names: frozenset[str]) -> None:
        self._app = app
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
                if message["status"] == HTTPStatus.SERVICE_UNAVAILABLE:
                    MutableHeaders(scope=message)["Retry-After"] = str(_RETRY_AFTER_S)
            await send(message)

        app = self._app if self._knows(Headers(scope=scope).get("host")) else _misdirected
        try:
            await app(scope, receive, with_headers)
        except Exception:  # the border of a request
            log.exception("page.failed")
            await _broken(scope, receive, with_headers)

    def _knows(self, host: str | None) -> bool:
        if host is None:
            return True
        name = None
        with suppress(ValueError):
            name = urlsplit(f"//{host}").hostname
        if not name:
            return False
        if name in self._names:
            return True
        with suppress(ValueError):
            ipaddress.ip_address(name)
            return True
        return False


_misdirected: Final = PlainTextResponse(
    "Ask for this page by its address or as localhost; a proxy has to do the same.\n",
    HTTPStatus.MISDIRECTED_REQUEST,
)
_broken: Final = PlainTextResponse(
    "A fault of syncd's own; the log has the traceback.\n", HTTPStatus.INTERNAL_SERVER_ERROR
)
