"""Which kinds of alert were told by SMS, since when, and how many more came.

A kind that was told opens a window; what comes inside is only counted. Nothing here says how
long a window is: `syncd.alerts` does.
"""

from collections.abc import Sequence
from datetime import datetime

from syncd.clock import stamp
from syncd.core.alerts import Window
from syncd.core.sms import Text
from syncd.store import sms
from syncd.store.database import Database


class AlertWindows:
    """The windows of a store; fulfils `syncd.alerts.Windows`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> dict[str, Window]:
        """Return the windows, by their kinds."""
        rows = self._database.rows("SELECT kind, at, further FROM alert ORDER BY kind")
        return {kind: Window(datetime.fromisoformat(at), further) for kind, at, further in rows}

    def change(
        self,
        kind: str,
        before: Window | None,
        after: Window | None,
        *,
        texts: Sequence[Text],
        at: datetime,
    ) -> bool:
        """Change a kind's window and put messages into the outbox: both, or neither.

        Neither, and False, where the window is no longer as it was `before`.
        """
        with self._database.transaction() as raw:
            if self.all().get(kind) != before:
                return False
            if after is None:
                raw.execute("DELETE FROM alert WHERE kind = ?", (kind,))
            else:
                raw.execute(
                    "INSERT INTO alert (kind, at, further) VALUES (?, ?, ?) ON CONFLICT (kind)"
                    " DO UPDATE SET at = excluded.at, further = excluded.further",
                    (kind, stamp(after.at), after.further),
                )
            for text in texts:
                sms.put(raw, text, at=at)
            return True
