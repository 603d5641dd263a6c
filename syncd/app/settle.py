"""End what the last journal left open, before anything new is planned."""

from collections.abc import Iterable
from itertools import groupby

import structlog

from syncd.app.apply import Applied, Applier, stamp
from syncd.app.world import OpenLink
from syncd.core.journal import Entry
from syncd.core.plan import Op
from syncd.ports import ListId

log = structlog.get_logger()


def settle(open_link: OpenLink, list_id: ListId | None) -> Applied | None:
    """Drop what was only planned; repeat what was sent and never answered.

    Every call of a list states an end state, so a repetition is safe: an add goes as an
    import, a refused removal counts as done, a refused rename is tried as an update. So does
    every write to Planfix but a new contact. People's wishes to leave that were not yet told to
    the list are told now, or as soon as it is known which list that is.
    """
    journal = open_link.store.journal
    journal.drop_planned(open_link.number)
    entries = journal.open(open_link.number)
    if not entries:
        return None
    if list_id is None:
        moot = [entry for entry in entries if entry.operation.op is not Op.UNSUBSCRIBE]
        journal.drop(moot, "there is no list yet", at=stamp())
        return None
    log.warning("journal.settled", calls=len(entries))
    applier = Applier(open_link, list_id, stop=lambda: False)
    for call in _calls(entries):
        applier.settle(call)
    # Whoever asked to leave while a call of unknown fate put them on the list.
    for call in _calls(e for e in journal.open(open_link.number) if e.id > entries[-1].id):
        applier.settle(call)
    return applier.applied


def _calls(entries: Iterable[Entry]) -> Iterable[list[Entry]]:
    """Return the entries as they were sent: those of one batch together."""
    return (
        list(call)
        for _, call in groupby(
            entries, key=lambda entry: entry.id if entry.batch is None else entry.batch
        )
    )
