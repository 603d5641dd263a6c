"""The config's keys: one frozen class per section; in it, per key, name, type, default and help.

A duration is held in seconds. A relative path is taken from the config file's folder.
"""

from dataclasses import MISSING, dataclass, fields
from dataclasses import field as row
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, get_args, get_type_hints
from zoneinfo import ZoneInfo

from syncd.config.kinds import (
    BOOLEAN,
    COMMAND,
    CRON,
    DURATION,
    LIST_ID,
    PATH,
    RATE,
    SECRET,
    SELECTION,
    TABLE,
    TEXT,
    TIMEZONE,
    URL,
    Kind,
    choice,
    whole_number,
)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One key of a section; a sub-table has the class of its own rows in `section`."""

    name: str
    kind: Kind
    help: str
    required: bool
    default: object
    section: type | None = None


def _key(kind: Kind, told: str) -> dict[str, object]:
    return {"kind": kind, "help": told}


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
        default=None, metadata=_key(whole_number(1), "Planfix's custom field. Not yet.")
    )
    unsubscribed: str = row(
        default="", metadata=_key(TEXT, "The field's value after an unsubscribe. Not yet.")
    )
    subscribed: str = row(default="", metadata=_key(TEXT, "The field's value before it. Not yet."))
    allow_planfix_release: bool = row(
        default=False,
        metadata=_key(BOOLEAN, "Whether the field, set back by hand, ends a latch. Not yet."),
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
        metadata=_key(choice(Direction), "Which way changes travel; only to-list yet."),
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
class Alerts:
    """`[alerts]`: who is told when something needs a person."""

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
class BackendSettings:
    """One backend; `options` is an instance of the class its type was declared with."""

    name: str
    type: str
    options: Any = row(repr=False)  # the type's own; its secrets are plain text


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The whole config."""

    planfix: Planfix
    retry: Retry
    store: Store
    schedule: Schedule
    backends: tuple[BackendSettings, ...]
    links: tuple[Link, ...]
    alerts: Alerts
    log: Log


SECTIONS: Final[dict[str, type]] = {
    "planfix": Planfix,
    "retry": Retry,
    "store": Store,
    "schedule": Schedule,
    "alerts": Alerts,
    "log": Log,
}
"""The sections that stand in `[brackets]`, once each."""

ARRAYS: Final[dict[str, type]] = {"backends": BackendKeys, "links": LinkKeys}
"""Those in `[[double brackets]]`, as often as needed."""


def rows_of(section: type) -> tuple[Row, ...]:
    """Return the keys of a section."""
    return tuple(
        Row(
            name=key.name,
            kind=key.metadata["kind"],
            help=key.metadata["help"],
            required=key.default is MISSING,
            default=key.default,
            section=key.metadata.get("section"),
        )
        for key in fields(section)
    )


def rows_of_options(options: type) -> tuple[Row, ...]:
    """Return the keys that a type of backend adds, from the fields of its Options.

    They are text or a Path; one called `url` is an address; one with the metadata
    `secret` takes whatever a secret may be, and gets its text.
    """
    hints = get_type_hints(options)
    return tuple(
        Row(
            name=key.name,
            kind=SECRET if key.metadata.get("secret") else _kind_of(key.name, hints[key.name]),
            help=key.metadata.get("help", ""),
            required=key.default is MISSING,
            default=key.default,
        )
        for key in fields(options)
    )


def _kind_of(name: str, hint: object) -> Kind:
    if Path in {hint, *get_args(hint)}:
        return PATH
    return URL if name == "url" else TEXT


def _values(section: LimitKeys | ConsentKeys) -> dict[str, Any]:
    return {key.name: getattr(section, key.name) for key in fields(section)}
