"""Runs as remembered: how they ended, what was approved, and what `history` tells."""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from syncd.core.address import AddressKey, key_of
from syncd.core.link import LinkNumber, Selection
from syncd.core.people import ContactId
from syncd.core.plan import Op
from syncd.core.report import LinkReport, RunReport
from syncd.store import streaks, tally
from syncd.store.database import Database
from syncd.store.snapshots import read_anew

_SEEN_BEFORE_THE_CONTACT: Final = """
DELETE FROM event WHERE contact = 0 AND key IN (
    SELECT key FROM operation WHERE contact = ?1 UNION SELECT old_key FROM operation
     WHERE contact = ?1 UNION SELECT key FROM pair WHERE contact = ?1
     UNION SELECT key FROM event WHERE contact = ?1)
"""
"""Erases what was told of an address alone, where it is one of a contact's."""

WITHHELD_FROM: Final = (
    "SELECT DISTINCT l.name FROM operation o JOIN link l ON l.id = o.link"
    " WHERE o.run = ? AND o.state = 'withheld' ORDER BY l.name"
)
"""The links of which a run withheld something: what its approval is about."""

_LAST_OF: Final = (
    "SELECT r.document, l.findings, l.hint FROM link_run l JOIN run r ON r.id = l.run"
    " WHERE l.link = ? AND NOT r.dry_run ORDER BY r.started DESC LIMIT 1"
)
_LAST_JUDGED: Final = _LAST_OF.replace(" ORDER BY", " AND l.judged ORDER BY")


class LinkPart(NamedTuple):
    """What a run found out about one link: `part` is the link's of the whole run's `document`.

    `findings` are why it was refused: guard, message and hint of each. `hint` is what to do
    about what stopped the link.
    """

    document: dict[str, Any]
    part: dict[str, Any]
    findings: list[list[str]]
    hint: str


