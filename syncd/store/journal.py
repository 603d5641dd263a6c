"""Operations on their way: planned → sent → done, failed, refused; and withheld, dropped.

The journal is the audit too: an operation that has ended stays as its story.
"""

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from syncd.core.address import AddressKey
from syncd.core.journal import (
    Ended,
    Entry,
    State,
    Subject,
    Written,
    fingerprint,
    signature,
    subject,
)
from syncd.core.link import LinkNumber
from syncd.core.people import NOBODY, ContactId
from syncd.core.plan import (
    TO_PLANFIX,
    Fields,
    Held,
    Loses,
    Op,
    Operation,
)
from syncd.store import pairs
from syncd.store.database import Database
from syncd.store.draft import Draft
from syncd.store.operations import (
    CHUNK,
    FOR_PLANFIX,
    HOLD,
    OPEN,
    PLANNED,
    READ,
    SUBJECT,
    entry_of,
)

_AMONG: Final = "(SELECT value FROM json_each(?))"
_WITHHELD_RUNS: Final = 3
_KEPT: Final = frozenset({Op.ADD, Op.UPDATE, Op.RENAME})
_SEEN: Final = f"loses & {int(Loses.VANISHED | Loses.RETURNED)}"
_ANY_WITHHELD: Final = "SELECT 1 FROM operation WHERE link = ? AND state = 'withheld' LIMIT 1"
_USED: Final = (
    "UPDATE operation SET state = 'dropped' WHERE link = ? AND state = 'withheld' AND contact = ?"
    f" AND op = ? AND key = ? AND first = ? AND last = ? AND old_key = ? AND {_SEEN} = ?"
)


