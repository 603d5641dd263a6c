"""The config's keys: one frozen class per section; in it, per key, name, type, default and help.

A duration is held in seconds. A relative path is taken from the config file's folder.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from dataclasses import field as row
from enum import StrEnum
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from syncd.config.kinds import (
    BOOLEAN,
    COMMAND,
    CRON,
    DURATION,
    LIST_ID,
    LISTEN,
    PATH,
    PHONES,
    RATE,
    SECRET,
    SELECTION,
    TABLE,
    TABLES,
    TEXT,
    TIMEZONE,
    URL,
    Listen,
    choice,
    whole_number,
)
from syncd.config.rows import key as _key
from syncd.config.secrets import Secret
from syncd.core.link import (
    Conflict,
    Consent,
    ConsentScope,
    Direction,
    Limits,
    Link,
    NewSubscribers,
    Selection,
    Vanished,
)
from syncd.core.sms import PhoneNumber


@dataclass(frozen=True, slots=True, kw_only=True)
class Planfix:
    """`[planfix]`: the account, and how we call it."""

    url: str = row(metadata=_key(URL, "Address of the XML API; it differs per data centre."))
    account: str = row(metadata=_key(TEXT, "The account's name."))
    api_key: Secret = row(metadata=_key(SECRET, "The application's key."))
    token: Secret | None = row(
        default=None, metadata=_key(SECRET, "An employee's token; or login and password.")
    )
    login: str | None = row(
        default=None, metadata=_key(TEXT, "An employee's login, where there is no token.")
    )
    password: Secret | None = row(
        default=None, metadata=_key(SECRET, "The password that goes with login.")
    )
    signature_secret: Secret | None = row(
        default=None, metadata=_key(SECRET, "Signs requests, where the account asks for it.")
    )
    page_size: int = row(
        default=100, metadata=_key(whole_number(1, 100), "Contacts asked for in one call.")
    )
    requests_per_second: float = row(default=1.0, metadata=_key(RATE, "Calls per second at most."))
    daily_calls: int | None = row(
        default=None,
        metadata=_key(whole_number(1), "Calls per day, after which reading stops until the next."),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """`[retry]`: what a passing fault costs at most, on every side."""

    attempts: int = row(
        default=5, metadata=_key(whole_number(1, 100), "Tries of one call, the first included.")
    )
    wait: float = row(
        default=1.0,
        metadata=_key(DURATION, "Pause before the second try; doubles each time, with jitter."),
    )
    max_wait: float = row(default=60.0, metadata=_key(DURATION, "The longest pause."))
    timeout: float = row(
        default=120.0,
        metadata=_key(DURATION, "One call, from the first byte sent to the last received."),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """`[store]`: where syncd keeps what it remembers."""

    path: Path = row(
        default=Path("/var/lib/syncd/syncd.db"), metadata=_key(PATH, "The database file.")
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """`[schedule]`: when the daemon runs; `every` is None exactly where `cron` is given."""

    every: float | None = row(
        default=900.0, metadata=_key(DURATION, "Time from run to run; or cron.")
    )
    cron: str | None = row(
        default=None,
        metadata=_key(CRON, "Runs by the clock: minute, hour, day, month, weekday by name."),
    )
    timezone: ZoneInfo | None = row(
        default=None, metadata=_key(TIMEZONE, "The clock that cron goes by; else the machine's.")
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendKeys:
    """`[[backends]]`: the keys of every backend; its type adds those of its own."""

    name: str = row(metadata=_key(TEXT, "What links call it."))
    type: str = row(metadata=_key(TEXT, "The kind of service; each has further keys, below."))


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitKeys:
    """`[links.limits]`: how many members one day may take off the list."""

    removals: int = row(
        default=Limits().removals, metadata=_key(whole_number(0), "Removals in 24 hours at most.")
    )
    removals_percent: int = row(
        default=Limits().removals_percent,
        metadata=_key(whole_number(0, 100), "The same as a share of the list."),
    )
    removals_floor: int = row(
        default=Limits().removals_floor,
        metadata=_key(whole_number(0), "So many are allowed however short the list."),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentKeys:
    """`[links.consent]`: how far an unsubscribe reaches, and where Planfix shows it."""

    scope: ConsentScope = row(
        default=ConsentScope.LINK,
        metadata=_key(choice(ConsentScope), "Whether one unsubscribe counts for every link."),
    )
    field: int | None = row(
        default=None,
        metadata=_key(whole_number(1), "The id of Planfix's custom field that shows consent."),
    )
    unsubscribed: str = row(
        default="", metadata=_key(TEXT, "The field's value after an unsubscribe.")
    )
    subscribed: str = row(default="", metadata=_key(TEXT, "The field's value before it."))
    allow_planfix_release: bool = row(
        default=False,
        metadata=_key(BOOLEAN, "Whether the field, set back by hand, ends a latch."),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkKeys:
    """`[[links]]`: one selection of contacts bound to one list."""

    name: str = row(metadata=_key(TEXT, "What commands and logs call it."))
    selection: Selection = row(
        metadata=_key(SELECTION, "Persons, companies, or a saved filter by its id.")
    )
    backend: str = row(metadata=_key(TEXT, "The name of a backend."))
    list: str = row(
        default="", metadata=_key(TEXT, "The list's name; created if missing. Or list_id.")
    )
    list_id: str | int | None = row(
        default=None, metadata=_key(LIST_ID, "The id of a list that exists.")
    )
    direction: Direction = row(
        default=Direction.TO_LIST,
        metadata=_key(choice(Direction), "Which way changes travel."),
    )
    conflict: Conflict = row(
        default=Conflict.PLANFIX,
        metadata=_key(choice(Conflict), "Who wins where both sides changed the same field."),
    )
    new_subscribers: NewSubscribers = row(
        default=NewSubscribers.IGNORE,
        metadata=_key(choice(NewSubscribers), "What becomes of a member without a contact."),
    )
    vanished: Vanished = row(
        default=Vanished.UNSUBSCRIBE,
        metadata=_key(choice(Vanished), "How a member gone for an unknown reason is read."),
    )
    limits: LimitKeys = row(
        default=LimitKeys(), metadata={"section": LimitKeys, **_key(TABLE, "See below.")}
    )
    consent: ConsentKeys = row(
        default=ConsentKeys(), metadata={"section": ConsentKeys, **_key(TABLE, "See below.")}
    )

    def link(self) -> Link:
        """Return the link that these keys describe."""
        return Link(
            name=self.name,
            selection=self.selection,
            backend=self.backend,
            list_name=self.list,
            list_id=self.list_id,
            direction=self.direction,
            conflict=self.conflict,
            new_subscribers=self.new_subscribers,
            vanished=self.vanished,
            limits=Limits(**_values(self.limits)),
            consent=Consent(**_values(self.consent)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailPush:
    """`[[receiver.email]]`: one e-mail service integration of Planfix's, which pushes to us."""

    token: Secret = row(metadata=_key(SECRET, "What the integration sends as its token."))
    backend: str = row(metadata=_key(TEXT, "The name of the backend that its lists are made on."))


