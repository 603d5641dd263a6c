"""Settings → objects: the one place that names the concrete edges."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from syncd import clock
from syncd.alerts import CommandAlert, SmsAlert
from syncd.app.relay import faults_logged, relay_due
from syncd.app.world import World
from syncd.backends import BACKENDS
from syncd.backends.base import Retry
from syncd.config.load import Loaded, load
from syncd.config.secrets import Secret
from syncd.config.settings import BackendSettings, BackendType, Settings
from syncd.core.link import Link
from syncd.core.report import Outcome
from syncd.errors import ConfigurationError, QuotaError, SyncdError
from syncd.planfix.client import Options as PlanfixOptions
from syncd.planfix.side import Planfix
from syncd.ports import MemberSide, TextSender
from syncd.sms import GATEWAYS
from syncd.sms.base import Options as SmsOptions
from syncd.store.store import Store
from syncd.transport import never


def read_config(config: Path) -> Loaded:
    """Read the config, whatever backends it names.

    Raises:
        ConfigurationError: the config is wrong.
    """
    types = {
        name: BackendType(backend.Options, backend.capabilities.can_read)
        for name, backend in BACKENDS.items()
    }
    return load(config, types)


@contextmanager
def open_world(
    config: Path | Loaded,
    *,
    progress: Callable[[int, int], None] | None = None,
    stop: Callable[[], bool] = never,
) -> Iterator[World]:
    """Load the config and open the store; both sides are reached when they are first needed.

    A config that was read already is not read again: a daemon keeps the one it has.
    `progress` is told the pages read and their number while a selection is read; `stop` ends the
    pauses between calls to either side.

    Raises:
        ConfigurationError: the config is wrong, or the store can't be used.
    """
    loaded = config if isinstance(config, Loaded) else read_config(config)
    settings = loaded.settings
    store = Store(settings.store.path)
    calls = _Calls(store, settings.planfix.daily_calls)
    planfix = _planfix(settings, calls, progress, stop)
    backends = {backend.name: backend for backend in settings.backends}

    def open_backend(name: str) -> MemberSide:
        if name not in backends:
            raise ConfigurationError(
                f"The config has no backend {name!r} any more, on which Planfix made a list.",
                hint="Put it back, or have Planfix give the list up.",
            )
        chosen = backends[name]
        return BACKENDS[chosen.type](chosen.options, _retry(settings, stop))

    try:
        store.links.rename(scopes_of(settings))
        links = (*settings.links, *_pushed_links(settings, store))
        yield World(
            settings=settings,
            warnings=loaded.warnings,
            account=account_of(settings),
            links=links,
            scopes={
                link.name: _scope(settings, backends.get(link.backend), link) for link in links
            },
            places={link.backend: _place(backends.get(link.backend)) for link in links},
            store=store,
            planfix=planfix,
            contacts=planfix.contacts,
            open_backend=open_backend,
            alert=_alert(settings, store),
            relay=_relay(settings, store),
            after_failures=settings.alerts.after_failures,
        )
    finally:
        planfix.close()
        calls.keep()
        store.close()


@contextmanager
def open_for_run(
    loaded: Loaded,
    *,
    progress: Callable[[int, int], None] | None = None,
    stop: Callable[[], bool] = never,
) -> Iterator[World]:
    """Open the world for a run; where it can't be opened, the alert command is told.

    Each time, since how many such runs there were nobody can remember without a store.
    """
    with ExitStack() as opened:
        try:
            world = opened.enter_context(open_world(loaded, progress=progress, stop=stop))
        except SyncdError as error:
            from syncd.app.run import never_ran  # noqa: PLC0415  (only a run has use for it)

            CommandAlert(loaded.settings.alerts.command).tell(never_ran(error).document())
            raise
        yield world


@contextmanager
def open_gateways(settings: Settings) -> Iterator[dict[str, TextSender]]:
    """Open the SMS gateways, by their names and in the config's order, without calling them.

    Raises:
        ConfigurationError: what one of them is given can't be used.
    """
    opened: dict[str, TextSender] = {}
    try:
        for gateway in settings.sms:
            options = SmsOptions(
                url=gateway.url,
                key=_text(gateway.key),
                login=gateway.login or "",
                password=_text(gateway.password),
                sender=gateway.sender,
                timeout_s=settings.retry.timeout,
            )
            opened[gateway.name] = GATEWAYS[gateway.type](options)
        yield opened
    finally:
        for one in opened.values():
            one.close()


def sms_alert(settings: Settings, store: Store) -> SmsAlert | None:
    """Return what tells alerts by SMS, into this store's outbox; None where nobody is told so."""
    sms = settings.alerts.sms
    if sms is None:
        return None
    return SmsAlert(via=sms.via, to=sms.to, windows=store.alerts, now=clock.now)


