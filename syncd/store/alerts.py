"""Which kinds of alert were told by SMS, since when, and how many more came.

A kind that was told opens a window; what comes inside is only counted. Nothing here says how
long a window is: `syncd.alerts` does.
"""

from datetime import UTC, datetime

from syncd.store.database import Database


class AlertWindows:
    """The open windows of a store; fulfils `syncd.alerts.Windows`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, kind: str) -> tuple[datetime, int] | None:
        """Return since when a kind's window is open, and how many were counted in it."""
        rows = self._database.rows("SELECT at, further FROM alert WHERE kind = ?", (kind,))
        return (datetime.fromisoformat(rows[0][0]), int(rows[0][1])) if rows else None

    def kinds(self) -> list[str]:
        """Return the kinds that have a window."""
        return [row[0] for row in self._database.rows("SELECT kind FROM alert ORDER BY kind")]

    def open(self, kind: str, *, at: datetime) -> None:
        """Open a kind's window, or open it anew with nothing counted."""
        with self._database.transaction() as raw:
            raw.execute(
                "INSERT INTO alert (kind, at, further) VALUES (?, ?, 0)"
                " ON CONFLICT (kind) DO UPDATE SET at = excluded.at, further = 0",
                (kind, at.astimezone(UTC).isoformat(timespec="microseconds")),
            )

    def count(self, kind: str) -> None:
        """Count one more in a kind's window."""
        with self._database.transaction() as raw:
            raw.execute("UPDATE alert SET further = further + 1 WHERE kind = ?", (kind,))

    def close(self, kind: str) -> None:
        """Forget a kind's window."""
        with self._database.transaction() as raw:
            raw.execute("DELETE FROM alert WHERE kind = ?", (kind,))
