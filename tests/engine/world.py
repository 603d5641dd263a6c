"""A small world to reconcile: people in Planfix, a strict list, and the pairs between them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from syncd.core.address import AddressKey, fault_of
from syncd.core.pairs import NewLatch, Pair, Row, Sighting, Standing
from syncd.core.people import ContactId, MemberStatus, Person
from syncd.core.people import Member as ListMember
from syncd.core.plan import End, Held, Loses, Op, Operation, Repoint, Step
from syncd.engine.consent import Latches, spread
from syncd.engine.reconcile import reconcile

ACTIVE, BLOCKED = MemberStatus.ACTIVE, MemberStatus.BLOCKED


def hashed(key: AddressKey) -> bytes:
    return b"#" + key.encode()


def latches(*, contacts: Iterable[int] = (), addresses: Iterable[str] = ()) -> Latches:
    keys = frozenset(hashed(person(address).key) for address in addresses)
    return Latches(frozenset(ContactId(contact) for contact in contacts), keys, hashed)


NO_LATCHES = latches()


def person(address: str, first: str = "", last: str = "") -> Person:
    return Person.of(address, first, last)


def row(
    contact: int,
    now: str | Person,
    base: str | Person | None = None,
    *,
    standing: Standing = Standing.PRESENT,
    status: MemberStatus = ACTIVE,
    holder: int | None = None,
    contested: bool = False,
    sighting: Sighting | None = None,
) -> Row:
    """Make one row by hand; a text is an address of somebody without names."""
    here = person(now) if isinstance(now, str) else now
    agreed = person(base) if isinstance(base, str) else base
    return Row(
        ContactId(contact),
        here,
        fault_of(here.address) if here.key else "",
        standing,
        None if agreed is None else Pair(agreed, status),
        None if holder is None else ContactId(holder),
        contested,
        sighting,
    )


def seen(
    contact: int | None, here: Person, status: MemberStatus = ACTIVE, *, since: str = ""
) -> Sighting:
    """Make the sighting of a member that its pair doesn't know so."""
    number = None if contact is None else ContactId(contact)
    return Sighting(here.key, number, ListMember("ref", here, status, since))


@dataclass
class Member:
    """What the list has at one address; `owner` is unknown to the list, and 0 for a leftover."""

    person: Person
    owner: int
    status: MemberStatus = ACTIVE