def _alert(
    settings: Settings, store: Store
) -> Callable[[Mapping[str, Any], Mapping[str, Outcome]], None]:
    """Return what tells a run's alert in every way that the config names."""
    command, sms = CommandAlert(settings.alerts.command), sms_alert(settings, store)

    def tell(alert: Mapping[str, Any], news: Mapping[str, Outcome]) -> None:
        if sms is not None:  # before the command, which may take its time and be killed with us
            sms.tell(alert, news)
        command.tell(alert)

    return tell


def _relay(settings: Settings, store: Store) -> Callable[[Callable[[], bool]], None]:
    """Return what sends the messages that are due: a single run has no thread that does."""
    sms = sms_alert(settings, store)

    def relay(stop: Callable[[], bool]) -> None:
        with faults_logged():
            if sms is not None:
                sms.tell_rest()
            if settings.sms and store.outbox.due(clock.now()):
                with open_gateways(settings) as gateways:
                    relay_due(store.outbox, gateways, clock.now, stop)

    return relay


def _planfix(
    settings: Settings,
    calls: "_Calls",
    progress: Callable[[int, int], None] | None,
    stop: Callable[[], bool],
) -> Planfix:
    planfix, retry = settings.planfix, settings.retry
    options = PlanfixOptions(
        url=planfix.url,
        account=planfix.account,
        api_key=planfix.api_key.reveal(),
        token=_text(planfix.token),
        login=planfix.login or "",
        password=_text(planfix.password),
        signature_secret=_text(planfix.signature_secret) or None,
        page_size=planfix.page_size,
        requests_per_second=planfix.requests_per_second,
        daily_calls=planfix.daily_calls,
        timeout_s=retry.timeout,
        attempts=retry.attempts,
        wait_s=retry.wait,
        max_wait_s=retry.max_wait,
    )
    return Planfix(options, budget=calls, progress=progress, stop=stop)


class _Calls:
    """Counts our calls; where the day has a budget, in the store, which every process shares."""

    def __init__(self, store: Store, daily: int | None) -> None:
        self._store = store
        self._daily = daily
        self._made = 0

    def spend(self) -> None:
        """Count one call (QuotaError where the day's are used up)."""
        today = clock.now().date().isoformat()
        if self._daily is not None and not self._store.runs.spend(today, self._daily):
            raise QuotaError(
                f"The {self._daily} calls a day that [planfix] daily_calls allows are used up.",
                hint="They come back at midnight UTC; or raise daily_calls.",
            )
        self._made += 1

    def keep(self) -> None:
        """Keep the count for the metrics; a store that can't be written has worse to tell."""
        if self._made:
            with suppress(SyncdError):
                self._store.runs.called(self._made)


def account_of(settings: Settings) -> str:
    """Return the name of the account that selections belong to."""
    return f"{settings.planfix.url} {settings.planfix.account}"


def scopes_of(settings: Settings) -> dict[str, str]:
    """Return what the pairs of each link of the config are made with (guard 7)."""
    backends = {each.name: each for each in settings.backends}
    return {link.name: _scope(settings, backends[link.backend], link) for link in settings.links}


def taken_names(settings: Settings, backend: str) -> frozenset[str]:
    """Return which names no list that Planfix makes on a backend may have, casefolded.

    Those are the names of the config's links, and of its lists at the same place.
    """
    backends = {each.name: each for each in settings.backends}
    here = _place(backends.get(backend))
    links = {link.name.casefold() for link in settings.links}
    lists = (each for each in settings.links if _place(backends[each.backend]) == here)
    return frozenset(links | {each.list_name.casefold() for each in lists})


def _pushed_links(settings: Settings, store: Store) -> Iterator[Link]:
    """Yield the links of the lists that Planfix made.

    Raises:
        ConfigurationError: the config uses the name of one.
    """
    for made in store.pushes.lists():
        if made.ended:
            continue
        if made.link.casefold() in taken_names(settings, made.backend):
            raise ConfigurationError(
                f"{made.link!r} is the name of a list that Planfix made on backend {made.backend},"
                " and of its link; the config has a link or a list of that name, too.",
                hint="Write another name in the config, or have Planfix give its list up first.",
            )
        yield made.as_link()


def _retry(settings: Settings, stop: Callable[[], bool]) -> Retry:
    retry = settings.retry
    return Retry(
        attempts=retry.attempts,
        wait_s=retry.wait,
        max_wait_s=retry.max_wait,
        timeout_s=retry.timeout,
        stop=stop,
    )


def _place(backend: BackendSettings | None) -> str:
    """Return where a backend's lists are; two backends may be one service."""
    if backend is None:
        return ""
    return " ".join(part.rstrip("/") for part in backend.place.casefold().split()) or backend.name


def _scope(settings: Settings, backend: BackendSettings | None, link: Link) -> str:
    """Return what the pairs of a link are made with, as one text (guard 7)."""
    planfix = settings.planfix
    kind, place = (backend.type, backend.place) if backend else ("", "")
    return json.dumps(
        [planfix.url, planfix.account, kind, place, link.list_name, link.list_id],
        ensure_ascii=False,
    )


def _text(secret: Secret | None) -> str:
    return secret.reveal() if secret is not None else ""
