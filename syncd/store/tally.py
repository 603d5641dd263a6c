"""Counts since the store was made: what the metrics show, whichever process did it."""

import sqlite3
from collections.abc import Iterable
from typing import Final, NamedTuple


class Key(NamedTuple):
    """What is counted; `link` and `kind` are empty where it has none."""

    name: str
    link: str = ""
    kind: str = ""

    def __call__(self, link: str, kind: str) -> "Key":
        """Return the same, of one link and of one kind."""
        return Key(self.name, link, kind)


RUNS: Final = Key("runs")
RUN_MS: Final = Key("run_ms")
LINK_RUNS: Final = Key("link_runs")
PLANNED: Final = Key("planned")
APPLIED: Final = Key("applied")
PLANFIX_CALLS: Final = Key("planfix_calls")

_ADD: Final = (
    "INSERT INTO tally (name, link, kind, count) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (name, link, kind) DO UPDATE SET count = tally.count + excluded.count"
)


def add(raw: sqlite3.Connection, counts: Iterable[tuple[Key, int]]) -> None:
    """Count further, within the caller's transaction; what is zero is left out."""
    raw.executemany(_ADD, [(*key, count) for key, count in counts if count])
