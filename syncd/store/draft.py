"""The plan of one link while it is being made, in one transaction: kept, or thrown away."""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Final

from syncd.core.events import Event, What
from syncd.core.journal import Subject
from syncd.core.link import LinkNumber
from syncd.core.pairs import Row, Standing
from syncd.core.people import ContactId
from syncd.core.plan import End, Held, Loses, Operation, Pairing, Repoint
from syncd.store import events, pairs
from syncd.store.operations import CHUNK, FOR_PLANFIX, HOLD, PLANNED, READ, SUBJECT, entry_of

_COLUMNS: Final = (
    "run, link, contact, op, address, key, first, last, old_address, old_key, loses, after, why,"
    " approved, state, error, at, old_first, old_last, settles, resubscribes"
)
_INSERT: Final = f"INSERT INTO operation ({_COLUMNS}) VALUES ({','.join('?' * 21)})"


class Draft:
    """The plan of one link while it is being made: one transaction, kept or thrown away."""

    def __init__(
        self, raw: sqlite3.Connection, link: LinkNumber, selection: int, *, run: str, at: str
    ) -> None:
        self._raw = raw
        self._link = link
        self._selection = selection
        self._run = run
        self._at = at

    def rows(self, standing: Mapping[ContactId, Standing]) -> Iterator[Row]:
        """Yield every row of the link that may need something."""
        return pairs.different(self._raw, self._link, self._selection, standing)

    def write(self, operations: Iterable[tuple[Operation, bool]]) -> None:
        """Journal operations in the order they are to be done; each with whether approved."""
        lines = (
            (
                self._run, self._link, op.contact, op.op.value, op.person.address, op.person.key,
                op.person.first, op.person.last, op.old_address, op.old_key, int(op.loses),
                op.after, op.why, approved, "planned", "", self._at, op.old_first, op.old_last,
                int(op.settles), op.resubscribes,
            )
            for op, approved in operations
        )  # fmt: skip
        while chunk := list(islice(lines, CHUNK)):
            self._raw.executemany(_INSERT, chunk)

    def repoint(self, steps: list[Repoint | End]) -> None:
        """Carry out what needs no call."""
        pairs.repoint(self._raw, self._link, steps)

    def pair(self, pairings: list[Pairing]) -> None:
        """Remember pairs that agree already."""
        pairs.agree(self._raw, self._link, pairings)

    def tell(self, seen: list[Event]) -> None:
        """Keep what was seen of people."""
        events.tell(self._raw, self._link, seen, run=self._run, at=self._at)

    def met(self, latch: int) -> None:
        """Remember up to which latch of the account this link's pairs were searched."""
        if latch:
            self._raw.execute("UPDATE link SET latch_met = ? WHERE id = ?", (latch, self._link))

    def hold(self, held: list[Held]) -> None:
        """Remember who waits, and why; those of the run before are forgotten."""
        known = set(
            self._raw.execute("SELECT contact, key, why FROM held WHERE link = ?", (self._link,))
        )
        self.tell(
            [
                Event(What.HELD, waiting.contact, waiting.key, f"{self._at} {waiting.why}")
                for waiting in held
                if (waiting.contact, waiting.key, waiting.why) not in known
            ]
        )
        self._raw.execute("DELETE FROM held WHERE link = ?", (self._link,))
        self._raw.executemany(
            HOLD,
            [
                (self._link, waiting.contact, waiting.key, waiting.why, waiting.until)
                for waiting in held
            ],
        )

    def free(self, subjects: Iterable[Subject]) -> None:
        """End the quarantine of those of whom nothing is wanted any more."""
        self._raw.executemany(
            f"DELETE FROM quarantine WHERE {SUBJECT}",
            [(self._link, *subject) for subject in subjects],
        )

    def withhold(self, *, removals: bool, losses: Loses) -> int:
        """Withhold what a guard names, and what waits for it; return how many in all.

        What was approved goes on; but a swap (an update that comes with another address) is
        done by all of its contacts or by none.
        """
        mine = (self._run, self._link)
        self._raw.execute(
            "UPDATE operation SET state = 'withheld' WHERE run = ? AND link = ?"
            f" AND {PLANNED} AND ((? AND op = 'remove') OR loses & ?)"
            " AND (NOT approved OR (op = 'update' AND loses & ?))",
            (*mine, removals, int(losses), int(losses & Loses.OLD_ADDRESS)),
        )
        waiting = {
            row[0]
            for row in self._raw.execute(
                "SELECT contact FROM operation WHERE run = ? AND link = ? AND state = 'withheld'"
                f" AND NOT {FOR_PLANFIX}",
                mine,
            )
        }
        behind = []
        for number, contact, after in self._raw.execute(
            f"SELECT id, contact, after FROM operation WHERE run = ? AND link = ? AND {PLANNED}"
            " AND after IS NOT NULL ORDER BY id",  # whoever waits comes after whom they wait for
            mine,
        ):
            if after in waiting:
                waiting.add(contact)
                behind.append((number,))
        self._raw.executemany("UPDATE operation SET state = 'withheld' WHERE id = ?", behind)
        withheld = self._raw.execute(
            "SELECT COUNT(*) FROM operation WHERE run = ? AND link = ? AND state = 'withheld'", mine
        )
        return int(withheld.fetchone()[0])

    def entries(self) -> Iterator[Operation]:
        """Yield the plan as it stands, the withheld with it."""
        rows = self._raw.execute(
            f"{READ} WHERE run = ? AND link = ? AND state IN ('planned', 'withheld') ORDER BY id",
            (self._run, self._link),
        )
        return (entry_of(row).operation for row in rows)
