"""The outbox of the SMS relay: what came in, on its way, and how it ended.

"sent" is committed before a gateway is called. Who finds it at the start of a pass, when
nobody is sending and no result waits to be committed, finds a message whose fate is unknown: it
is not repeated.

One object may be used by several threads; each call is a transaction of its own.
"""

import secrets
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from syncd.clock import stamp
from syncd.core.sms import DueText, PhoneNumber, Text, TextStanding, TextState
from syncd.errors import BusyError
from syncd.store.database import Database, exclusive

_AT_ONCE: Final = 100
_LOST: Final = "syncd ended, or its store could not be written, before the answer was noted"
_LONGEST_PAUSE: Final = timedelta(hours=1)  # of the relay's: who waits longer, the clock went back
_DUE: Final = """
SELECT id, at, attempts, login, relay, sender, recipient, text FROM (
    SELECT *, ROW_NUMBER() OVER (PARTITION BY relay ORDER BY next_at, at) AS turn FROM sms
     WHERE state = 'queued' AND (next_at <= ? OR next_at > ?))
 WHERE turn <= ? ORDER BY turn, next_at, at
"""


def put(raw: sqlite3.Connection, text: Text, *, at: datetime) -> str:
    """Queue a message, within the caller's transaction; return its id."""
    made = f"sms-{secrets.token_hex(8)}"
    raw.execute(
        "INSERT INTO sms (id, at, login, relay, sender, recipient, text, state, attempts,"
        " next_at, error, answer) VALUES (?, ?, ?, ?, ?, ?, ?, 'queued', 0, ?, '', '')",
        (made, stamp(at), text.login, text.relay, text.sender, text.recipient, text.text,
         stamp(at)),
    )  # fmt: skip
    return made


class Outbox:
    """The messages of a store; fulfils `syncd.ports.Outbox`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()  # the connection is one, and a transaction is its own
        self._results: list[tuple[str, tuple[Any, ...]]] = []  # not committed yet

    def put(self, text: Text, *, at: datetime) -> str:
        """Keep a message to be relayed at once; return its id.

        Raises:
            TemporaryError: the store can't be written; nothing was kept.
        """
        with self._lock, self._database.transaction() as raw:
            return put(raw, text, at=at)

    def due(self, now: datetime) -> list[DueText]:
        """Return whose turn it is: the gateways in turn, each with its longest waiting first.

        Not all of very many.
        """
        rows = self._read(_DUE, (stamp(now), stamp(now + _LONGEST_PAUSE), _AT_ONCE))
        return [
            DueText(
                id=row[0],
                at=datetime.fromisoformat(row[1]),
                attempts=row[2],
                text=Text(
                    login=row[3],
                    relay=row[4],
                    sender=row[5],
                    recipient=PhoneNumber(row[6]),
                    text=row[7],
                ),
            )
            for row in rows
        ]

    def next_due(self) -> datetime | None:
        """Return when a message is due next; None where none waits."""
        ((at,),) = self._read("SELECT MIN(next_at) FROM sms WHERE state = 'queued'")
        return datetime.fromisoformat(at) if at else None

    def mark_sent(self, message: str) -> bool:
        """Commit that a message goes out now; False where it is no longer queued."""
        return bool(
            self._write(
                "UPDATE sms SET state = 'sent', attempts = attempts + 1"
                " WHERE id = ? AND state = 'queued'",
                (message,),
            )
        )

    def end(self, message: str, state: TextState, *, error: str, answer: str) -> None:
        """Remember how a message has ended."""
        self._keep(
            "UPDATE sms SET state = ?, error = ?, answer = ?"
            " WHERE id = ? AND state IN ('queued', 'sent')",
            (state.value, error, answer, message),
        )

    def postpone(self, message: str, until: datetime, *, error: str, answer: str) -> None:
        """Queue a message again that was sent and not taken."""
        self._keep(
            "UPDATE sms SET state = 'queued', next_at = ?, error = ?, answer = ?"
            " WHERE id = ? AND state = 'sent'",
            (stamp(until), error, answer, message),
        )

    def settle(self) -> list[str]:
        """Call unknown what was sent and has no result; return the ids of those.

        Results that could not be committed when they came are committed first.
        """
        with self._lock, self._database.transaction() as raw:
            self._commit(raw)
            lost = raw.execute("SELECT id FROM sms WHERE state = 'sent' ORDER BY at").fetchall()
            raw.execute(
                "UPDATE sms SET state = 'unknown', error = ? WHERE state = 'sent'", (_LOST,)
            )
        self._results.clear()
        return [row[0] for row in lost]

    def prune(self, before: datetime) -> None:
        """Erase what came in before then and is not on its way to a gateway."""
        self._write("DELETE FROM sms WHERE at < ? AND state <> 'sent'", (stamp(before),))

    def standing(self, message: str) -> TextStanding | None:
        """Return how a message stands; None where there is none of this id."""
        rows = self._read(
            "SELECT id, at, login, relay, state, attempts, next_at, error FROM sms WHERE id = ?",
            (message,),
        )
        return _standing(rows[0]) if rows else None

    @contextmanager
    def relaying(self) -> Iterator[None]:
        """Be the only one who sends; the lock dies with its process.

        Raises:
            BusyError: somebody else sends, and will see to what is due.
            ConfigurationError: the lock can't be opened.
        """
        busy = BusyError("Another process sends the messages of this store.")
        with exclusive(Path(f"{self._database.path}.sms.lock"), busy):
            yield

    def _keep(self, sql: str, result: tuple[Any, ...]) -> None:
        """Commit how a sending ended; where that fails, the next `settle` does it."""
        self._results.append((sql, result))
        with self._lock, self._database.transaction() as raw:
            self._commit(raw)
        self._results.clear()

    def _commit(self, raw: sqlite3.Connection) -> None:
        for sql, result in self._results:
            raw.execute(sql, result)

    def _read(self, sql: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._database.rows(sql, values)

    def _write(self, sql: str, values: tuple[Any, ...]) -> int:
        with self._lock, self._database.transaction() as raw:
            return raw.execute(sql, values).rowcount


def _standing(row: tuple[Any, ...]) -> TextStanding:
    message, at, login, relay, state, attempts, next_at, error = row
    return TextStanding(
        id=message,
        at=datetime.fromisoformat(at),
        login=login,
        relay=relay,
        state=TextState(state),
        attempts=attempts,
        next_at=datetime.fromisoformat(next_at),
        error=error,
    )
