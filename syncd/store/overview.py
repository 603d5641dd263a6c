"""What the operator's page and the metrics are made of, read beside a run without waiting for it.

A connection of its own that only reads: it takes no lock, changes nothing, and makes no file.
Everything is read in one transaction, so that it belongs together.
"""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from syncd.core.link import ACCOUNT, Link
from syncd.core.overview import LinkOverview, LinkRun, Overview, Refusal, Waiting
from syncd.core.plan import Finding, Guard, Op
from syncd.core.report import Outcome
from syncd.errors import TemporaryError
from syncd.logs import redact
from syncd.store import migrations, tally
from syncd.store.runs import WITHHELD_FROM
from syncd.store.tally import Key

RUNS_SHOWN: Final = 48
WAITING_SHOWN: Final = 50

_PATIENCE_S: Final = 5.0
# A run's name begins with its second; those of one second are put in order afterwards.
_RUNS: Final = (
    "SELECT r.id, r.started, r.finished, l.findings, l.hint, l.judged FROM link_run l"
    " JOIN run r ON r.id = l.run WHERE l.link = ? AND r.dry_run = 0"
    f" ORDER BY l.run DESC LIMIT {RUNS_SHOWN}"
)
_JUDGED: Final = _RUNS.replace(" ORDER BY", " AND l.judged ORDER BY")
_LAST_END: Final = (
    "SELECT MAX(finished) FROM (SELECT finished FROM run WHERE dry_run = 0 AND finished IS NOT NULL"
    f" ORDER BY id DESC LIMIT {RUNS_SHOWN})"
)
_LATCHED: Final = (
    "SELECT COUNT(contact), COUNT(key_hash) FROM latch WHERE link IN (?1, ?2)"
    " AND id NOT IN (SELECT latch FROM lifted WHERE ?1 IN (link, ?2))"
)
_WITHHELD: Final = (
    "SELECT op, COUNT(*) FROM operation WHERE link = ? AND state = 'withheld' AND run = ?"
    " GROUP BY op"
)
_PUSHED: Final = "SELECT link, name, id FROM pushed_list WHERE ended IS NULL ORDER BY at, id"
_HELD: Final = (
    f"SELECT contact, why FROM held WHERE link = ? ORDER BY contact LIMIT {WAITING_SHOWN}"
)
_QUARANTINED: Final = (
    "SELECT contact, error, next_at FROM quarantine WHERE link = ?"
    f" ORDER BY next_at, contact LIMIT {WAITING_SHOWN}"
)

_Findings = list[tuple[str, str, str]]


class _Pushed(NamedTuple):
    """What is shown of a list that Planfix made, and of its link: their names were given there."""

    name: str
    list_name: str


class _Row(NamedTuple):
    """A link's part of a run, as `_RUNS` finds it."""

    run: str
    started: str
    finished: str
    findings: str
    hint: str
    judged: bool


def overview(path: Path, links: Sequence[Link]) -> Overview:
    """Read how these links stand, and those that Planfix pushed to us.

    A store that no run has made yet is an empty one.

    Raises:
        TemporaryError: the store can't be read.
    """
    if not path.exists():
        return Overview(links=tuple(_unknown(link.name, _list_name(link)) for link in links))
    with _reading(path) as raw:
        return _Reader(raw).overview(links)


def run_ended(path: Path) -> datetime | None:
    """Read when the last run ended, of any link: all that health asks for.

    Raises:
        TemporaryError: the store can't be read.
    """
    if not path.exists():
        return None
    with _reading(path) as raw:
        return _run_ended(raw)


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    # For writing, since reading a write-ahead log may have to make its index; then for nothing.
    place = f"file:{quote(str(path.absolute()))}?mode=rw"
    try:
        with closing(sqlite3.connect(place, uri=True, timeout=_PATIENCE_S)) as raw:
            raw.execute("PRAGMA query_only = ON")
            raw.execute("BEGIN")
            ((version,),) = raw.execute("PRAGMA user_version")
            if version != len(migrations.STEPS):
                raise sqlite3.DatabaseError(
                    f"it is of version {version}, not {len(migrations.STEPS)}"
                )
            yield raw
    except sqlite3.Error as error:
        raise TemporaryError(
            f"The store {path} can't be read: {error}.",
            hint="See whether its disk is there and syncd's user may read it: syncd check",
        ) from error


def _run_ended(raw: sqlite3.Connection) -> datetime | None:
    ((ended,),) = raw.execute(_LAST_END)
    return datetime.fromisoformat(ended) if ended else None