@dataclass(frozen=True, slots=True, kw_only=True)
class SmsPush:
    """`[[receiver.sms]]`: one SMS integration of Planfix's; login and password, or key."""

    login: str | None = row(
        default=None, metadata=_key(TEXT, "The integration's login, where it has no key.")
    )
    password: Secret | None = row(
        default=None, metadata=_key(SECRET, "The password that goes with login.")
    )
    key: Secret | None = row(
        default=None, metadata=_key(SECRET, "The integration's key; or login and password.")
    )
    relay: str = row(metadata=_key(TEXT, "The name of the gateway that sends its messages."))


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """`[receiver]`: our own server, which takes pushes; there is none where it is missing."""

    listen: Listen = row(
        default=Listen("127.0.0.1", 8787),
        metadata=_key(LISTEN, "The public side, for Planfix and the lists."),
    )
    admin_listen: Listen = row(
        default=Listen("127.0.0.1", 8788),
        metadata=_key(LISTEN, "The operator's side: the page, metrics and health."),
    )
    email: tuple[EmailPush, ...] = row(
        default=(), metadata={"section": EmailPush, **_key(TABLES, "See below.")}
    )
    sms: tuple[SmsPush, ...] = row(
        default=(), metadata={"section": SmsPush, **_key(TABLES, "See below.")}
    )