@dataclass
class World:
    """`people` are all contacts that ever were; those in `standing` are not in the selection."""

    people: dict[int, Person] = field(default_factory=dict)
    standing: dict[int, Standing] = field(default_factory=dict)
    pairs: dict[int, Pair] = field(default_factory=dict)
    members: dict[AddressKey, Member] = field(default_factory=dict)
    latches: Latches = NO_LATCHES

    @classmethod
    def of(cls, **people: str) -> "World":
        """Make a world in step: `a1="x@example.com"` is contact 1 with that address."""
        made = cls({int(name[1:]): person(address) for name, address in people.items()})
        made.run()
        return made

    def move(self, **people: str) -> None:
        """Change addresses, or add contacts."""
        for name, address in people.items():
            self.people[int(name[1:])] = person(address)

    def lose(self, contact: int, standing: Standing = Standing.LEFT) -> None:
        self.standing[contact] = standing

    def block(self, address: str) -> None:
        member = self.members[person(address).key]
        member.status = BLOCKED
        self.pairs[member.owner] = self.pairs[member.owner]._replace(status=BLOCKED)

    # What the store answers.

    def rows(self) -> list[Row]:
        """Return what pairs.different yields: who differs from their base, by id."""
        return [found for contact in sorted(self.people) if (found := self._row(contact))]

    def _row(self, contact: int) -> Row | None:
        now, pair = self.people[contact], self.pairs.get(contact)
        standing = self.standing.get(contact, Standing.PRESENT)
        if pair is None and (standing is not Standing.PRESENT or not now.key):
            return None
        if pair is not None and standing is Standing.PRESENT and pair.base == now:
            return None
        holders = [c for c, p in self.pairs.items() if c != contact and p.base.key == now.key]
        return Row(
            ContactId(contact),
            now,
            fault_of(now.address) if now.key else "",
            standing,
            pair,
            ContactId(holders[0]) if holders else None,
            any(
                other != contact and person.key == now.key and other not in self.standing
                for other, person in self.people.items()
            ),
        )

    # One run.

    def spread(self) -> None:
        """Latch everyone who follows, as a run does before it plans."""
        while new := list(spread(self.rows(), self.latches)):
            self.latch(new)

    def latch(self, new: Iterable[NewLatch]) -> None:
        contacts, keys = set(self.latches.contacts), set(self.latches.keys)
        for found in new:
            if found.contact is not None:
                assert found.contact not in contacts
                contacts.add(found.contact)
            if found.key is not None:
                assert hashed(found.key) not in keys
                keys.add(hashed(found.key))
        self.latches = Latches(frozenset(contacts), frozenset(keys), hashed)

    def run(self) -> list[Step]:
        """Reconcile, and carry the steps out as the store and the list do."""
        self.spread()
        steps = list(reconcile(self.rows(), self.latches))
        self._repoint([step for step in steps if isinstance(step, Repoint | End)])
        done: set[int] = set()
        waiting: set[int] = set()
        operations = [step for step in steps if isinstance(step, Operation)]
        assert len({op.contact for op in operations}) == len(operations)
        # Adds go last, as they do in a run.
        for op in sorted(operations, key=lambda op: op.op is Op.ADD):
            assert op.after is None or op.after in done | waiting, "done before what it waits for"
            if Loses.UNASKED in op.loses or op.after in waiting:
                waiting.add(op.contact)  # withheld
            elif self._carry_out(op):
                done.add(op.contact)
            else:
                waiting.add(op.contact)
        return steps

    def _repoint(self, steps: list[Repoint | End]) -> None:
        moves = [step for step in steps if isinstance(step, Repoint)]
        taken = [self.pairs[move.old] for move in moves]
        for move, pair in zip(moves, taken, strict=True):
            assert pair.base.key == move.member
        for step in steps:
            del self.pairs[step.old if isinstance(step, Repoint) else step.contact]
        for move, pair in zip(moves, taken, strict=True):
            assert move.new not in self.pairs
            self.pairs[move.new] = pair
            self.members[move.member].owner = move.new
        for step in steps:
            if isinstance(step, End):
                self._leave_behind(step.contact)

    def _leave_behind(self, contact: int) -> None:
        for member in self.members.values():
            if member.owner == contact and contact not in self.pairs:
                member.owner = 0

    def _carry_out(self, op: Operation) -> bool:
        """Do one operation, or fail the test where a list would refuse it."""
        if op.op is not Op.REMOVE:
            assert op.contact not in self.latches.contacts
            assert not self.latches.holds_key(op.person.key)
            assert not self.latches.holds_key(op.old_key)
            assert not fault_of(op.person.address)
            assert self.people[op.contact] == op.person
        return getattr(self, f"_{op.op.value}")(op)  # type: ignore[no-any-return]  # by name

    def _mine(self, contact: int, key: AddressKey) -> Member:
        assert self.pairs[contact].base.key == key
        member = self.members[key]
        assert member.owner == contact
        return member

    def _add(self, op: Operation) -> bool:
        old = self.pairs.pop(op.contact, None)
        if old is not None:
            assert old.status is BLOCKED
            self._leave_behind(op.contact)
        found = self.members.get(op.person.key)
        if found is None:
            found = self.members[op.person.key] = Member(op.person, op.contact)
        assert found.owner in {0, op.contact}, "added at an address that another one has"
        found.owner = op.contact
        self.pairs[op.contact] = Pair(op.person, found.status)
        return True

    def _update(self, op: Operation) -> bool:
        member = self._mine(op.contact, op.person.key)
        assert member.status is ACTIVE
        member.person = op.person
        self.pairs[op.contact] = Pair(op.person, ACTIVE)
        return True

    def _rename(self, op: Operation) -> bool:
        member = self._mine(op.contact, op.old_key)
        assert member.status is ACTIVE
        if op.person.key in self.members:
            assert self.members[op.person.key].owner == 0, "renamed onto somebody"
            return False  # a leftover that bounced: the list refuses
        del self.members[op.old_key]
        self.members[op.person.key] = Member(op.person, op.contact)
        self.pairs[op.contact] = Pair(op.person, ACTIVE)
        return True

    def _remove(self, op: Operation) -> bool:
        self._mine(op.contact, op.person.key)
        del self.members[op.person.key]
        del self.pairs[op.contact]
        return True

    def owners(self) -> Mapping[str, int]:
        """Return who has which address on the list."""
        return {key: member.owner for key, member in self.members.items()}


def acts(steps: Iterable[Step]) -> list[Step]:
    """Return the steps that change something."""
    return [step for step in steps if isinstance(step, Operation | Repoint | End)]


def held(steps: Iterable[Step]) -> set[int]:
    return {step.contact for step in steps if isinstance(step, Held)}
