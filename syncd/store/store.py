"""The store as a run sees it: one file, and a room for each subject."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from syncd.core.link import Selection
from syncd.store.alerts import AlertWindows
from syncd.store.comparisons import Comparisons
from syncd.store.consent import ConsentStore
from syncd.store.database import Database
from syncd.store.events import Events
from syncd.store.journal import Journal
from syncd.store.links import Links
from syncd.store.pairs import Pairs
from syncd.store.pushes import Pushes
from syncd.store.reports import Reports
from syncd.store.runs import Runs
from syncd.store.sightings import Sightings
from syncd.store.sms import Outbox
from syncd.store.snapshots import Snapshot
from syncd.store.stories import Stories
from syncd.store.streaks import Streaks


class Store:
    """Everything that syncd remembers."""

    def __init__(self, path: Path) -> None:
        self._database = Database(path)
        self.links = Links(self._database)
        self.sightings = Sightings(self._database)
        self.comparisons = Comparisons(self._database)
        self.pairs = Pairs(self._database)
        self.consent = ConsentStore(self._database)
        self.events = Events(self._database)
        self.journal = Journal(self._database)
        self.runs = Runs(self._database)
        self.stories = Stories(self._database)
        self.streaks = Streaks(self._database)
        self.outbox = Outbox(self._database)
        self.alerts = AlertWindows(self._database)
        self.pushes = Pushes(self._database, self.consent)
        self.reports = Reports(self._database)

    def snapshot(self, account: str, selection: Selection) -> Snapshot:
        """Return the snapshot of a selection of an account."""
        return Snapshot(self._database, account, selection)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the store for one run (BusyError where another one holds it)."""
        with self._database.lock():
            yield

    def wait_for_others(self, seconds: int) -> None:
        """Set how long a transaction waits for another one to end; half a minute unless set."""
        self._database.wait_for_others(seconds)

    def backup(self, target: Path) -> int:
        """Write a consistent copy while others work; return its size in bytes."""
        return self._database.backup(target)

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()
