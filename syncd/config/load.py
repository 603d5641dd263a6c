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
from syncd.config.reading import LATER_TYPES, Reading, Table
from syncd.config.rules import check_rules
from syncd.config.secrets import Secret, Surroundings, WrongValueError
from syncd.config.settings import (
    ARRAYS,
    SECTIONS,
    BackendKeys,
    BackendSettings,
    LinkKeys,
    Settings,
    rows_of,
    rows_of_options,
)

DEFAULT_PATH: Final = Path("/etc/syncd/config.toml")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A config without a fault; `warnings` are for the operator."""

    settings: Settings
    warnings: tuple[str, ...]


def find(explicit: str | None, environ: Mapping[str, str]) -> Path:
    """Return the config's path: as asked for, else from SYNCD_CONFIG, else the usual place."""
    return Path(explicit or environ.get("SYNCD_CONFIG") or DEFAULT_PATH)


def load(path: Path, backends: Mapping[str, type]) -> Loaded:
    """Read a config; `backends` maps each type of backend to its class of options.

    Raises:
        ConfigurationError: with every problem, one per line.
    """
    text = document.read(path)
    reading = Reading(text, Surroundings(path.parent, os.environ))
    reading.refuse_unknown((), text.data, {*SECTIONS, *ARRAYS})
    sections = {name: reading.section(name, rows_of(cls)) for name, cls in SECTIONS.items()}
    services = [
        _read_backend(reading, where, raw, backends) for where, raw in reading.array("backends")
    ]
    links = [reading.table(where, raw, rows_of(LinkKeys)) for where, raw in reading.array("links")]

    check_rules(reading, sections, services, links)
    reading.raise_problems()

    settings = Settings(
        **{name: SECTIONS[name](**table.built()) for name, table in sections.items()},
        backends=tuple(_build_backend(table, backends) for table in services),
        links=tuple(LinkKeys(**table.built()).link() for table in links),
    )
    return Loaded(settings, tuple(_warnings(path)) if reading.holds_secret else ())


def _read_backend(
    reading: Reading, where: KeyPath, raw: Mapping[str, object], backends: Mapping[str, type]
) -> Table:
    rows = [
        replace(row, kind=_type_kind(backends)) if row.name == "type" else row
        for row in rows_of(BackendKeys)
    ]
    kind = raw.get("type")
    if isinstance(kind, str) and kind in backends:
        rows += rows_of_options(backends[kind])
    else:  # Nobody knows which further keys it may have.
        raw = {row.name: raw[row.name] for row in rows if row.name in raw}
    return reading.table(where, raw, rows)


def _type_kind(backends: Mapping[str, type]) -> Kind:
    known = choice(backends)

    def read(value: object, surroundings: Surroundings) -> object:
        if value in LATER_TYPES and value not in backends:
            raise WrongValueError(f"this version does not have it yet; write {known.wanted}")
        return known.read(value, surroundings)

    return Kind(known.wanted, read)


def _build_backend(table: Table, backends: Mapping[str, type]) -> BackendSettings:
    values = {
        name: value.reveal() if isinstance(value, Secret) else value
        for name, value in table.values.items()
    }
    name, kind = values.pop("name"), values.pop("type")
    return BackendSettings(name, kind, backends[kind](**values))


def _warnings(path: Path) -> Iterator[str]:
    if path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        yield (
            f"{path}: holds a secret as text and can be read by others than its owner; "
            f"run: chmod 600 {shlex.quote(str(path))}"
        )
