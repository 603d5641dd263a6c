"""One passage over a document: keys become values, and whatever is wrong is gathered."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from syncd.config.document import Document, KeyPath
from syncd.config.kinds import SECRET, TABLES, did_you_mean
from syncd.config.rows import Row, rows_of
from syncd.config.secrets import Surroundings, WrongValueError, came
from syncd.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Table:
    """One table as read: `values` lacks what is wrong, or is required and missing."""

    where: KeyPath
    raw: Mapping[str, object]
    values: dict[str, Any]
    section: type | None = None

    def built(self) -> dict[str, Any]:
        """Return the values, each sub-table as an instance of its section's class."""
        return {name: _built(value) for name, value in self.values.items()}


def _built(value: object) -> object:
    if isinstance(value, tuple):
        return tuple(map(_built, value))
    if isinstance(value, Table) and value.section:
        return value.section(**value.built())
    return value


class Reading:
    """The problems found so far, and whether the file itself holds a secret."""

    def __init__(self, document: Document, surroundings: Surroundings) -> None:
        self.holds_secret = False
        self._document = document
        self._surroundings = surroundings
        self._problems: list[tuple[int, str]] = []

    def line(self, table: Table, key: str) -> int:
        """Return the line of a key."""
        return self._document.line((*table.where, key))

    def report(self, where: KeyPath, message: str, key: str | None = None) -> None:
        """Note what is wrong with a table, or with one key of it; never show a value."""
        line = self._document.line(where if key is None else (*where, key))
        place = _header(where) if key is None else f"{_header(where)} {_shown(key)}"
        self._problems.append((line, f"{self._document.path}:{line}: {place}: {message}"))

    def raise_problems(self) -> None:
        """Raise all that was reported, in the file's order, as one ConfigurationError."""
        if self._problems:
            raise ConfigurationError("\n".join(text for _, text in sorted(self._problems)))

    def section(self, name: str, rows: Iterable[Row]) -> Table:
        """Read a table that stands once."""
        raw = self._document.data.get(name, {})
        if not isinstance(raw, dict):
            self.report((name,), f"is {came(raw)}; write one [{name}]")
        elif name not in self._document.data and any(row.required for row in rows):
            required = [row.name for row in rows if row.required]
            self.report((name,), f"is missing; add it, with {', '.join(required)}")
        else:
            return self.table((name,), raw, rows)
        return Table((name,), {}, {})

    def array(self, name: str) -> list[tuple[KeyPath, dict[str, object]]]:
        """Return the tables of an array, unread."""
        raw = self._document.data.get(name, [])
        if not _are_tables(raw):
            self.report((name,), f"is {came(raw)}; write [[{name}]]")
            return []
        return [((name, index), table) for index, table in enumerate(raw)]

    def table(
        self,
        where: KeyPath,
        raw: Mapping[str, object],
        rows: Iterable[Row],
        section: type | None = None,
    ) -> Table:
        """Read the values of a table, key by key."""
        by_name = {row.name: row for row in rows}
        values: dict[str, Any] = {}
        self.refuse_unknown(where, raw, by_name)
        for name, row in by_name.items():
            if name in raw:
                try:
                    values[name] = self._value(where, row, raw[name])
                except WrongValueError as wrong:
                    self.report(where, str(wrong), name)
            elif row.required:
                self.report(where, f"lacks {name}; add it: {row.kind.wanted}")
            else:
                values[name] = row.default
        return Table(where, raw, values, section)

    def refuse_unknown(
        self, where: KeyPath, raw: Mapping[str, object], known: Collection[str]
    ) -> None:
        """Report each key that is not known, with the nearest one that is."""
        for name in raw:
            if name in known:
                continue
            question = did_you_mean(name, known)
            message = f"is not known; {question or 'known are ' + ', '.join(sorted(known))}"
            if where:
                self.report(where, message, name)
            else:
                self.report((name,), message)

    def _value(self, where: KeyPath, row: Row, value: object) -> object:
        if row.section is None:
            self.holds_secret |= row.kind is SECRET and isinstance(value, str)
            return row.kind.read(value, self._surroundings)
        rows, where = rows_of(row.section), (*where, row.name)
        if row.kind is TABLES and _are_tables(value):
            return tuple(
                self.table((*where, index), table, rows, row.section)
                for index, table in enumerate(value)
            )
        if row.kind is not TABLES and isinstance(value, dict):
            return self.table(where, value, rows, row.section)
        raise WrongValueError(f"is {came(value)}; write {row.kind.wanted}")


def _are_tables(value: object) -> TypeGuard[list[dict[str, object]]]:
    return isinstance(value, list) and all(isinstance(table, dict) for table in value)


def _names(where: KeyPath) -> tuple[str, ...]:
    return tuple(part for part in where if isinstance(part, str))


def _header(where: KeyPath) -> str:
    name = ".".join(_shown(part) for part in _names(where))
    return f"[[{name}]]" if isinstance(where[-1], int) else f"[{name}]"


def _shown(key: str) -> str:
    return key if re.fullmatch("[A-Za-z0-9_-]+", key) else repr(key)
