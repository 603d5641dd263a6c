"""What the operator's page and the metrics are made of, read beside a run without waiting for it.

A connection of its own that only reads: it takes no lock, changes nothing, and makes no file.
Everything is read in one transaction, so that it belongs together.
"""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from syncd.core.link import ACCOUNT, Link
from syncd.core.overview import LinkOverview, LinkRun, Overview, Refusal, Waiting
from syncd.core.plan import Finding, Guard, Op
from syncd.core.report import Outcome
from syncd.errors import TemporaryError
from syncd.store import migrations, tally
from syncd.store.tally import Key

RUNS_SHOWN: Final = 48
WAITING_SHOWN: Final = 50

_PATIENCE_S: Final = 5.0
# A run's name begins with its second; those of one second are put in order afterwards.
_RUNS: Final = (
    "SELECT r.id, r.started, r.finished, r.document, l.findings FROM link_run l"
    " JOIN run r ON r.id = l.run WHERE l.link = ? AND r.dry_run = 0"
    f" ORDER BY l.run DESC LIMIT {RUNS_SHOWN}"
)
_LAST_END: Final = (
    "SELECT MAX(finished) FROM (SELECT finished FROM run WHERE dry_run = 0 AND finished IS NOT NULL"
    f" ORDER BY id DESC LIMIT {RUNS_SHOWN})"
)
_LATCHED: Final = "SELECT COUNT(contact), COUNT(key_hash) FROM latch WHERE link IN (?, ?)"
_WITHHELD: Final = (
    "SELECT op, COUNT(*) FROM operation WHERE link = ? AND state = 'withheld' AND run = ?"
    " GROUP BY op"
)
_PUSHED: Final = "SELECT link, name FROM pushed_list WHERE ended IS NULL ORDER BY at, id"
_HELD: Final = (
    f"SELECT contact, why FROM held WHERE link = ? ORDER BY contact LIMIT {WAITING_SHOWN}"
)
_QUARANTINED: Final = (
    "SELECT contact, error, next_at FROM quarantine WHERE link = ?"
    f" ORDER BY next_at, contact LIMIT {WAITING_SHOWN}"
)

_Findings = list[tuple[str, str, str]]


def overview(path: Path, links: Sequence[Link]) -> Overview:
    """Read how these links stand, and those that Planfix pushed to us.

    A store that no run has made yet is an empty one.

    Raises:
        TemporaryError: the store can't be read.
    """
    if not path.exists():
        return Overview(links=tuple(_unknown(link.name, _list_name(link)) for link in links))
    try:
        with _reading(path) as raw:
            return _Reader(raw).overview(links)
    except sqlite3.Error as error:
        raise TemporaryError(
            f"The store {path} can't be read: {error}.",
            hint="See whether its disk is there and syncd's user may read it: syncd check",
        ) from error


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    # For writing, since reading a write-ahead log may have to make its index; then for nothing.
    place = f"file:{quote(str(path.absolute()))}?mode=rw"
    with closing(sqlite3.connect(place, uri=True, timeout=_PATIENCE_S)) as raw:
        raw.execute("PRAGMA query_only = ON")
        raw.execute("BEGIN")
        yield raw


class _Reader:
    def __init__(self, raw: sqlite3.Connection) -> None:
        self._raw = raw
        ((version,),) = raw.execute("PRAGMA user_version")
        if version != len(migrations.STEPS):
            raise sqlite3.DatabaseError(f"it is of version {version}, not {len(migrations.STEPS)}")
        self._tally = {
            Key(name, link, kind): int(count)
            for name, link, kind, count in raw.execute("SELECT name, link, kind, count FROM tally")
        }

    def overview(self, links: Sequence[Link]) -> Overview:
        ((ended,),) = self._raw.execute(_LAST_END)
        return Overview(
            links=(
                *(self._link(link.name, _list_name(link)) for link in links),
                *(self._link(*pushed) for pushed in self._raw.execute(_PUSHED)),
            ),
            run_ended=datetime.fromisoformat(ended) if ended else None,
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
        rows = sorted(self._raw.execute(_RUNS, (name,)), key=lambda row: row[1], reverse=True)
        pairs = self._raw.execute("SELECT COUNT(*) FROM pair WHERE link = ?", (number,))
        return LinkOverview(
            name=name,
            list_name=list_name,
            pairs=pairs.fetchone()[0],
            latched=self._latched(number),
            runs=tuple(_run(name, *row[:4]) for row in rows),
            refusal=self._refusal(name, number, rows[0][0], rows[0][4]) if rows else None,
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

    def _refusal(self, link: str, number: int, run: str, told: str) -> Refusal | None:
        findings: _Findings = json.loads(told)
        if not findings:
            return None
        word = self._raw.execute("SELECT until FROM approval WHERE run = ?", (run,)).fetchone()
        return Refusal(
            run=run,
            link=link,
            findings=tuple(Finding(Guard(guard), said, hint) for guard, said, hint in findings),
            operations={Op(op): count for op, count in self._raw.execute(_WITHHELD, (number, run))},
            approved=datetime.fromisoformat(word[0]) if word else None,
        )


def _run(link: str, run: str, started: str, finished: str, document: str) -> LinkRun:
    whole: dict[str, Any] = json.loads(document)
    found = next(part for part in whole["links"] if part["link"] == link)
    begun, ended = datetime.fromisoformat(started), datetime.fromisoformat(finished)
    failure = found["error"] or whole["error"] or {"message": ""}
    return LinkRun(
        run=run,
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
    )


def _counts(told: dict[str, int]) -> dict[Op, int]:
    return {Op(op): count for op, count in told.items() if count}


def _unknown(name: str, list_name: str) -> LinkOverview:
    return LinkOverview(name=name, list_name=list_name)


def _list_name(link: Link) -> str:
    return link.list_name or str(link.list_id)
