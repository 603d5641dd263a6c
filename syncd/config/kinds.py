"""The types of value a key can have: each says what to write, and makes a setting of it."""

import difflib
import ipaddress
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from syncd.config.secrets import Surroundings, WrongValueError, came, has_control, read_secret
from syncd.core.link import Selection
from syncd.core.sms import PhoneNumber, phone_number

_MANY: Final = 1_000_000_000
"""The bound of numbers that have none of their own; the store can hold it."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of value: `wanted` says what to write, `read` makes a setting of it.

    `read` raises WrongValueError.
    """

    wanted: str
    read: Callable[[object, Surroundings], object]


@dataclass(frozen=True, slots=True)
class Listen:
    """Where a server of ours listens; port 0 is any that is free."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a question that names the nearest known word; empty where none is near."""
    near = difflib.get_close_matches(word.lower(), sorted(known), n=1, cutoff=0.6)
    return f'did you mean "{near[0]}"?' if near else ""


def _text_of(value: object, wanted: str) -> str:
    if not isinstance(value, str):
        raise WrongValueError(f"is {came(value)}; write {wanted}")
    if not value.strip() or has_control(value):
        raise WrongValueError(f"is empty or has control characters in it; write {wanted}")
    return value


def _text(wanted: str, read: Callable[[str], object] = str) -> Kind:
    """Make a kind of what is written as text, and is not empty."""
    return Kind(wanted, lambda value, _: read(_text_of(value, wanted)))


def choice(words: Iterable[str]) -> Kind:
    """Make a kind of a few words; those of an enum come out as its members."""
    choices = {str(word): word for word in words}
    wanted = " or ".join(f'"{word}"' for word in choices)

    def read(text: str) -> str:
        if text not in choices:
            question = did_you_mean(text, choices)
            raise WrongValueError(f"is no known word; {question or f'write {wanted}'}")
        return choices[text]

    return _text(wanted, read)


def whole_number(low: int, high: int = _MANY) -> Kind:
    """Make a kind of whole numbers within bounds."""
    bounds = f", {low} or more" if high == _MANY else f" from {low} to {high}"
    wanted = f"a whole number{bounds}"

    def read(value: object, _: Surroundings) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise WrongValueError(f"is {came(value)}; write {wanted}")
        if not low <= value <= high:
            raise WrongValueError(f"is out of range; write {wanted}")
        return value

    return Kind(wanted, read)


_DURATION: Final = re.compile(r"([0-9]{1,9})([smhd])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def _read_duration(text: str) -> float:
    found = _DURATION.fullmatch(text)
    if found is None or not int(found[1]):
        raise WrongValueError(f"is no duration; write {DURATION.wanted}")
    return float(int(found[1]) * _SECONDS[found[2]])


def _read_rate(value: object, _: Surroundings) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise WrongValueError(f"is {came(value)}; write {RATE.wanted}")
    # The lower bound keeps the pause between two calls a length of time one can wait.
    if not (math.isfinite(value) and value >= 0.001):  # noqa: PLR2004
        raise WrongValueError(f"is out of range; write {RATE.wanted}")
    return float(value)


def _read_boolean(value: object, _: Surroundings) -> bool:
    if not isinstance(value, bool):
        raise WrongValueError(f"is {came(value)}; write true or false, without quotes")
    return value


def _read_path(value: object, surroundings: Surroundings) -> Path:
    return surroundings.folder / _text_of(value, PATH.wanted)


def _read_command(value: object, _: Surroundings) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise WrongValueError(f"is {came(value)}; write {COMMAND.wanted}")
    if not value or not all(isinstance(word, str) and "\0" not in word for word in value):
        raise WrongValueError(f"is empty or holds other things than text; write {COMMAND.wanted}")
    if not value[0].strip():
        raise WrongValueError("has no program in its first place; write its path there")
    return tuple(value)


def _read_phones(value: object, _: Surroundings) -> tuple[PhoneNumber, ...]:
    if not isinstance(value, list):
        raise WrongValueError(f"is {came(value)}; write {PHONES.wanted}")
    if not value or not all(isinstance(number, str) for number in value):
        raise WrongValueError(f"is empty or holds other things than text; write {PHONES.wanted}")
    try:
        return tuple(map(phone_number, value))
    except ValueError:
        raise WrongValueError(
            "holds what is no number of 7 to 15 digits; write one in each pair of quotes"
        ) from None


_LISTEN: Final = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+):([0-9]{1,5})")
_PORT_MAX: Final = 65535


