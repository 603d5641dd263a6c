"""Moved addresses: who may have which address, and in which order.

Contacts that want an address another one of the link has, had, or wants too form a graph.
Chains run from the free end; a cycle is no rename at all, its pairs are re-pointed; a group
with a latched address is held as a whole.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from syncd.core.address import NO_KEY, AddressKey
from syncd.core.pairs import Row
from syncd.core.people import ContactId, MemberStatus, Person
from syncd.core.plan import (
    Fields,
    Held,
    Loses,
    Op,
    Operation,
    Pairing,
    Repoint,
    Step,
    Suppressed,
)
from syncd.engine.diff import names_lost
from syncd.engine.merge import Policy, agreed
from syncd.engine.sightings import held_as
from syncd.engine.table import Action

_WAITS = "the address belongs to another contact, which waits itself"
LATCHED_GROUP: Final = "an address in this exchange of addresses has unsubscribed"
_UNPROVED = "not read, and nothing proves it gone"
_UNCERTIFIED = "nobody is removed before a reading is certified"
_ADOPTED = "on the list already"
_PUT_BACK = "Planfix's address put on the list"
_THERE_ALREADY = "moved to an address that is on the list already, which is theirs from now on"
_SHADOWED = "moved to an address that another contact already has on this list"


class Freed(StrEnum):
    """Whether a settled contact gives its member's address free, and how."""

    NO = "no"
    BY_RENAME = "by rename"
    BY_REMOVAL = "by removal"


@dataclass(frozen=True, slots=True)
class Tangled:
    """A row whose address another contact has to do with, and what the table asks for it.

    `wanted` is what its member shall be; `removal` is its removal, where the table asks for one;
    `cause` is why it is held, where something else than its address is to blame.
    """

    row: Row
    action: Action
    latched: bool
    wanted: Person
    removal: Operation | None = None
    cause: str = ""

    @property
    def member_key(self) -> AddressKey:
        """The key that its member has now; empty where it has none."""
        return self.row.member.key if self.row.pair is not None else NO_KEY

    @property
    def pair_key(self) -> AddressKey:
        """The key that its pair has, wherever its member is by now; empty where it has none."""
        return self.row.pair.base.key if self.row.pair is not None else NO_KEY

    @property
    def claims(self) -> bool:
        """Whether it wants an address that its member hasn't."""
        return self.action in {Action.RENAME, Action.ADD_NEW}


def resolve(
    tangled: Sequence[Tangled], policy: Policy, elsewhere: Collection[ContactId] = ()
) -> Iterator[Step]:
    """Settle who gets which address; yield the steps in the order they must be done.

    `elsewhere` are those whose members are no longer where their pairs say: whoever wants such
    an address waits until that is settled.
    """
    return _Exchange(tangled, policy, elsewhere).steps()


def join(row: Row, policy: Policy, *, after: ContactId | None = None) -> Iterator[Step]:
    """Give a contact the member at its address, or a new one.

    Somebody who had left and is latched no longer was released: the one case in which they are
    subscribed again. Nothing is written to Planfix.
    """
    now, seen = row.now, row.seen
    if seen is None or seen.status is MemberStatus.UNSUBSCRIBED:
        if policy.writes_list:
            back = seen is not None
            why = "released, and subscribed again" if back else "new in the selection"
            yield Operation(Op.ADD, row.contact, now, why, after=after, resubscribes=back)
    elif seen.status is MemberStatus.UNKNOWN:
        yield Held(row.contact, "the list has a standing for this member that syncd doesn't know")
    elif seen.status is MemberStatus.BLOCKED:
        why = "on the list already, where the address bounces"
        yield Pairing(row.contact, now, MemberStatus.BLOCKED, seen.reference, why)
    elif held_as(seen.person, policy.names) == held_as(now, policy.names):
        yield Pairing(row.contact, now, MemberStatus.ACTIVE, seen.reference, _ADOPTED)
    elif policy.writes_list:
        loses = names_lost(seen.person, now)
        yield Operation(Op.UPDATE, row.contact, now, _ADOPTED, loses=loses, after=after)
    else:
        base = now._replace(first=seen.person.first, last=seen.person.last)
        yield Pairing(row.contact, base, MemberStatus.ACTIVE, seen.reference, _ADOPTED)


