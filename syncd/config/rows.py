"""How a key is declared: a field of a frozen class, its metadata made by `key`."""

from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import get_args, get_type_hints

from syncd.config.kinds import PATH, SECRET, TEXT, URL, Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One key of a section; a sub-table, or each of several, has its rows' class in `section`."""

    name: str
    kind: Kind
    help: str
    required: bool
    default: object
    section: type | None = None


def key(kind: Kind, told: str) -> dict[str, object]:
    """Return the metadata of a key's field; `told` is its help."""
    return {"kind": kind, "help": told}


def rows_of(section: type) -> tuple[Row, ...]:
    """Return the keys of a section."""
    return tuple(
        Row(
            name=each.name,
            kind=each.metadata["kind"],
            help=each.metadata["help"],
            required=each.default is MISSING,
            default=each.default,
            section=each.metadata.get("section"),
        )
        for each in fields(section)
    )


def rows_of_options(options: type) -> tuple[Row, ...]:
    """Return the keys that a type of backend adds, from the fields of its Options.

    They are text or a Path; one called `url` is an address; one with the metadata
    `secret` takes whatever a secret may be, and gets its text.
    """
    hints = get_type_hints(options)
    return tuple(
        Row(
            name=each.name,
            kind=SECRET if each.metadata.get("secret") else _kind_of(each.name, hints[each.name]),
            help=each.metadata.get("help", ""),
            required=each.default is MISSING,
            default=each.default,
        )
        for each in fields(options)
    )


def _kind_of(name: str, hint: object) -> Kind:
    if Path in {hint, *get_args(hint)}:
        return PATH
    return URL if name == "url" else TEXT