def _read_listen(text: str) -> Listen:
    found = _LISTEN.fullmatch(text)
    if found is None or int(found[2]) > _PORT_MAX:
        raise WrongValueError(f"is no host and port; write {LISTEN.wanted}")
    host = found[1].strip("[]")
    if host != found[1]:
        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            raise WrongValueError(f"is no host and port; write {LISTEN.wanted}") from None
    return Listen(host, int(found[2]))


def _read_url(text: str) -> str:
    # No message shows the address: one that is wrong may have a password in it.
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise WrongValueError(f"is no address; write {URL.wanted}") from None
    if parts.scheme not in {"https", "http"} or not host or re.search(r"\s", text):
        raise WrongValueError(f"is no web address; write {URL.wanted}")
    if parts.username is not None or parts.password is not None:
        raise WrongValueError("has a login in it; put that into the keys made for it")
    if parts.fragment:
        raise WrongValueError("has a # in it; leave out what begins there")
    if parts.scheme == "http" and not _is_loopback(host):
        raise WrongValueError("would be called without encryption; write https://")
    return text


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _read_cron(text: str) -> str:
    from apscheduler.triggers.cron import CronTrigger  # noqa: PLC0415  (slow; few configs need it)

    # APScheduler counts weekdays from Monday = 0, cron from Sunday = 0: names are the same in both.
    if re.search(r"(?<!/)\b[0-9]", text.rsplit(maxsplit=1)[-1]):
        raise WrongValueError('has a weekday as a number; write its name, such as "mon-fri"')
    try:
        trigger = CronTrigger.from_crontab(text, UTC)
    except ValueError:
        raise WrongValueError(f"is no cron text; write {CRON.wanted}") from None
    if trigger.get_next_fire_time(None, datetime(2024, 1, 1, tzinfo=UTC)) is None:
        raise WrongValueError("names a day that never comes; correct the day or the month")
    return text


def _read_timezone(text: str) -> ZoneInfo:
    try:
        return ZoneInfo(text)
    except (KeyError, ValueError, OSError):
        raise WrongValueError(f"is no known time zone; write {TIMEZONE.wanted}") from None


def _read_selection(text: str) -> Selection:
    if text in {"contact", "company"}:
        return Selection(text)
    target = text.removeprefix("filter:").strip()
    # Planfix takes these words for selections of its own and not for a filter's id.
    words = {"", "contact", "company", "template"}
    if not text.startswith("filter:") or target in words or Selection(target).is_pushed:
        raise WrongValueError(f"is no selection; write {SELECTION.wanted}")
    return Selection(target)


def _read_list_id(value: object, surroundings: Surroundings) -> str | int:
    if isinstance(value, str):
        return _text_of(value, LIST_ID.wanted)
    try:
        whole_number(0, 2**63 - 1).read(value, surroundings)
    except WrongValueError:
        raise WrongValueError(f"is no list's id; write {LIST_ID.wanted}") from None
    assert isinstance(value, int)  # noqa: S101
    return value


TEXT: Final = _text("text")
BOOLEAN: Final = Kind("true or false", _read_boolean)
DURATION: Final = _text('a duration such as "30s", "15m", "2h" or "1d"', _read_duration)
RATE: Final = Kind("a number of at least 0.001", _read_rate)
PATH: Final = Kind("a path", _read_path)
COMMAND: Final = Kind('a list of texts such as ["/usr/local/bin/page-me"]', _read_command)
PHONES: Final = Kind('a list of phone numbers such as ["+4915112345678"]', _read_phones)
SECRET: Final = Kind("a secret", read_secret)
URL: Final = _text("an https:// address (http:// for this machine only)", _read_url)
LISTEN: Final = _text('host:port such as "127.0.0.1:8787"', _read_listen)
CRON: Final = _text('five fields such as "*/15 8-20 * * mon-fri"', _read_cron)
TIMEZONE: Final = _text('a time zone such as "Europe/Berlin"', _read_timezone)
SELECTION: Final = _text('"contact", "company" or "filter:ID"', _read_selection)
LIST_ID: Final = Kind("text or a whole number, as the service shows it", _read_list_id)
TABLE: Final = Kind("a table", lambda value, _: value)
TABLES: Final = Kind("tables in [[double brackets]]", lambda value, _: value)
