"""What a daemon does beside its runs: it answers at its sockets, and relays messages."""

import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from starlette.types import ASGIApp

from syncd import clock
from syncd.app.relay import Relay
from syncd.app.wiring import account_of, open_gateways, scopes_of, sms_alert, taken_names
from syncd.backends import BACKENDS
from syncd.config.kinds import Listen
from syncd.config.secrets import Secret
from syncd.config.settings import Receiver, Settings, SmsPush
from syncd.core.overview import Pulse
from syncd.metrics import CONTENT_TYPE, exposition
from syncd.page.app import Sources
from syncd.page.app import application as page
from syncd.receiver.app import EMAIL, LIST_EVENTS, application
from syncd.receiver.counts import Counts
from syncd.receiver.intake import Intake
from syncd.receiver.pushes import Token, Tokens
from syncd.receiver.server import Server
from syncd.receiver.sms import PATH as SMS
from syncd.receiver.sms import SmsAccount, sms_routes
from syncd.store.overview import overview, run_ended
from syncd.store.store import Store

T = TypeVar("T")
Stop = Callable[[], None]


class Serving:
    """The servers and the relay of one process, as the config in force wants them.

    `pushed` is called, from any thread, when Planfix or a list service told something new;
    `pulse` says how the scheduler is.
    """

    def __init__(self, pushed: Callable[[], None], pulse: Callable[[], Pulse | None]) -> None:
        self._pushed = pushed
        self._pulse = pulse
        self._counts = Counts()
        self._parts: dict[str, _Part] = {}
        self._ending: threading.Thread | None = None

    def follow(self, settings: Settings) -> None:
        """Serve as these settings want it; what they leave as it is goes on undisturbed.

        A socket is let go only where its address changes. What is wanted no longer ends in its
        own time.

        Raises:
            ConfigurationError: an address can't be listened at, or the store can't be used; all
                is as it was.
            StoreError: the store can't be used; all is as it was.
        """
        parts = _Parts(self._parts)
        answering: list[tuple[Server, ASGIApp]] = []
        try:
            relay = _relay(parts, settings) if settings.sms else None
            if settings.receiver is not None:
                app = self._public_side(parts, settings, settings.receiver, relay)
                server = _server(parts, "listen", settings.receiver.listen, app)
                answering.append((server, app))
                app = self._operators_side(settings)
                server = _server(parts, "admin_listen", settings.receiver.admin_listen, app)
                answering.append((server, app))
        except BaseException:
            parts.give_up()
            raise
        for server, app in answering:
            server.answer_by(app)
        self._parts = parts.kept
        self._end(parts.replaced())

    @property
    def ports(self) -> Mapping[str, int]:
        """Where is listened, by the config's keys."""
        found = ((key, part.it) for key, part in self._parts.items())
        return {key: it.port for key, it in found if isinstance(it, Server)}

    def wake_relay(self) -> None:
        """Have what is due by SMS sent now; from any thread."""
        relay = self._parts.get("relay")
        if relay is not None:
            relay.it.wake()

    def stop(self) -> None:
        """Take no more, answer what has come in, end the message under way, let go of all."""
        parts, self._parts = list(self._parts.values()), {}
        self._end(parts)
        if self._ending is not None:
            self._ending.join()

    def _end(self, parts: "list[_Part]") -> None:
        """Stop parts, those first that were made of others; the caller doesn't wait for it."""
        earlier = self._ending

        def end() -> None:
            if earlier is not None:
                earlier.join()
            for part in reversed(parts):
                part.stop()
            self.wake_relay()  # one that was replaced may have kept its successor from its work

        if parts:
            self._ending = threading.Thread(target=end, name="ending")
            self._ending.start()

    def _public_side(
        self, parts: "_Parts", settings: Settings, receiver: Receiver, relay: Relay | None
    ) -> ASGIApp:
        """Return what answers Planfix and the list services."""
        path, account = settings.store.path, account_of(settings)
        with closing(Store(path)) as store:  # what list services tell is for links by their names
            store.links.rename(scopes_of(settings))

        def intake() -> tuple[Intake, Stop]:
            made = Intake(lambda: Store(path), account, stored=self._pushed)
            made.start()
            return made, made.stop

        routes = []
        if receiver.sms and relay is not None:
            queue = parts.keep("queue", path, lambda: _store(path)).outbox
            accounts = [_account(push) for push in receiver.sms]
            routes = sms_routes(accounts, queue, stored=relay.wake, now=clock.now)
        app = application(
            intake=parts.keep("intake", (path, account), intake),
            pushes=Tokens(Token(push.token.reveal(), push.backend) for push in receiver.email),
            lists=Tokens(_of_lists(settings)),
            links=settings.links,
            taken={each.name: taken_names(settings, each.name) for each in settings.backends},
            more=routes,
        )
        return self._counts.counting(app, [EMAIL, LIST_EVENTS, SMS])

    def _operators_side(self, settings: Settings) -> ASGIApp:
        """Return what shows how things stand."""
        path, links = settings.store.path, settings.links
        return page(
            Sources(
                overview=lambda: overview(path, links),
                run_ended=lambda: run_ended(path),
                pulse=self._pulse,
                pushes=self._counts.by_place,
            ),
            metrics=exposition,
            metrics_type=CONTENT_TYPE,
            now=clock.now,
            names=[socket.gethostname()],
        )


