"""Whatever people do in Planfix: the list is never asked for the impossible, and ends right."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from syncd.core.address import fault_of
from syncd.core.pairs import NewLatch, Standing
from syncd.core.people import ContactId, Person
from tests.engine.world import ACTIVE, World, acts, held

CONTACTS = st.integers(1, 6)
ADDRESSES = st.sampled_from(
    [*(f"{letter}@example.com" for letter in "abcde"), "A@Example.com", "", "none"]
)
NAMES = st.sampled_from(["", "Anna", "Ben"])
PEOPLE = st.builds(Person.of, ADDRESSES, NAMES, st.just(""))
RUNS = 4
"""So many runs at most, until nothing is left to do."""


class Office(RuleBasedStateMachine):
    """People edit contacts, members bounce and unsubscribe, and syncd runs now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()

    @rule(contact=CONTACTS, person=PEOPLE)
    def write(self, contact: int, person: Person) -> None:
        self.world.people[contact] = person
        self.world.standing.pop(contact, None)

    @rule(shift=st.permutations(range(6)))
    def shuffle_addresses(self, shift: list[int]) -> None:
        """An import slips: contacts get each other's addresses."""
        people = self.world.people
        contacts = sorted(people)
        old = [people[contact] for contact in contacts]
        places = [place for place in shift if place < len(contacts)]
        for contact, place in zip(contacts, places, strict=True):
            mine = people[contact]
            people[contact] = Person.of(old[place].address, mine.first, mine.last)

    @rule(contact=CONTACTS, standing=st.sampled_from([s for s in Standing if s != "present"]))
    def lose(self, contact: int, standing: Standing) -> None:
        if contact in self.world.people:
            self.world.lose(contact, standing)

    @rule()
    def run(self) -> None:
        self.world.run()

    @precondition(lambda self: self.bounces)
    @rule(number=st.integers(0, 10))
    def bounce(self, number: int) -> None:
        members = sorted(
            key
            for key, m in self.world.members.items()
            if m.owner and self.world.pairs[m.owner].status is ACTIVE
        )
        if members:
            self.world.block(members[number % len(members)])

    @precondition(lambda self: self.unsubscribes)
    @rule(number=st.integers(0, 10))
    def unsubscribe(self, number: int) -> None:
        members = sorted(key for key in self.world.members if not self.world.latches.holds_key(key))
        if members:
            key = members[number % len(members)]
            owner = self.world.members[key].owner
            self.world.latch([NewLatch("left", key=key)])
            if owner and owner not in self.world.latches.contacts:
                self.world.latch([NewLatch("left", contact=ContactId(owner))])

    bounces = False
    unsubscribes = False

    @invariant()
    def every_pair_has_its_member(self) -> None:
        for contact, pair in self.world.pairs.items():
            assert self.world.members[pair.base.key].owner == contact

    def teardown(self) -> None:
        """Everything unconfirmed is confirmed; then syncd runs until it is quiet."""
        world = self.world
        world.standing = dict.fromkeys(world.standing, Standing.LEFT)
        for _ in range(RUNS - 1):
            world.run()
        last = world.run()
        if not self.bounces:
            assert acts(last) == []
        self.judge(held(last))

    def judge(self, waiting: set[int]) -> None:
        world = self.world
        owners = world.owners()
        for contact, person in world.people.items():
            if contact in world.standing:
                assert contact not in world.pairs or _latched(world, contact)
            elif person.key and not fault_of(person.address) and not _latched(world, contact):
                assert person.key in owners or contact in waiting
        if not self.unsubscribes and not self.bounces:
            unusable = {c for c, p in world.people.items() if fault_of(p.address)}
            for contact in waiting:
                assert self._waits_for(contact) in unusable
            for contact, pair in world.pairs.items():
                assert pair.base == world.people[contact] or contact in waiting

    def _waits_for(self, contact: int) -> int:
        """Return the end of a chain of contacts, each of whom waits for the next."""
        for _ in self.world.people:
            holder = self.world.owners().get(self.world.people[contact].key, contact)
            if holder == contact:
                return contact
            contact = holder
        raise AssertionError("contacts wait for one another in a ring")


class OfficeWithBounces(Office):
    bounces = True


class OfficeWithUnsubscribes(Office):
    unsubscribes = True


class OfficeWithEverything(Office):
    bounces = unsubscribes = True


def _latched(world: World, contact: int) -> bool:
    pair = world.pairs.get(contact)
    return (
        contact in world.latches.contacts
        or world.latches.holds_key(world.people[contact].key)
        or (pair is not None and world.latches.holds_key(pair.base.key))
    )


LIMITS = settings(max_examples=100, stateful_step_count=25, deadline=None)
for machine in (Office, OfficeWithBounces, OfficeWithUnsubscribes, OfficeWithEverything):
    machine.TestCase.settings = LIMITS

TestOffice = Office.TestCase
TestOfficeWithBounces = OfficeWithBounces.TestCase
TestOfficeWithUnsubscribes = OfficeWithUnsubscribes.TestCase
TestOfficeWithEverything = OfficeWithEverything.TestCase
