"""vdirsyncer's algorithm over people in memory: `python -m bench.beside.vdirsyncer ITEMS FILE`.

Runs in an environment of its own. The status is kept in FILE, as vdirsyncer's command does.
"""

import asyncio
import sys

from vdirsyncer.storage.memory import MemoryStorage
from vdirsyncer.sync import sync
from vdirsyncer.sync.status import SqliteStatus
from vdirsyncer.vobject import Item

from bench.beside.measure import phase


def _item(number: int, last: str) -> Item:
    return Item(
        f"BEGIN:VCARD\r\nVERSION:3.0\r\nUID:{number}\r\nEMAIL:p{number}@example.com\r\n"
        f"N:{last};Anna;;;\r\nEND:VCARD"
    )


def main(items: int, status: SqliteStatus) -> None:
    """Sync from one side to an empty one, again with nothing changed, and with 1 % changed."""
    here, there = MemoryStorage(), MemoryStorage()
    here.items = {str(number): ("1", _item(number, "Orlova")) for number in range(items)}

    def once() -> None:
        asyncio.run(sync(here, there, status, conflict_resolution="a wins"))

    phase("first", once)
    phase("quiet", once)
    for number in range(0, items, 100):
        here.items[str(number)] = ("2", _item(number, "Petrova"))
    phase("changed", once)


if __name__ == "__main__":
    main(int(sys.argv[1]), SqliteStatus(sys.argv[2]))
