"""What a list showed otherwise than its pairs say: kept for the run that read it.

A list is read anew in each run, so this needs neither a disk's word nor the journal of the
file: it is a table of the connection's own, gone when that is closed.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final

from syncd.core.address import AddressKey
from syncd.core.link import LinkNumber
from syncd.core.pairs import Pair, Sighting
from syncd.core.people import Member, MemberStatus, Person
from syncd.store.database import Database

_SCHEMA: Final = (
    """CREATE TEMP TABLE sighting (number INTEGER PRIMARY KEY, key TEXT NOT NULL,
        contact INTEGER, address TEXT, first TEXT, last TEXT, status TEXT NOT NULL,
        reference TEXT NOT NULL, since TEXT NOT NULL)""",
    "CREATE INDEX temp.sighting_key ON sighting (key)",
    "CREATE UNIQUE INDEX temp.sighting_contact ON sighting (contact) WHERE contact IS NOT NULL",
)

_GONE: Final = "gone"
_CHUNK: Final = 1000
_COLUMNS: Final = "s.key, s.contact, s.address, s.first, s.last, s.status, s.reference, s.since"

# A member who moved: gone from one address, and met at another under the reference they had.
_MOVED: Final = """
SELECT lost.number, found.number, lost.contact
  FROM temp.sighting lost JOIN pair p ON p.link = ? AND p.contact = lost.contact
  JOIN temp.sighting found ON found.reference = p.reference AND found.contact IS NULL
 WHERE lost.status = 'gone' AND p.reference <> ''
"""

_PAIRED: Final = f"""
SELECT s.number, {_COLUMNS}, p.address, p.key, p.first, p.last, p.status, p.reference,
       c.page IS NOT NULL AND c.key <> '' AND c.fault = ''
  FROM temp.sighting s LEFT JOIN pair p ON p.link = ? AND p.contact = s.contact
       LEFT JOIN contact c ON c.selection = ? AND c.id = s.contact
"""

_STRANGERS: Final = f"""
SELECT {_COLUMNS} FROM temp.sighting s WHERE s.contact IS NULL AND NOT EXISTS
   (SELECT 1 FROM contact c WHERE c.selection = ? AND c.key = s.key AND c.page IS NOT NULL)
 ORDER BY s.key
"""


class Sightings:
    """The sightings of the link that is being brought in step."""

    def __init__(self, database: Database) -> None:
        self._database = database
        for statement in _SCHEMA:
            database.raw.execute(statement)

    def replace(self, link: LinkNumber, seen: Iterable[Sighting], *, follows: bool) -> None:
        """Forget those before, and take these; nothing is locked while they come.

        `follows`: a member keeps the reference when the address changes, so that one who is
        gone at one address and met at another is the same.
        """
        raw = self._database.raw
        self.clear()
        lines = map(line_of, seen)
        while chunk := list(islice(lines, _CHUNK)):
            raw.execute("BEGIN")
            raw.executemany(
                "INSERT INTO temp.sighting (key, contact, address, first, last, status,"
                " reference, since) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                chunk,
            )
            raw.execute("COMMIT")
        if follows:
            for lost, found, contact in raw.execute(_MOVED, (link,)).fetchall():
                raw.execute("DELETE FROM temp.sighting WHERE number = ?", (lost,))
                raw.execute(
                    "UPDATE temp.sighting SET contact = ? WHERE number = ?", (contact, found)
                )

    def all(
        self, link: LinkNumber, selection: int
    ) -> Iterator[tuple[int, Sighting, Pair | None, bool]]:
        """Yield each sighting with its number, its pair, and whether a usable contact is there."""
        for number, *line in self._database.rows(_PAIRED, (link, selection)):
            seen, base, present = line[:8], line[8:14], line[14]
            pair = None
            if base[0] is not None:
                address, key, first, last, status, reference = base
                pair = Pair(Person(address, key, first, last), MemberStatus(status), reference)
            yield number, sighting(seen), pair, bool(present)

    def strangers(self, selection: int) -> Iterator[Sighting]:
        """Yield the members of whom no contact of the selection is known, by key."""
        return map(sighting, self._database.rows(_STRANGERS, (selection,)))

    def drop(self, numbers: Iterable[int]) -> None:
        """Forget sightings that prove nothing."""
        self._database.raw.executemany(
            "DELETE FROM temp.sighting WHERE number = ?", [(number,) for number in numbers]
        )

    def clear(self) -> None:
        """Forget them all: the next link's list is another one."""
        self._database.raw.execute("DELETE FROM temp.sighting")


def sighting(line: Sequence[Any]) -> Sighting:
    """Return a sighting of its eight columns."""
    key, contact, address, first, last, status, reference, since = line
    member = None
    if status != _GONE:
        # A member who moved stands at an address of its own.
        member = Member(reference, Person(address, key, first, last), MemberStatus(status), since)
    return Sighting(AddressKey(key), contact, member)


def line_of(seen: Sighting) -> tuple[object, ...]:
    """Return the eight columns of a sighting."""
    member = seen.member
    if member is None:
        return seen.key, seen.contact, None, None, None, _GONE, "", ""
    person = member.person
    return (
        seen.key, seen.contact, person.address, person.first, person.last, member.status.value,
        member.reference, member.since,
    )  # fmt: skip