def _relay(parts: "_Parts", settings: Settings) -> Relay:
    path, alert_sms = settings.store.path, settings.alerts.sms

    def make() -> tuple[Relay, Stop]:
        opened = ExitStack()
        try:
            store, close = _store(path)
            opened.callback(close)
            gateways = opened.enter_context(open_gateways(settings))
        except BaseException:
            opened.close()
            raise
        alert = sms_alert(settings, store)
        before_each = alert.tell_rest if alert is not None else lambda: None
        relay = Relay(store.outbox, gateways, before_each=before_each)
        relay.start()
        opened.callback(relay.stop)
        return relay, opened.close

    return parts.keep("relay", (path, alert_sms, settings.sms, settings.retry.timeout), make)


def _server(parts: "_Parts", key: str, listen: Listen, app: ASGIApp) -> Server:
    """Return the server at the address of a config key; a new one answers by `app`."""

    def make() -> tuple[Server, Stop]:
        server = Server(app, key=key, host=listen.host, port=listen.port)
        server.start()
        return server, server.stop

    return parts.keep(key, listen, make)


def _store(path: Path) -> tuple[Store, Stop]:
    store = Store(path)
    return store, store.close


def _account(push: SmsPush) -> SmsAccount:
    return SmsAccount(
        relay=push.relay,
        login=push.login or "",
        password=_text(push.password),
        key=_text(push.key),
    )


def _of_lists(settings: Settings) -> Iterator[Token]:
    """Yield what the list services prove themselves by that nobody can read."""
    for backend in settings.backends:
        token = getattr(backend.options, "token", "")
        if token and not BACKENDS[backend.type].capabilities.can_read:
            yield Token(token, backend.name)


def _text(secret: Secret | None) -> str:
    return secret.reveal() if secret is not None else ""


@dataclass(frozen=True, slots=True)
class _Part:
    """Something that works by itself: what it was made of, and how it ends."""

    made_of: object
    it: Any
    stop: Stop


class _Parts:
    """The parts of one reading of the config: kept from the one before, or made anew."""

    def __init__(self, before: dict[str, _Part]) -> None:
        self._before = before
        self.kept: dict[str, _Part] = {}

    def keep(self, name: str, made_of: object, make: Callable[[], tuple[T, Stop]]) -> T:
        """Return a part as it is, where it is made of the same; else make it."""
        part = self._before.get(name)
        if part is None or part.made_of != made_of:
            part = _Part(made_of, *make())
        self.kept[name] = part
        it: T = part.it
        return it

    def replaced(self) -> list[_Part]:
        """Return the parts of before that are kept no longer."""
        return [part for name, part in self._before.items() if self.kept.get(name) is not part]

    def give_up(self) -> None:
        """Stop what was made."""
        for name, part in reversed(list(self.kept.items())):
            if self._before.get(name) is not part:
                part.stop()