class _Exchange:
    """One resolution: the rows, who holds which key, and who won it."""

    def __init__(
        self, tangled: Sequence[Tangled], policy: Policy, elsewhere: Collection[ContactId]
    ) -> None:
        self._policy = policy
        self._elsewhere = elsewhere
        self._by_contact: Mapping[ContactId, Tangled] = {t.row.contact: t for t in tangled}
        self._holder_of: dict[AddressKey, ContactId] = {
            t.member_key: t.row.contact for t in tangled if t.member_key
        }
        for t in tangled:
            if t.row.holder is not None:
                self._holder_of.setdefault(t.row.now.key, t.row.holder)
        claims: defaultdict[AddressKey, list[Tangled]] = defaultdict(list)
        for t in tangled:
            if t.claims:
                claims[t.wanted.key].append(t)
        # Who already has a member goes before who has none; then the lowest id.
        self._winner_of: dict[AddressKey, Tangled] = {
            key: min(group, key=lambda t: (t.row.pair is None, t.row.contact))
            for key, group in claims.items()
        }
        self._held = self._groups_held(tangled)
        self._freed: dict[ContactId, Freed] = {}  # those settled
        self._walked: set[ContactId] = set()

    # Who belongs together, and which groups wait.

    def _groups_held(self, tangled: Sequence[Tangled]) -> dict[ContactId, str]:
        """Return the claimants that must wait, with the cause."""
        neighbours: defaultdict[ContactId, set[ContactId]] = defaultdict(set)
        for t in tangled:
            if not t.claims:
                continue
            wanted = t.wanted.key
            for other in (self._holder_of.get(wanted), self._winner_of[wanted].row.contact):
                if other is not None:
                    neighbours[t.row.contact].add(other)
                    neighbours[other].add(t.row.contact)
        held: dict[ContactId, str] = {}
        seen: set[ContactId] = set()
        for t in tangled:
            if t.row.contact in seen:
                continue
            group = _reach(t.row.contact, neighbours)
            seen |= group
            members = [self._by_contact[c] for c in sorted(group) if c in self._by_contact]
            if len(members) > 1 and any(m.latched for m in members):
                held |= {m.row.contact: LATCHED_GROUP for m in members if not _has_left(m)}
        return held

    # The steps.

    def steps(self) -> Iterator[Step]:
        """Yield what is to be done, each step after those it waits for."""
        yield from self._cycles()
        for contact in sorted(self._by_contact):
            for t in self._chain(contact):
                yield from self._settle(t)

    def _chain(self, contact: ContactId) -> list[Tangled]:
        """Return a contact and those it waits for, the free end first; only the unsettled.

        A loop, not a recursion: a slipped column in an import makes a chain of thousands.
        """
        chain: list[Tangled] = []
        while (t := self._by_contact.get(contact)) is not None:
            if contact in self._freed:
                break
            self._freed[contact] = Freed.NO  # until it is settled; also ends a loop
            chain.append(t)
            holder = self._other_holder(t)
            if not self._wins(t) or holder is None:
                break
            contact = holder
        return chain[::-1]

    def _settle(self, t: Tangled) -> Iterator[Step]:
        contact = t.row.contact
        if contact in self._held:
            yield Held(contact, self._held[contact])
        elif t.latched:
            yield Suppressed(contact, t.row.now, edited=True)
        elif t.claims:
            yield from self._claim(t)
        elif t.removal is not None:
            yield from self._give_up(t, t.removal)
        else:
            yield Held(contact, t.cause or t.row.fault or _UNPROVED)

    def _claim(self, t: Tangled) -> Iterator[Step]:
        holder = self._other_holder(t)
        if holder in self._elsewhere and holder not in self._by_contact:
            yield Held(t.row.contact, _WAITS)
            return
        if not self._wins(t) or (holder is not None and holder not in self._by_contact):
            yield from self._shadow(t)
            return
        freed = self._freed[holder] if holder is not None else Freed.BY_RENAME
        if freed is Freed.NO:
            yield Held(t.row.contact, _WAITS)
        elif freed is Freed.BY_REMOVAL and t.row.pair is None:
            return  # it took the member over when its holder gave it up
        else:
            if t.action is Action.RENAME:
                self._freed[t.row.contact] = Freed.BY_RENAME
            yield from self._take(t, after=holder)

    def _take(self, t: Tangled, *, after: ContactId | None) -> Iterator[Step]:
        row, wanted = t.row, t.wanted
        if row.pair is None:
            yield from join(row, self._policy, after=after)
            return
        if t.action is Action.RENAME and row.taken and wanted.key == row.now.key:
            loses = Loses.OLD_ADDRESS
            removal = Operation(Op.REMOVE, row.contact, row.member, _THERE_ALREADY, loses=loses)
            yield removal if self._policy.certified else Held(row.contact, _UNCERTIFIED)
            return
        if row.sighting is not None and row.sighting.member is None:
            why = "gone from the list, and put back as the link's config says"
            loses = Loses.VANISHED
        elif t.action is Action.ADD_NEW:
            why = "address changed in Planfix, and the old one bounced"
            loses = Loses.OLD_ADDRESS | names_lost(row.pair.base, wanted)
        else:
            old = row.member
            yield Operation(
                Op.RENAME,
                row.contact,
                wanted,
                "address changed in Planfix" if row.seen is None else _PUT_BACK,
                old_address=old.address,
                old_key=old.key,
                loses=Loses.OLD_ADDRESS | names_lost(row.pair.base, wanted),
                after=after,
                settles=agreed(wanted, row.now),
            )
            return
        yield Operation(Op.ADD, row.contact, wanted, why, loses=loses, after=after)

    def _shadow(self, t: Tangled) -> Iterator[Step]:
        """Another contact has its address for good: it needs no member of its own."""
        if t.action is not Action.RENAME:
            return
        removal = Operation(
            Op.REMOVE, t.row.contact, t.row.member, _SHADOWED, loses=Loses.OLD_ADDRESS
        )
        yield from self._give_up(t, removal)

    def _give_up(self, t: Tangled, removal: Operation) -> Iterator[Step]:
        """Remove a member, unless a newcomer has its address: then it stays, as theirs."""
        heir = self._winner_of.get(t.member_key)
        if heir is None or heir.row.pair is not None:
            if not self._policy.certified:
                yield Held(t.row.contact, _UNCERTIFIED)
                return
            self._freed[t.row.contact] = Freed.BY_REMOVAL
            yield removal
        elif Loses.UNASKED in removal.loses:
            yield Held(t.row.contact, _UNPROVED)  # and so its heir waits too
        else:
            self._freed[t.row.contact] = Freed.BY_REMOVAL
            why = "took over the address from another contact"
            yield Repoint(t.pair_key, t.row.contact, heir.row.contact, why)
            yield from _rename_in_place(heir, t, why)

    def _other_holder(self, t: Tangled) -> ContactId | None:
        """Return whose member has the wanted address; one that vanished is in nobody's way."""
        holder = self._holder_of.get(t.wanted.key)
        return None if holder == t.row.contact else holder

    def _wins(self, t: Tangled) -> bool:
        return t.claims and self._winner_of[t.wanted.key] is t

    def _cycles(self) -> Iterator[Step]:
        """Contacts that swapped addresses: each member goes to the contact that has it now."""
        for start in sorted(self._by_contact):
            ring = self._ring(start)
            if not ring:
                continue
            self._freed |= {t.row.contact: Freed.NO for t in ring}
            if any(t.row.contact in self._held for t in ring):
                for t in ring:
                    yield from self._settle(t)
                continue
            for t, giver in zip(ring, ring[1:] + ring[:1], strict=True):
                yield Repoint(
                    giver.pair_key,
                    giver.row.contact,
                    t.row.contact,
                    "addresses were swapped",
                    swap=True,
                )
            for t, giver in zip(ring, ring[1:] + ring[:1], strict=True):
                why = "swapped addresses in Planfix"
                yield from _rename_in_place(t, giver, why, Loses.OLD_ADDRESS)

    def _ring(self, start: ContactId) -> list[Tangled]:
        """Return the cycle of movers that begins and ends here; empty where there is none.

        An address has one winner, so no tail leads into a cycle: whoever was walked without
        coming back to the start is on none.
        """
        ring: list[Tangled] = []
        contact: ContactId | None = start
        while contact is not None and contact not in self._walked:
            t = self._by_contact.get(contact)
            if t is None or t.row.pair is None or not self._wins(t):
                break
            ring.append(t)
            self._walked.add(contact)
            contact = self._other_holder(t)
            if contact == start:
                return ring
        return []


def _rename_in_place(
    t: Tangled, giver: Tangled, why: str, loses: Loses = Loses.NOTHING
) -> Iterator[Operation]:
    """The member's address stays; its names, or the spelling, become the new contact's.

    That a member's address is another than its pair's is agreed on by the next run: another pair
    may have it until then.
    """
    blocked = giver.row.pair is not None and giver.row.pair.status is MemberStatus.BLOCKED
    if t.row.now != giver.row.member and not blocked:
        loses |= names_lost(giver.row.member, t.row.now)
        names = Fields.FIRST | Fields.LAST
        settles = names if giver.row.is_elsewhere else Fields.ALL
        yield Operation(Op.UPDATE, t.row.contact, t.row.now, why, loses=loses, settles=settles)


def _has_left(t: Tangled) -> bool:
    """Whether a latched group leaves this one alone: it has no member that could be hurt."""
    return t.row.pair is not None and t.row.pair.status is MemberStatus.UNSUBSCRIBED


def _reach(start: ContactId, neighbours: Mapping[ContactId, set[ContactId]]) -> set[ContactId]:
    found, todo = {start}, [start]
    while todo:
        for other in neighbours.get(todo.pop(), ()):
            if other not in found:
                found.add(other)
                todo.append(other)
    return found
