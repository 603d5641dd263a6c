"""What sets a latch, and who is under one."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass

from syncd.core.address import AddressKey
from syncd.core.pairs import MET, NewLatch, Row, Standing
from syncd.core.people import ContactId, MemberStatus, Person
from syncd.core.plan import Loses, Op, Operation


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

    def plus(self, new: Iterable[NewLatch]) -> "Latches":
        """Return these latches, and new ones."""
        contacts, keys = set(self.contacts), set(self.keys)
        for latch in new:
            if latch.contact is not None:
                contacts.add(latch.contact)
            if latch.key is not None:
                keys.add(self.hashed(latch.key))
        return Latches(frozenset(contacts), frozenset(keys), self.hashed)

    def holds_key(self, key: AddressKey) -> bool:
        """Whether an address is latched."""
        return bool(self.keys and key) and self.hashed(key) in self.keys

    def hold(self, row: Row) -> bool:
        """Whether a contact is latched: by itself, at its address, or at its member's."""
        return bool(self) and (
            row.contact in self.contacts
            or self.holds_key(row.now.key)
            or (row.pair is not None and self.holds_key(row.pair.base.key))
            or (row.seen is not None and self.holds_key(row.seen.person.key))
        )


def spread(rows: Iterable[Row], latches: Latches) -> Iterator[NewLatch]:
    """Yield the latches that follow from those there are, for the rows of one link.

    A contact met at a latched address is latched itself, so that its next address stays out
    too; the new address of a latched contact is latched as well. A text that is no address
    tells nobody apart, so nothing follows from it. Where a latch reaches back over a row that
    came before, only its addresses are sure to be found: the next pass finds the contact.
    """
    if not latches:
        return
    spreading = _Spreading(latches)
    for row in rows:
        yield from spreading.meet(row)


class _Spreading:
    """One pass over the rows of a link: what was latched in it, and which movers were not."""

    def __init__(self, latches: Latches) -> None:
        self._latches = latches
        self._contacts: set[ContactId] = set()
        self._keys: set[AddressKey] = set()
        self._movers: defaultdict[AddressKey, list[Row]] = defaultdict(list)

    def meet(self, row: Row) -> Iterator[NewLatch]:
        """Yield what follows for a row, and for the movers before it that share an address."""
        addresses = _addresses(row)
        if not self._latches.hold(row) and self._keys.isdisjoint(addresses):
            if len(addresses) > 1:
                for key in addresses:
                    self._movers[key].append(row)
            return
        todo = [row]
        while todo:
            met = todo.pop()
            if met.contact not in self._latches.contacts and met.contact not in self._contacts:
                self._contacts.add(met.contact)
                yield NewLatch(MET, contact=met.contact)
            for key in _addresses(met):
                if key not in self._keys and not self._latches.holds_key(key):
                    self._keys.add(key)
                    yield NewLatch("an address of a contact who unsubscribed", key=key)
                    todo += self._movers.pop(key, ())


def _addresses(row: Row) -> list[AddressKey]:
    """Return the keys a contact is known by: its member's, and its own where it is usable."""
    keys = {row.pair.base.key, row.member.key} if row.pair is not None else set()
    if row.now.key and not row.fault:
        keys.add(row.now.key)
    return sorted(keys)


def still_on(row: Row, latches: Latches, gone: Collection[ContactId] = ()) -> Operation | None:
    """Return what takes a latched contact's member off the list, where the list still has it.

    A contact who was latched at one address may have a member at another. It leaves the list
    when the contact goes, or moved alone to an address that unsubscribed; where other contacts
    have that address too, all of them wait as they are. Of those, whoever is `gone` has it no
    more. Many such moves at once are a slip in Planfix, not many people leaving: guard 5 counts
    them as changed addresses.
    """
    if row.pair is None or row.pair.status is not MemberStatus.ACTIVE or not latches.hold(row):
        return None
    if row.sighting is not None and row.sighting.member is None:
        return None
    member = row.member
    loses = Loses.NOTHING
    if row.standing is Standing.PRESENT and row.now.key:
        alone = (row.holder is None or row.holder in gone) and not row.contested
        if row.now.key == member.key or not alone:
            return None
        loses = Loses.OLD_ADDRESS
    elif row.standing in {Standing.MISSING, Standing.UNASKED}:
        return None
    why = "the contact has, or had, an address that unsubscribed"
    return Operation(Op.UNSUBSCRIBE, row.contact, member, why, loses=loses)


def met_elsewhere(
    active: Iterable[tuple[ContactId, Person]], everywhere: Latches
) -> Iterator[NewLatch]:
    """Yield the latches of contacts known on this list by an address that left another one."""
    for contact, member in active:
        if contact not in everywhere.contacts and everywhere.holds_key(member.key):
            yield NewLatch(MET, contact=contact)


def left_elsewhere(
    active: Iterable[tuple[ContactId, Person]], everywhere: Latches
) -> Iterator[Operation]:
    """Yield what takes people off this list who left another one, and with it all.

    `active` are the contacts that this list has, `everywhere` the latches of the account.
    """
    for contact, member in active:
        if contact in everywhere.contacts or everywhere.holds_key(member.key):
            why = "unsubscribed through another link, which counts for every list"
            yield Operation(Op.UNSUBSCRIBE, contact, member, why)
