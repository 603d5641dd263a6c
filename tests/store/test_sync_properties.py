"""The same small office as in tests/engine, with the real store between reader and list."""

import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from syncd.core.address import AddressKey, fault_of
from syncd.core.journal import Ended, Entry, State
from syncd.core.link import Selection
from syncd.core.pairs import NewLatch, Standing
from syncd.core.people import ContactId, Person
from syncd.core.plan import End, Held, Op, Operation, Repoint, Step
from syncd.engine.consent import Latches, spread
from syncd.engine.reconcile import reconcile
from syncd.store.store import Store
from tests.store.conftest import AT, sweep

CONTACTS = st.integers(1, 5)
ADDRESSES = st.sampled_from([*(f"{name}@example.com" for name in "abcd"), "A@Example.com", ""])


class StoredOffice(RuleBasedStateMachine):
    """People edit contacts; syncd runs, is interrupted, or fails to send something."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.store = Store(Path(self.folder.name) / "syncd.db")
        self.snapshot = self.store.snapshot("acme", Selection("contact"))
        self.link = self.store.links.open("customers", "scope", self.snapshot.id)
        self.contacts: dict[int, str] = {}
        self.members: dict[AddressKey, Person] = {}
        self.runs = 0

    @rule(contact=CONTACTS, address=ADDRESSES)
    def write(self, contact: int, address: str) -> None:
        self.contacts[contact] = address

    @rule(one=CONTACTS, other=CONTACTS)
    def swap(self, one: int, other: int) -> None:
        if {one, other} <= self.contacts.keys():
            here, there = self.contacts[one], self.contacts[other]
            self.contacts |= {one: there, other: here}

    @rule(contact=CONTACTS)
    def delete(self, contact: int) -> None:
        self.contacts.pop(contact, None)

    @rule(number=st.integers(0, 9))
    def unsubscribe(self, number: int) -> None:
        if self.members:
            key = sorted(self.members)[number % len(self.members)]
            self.store.consent.latch(self.link, [NewLatch("left", key=key)], run="r", at=AT)

    @rule(calls=st.integers(0, 3), fails=st.booleans())
    def run_that_ends_early(self, calls: int, *, fails: bool) -> None:
        self.run(calls=calls, fails=fails)

    @rule()
    def run_whole(self) -> None:
        self.run()

    def run(self, calls: int = 1000, *, fails: bool = False) -> list[Step]:
        """Run once; the process dies after so many calls, or the last of them is refused."""
        self.runs += 1
        run = f"r{self.runs:04}"
        self.store.journal.drop_planned(self.link)
        self._sweep()
        absent = self.store.pairs.absent(self.link, self.snapshot.id)
        standing = dict.fromkeys(absent, Standing.DELETED)
        self._spread(standing)
        with self.store.journal.drafting(
            self.link, self.snapshot.id, run=run, at=AT, keep=True
        ) as draft:
            steps = list(reconcile(draft.rows(standing), self._latches()))
            draft.write((step, False) for step in steps if isinstance(step, Operation))
            draft.repoint([step for step in steps if isinstance(step, Repoint | End)])
            draft.hold([step for step in steps if isinstance(step, Held)])
        freed: set[ContactId] = set()
        for entry in [
            *self.store.journal.singles(run, self.link, 0),
            *self.store.journal.adds(run, self.link, 0, 500),
        ]:
            if not calls:
                break
            calls -= 1
            after = entry.operation.after
            if after is None or after in freed:
                state = State.FAILED if fails and not calls else State.DONE
                self._carry_out(entry, state)
                if state is State.DONE:
                    freed.add(entry.operation.contact)
        return steps

    def _sweep(self) -> None:
        people = sorted(self.contacts.items())
        sweep(self.snapshot, *(dict(people[start : start + 2]) for start in range(0, 6, 2)))

    def _latches(self) -> Latches:
        return Latches(*self.store.consent.latched(self.link), self.store.consent.hashed)

    def _spread(self, standing: dict[ContactId, Standing]) -> None:
        while latches := self._latches():
            with self.store.journal.drafting(
                self.link, self.snapshot.id, run="x", at=AT, keep=False
            ) as draft:
                new = list(spread(draft.rows(standing), latches))
            if not new:
                return
            assert self.store.consent.latch(self.link, new, run="r", at=AT) == len(new)

    def _carry_out(self, entry: Entry, state: State) -> None:
        op = entry.operation
        latches = self._latches()
        self.store.journal.send([entry], at=AT)
        if op.op is not Op.REMOVE:
            assert op.contact not in latches.contacts
            assert not latches.holds_key(op.person.key)
            assert not latches.holds_key(op.old_key)
        if state is State.DONE:
            leaves = {Op.RENAME: op.old_key, Op.ADD: None}.get(op.op, op.person.key)
            if leaves is not None:
                del self.members[leaves]
            assert op.person.key not in self.members
            if op.op is not Op.REMOVE:
                self.members[op.person.key] = op.person
        self.store.journal.record(self.link, [Ended(entry, state)], at=AT, next_try=[AT])

    def teardown(self) -> None:
        """Left alone, everything gets in step, and stays so."""
        try:
            for _ in range(4):
                self.run()
            last = self.run()
            assert not [step for step in last if isinstance(step, Operation | Repoint | End)]
            self._judge(self._latches(), {s.contact for s in last if isinstance(s, Held)})
        finally:
            self.store.close()
            self.folder.cleanup()

    def _judge(self, latches: Latches, held: set[ContactId]) -> None:
        people = {c: Person.of(address, "", "") for c, address in self.contacts.items()}
        wanted = {
            person.key
            for contact, person in people.items()
            if person.key
            and not fault_of(person.address)
            and contact not in latches.contacts
            and contact not in held
            and not latches.holds_key(person.key)
        }
        assert wanted <= set(self.members)
        left = {key for key in self.members if latches.holds_key(key)}
        assert set(self.members) - left <= wanted | {
            key for key in self.members if self.store.pairs.of_key(self.link, key) and held
        }


StoredOffice.TestCase.settings = settings(max_examples=60, stateful_step_count=20, deadline=None)
TestStoredOffice = StoredOffice.TestCase
