"""Document → settings: all problems at once, each with its line and what to do."""

import os
import shlex
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from syncd.config import document
from syncd.config.document import KeyPath
from syncd.config.kinds import Kind, choice
from syncd.config.reading import Reading, Table
from syncd.config.rows import rows_of, rows_of_options
from syncd.config.rules import check_rules
from syncd.config.secrets import Secret, Surroundings, WrongValueError
from syncd.config.settings import (
    ARRAYS,
    OPTIONAL,
    SECTIONS,
    BackendKeys,
    BackendSettings,
    BackendType,
    LinkKeys,
    Settings,
    SmsGateway,
    place_of,
)

DEFAULT_PATH: Final = Path("/etc/syncd/config.toml")

LATER_TYPES: Final = ("unisender", "mailchimp")
"""The types of backend that are meant to come."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A config without a fault; `warnings` are for the operator."""

    settings: Settings
    warnings: tuple[str, ...]


def find(explicit: str | None, environ: Mapping[str, str]) -> Path:
    """Return the config's path: as asked for, else from SYNCD_CONFIG, else the usual place."""
    return Path(explicit or environ.get("SYNCD_CONFIG") or DEFAULT_PATH)


def load(path: Path, types: Mapping[str, BackendType]) -> Loaded:
    """Read a config; `types` are the types of backend there are.

    Raises:
        ConfigurationError: with every problem, one per line.
    """
    text = document.read(path)
    reading = Reading(text, Surroundings(path.parent, os.environ))
    reading.refuse_unknown((), text.data, {*SECTIONS, *ARRAYS})
    sections = {
        name: reading.section(name, rows_of(cls))
        for name, cls in SECTIONS.items()
        if name in text.data or name not in OPTIONAL
    }
    arrays = {
        name: [
            _read_backend(reading, where, raw, types)
            if cls is BackendKeys
            else reading.table(where, raw, rows_of(cls))
            for where, raw in reading.array(name)
        ]
        for name, cls in ARRAYS.items()
    }

    check_rules(reading, sections, arrays, types)
    reading.raise_problems()

    settings = Settings(
        **{name: SECTIONS[name](**table.built()) for name, table in sections.items()},
        backends=tuple(_build_backend(table, types) for table in arrays["backends"]),
        links=tuple(LinkKeys(**table.built()).link() for table in arrays["links"]),
        sms=tuple(SmsGateway(**table.built()) for table in arrays["sms"]),
    )
    return Loaded(settings, tuple(_warnings(path)) if reading.holds_secret else ())


def _read_backend(
    reading: Reading, where: KeyPath, raw: Mapping[str, object], types: Mapping[str, BackendType]
) -> Table:
    rows = [
        replace(row, kind=_type_kind(types)) if row.name == "type" else row
        for row in rows_of(BackendKeys)
    ]
    kind = raw.get("type")
    if isinstance(kind, str) and kind in types:
        rows += rows_of_options(types[kind].options)
    else:  # Nobody knows which further keys it may have.
        raw = {row.name: raw[row.name] for row in rows if row.name in raw}
    return reading.table(where, raw, rows)


def _type_kind(types: Mapping[str, BackendType]) -> Kind:
    known = choice(types)

    def read(value: object, surroundings: Surroundings) -> object:
        if value in LATER_TYPES and value not in types:
            raise WrongValueError(f"this version does not have it yet; write {known.wanted}")
        return known.read(value, surroundings)

    return Kind(known.wanted, read)


def _build_backend(table: Table, types: Mapping[str, BackendType]) -> BackendSettings:
    values = {
        name: value.reveal() if isinstance(value, Secret) else value
        for name, value in table.values.items()
    }
    name, kind = values.pop("name"), values.pop("type")
    return BackendSettings(name, kind, place_of(values), types[kind].options(**values))


def _warnings(path: Path) -> Iterator[str]:
    if path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        yield (
            f"{path}: holds a secret as text and can be read by others than its owner; "
            f"run: chmod 600 {shlex.quote(str(path))}"
        )