class _Reader:
    def __init__(self, raw: sqlite3.Connection) -> None:
        self._raw = raw
        self._tally = {
            Key(name, link, kind): int(count)
            for name, link, kind, count in raw.execute("SELECT name, link, kind, count FROM tally")
        }
        # One document tells of all links of its run, and each of them asks for it.
        self._documents: dict[str, dict[str, Any]] = {}
        self._pushed: dict[str, _Pushed] = {
            link: _Pushed(_shown(link, list_id), redact(list_name))
            for link, list_name, list_id in raw.execute(_PUSHED)
        }

    def overview(self, links: Sequence[Link]) -> Overview:
        return Overview(
            links=(
                *(self._link(link.name, _list_name(link)) for link in links),
                *(
                    replace(self._link(link, pushed.list_name), name=pushed.name)
                    for link, pushed in self._pushed.items()
                ),
            ),
            run_ended=_run_ended(self._raw),
            latched_everywhere=self._latched(ACCOUNT),
            runs_total=self._count(tally.RUNS),
            run_seconds_total=self._count(tally.RUN_MS) / 1000,
            planfix_calls_total=self._count(tally.PLANFIX_CALLS),
            sms=dict(self._raw.execute("SELECT state, COUNT(*) FROM sms GROUP BY state")),
        )

    def _count(self, key: Key) -> int:
        return self._tally.get(key, 0)

    def _latched(self, link: int) -> int:
        counts: tuple[int, int] = self._raw.execute(_LATCHED, (link, ACCOUNT)).fetchone()
        return max(counts)

    def _link(self, name: str, list_name: str) -> LinkOverview:
        known = self._raw.execute("SELECT id FROM link WHERE name = ?", (name,)).fetchone()
        if known is None:
            return _unknown(name, list_name)
        (number,) = known
        rows = self._rows(_RUNS, name)
        judged = next((row for row in rows if row.judged), None)
        if judged is None:
            judged = next(iter(self._rows(_JUDGED, name)), None)
        pairs = self._raw.execute("SELECT COUNT(*) FROM pair WHERE link = ?", (number,))
        return LinkOverview(
            name=name,
            list_name=list_name,
            pairs=pairs.fetchone()[0],
            latched=self._latched(number),
            runs=tuple(self._run(name, row) for row in rows),
            judged=self._run(name, judged) if judged is not None else None,
            refusal=self._refusal(name, number, judged) if judged is not None else None,
            held=tuple(
                Waiting(contact=contact, why=why)
                for contact, why in self._raw.execute(_HELD, (number,))
            ),
            quarantined=tuple(
                Waiting(contact=contact, why=why, next_try=datetime.fromisoformat(next_at))
                for contact, why, next_at in self._raw.execute(_QUARANTINED, (number,))
            ),
            runs_total={each: self._count(tally.LINK_RUNS(name, each)) for each in Outcome},
            planned_total={op: self._count(tally.PLANNED(name, op)) for op in Op},
            applied_total={op: self._count(tally.APPLIED(name, op)) for op in Op},
        )

    def _rows(self, query: str, link: str) -> list[_Row]:
        """Return a link's part of runs, the latest first."""
        rows = map(_Row._make, self._raw.execute(query, (link,)))
        return sorted(rows, key=lambda row: row.started, reverse=True)

    def _refusal(self, link: str, number: int, row: _Row) -> Refusal | None:
        findings: _Findings = json.loads(row.findings)
        if not findings:
            return None
        word = self._raw.execute("SELECT until FROM approval WHERE run = ?", (row.run,)).fetchone()
        withheld = self._raw.execute(_WITHHELD, (number, row.run))
        others = (other for (other,) in self._raw.execute(WITHHELD_FROM, (row.run,)))
        return Refusal(
            run=row.run,
            link=self._name(link),
            findings=tuple(Finding(Guard(guard), said, hint) for guard, said, hint in findings),
            operations={Op(op): count for op, count in withheld},
            also=tuple(self._name(other) for other in others if other != link),
            approved=datetime.fromisoformat(word[0]) if word else None,
        )

    def _name(self, link: str) -> str:
        """Return a link's name without an address in it."""
        pushed = self._pushed.get(link)
        return pushed.name if pushed is not None else link

    def _run(self, link: str, row: _Row) -> LinkRun:
        whole = self._document(row.run)
        found = whole["links"][link]
        begun, ended = datetime.fromisoformat(row.started), datetime.fromisoformat(row.finished)
        failure = found["error"] or whole["error"] or {"message": ""}
        return LinkRun(
            run=row.run,
            finished=ended,
            duration_s=max(0.0, (ended - begun).total_seconds()),
            outcome=Outcome(found["outcome"]),
            planned=_counts(found["planned"]),
            applied=_counts(found["applied"]),
            planfix_read=found["planfix_read"],
            list_read=found["list_read"],
            certified=found["certified"],
            withheld=found["withheld"],
            held=found["held"],
            quarantined=found["quarantined"],
            error=failure["message"],
            hint=row.hint,
        )

    def _document(self, run: str) -> dict[str, Any]:
        """Return a run's document, its links by their names."""
        if run not in self._documents:
            ((text,),) = self._raw.execute("SELECT document FROM run WHERE id = ?", (run,))
            whole: dict[str, Any] = json.loads(text)
            whole["links"] = {part["link"]: part for part in whole["links"]}
            self._documents[run] = whole
        return self._documents[run]


def _counts(told: dict[str, int]) -> dict[Op, int]:
    return {Op(op): count for op, count in told.items() if count}


def _shown(link: str, list_id: str) -> str:
    """Return a link's name without an address in it, and still like no other's."""
    safe = redact(link)
    return link if safe == link else f"{safe} ({list_id})"


def _unknown(name: str, list_name: str) -> LinkOverview:
    return LinkOverview(name=name, list_name=list_name)


def _list_name(link: Link) -> str:
    return link.list_name or str(link.list_id)
