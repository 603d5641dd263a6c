"""What is remembered of one person, whichever of their addresses is asked for."""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from syncd.core.address import NO_KEY, AddressKey
from syncd.core.events import Seen, What
from syncd.core.journal import State, Story
from syncd.core.link import ACCOUNT
from syncd.core.people import ContactId
from syncd.store.database import Database
from syncd.store.operations import READ, entry_of

_LIFTED_SOMEWHERE: Final = "EXISTS (SELECT 1 FROM lifted WHERE lifted.latch = latch.id)"

# A latch is a link's own, or the account's; one of those that ended for a link is named link by
# link, where it holds on.
_HELD_BY_NAME: Final = f"""
link.id = latch.link OR (latch.link = {ACCOUNT} AND {_LIFTED_SOMEWHERE} AND NOT EXISTS
    (SELECT 1 FROM lifted WHERE lifted.latch = latch.id AND lifted.link = link.id))
"""


class Traces(NamedTuple):
    """What a person is known by: contacts, and every address that one of them has had."""

    contacts: tuple[ContactId, ...]
    keys: tuple[AddressKey, ...]


class Latched(NamedTuple):
    """One latch: since when, by which run, in which link (empty: in all), and why."""

    at: str
    run: str
    link: str
    why: str
    contact: ContactId | None


class Stories:
    """The journal, the sightings and the latches, person by person."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def traces(self, key: AddressKey) -> Traces:
        """Return what leads to the person behind an address, had now or once."""
        contacts = self.contacts_of(key)
        marks = _marks(contacts)
        rows = self._database.rows(
            f"SELECT key FROM contact WHERE id IN ({marks})"
            f" UNION SELECT key FROM pair WHERE contact IN ({marks})"
            f" UNION SELECT key FROM operation WHERE contact IN ({marks})"
            f" UNION SELECT old_key FROM operation WHERE contact IN ({marks})"
            f" UNION SELECT key FROM event WHERE contact IN ({marks})",
            (*contacts,) * 5,
        )
        keys = {AddressKey(row[0]) for row in rows} | {key}
        return Traces(tuple(contacts), tuple(sorted(keys - {NO_KEY})))

    def contacts_of(self, key: AddressKey) -> list[ContactId]:
        """Return every contact that has, or once had, an address."""
        rows = self._database.rows(
            "SELECT id FROM contact WHERE key = ?1 UNION SELECT contact FROM pair WHERE key = ?1"
            " UNION SELECT contact FROM operation WHERE key = ?1 OR old_key = ?1"
            " UNION SELECT contact FROM event WHERE key = ?1",
            (key,),
        )
        return [ContactId(row[0]) for row in rows if row[0]]

    def operations(self, traces: Traces) -> list[Story]:
        """Return what was done for a person, or was to be, in the journal's order."""
        where, parameters = _whose(traces)
        where = f"WHERE {where} ORDER BY id"
        names = dict(self._database.rows("SELECT id, name FROM link"))
        told = self._database.rows(
            f"SELECT at, run, link, state, error FROM operation {where}", parameters
        )
        read = self._database.rows(f"{READ} {where}", parameters)
        return [
            Story(at, run, names[link], entry_of(row).operation, State(state), error)
            for (at, run, link, state, error), row in zip(told, read, strict=True)
        ]

    def seen(self, traces: Traces) -> list[Seen]:
        """Return what was seen of a person, in its order."""
        where, parameters = _whose(traces)
        rows = self._database.rows(
            "SELECT at, run, (SELECT name FROM link WHERE id = event.link), what, contact, detail"
            f" FROM event WHERE {where} ORDER BY id",
            parameters,
        )
        return [
            Seen(at, run, link, What(what), contact or None, detail)
            for at, run, link, what, contact, detail in rows
        ]

    def latches(self, traces: Traces, hashed: Callable[[AddressKey], bytes]) -> list[Latched]:
        """Return the latches that keep a person out."""
        hashes = [hashed(key) for key in traces.keys]
        rows = self._database.rows(
            "SELECT latch.at, latch.run, link.name, latch.why, latch.contact FROM latch LEFT JOIN"
            f" link ON {_HELD_BY_NAME} WHERE (latch.key_hash IN ({_marks(hashes)})"
            f" OR latch.contact IN ({_marks(traces.contacts)}))"
            f" AND (link.name IS NOT NULL OR NOT {_LIFTED_SOMEWHERE}) ORDER BY latch.id, link.id",
            (*hashes, *traces.contacts),
        )
        return [Latched(at, run, link or "", why, contact) for at, run, link, why, contact in rows]

    def waiting(self, traces: Traces) -> list[tuple[str, str]]:
        """Return for what a person is held now: link's name and cause."""
        where, parameters = _whose(traces)
        rows = self._database.rows(
            f"SELECT (SELECT name FROM link WHERE id = held.link), why FROM held WHERE {where}",
            parameters,
        )
        return [(link, why) for link, why in rows]


def _whose(traces: Traces) -> tuple[str, tuple[object, ...]]:
    """Return the condition for a person's rows; of an address alone where no contact is named."""
    contacts, keys = traces
    where = f"(contact IN ({_marks(contacts)}) OR (contact = 0 AND key IN ({_marks(keys)})))"
    return where, (*contacts, *keys)


def _marks(values: Sequence[object]) -> str:
    return ",".join("?" * len(values)) or "NULL"
