"""The reference tables of docs/config.md, as the code would write them."""

from enum import Enum
from pathlib import Path

from syncd.config.kinds import DURATION, Listen
from syncd.config.rows import Row
from syncd.config.settings import AlertSms, ConsentKeys, EmailPush, LimitKeys, SmsPush

SUBTABLES: dict[str, type] = {
    "[links.limits]": LimitKeys,
    "[links.consent]": ConsentKeys,
    "[[receiver.email]]": EmailPush,
    "[[receiver.sms]]": SmsPush,
    "[alerts.sms]": AlertSms,
}

HEAD = ["| key | write | default | meaning |", "| --- | --- | --- | --- |"]


def table_of(rows: tuple[Row, ...]) -> list[str]:
    return HEAD + [
        f"| `{row.name}` | {row.kind.wanted} | {default_of(row)} | {row.help} |" for row in rows
    ]


def default_of(row: Row) -> str:
    if row.required:
        return "required"
    if row.section or row.default in (None, "", ()):
        return "–"
    return f"`{written(row)}`"


def written(row: Row) -> str:
    match row.default:
        case bool() as value:
            return str(value).lower()
        case float() as value if row.kind is DURATION:
            return f'"{value / 60:.0f}m"' if row.name == "every" else f'"{value:.0f}s"'
        case Enum() | str() | Path() | Listen() as value:
            return f'"{value}"'
        case value:
            return str(value)