class SmsType(StrEnum):
    """The protocol that an SMS gateway speaks; `planfix-sms` is that of Planfix's integration."""

    PLANFIX_SMS = "planfix-sms"
    KANNEL = "kannel"


@dataclass(frozen=True, slots=True, kw_only=True)
class SmsGateway:
    """`[[sms]]`: who sends SMS for us; login and password, or key."""

    name: str = row(metadata=_key(TEXT, "What relay and via call it."))
    type: SmsType = row(metadata=_key(choice(SmsType), "The protocol it speaks."))
    url: str = row(metadata=_key(URL, "The address that takes each message."))
    login: str | None = row(
        default=None, metadata=_key(TEXT, "Our login there, where we have no key.")
    )
    password: Secret | None = row(
        default=None, metadata=_key(SECRET, "The password that goes with login.")
    )
    key: Secret | None = row(
        default=None,
        metadata=_key(SECRET, "Our key there, with planfix-sms; or login and password."),
    )
    sender: str = row(
        default="", metadata=_key(TEXT, "The sender's name of a message that has none.")
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertSms:
    """`[alerts.sms]`: alerts by SMS."""

    via: str = row(metadata=_key(TEXT, "The name of a gateway."))
    to: tuple[PhoneNumber, ...] = row(metadata=_key(PHONES, "Who gets each alert."))


@dataclass(frozen=True, slots=True, kw_only=True)
class Alerts:
    """`[alerts]`: who is told when something needs a person."""

    sms: AlertSms | None = row(
        default=None, metadata={"section": AlertSms, **_key(TABLE, "See below.")}
    )
    command: tuple[str, ...] = row(
        default=(), metadata=_key(COMMAND, "Gets the alert as JSON on standard input.")
    )
    after_failures: int = row(
        default=3,
        metadata=_key(whole_number(1), "Failed runs in a row; a refused run alerts at once."),
    )


class LogLevel(StrEnum):
    """The least important event that is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """How a log line looks; `auto` is console on a terminal, else JSON."""

    AUTO = "auto"
    CONSOLE = "console"
    JSON = "json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """`[log]`: what goes to standard error."""

    level: LogLevel = row(
        default=LogLevel.INFO, metadata=_key(choice(LogLevel), "The least important event shown.")
    )
    format: LogFormat = row(
        default=LogFormat.AUTO,
        metadata=_key(choice(LogFormat), "auto is console on a terminal, else JSON."),
    )


@dataclass(frozen=True, slots=True)
class BackendType:
    """What a config has to know of a type of backend: its further keys, and what it can do."""

    options: type
    can_read: bool


@dataclass(frozen=True, slots=True)
class BackendSettings:
    """One backend; `options` is an instance of the class its type was declared with."""

    name: str
    type: str
    place: str  # tells its lists from others of the same name
    options: Any = row(repr=False)  # the type's own; its secrets are plain text


def place_of(values: Mapping[str, object]) -> str:
    """Return where a backend's lists are, from its keys; logins are no part of it."""
    return " ".join(str(values[key]) for key in ("url", "path", "domain") if values.get(key))


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The whole config; `receiver` is None where nothing is to be pushed to us."""

    planfix: Planfix
    retry: Retry
    store: Store
    schedule: Schedule
    backends: tuple[BackendSettings, ...]
    links: tuple[Link, ...]
    receiver: Receiver | None = None
    sms: tuple[SmsGateway, ...]
    alerts: Alerts
    log: Log


SECTIONS: Final[dict[str, type]] = {
    "planfix": Planfix,
    "retry": Retry,
    "store": Store,
    "schedule": Schedule,
    "receiver": Receiver,
    "alerts": Alerts,
    "log": Log,
}
"""The sections that stand in `[brackets]`, once each."""

OPTIONAL: Final = {"receiver"}
"""Those that are a wish by being there, even empty."""

ARRAYS: Final[dict[str, type]] = {
    "backends": BackendKeys,
    "links": LinkKeys,
    "sms": SmsGateway,
}
"""Those in `[[double brackets]]`, as often as needed."""


def _values(section: LimitKeys | ConsentKeys) -> dict[str, Any]:
    return {key.name: getattr(section, key.name) for key in fields(section)}
