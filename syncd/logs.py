"""Set up the log: one line per event on stderr, with nothing in it that is a secret or a person.

Where stderr leads into systemd's journal, what a line says is in fields of its entry as well.

Redaction looks at every value of every event, exception texts included, just before it is
written; what slips through a call's own care ends here.
"""

import logging
import re
import sys
import threading
from collections.abc import Iterable, Mapping, MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TextIO
from urllib.parse import quote, quote_plus

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from syncd import journald

HIDDEN: Final = "…"
STYLES: Final = ("auto", "console", "json")

_SHORTEST_SECRET: Final = 4  # anything shorter would tear holes into innocent words
_OURS: Final = frozenset({"level", "timestamp"})

# Possessive, and anchored to where a word begins, so that a long line costs one pass.
_ADDRESS: Final = re.compile(r'(?:"[^"@]*+"|(?<![^\s<>"(),;@])[^\s<>"(),;@]++)@[^\s<>"(),;]+')
_QUOTED_ADDRESS: Final = re.compile(r"""(?<![^\s/?&="'])[^\s/?&="']*%40[^\s/?&="']*""")
_NAMES: Final = r"authorization|auth_?token|api_?key|access_?token|token|sid|password|signature"
_ELEMENT: Final = re.compile(rf"<({_NAMES})>[^<]*", re.IGNORECASE)
_NAMED: Final = re.compile(
    rf"""\b({_NAMES})\b(["']?\s*[:=]\s*)"""
    r"""(?:(?:Basic|Bearer)\s+)?(?:"[^"]*"|'[^']*'|[^\s"'<>&,;)}]+)""",
    re.IGNORECASE,
)
_SECRET_KEY: Final = re.compile(rf"(?:.*_)?(?:{_NAMES})", re.IGNORECASE)

_secrets: set[str] = set()


def hide(secrets: Iterable[str]) -> None:
    """Keep these values out of every later line, also where a URL has them quoted."""
    for secret in secrets:
        if len(secret) >= _SHORTEST_SECRET:
            _secrets.update((secret, quote(secret, safe=""), quote_plus(secret)))


def redact(text: str) -> str:
    """Return a text without e-mail addresses and without anything known or named as a secret."""
    for secret in sorted(_secrets, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    text = _ELEMENT.sub(rf"<\1>{HIDDEN}", text)
    text = _NAMED.sub(rf"\1\2{HIDDEN}", text)
    if "%40" in text:
        text = _QUOTED_ADDRESS.sub(HIDDEN, text)
    return _ADDRESS.sub(HIDDEN, text) if "@" in text else text


def configure(
    level: str, style: str, stream: TextIO | None = None, journal: Path = journald.SOCKET
) -> None:
    """Send every log of this process to one stream; may be called again to change it.

    `style` is one of `STYLES`: auto means console on a terminal, JSON elsewhere. Where the
    stream leads into systemd's journal, `journal` is its socket. Other libraries are heard from
    `warning` on.
    """
    stream = stream or sys.stderr
    console = stream.isatty() if style == "auto" else style == "console"
    logger: _Lines | _Entries = _Lines(stream)
    render: Processor = _CONSOLE if console else _JSON
    if not console and journald.is_behind(stream):
        logger, render = _Entries(journal, _Lines(stream)), _in_fields
    structlog.configure(
        processors=[*_CHAIN, render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: logger,
        cache_logger_on_first_use=False,  # SIGHUP may change all of this
    )
    logging.basicConfig(level=logging.WARNING, handlers=[_Bridge()], force=True)


def unfiltered_log() -> structlog.typing.FilteringBoundLogger:
    """Return a logger that no level keeps silent, for what somebody asked to see."""
    everything: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(
        None, wrapper_class=structlog.make_filtering_bound_logger("notset")
    )
    return everything


def _redact_event(_: WrappedLogger, __: str, event: EventDict) -> MutableMapping[str, Any]:
    return {
        key: value if key in _OURS else HIDDEN if _named_secret(key, value) else _redact(value)
        for key, value in event.items()
    }


def _redact(value: object) -> object:
    match value:
        case None | bool() | int() | float():
            return value
        case str():
            return redact(value)
        case Mapping():
            return {
                redact(str(name)): HIDDEN if _named_secret(str(name), each) else _redact(each)
                for name, each in value.items()
            }
        case list() | tuple() | set() | frozenset():
            return [_redact(each) for each in value]
        case _:
            # Here, since a renderer would do it later, past the redaction.
            return redact(str(value))


def _named_secret(name: str, value: object) -> bool:
    return bool(value) and _SECRET_KEY.fullmatch(name) is not None


_CHAIN: Final[list[Processor]] = [
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,  # the plain form: no local values
    _redact_event,
]
_CONSOLE: Final = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
_JSON: Final = structlog.processors.JSONRenderer(ensure_ascii=False)
_PRIORITIES: Final = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}  # syslog(3)


def _in_fields(logger: WrappedLogger, name: str, event: EventDict) -> MutableMapping[str, Any]:
    """Return an entry of the journal: the line as its message, and each key as a field."""
    fields = {
        "MESSAGE": str(_JSON(logger, name, dict(event))),
        "PRIORITY": str(_PRIORITIES.get(event["level"], 6)),
        "SYSLOG_IDENTIFIER": "syncd",
    }
    for key, value in event.items():
        if key not in _OURS and value is not None and key.isascii():
            fields[f"SYNCD_{key.upper()}"] = str(value)
    return {"fields": fields}


class _Bridge(logging.Handler):
    """Hand the records of other libraries to our own log."""

    def emit(self, record: logging.LogRecord) -> None:
        structlog.get_logger().log(
            record.levelno,
            "library.spoke",
            library=record.name,
            message=record.getMessage(),
            exc_info=record.exc_info or False,
        )


class _Lines:
    """Write lines to a stream; a log that can't be written must not end a run."""

    _lock: Final = threading.Lock()

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def msg(self, line: str) -> None:
        with self._lock, suppress(OSError, ValueError):
            self._stream.write(line + "\n")
            self._stream.flush()

    debug = info = warning = error = critical = exception = msg


class _Entries:
    """Write entries to the journal, and as lines what it doesn't take."""

    def __init__(self, journal: Path, lines: _Lines) -> None:
        self._journal = journal
        self._lines = lines

    def msg(self, *, fields: Mapping[str, str]) -> None:
        try:
            journald.send(fields, self._journal)
        except OSError:
            self._lines.msg(fields["MESSAGE"])

    debug = info = warning = error = critical = exception = msg