class Journal:
    """Everything a run writes down before and after it calls a list."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @contextmanager
    def drafting(
        self, link: LinkNumber, selection: int, *, run: str, at: str, keep: bool
    ) -> Iterator[Draft]:
        """Make a plan in one transaction; it is thrown away where `keep` is false."""
        with self._database.transaction(keep=keep) as raw:
            yield Draft(raw, link, selection, run=run, at=at)

    def drop_planned(self, link: LinkNumber) -> None:
        """Drop what a run that ended had planned; wishes of people to leave stay."""
        with self._database.transaction() as raw:
            raw.execute(
                f"UPDATE operation SET state = 'dropped' WHERE link = ? AND {PLANNED}"
                " AND op <> 'unsubscribe'",
                (link,),
            )

    def open(self, link: LinkNumber) -> list[Entry]:
        """Return what was sent without a known result, and people's wishes not yet told."""
        return self._entries(
            f"link = ? AND {OPEN} AND (state = 'sent' OR op = 'unsubscribe') ORDER BY id",
            (link,),
        )

    def singles(self, run: str, link: LinkNumber, after: int) -> list[Entry]:
        """Return the next planned writes to the list other than adds, in their order."""
        return self._entries(
            f"run = ? AND link = ? AND {PLANNED} AND op <> 'add' AND NOT {FOR_PLANFIX}"
            f" AND id > ? ORDER BY id LIMIT {CHUNK}",
            (run, link, after),
        )

    def for_planfix(self, run: str, link: LinkNumber, after: int) -> list[Entry]:
        """Return the next planned writes to Planfix, in their order."""
        return self._entries(
            f"run = ? AND link = ? AND {PLANNED} AND {FOR_PLANFIX} AND id > ?"
            f" ORDER BY id LIMIT {CHUNK}",
            (run, link, after),
        )

    def written_to_planfix(self, run: str) -> list[Written]:
        """Return what a run wrote over or made in Planfix, the latest first."""
        where = (
            "run = ? AND op IN ('planfix_update', 'planfix_create') AND state IN ('sent', 'done')"
            " ORDER BY id DESC"
        )
        found = self._database.rows(f"SELECT link, state FROM operation WHERE {where}", (run,))
        return [
            Written(link, entry, State(state))
            for (link, state), entry in zip(found, self._entries(where, (run,)), strict=True)
        ]

    def adds(self, run: str, link: LinkNumber, after: int, limit: int) -> list[Entry]:
        """Return the next planned adds, in their order."""
        return self._entries(
            f"run = ? AND link = ? AND {PLANNED} AND op = 'add' AND id > ? ORDER BY id LIMIT ?",
            (run, link, after, limit),
        )

    def _entries(self, where: str, parameters: tuple[object, ...]) -> list[Entry]:
        return [entry_of(row) for row in self._database.rows(f"{READ} WHERE {where}", parameters)]

    def wish(self, link: LinkNumber, operation: Operation, *, run: str, at: str) -> None:
        """Journal a person's wish to leave, to be told to the list."""
        with self._database.transaction() as raw:
            Draft(raw, link, 0, run=run, at=at).write([(operation, False)])

    def send(self, entries: Sequence[Entry], *, at: str) -> None:
        """Mark operations as sent in one call, before the call.

        A subscriber for whom a contact is asked is remembered, since they may be gone from the
        list before a read of Planfix shows the contact.
        """
        with self._database.transaction() as raw:
            if entries[0].operation.op is Op.PLANFIX_CREATE:
                raw.execute(
                    "INSERT INTO subscriber (link, key) SELECT link, key FROM operation"
                    f" WHERE id IN {_AMONG} ON CONFLICT DO NOTHING",
                    (_ids(entries),),
                )
            raw.execute(
                f"UPDATE operation SET state = 'sent', batch = ?, at = ? WHERE id IN {_AMONG}",
                (entries[0].id, at, _ids(entries)),
            )

    def drop(self, entries: Sequence[Entry], why: str, *, at: str) -> None:
        """Give up operations that were never sent."""
        with self._database.transaction() as raw:
            raw.execute(
                f"UPDATE operation SET state = 'dropped', error = ?, at = ? WHERE id IN {_AMONG}",
                (why, at, _ids(entries)),
            )

    def wait(self, link: LinkNumber, entry: Entry, why: str, *, at: str, until: str) -> None:
        """Give up one operation for this run; whom it was for is held (core.plan.Held)."""
        operation = entry.operation
        with self._database.transaction() as raw:
            raw.execute(
                "UPDATE operation SET state = 'dropped', error = ?, at = ? WHERE id = ?",
                (why, at, entry.id),
            )
            who = subject(operation)
            raw.execute(HOLD, (link, who.contact, who.key, why, until))

    def looked_up(self, link: LinkNumber, now: str) -> dict[AddressKey, Held]:
        """Return the members without a contact who need not be looked up again yet, by key."""
        return {
            AddressKey(key): Held(NOBODY, why, AddressKey(key), until)
            for key, why, until in self._database.rows(
                "SELECT key, why, until FROM held WHERE link = ? AND contact = 0 AND until > ?",
                (link, now),
            )
        }

    def record(
        self, link: LinkNumber, ended: Sequence[Ended], *, at: str, next_try: Sequence[str]
    ) -> None:
        """Write results, bases and quarantine together.

        An approval serves once: what was withheld and is now done is withheld no longer.
        `next_try` are the times at which a first, second … failure is tried again; the last
        one serves for all further failures.
        """
        with self._database.transaction() as raw:
            alike: defaultdict[tuple[str, str], list[Entry]] = defaultdict(list)
            for e in ended:
                alike[_state(e).value, e.error].append(e.entry)
            raw.executemany(
                f"UPDATE operation SET state = ?, error = ?, at = ? WHERE id IN {_AMONG}",
                [(*end, at, _ids(entries)) for end, entries in alike.items()],
            )
            raw.executemany(
                "UPDATE operation SET contact = ? WHERE id = ?",
                [(e.contact, e.entry.id) for e in ended if e.contact is not None],
            )
            kept = []
            marked = []
            gone = []
            settled = []
            for e in ended:
                op = e.entry.operation
                if e.state is State.FAILED:
                    continue
                if op.op is Op.PLANFIX_UPDATE or (op.op in _KEPT and op.settles != Fields.ALL):
                    settled.append(op)
                elif op.op in TO_PLANFIX:
                    continue
                elif op.op is Op.UNSUBSCRIBE or (op.op is Op.RENAME and e.state is State.REFUSED):
                    marked.append((op.contact, e.status))  # its values stay as they were
                elif op.op is Op.REMOVE:
                    gone.append(op.contact)
                else:
                    kept.append((op.contact, op.person, e.status, e.reference))
            if raw.execute(_ANY_WITHHELD, (link,)).fetchone():
                raw.executemany(
                    _USED,
                    [(link, *signature(e.entry.operation)) for e in ended if e.state is State.DONE],
                )
            pairs.keep(raw, link, kept)
            pairs.mark(raw, link, marked)
            pairs.end(raw, link, gone)
            pairs.settle(raw, link, settled)
            _quarantine(raw, link, ended, next_try)

    def withheld(self, runs: Sequence[str], link: LinkNumber) -> Counter[tuple[object, ...]]:
        """Return the signatures of what these runs withheld (see core.journal.signature)."""
        if not runs:
            return Counter()
        marks = ",".join("?" * len(runs))
        return Counter(
            self._database.rows(
                f"SELECT contact, op, key, first, last, old_key, {_SEEN} FROM operation"
                f" WHERE link = ? AND state = 'withheld' AND run IN ({marks})",
                (link, *runs),
            )
        )

    def removed_since(self, link: LinkNumber, since: str) -> int:
        """Return how many removals were made since then without anybody's approval."""
        rows = self._database.rows(
            "SELECT COUNT(*) FROM operation WHERE op = 'remove' AND link = ? AND at >= ?"
            " AND state = 'done' AND NOT approved",
            (link, since),
        )
        return int(rows[0][0])

    def quarantined(self, link: LinkNumber) -> dict[Subject, tuple[str, str]]:
        """Return who is in quarantine: the values that failed, and when to try again."""
        return {
            Subject(ContactId(contact), AddressKey(key), bool(planfix)): (person, next_at)
            for contact, key, planfix, person, next_at in self._database.rows(
                "SELECT contact, key, planfix, person, next_at FROM quarantine WHERE link = ?",
                (link,),
            )
        }

    def thin_withheld(self, link: LinkNumber) -> None:
        """Erase what most runs of a long refusal withheld, since it is the same again and again.

        The first run's stays, which the alert names, and that of the last few; and whatever
        was approved.
        """
        with self._database.transaction() as raw:
            runs = raw.execute(
                "SELECT run FROM operation WHERE link = ? AND state = 'withheld'"
                " AND run NOT IN (SELECT run FROM approval) GROUP BY run ORDER BY MIN(id)",
                (link,),
            ).fetchall()
            raw.executemany(
                "DELETE FROM operation WHERE link = ? AND state = 'withheld' AND run = ?",
                [(link, run) for (run,) in runs[1:-_WITHHELD_RUNS]],
            )

    def prune(self, *, audit_before: str, withheld_before: str) -> None:
        """Erase stories older than the audit keeps, and withheld plans nobody approved."""
        with self._database.transaction() as raw:
            raw.execute(
                "DELETE FROM operation WHERE state = 'withheld' AND at < ?",
                (withheld_before,),
            )
            raw.execute(
                "DELETE FROM operation WHERE at < ?"
                " AND state NOT IN ('planned', 'sent', 'withheld')",
                (audit_before,),
            )
            raw.execute("DELETE FROM event WHERE at < ?", (audit_before,))


