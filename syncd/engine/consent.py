"""What sets a latch, and who is under one."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from syncd.core.address import AddressKey
from syncd.core.pairs import NewLatch, Row, Standing
from syncd.core.people import ContactId


@dataclass(frozen=True, slots=True)
class Latches:
    """Everyone of a link who must not be subscribed by us.

    Keys are known by keyed hashes alone, so that they outlive `forget`.
    """

    contacts: frozenset[ContactId]
    keys: frozenset[bytes]
    hashed: Callable[[AddressKey], bytes]

    def __bool__(self) -> bool:
        return bool(self.contacts or self.keys)

    def holds_key(self, key: AddressKey) -> bool:
        """Whether an address is latched."""
        return bool(self.keys and key) and self.hashed(key) in self.keys

    def hold(self, row: Row) -> bool:
        """Whether a contact is latched: by itself, at its address, or at its member's."""
        return bool(self) and (
            row.contact in self.contacts
            or self.holds_key(row.now.key)
            or (row.pair is not None and self.holds_key(row.pair.base.key))
        )


def spread(rows: Iterable[Row], latches: Latches) -> Iterator[NewLatch]:
    """Yield the latches that follow from those there are, for the rows of one link.

    A contact met at a latched address is latched itself, so that its next address stays out
    too; the new address of a latched contact is latched as well.
    """
    if not latches:
        return
    for row in rows:
        if not latches.hold(row):
            continue
        if row.contact not in latches.contacts:
            yield NewLatch("met at an address that unsubscribed", contact=row.contact)
        keys = {row.now.key} if row.standing is Standing.PRESENT else set()
        if row.pair is not None:
            keys.add(row.pair.base.key)
        for key in sorted(keys):
            if key and not latches.holds_key(key):
                yield NewLatch("an address of a contact who unsubscribed", key=key)