class Runs:
    """The runs of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, run: str, *, trigger: str, dry_run: bool, at: str) -> bool:
        """Remember that a run has begun; False, and nothing, where one has this name already."""
        with self._database.transaction() as raw:
            begun = raw.execute(
                "INSERT INTO run (id, trigger, dry_run, started, document)"
                " VALUES (?, ?, ?, ?, '{}') ON CONFLICT DO NOTHING",
                (run, trigger, dry_run, at),
            )
            return begun.rowcount == 1

    def end(self, report: RunReport, *, at: str) -> None:
        """Remember how a run ended, without the addresses of a dry run's plan."""
        document = report.document()
        for link in document["links"]:
            link.pop("operations", None)
        with self._database.transaction() as raw:
            raw.execute(
                "UPDATE run SET finished = ?, outcome = ?, exit_code = ?, document = ?"
                " WHERE id = ?",
                (at, report.outcome.value, report.exit_code, json.dumps(document), report.run),
            )
            raw.executemany(
                "INSERT INTO link_run (run, link, outcome, findings, hint, judged)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                [_link_run(report.run, done) for done in report.links],
            )
            if not report.dry_run:
                streaks.go_on(raw, report.links)
                tally.add(raw, _counts(report, at))

    def last(self) -> dict[str, Any] | None:
        """Return the document of the last run that ended."""
        rows = self._database.rows(
            "SELECT document FROM run WHERE finished IS NOT NULL AND NOT dry_run"
            " ORDER BY started DESC LIMIT 1"
        )
        return json.loads(rows[0][0]) if rows else None

    def last_of(self, link: str) -> LinkPart | None:
        """Return what the last run of a link that ended found out about it."""
        return self._part(_LAST_OF, link)

    def last_judged(self, link: str) -> LinkPart | None:
        """Return the same of the last run that came as far as the link's guards."""
        return self._part(_LAST_JUDGED, link)

    def _part(self, query: str, link: str) -> LinkPart | None:
        for told, findings, hint in self._database.rows(query, (link,)):
            document = json.loads(told)
            part = next(part for part in document["links"] if part["link"] == link)
            return LinkPart(document, part, json.loads(findings), hint)
        return None

    def begun(self, triggers: Sequence[str]) -> str | None:
        """Return when the last run began that one of these asked for."""
        rows = self._database.rows(
            "SELECT max(started) FROM run WHERE trigger IN (SELECT value FROM json_each(?))",
            (json.dumps(triggers),),
        )
        return rows[0][0]  # type: ignore[no-any-return]  # a text, or nothing

    def known(self, run: str) -> bool:
        """Say whether there was a run, or a command that journaled something, of this name."""
        return bool(
            self._database.rows(
                "SELECT 1 FROM run WHERE id = ? UNION ALL SELECT 1 FROM operation WHERE run = ?"
                " LIMIT 1",
                (run, run),
            )
        )

    def withheld(self, run: str) -> int | None:
        """Return how many operations a run withheld; None for a run nobody knows."""
        if not self._database.rows("SELECT 1 FROM run WHERE id = ?", (run,)):
            return None
        rows = self._database.rows(
            "SELECT COUNT(*) FROM operation WHERE run = ? AND state = 'withheld'", (run,)
        )
        return int(rows[0][0])

    def withheld_from(self, run: str) -> list[str]:
        """Return the names of the links of which a run withheld something."""
        return [row[0] for row in self._database.rows(WITHHELD_FROM, (run,))]

    def approve(self, run: str, *, at: str, until: str) -> None:
        """Remember a person's word."""
        with self._database.transaction() as raw:
            raw.execute(
                "INSERT INTO approval (run, at, until) VALUES (?, ?, ?) ON CONFLICT (run)"
                " DO UPDATE SET at = excluded.at, until = excluded.until",
                (run, at, until),
            )

    def approved(self, at: str) -> list[str]:
        """Return the runs whose withheld operations may be done at this time."""
        rows = self._database.rows("SELECT run FROM approval WHERE until > ?", (at,))
        return [row[0] for row in rows]

    def waiting(self, link: LinkNumber) -> list[tuple[int, str]]:
        """Return who is held or quarantined, with the reason."""
        return [
            (contact, why)
            for contact, why in self._database.rows(
                "SELECT contact, why FROM held WHERE link = ?"
                " UNION ALL SELECT contact, error FROM quarantine WHERE link = ?",
                (link, link),
            )
        ]

    def reasons(self, link: LinkNumber) -> dict[tuple[int, str], str]:
        """Return why people wait: by contact, or by contact 0 and a member's key."""
        rows = self._database.rows(
            "SELECT contact, key, why FROM held WHERE link = ?"
            " UNION ALL SELECT contact, key, error FROM quarantine WHERE link = ?",
            (link, link),
        )
        return {(contact, key): why for contact, key, why in rows}

    def contacts_with(self, key: AddressKey, *, pushed: bool) -> list[ContactId]:
        """Return every contact that has an address now, of those that were pushed or of the others.

        That both are numbered alike is not said anywhere.
        """
        rows = self._database.rows(
            "SELECT DISTINCT c.id FROM contact c JOIN selection s ON s.id = c.selection"
            " WHERE c.key = ? AND (s.target LIKE ? || '%') = ?",
            (key, Selection.pushed("").target, pushed),
        )
        return [ContactId(row[0]) for row in rows]

    def forget(self, key: AddressKey, contacts: Sequence[ContactId]) -> None:
        """Erase a person's data; latches stay, since they hold keyed hashes and bare ids.

        Whoever of `contacts` has the address now goes wholly; of one who only had it once,
        what names the address.
        """
        with self._database.transaction() as raw:
            has_it = {
                row[0]
                for row in raw.execute(
                    "SELECT id FROM contact WHERE key = ? UNION SELECT contact FROM pair"
                    " WHERE key = ?",
                    (key, key),
                )
            }
            for contact in has_it.intersection(contacts):
                raw.execute(_SEEN_BEFORE_THE_CONTACT, (contact,))
            raw.execute("DELETE FROM operation WHERE key = ? OR old_key = ?", (key, key))
            raw.execute("DELETE FROM event WHERE key = ?", (key,))
            raw.execute("DELETE FROM held WHERE key = ?", (key,))
            raw.execute("DELETE FROM subscriber WHERE key = ?", (key,))
            raw.execute("DELETE FROM reported WHERE key = ? OR old_key = ?", (key, key))
            for table in ("compared", "rewritten"):  # which may name whom no pair is known of
                raw.execute(f"DELETE FROM {table}")
            failed_with = raw.execute(
                "SELECT link, contact, key, planfix, person FROM quarantine"
            ).fetchall()
            raw.executemany(
                "DELETE FROM quarantine WHERE link = ? AND contact = ? AND key = ? AND planfix = ?",
                [
                    tuple(who)
                    for *who, person in failed_with
                    if key_of(person.partition("\x1f")[0]) == key
                ],
            )
            for contact in has_it.intersection(contacts):
                raw.execute("DELETE FROM operation WHERE contact = ?", (contact,))
                # The page must be read anew, or it would pass for unchanged without them.
                read_anew(raw, contact)
                raw.execute("DELETE FROM contact WHERE id = ?", (contact,))
                for table in ("pair", "held", "quarantine", "event", "custom"):
                    raw.execute(f"DELETE FROM {table} WHERE contact = ?", (contact,))
        self._database.wipe()

    def links_on(self, key: AddressKey, contacts: Sequence[ContactId]) -> list[str]:
        """Return the names of the links that still have a person on their list.

        That is one of these contacts, or who asked to leave and of whom the list was not told yet.
        """
        marks = ",".join("?" * len(contacts)) or "NULL"
        return [
            row[0]
            for row in self._database.rows(
                "SELECT l.name FROM pair p JOIN link l ON l.id = p.link"
                f" WHERE p.contact IN ({marks}) AND p.status <> 'unsubscribed'"
                " UNION SELECT l.name FROM operation o JOIN link l ON l.id = o.link"
                " WHERE o.op = 'unsubscribe' AND o.state IN ('planned', 'sent')"
                f" AND (o.key = ? OR o.contact IN ({marks})) ORDER BY 1",
                (*contacts, key, *contacts),
            )
        ]

    def first_of_day(self, day: str) -> bool:
        """Say whether this is the first time that a day is named."""
        with self._database.transaction() as raw:
            return bool(
                raw.execute(
                    "INSERT INTO meta (name, value) VALUES ('day', ?)"
                    " ON CONFLICT (name) DO UPDATE SET value = excluded.value"
                    " WHERE meta.value <> excluded.value",
                    (day,),
                ).rowcount
            )

    def called(self, calls: int) -> None:
        """Count calls that were made to Planfix."""
        with self._database.transaction() as raw:
            tally.add(raw, [(tally.PLANFIX_CALLS, calls)])

    def spend(self, day: str, budget: int) -> bool:
        """Count one call to Planfix on a day; False when the day's budget is used up."""
        with self._database.transaction() as raw:
            name = f"calls {day}"
            found = raw.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
            used = int(found[0]) if found else 0
            if used >= budget:
                return False
            raw.execute("DELETE FROM meta WHERE name LIKE 'calls %' AND name <> ?", (name,))
            raw.execute(
                "INSERT INTO meta (name, value) VALUES (?, ?)"
                " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                (name, str(used + 1)),
            )
        return True


def _counts(report: RunReport, at: str) -> Iterator[tuple[tally.Key, int]]:
    took = datetime.fromisoformat(at) - report.started
    yield tally.RUNS, 1
    yield tally.RUN_MS, max(0, round(took.total_seconds() * 1000))
    for link in report.links:
        yield tally.LINK_RUNS(link.link, link.outcome), 1
        for op in Op:
            yield tally.PLANNED(link.link, op), link.planned.get(op, 0)
            yield tally.APPLIED(link.link, op), link.applied.get(op, 0)


def _link_run(run: str, done: LinkReport) -> tuple[str, str, str, str, str, bool]:
    findings = json.dumps([[f.guard.value, f.message, f.hint] for f in done.findings])
    hint = done.failure.advice if done.failure is not None else ""
    return run, done.link, done.outcome.value, findings, hint, done.judged