def _ids(entries: Iterable[Entry]) -> str:
    """Return what `_AMONG` takes: one statement for a batch costs less than one for each."""
    return json.dumps([entry.id for entry in entries])


def _state(ended: Ended) -> State:
    """Return where an operation stands; a wish to leave that failed is told again next time."""
    wish = ended.entry.operation.op is Op.UNSUBSCRIBE
    return State.PLANNED if wish and ended.state is State.FAILED else ended.state


def _quarantine(
    raw: sqlite3.Connection, link: LinkNumber, ended: Sequence[Ended], next_try: Sequence[str]
) -> None:
    """Count failures against those they befell; whoever ended otherwise is free again."""
    failures: dict[tuple[object, ...], int] = {
        tuple(who): attempts
        for *who, attempts in raw.execute(
            "SELECT contact, key, planfix, attempts FROM quarantine WHERE link = ?", (link,)
        )
    }
    if not failures and not any(e.state is State.FAILED for e in ended):
        return
    for e in ended:
        operation = e.entry.operation
        who = subject(operation)
        if e.state is not State.FAILED:
            if who in failures:
                raw.execute(f"DELETE FROM quarantine WHERE {SUBJECT}", (link, *who))
            continue
        attempts = failures.get(who, 0) + 1
        raw.execute(
            "INSERT INTO quarantine (link, contact, key, planfix, person, error, attempts, next_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (link, contact, key, planfix) DO UPDATE"
            " SET person = excluded.person, error = excluded.error, attempts = excluded.attempts,"
            " next_at = excluded.next_at",
            (
                link, *who, fingerprint(operation.person), e.error, attempts,
                next_try[min(attempts, len(next_try)) - 1],
            ),
        )  # fmt: skip
