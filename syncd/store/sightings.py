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
        reference TEXT NOT NULL, since TEXT NOT NULL, returns INTEGER NOT NULL DEFAULT 0)""",
    "CREATE INDEX temp.sighting_key ON sighting (key)",
    "CREATE UNIQUE INDEX temp.sighting_contact ON sighting (contact) WHERE contact IS NOT NULL",
)

_GONE: Final = "gone"
_CHUNK: Final = 1000
COLUMNS: Final = (
    "s.key, s.contact, s.address, s.first, s.last, s.status, s.reference, s.since, s.returns"
)

# Members who moved: no longer at their pair's address, or somebody else is there, and met at
# another under the reference they had; with whose pair that other address is, if any. Joined in
# this order, since SQLite would walk all pairs for the few sightings.
_MOVED: Final = """
SELECT here.number, found.number, p.contact, found.contact
  FROM temp.sighting here CROSS JOIN pair p ON p.link = ? AND p.contact = here.contact
  CROSS JOIN temp.sighting found ON found.reference = p.reference AND found.number <> here.number
 WHERE p.reference <> '' AND here.reference <> p.reference
"""

_PAIRED: Final = f"""
SELECT s.number, {COLUMNS}, p.address, p.key, p.first, p.last, p.status, p.reference,
       c.page IS NOT NULL AND c.key <> '' AND c.fault = ''
  FROM temp.sighting s LEFT JOIN pair p ON p.link = ? AND p.contact = s.contact
       LEFT JOIN contact c ON c.selection = ? AND c.id = s.contact
"""

_STRANGERS: Final = f"""
SELECT {COLUMNS} FROM temp.sighting s WHERE s.contact IS NULL AND NOT EXISTS
   (SELECT 1 FROM contact c INDEXED BY contact_key
     WHERE c.selection = ? AND c.key = s.key AND c.page IS NOT NULL)
 ORDER BY s.key
"""

_SUBSCRIBERS: Final = """
SELECT s.key, EXISTS (SELECT 1 FROM pair p WHERE p.link = s.link AND p.key = s.key),
       EXISTS (SELECT 1 FROM temp.sighting t WHERE t.key = s.key)
  FROM subscriber s WHERE s.link = ? ORDER BY s.key
"""


class Sightings:
    """The sightings of the link that is being brought in step."""

    def __init__(self, database: Database) -> None:
        self._database = database
        for statement in _SCHEMA:
            database.raw.execute(statement)

    def replace(self, link: LinkNumber, seen: Iterable[Sighting], *, follows: bool) -> None:
        """Forget those before, and take these; nothing is locked while they come.

        `follows`: a member keeps the reference when the address changes, so that it tells
        whose they are before their address does.
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
            self._follow(link)

    def _follow(self, link: LinkNumber) -> None:
        """Give members who moved to the pairs whose references they have, all at once.

        Who took the address of one who is nowhere is that one now: the address is still on the
        list, which is more than can be said of the one they came from.
        """
        raw = self._database.raw
        moves = raw.execute(_MOVED, (link,)).fetchall()
        while True:
            movers = {contact for _, _, contact, _ in moves}
            staying = [move for move in moves if move[3] is not None and move[3] not in movers]
            if not staying:
                break
            moves = [move for move in moves if move not in staying]
        left = [(here,) for here, _, _, _ in moves]
        raw.executemany("UPDATE temp.sighting SET contact = NULL WHERE number = ?", left)
        raw.executemany("DELETE FROM temp.sighting WHERE number = ? AND status = 'gone'", left)
        raw.executemany(
            "UPDATE temp.sighting SET contact = ? WHERE number = ?",
            [(contact, found) for _, found, contact, _ in moves],
        )

    def all(
        self, link: LinkNumber, selection: int
    ) -> Iterator[tuple[int, Sighting, Pair | None, bool]]:
        """Yield each sighting with its number, its pair, and whether a usable contact is there."""
        for number, *line in self._database.rows(_PAIRED, (link, selection)):
            seen, returns, base, present = line[:8], line[8], line[9:15], line[15]
            pair = None
            if base[0] is not None:
                address, key, first, last, status, reference = base
                pair = Pair(Person(address, key, first, last), MemberStatus(status), reference)
            yield number, sighting(seen, returns=bool(returns)), pair, bool(present)

    def strangers(self, selection: int) -> Iterator[Sighting]:
        """Yield the members of whom no contact of the selection is known, by key."""
        for *seen, returns in self._database.rows(_STRANGERS, (selection,)):
            yield sighting(seen, returns=bool(returns))

    def missed(self, link: LinkNumber) -> list[AddressKey]:
        """Return which subscribers of whom Planfix was asked are neither members nor pairs."""
        found = self._database.rows(_SUBSCRIBERS, (link,))
        paired = [(link, key) for key, is_pair, _ in found if is_pair]
        if paired:
            with self._database.transaction() as raw:
                raw.executemany("DELETE FROM subscriber WHERE link = ? AND key = ?", paired)
        return [AddressKey(key) for key, is_pair, is_member in found if not is_pair | is_member]

    def mark_returning(self, numbers: Iterable[int]) -> None:
        """Note who seems to be back and must wait for a person's word."""
        self._database.raw.executemany(
            "UPDATE temp.sighting SET returns = 1 WHERE number = ?",
            [(number,) for number in numbers],
        )

    def drop(self, numbers: Iterable[int]) -> None:
        """Forget sightings that prove nothing."""
        self._database.raw.executemany(
            "DELETE FROM temp.sighting WHERE number = ?", [(number,) for number in numbers]
        )

    def clear(self) -> None:
        """Forget them all: the next link's list is another one."""
        self._database.raw.execute("DELETE FROM temp.sighting")


def sighting(line: Sequence[Any], *, returns: bool = False) -> Sighting:
    """Return a sighting of its eight columns."""
    key, contact, address, first, last, status, reference, since = line
    member = None
    if status != _GONE:
        # A member who moved stands at an address of its own.
        member = Member(reference, Person(address, key, first, last), MemberStatus(status), since)
    return Sighting(AddressKey(key), contact, member, returns)


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
