"""Journal → calls → outcomes, one operation at a time."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import groupby
from typing import Final, assert_never

import structlog

from syncd import clock
from syncd.app.world import OpenLink
from syncd.core.address import AddressKey
from syncd.core.events import Learned
from syncd.core.journal import Ended, Entry, State
from syncd.core.link import IMPORT_BATCH, SMALL_CHANGE
from syncd.core.pairs import NewLatch
from syncd.core.people import ContactId, MemberStatus
from syncd.core.plan import TO_PLANFIX, ItemResult, Op, Operation, Result
from syncd.engine.consent import Latches
from syncd.ports import Capabilities, ListId
from syncd.ports import Entry as Addressee

log = structlog.get_logger()

DAY: Final = timedelta(hours=24)
"""How long removals count against their limit, and how long an approval holds."""
LOOK_UP_AFTER: Final = timedelta(hours=24)
"""When a subscriber is looked up again whom Planfix knows outside the selection."""
RETRY_QUARANTINE_AFTER: Final = tuple(timedelta(minutes=minutes) for minutes in (15, 60, 240, 1440))
_WRITES_TO_PERSON: Final = frozenset({Op.ADD, Op.UPDATE, Op.RENAME})
_PUTS_ADDRESS: Final = frozenset({Op.ADD, Op.RENAME})


@dataclass
class Applied:
    """What became of a plan, as it is carried out."""

    done: Counter[Op] = field(default_factory=Counter)
    failed: int = 0
    waiting: Counter[Op] = field(default_factory=Counter)  # for somebody else, or a cause to end
    unwanted: Counter[Op] = field(default_factory=Counter)  # who unsubscribed meanwhile
    unmet: set[AddressKey] = field(default_factory=set)  # who should leave, and is not there
    stopped: bool = False
    freed: set[ContactId] = field(default_factory=set)


def latches_of(open_link: OpenLink) -> Latches:
    """Return everyone of a link who must not be subscribed by us."""
    consent, pushed = open_link.store.consent, open_link.link.selection.is_pushed
    return Latches(*consent.latched(open_link.number, pushed=pushed), consent.hashed)


def stamp(later: timedelta = timedelta()) -> str:
    """Return the present moment, or one so much later, as the store writes it."""
    return clock.stamp(clock.now() + later)


class Applier:
    """Carries out the journaled plan of one link."""

    def __init__(self, open_link: OpenLink, list_id: ListId, stop: Callable[[], bool]) -> None:
        self._at = open_link
        self._list_id = list_id
        self._stop = stop
        self._journal = open_link.store.journal
        self._latched_at = open_link.store.consent.newest()
        self._latches = latches_of(open_link)
        self._seen_off = bool(open_link.store.consent.gone(open_link.number))
        self.applied = Applied()

    def carry_out(self, adds: int) -> Applied:
        """Carry out the plan; `adds` is how many there are.

        What frees an address goes first; adds go last, many of them as imports. Updates that
        follow one another and wait for nobody go together where the backend takes several, and
        so do removals. Planfix is written after the list.
        """
        after = 0
        while entries := self._journal.singles(self._at.run, self._at.number, after):
            for batch in _batches(entries, self._at.backend.capabilities):
                if self._stop():
                    self.applied.stopped = True
                    return self.applied
                self._one_call(batch)
            after = entries[-1].id
        size = 1 if adds <= SMALL_CHANGE else IMPORT_BATCH
        after = 0
        while entries := self._journal.adds(self._at.run, self._at.number, after, size):
            for _, alike in groupby(entries, key=lambda entry: entry.operation.resubscribes):
                if self._stop():
                    self.applied.stopped = True
                    return self.applied
                self._one_call(list(alike))
            after = entries[-1].id
        after = 0
        while entries := self._journal.for_planfix(self._at.run, self._at.number, after):
            for entry in entries:
                if self._stop():
                    self.applied.stopped = True
                    return self.applied
                self._to_planfix(entry)
            after = entries[-1].id
        return self.applied

    def settle(self, entries: Sequence[Entry]) -> None:
        """Repeat one call whose result never came.

        A contact that may have been created is not looked up here: the next read of Planfix
        shows it, and nobody is created whose address is there. Nor is anybody put back on a list
        twice whom a person released: they may have left again since. The next read of the list
        shows how they stand.
        """
        first = entries[0]
        if first.operation.op is Op.PLANFIX_CREATE:
            self._journal.drop(entries, "whether it was created, Planfix will show", at=stamp())
        elif first.operation.resubscribes:
            keys = [entry.operation.person.key for entry in entries]
            self._at.store.consent.doubt_release(self._at.number, keys)
            self._journal.drop(entries, "whether they are back, the list will show", at=stamp())
        elif first.operation.op in TO_PLANFIX:
            self._to_planfix(first)
        else:
            self._one_call(entries, again=True)

    def _to_planfix(self, entry: Entry) -> None:
        """Carry out one write to Planfix."""
        op, planfix = entry.operation, self._at.planfix
        self._journal.send([entry], at=stamp())
        match op.op:
            case Op.PLANFIX_UPDATE:
                result = planfix.correct(op.contact, was=op.old, wanted=op.person)
            case Op.PLANFIX_CREATE:
                result = planfix.create(op.person)  # the next read shows it, and pairs it
            case _:
                result = self._mark(op)
        if result.result in {Result.CHANGED, Result.TAKEN}:
            why = result.message or "changed in Planfix meanwhile"
            until = stamp(LOOK_UP_AFTER) if op.op is Op.PLANFIX_CREATE else ""
            self._journal.wait(self._at.number, entry, why, at=stamp(), until=until)
            self.applied.waiting[op.op] += 1
            return
        self._record([entry], [result])

    def _mark(self, op: Operation) -> ItemResult:
        """Write what we know of a person's consent now, whatever it was when this was planned."""
        consent = self._at.link.consent
        if consent.field is None:
            return ItemResult(Result.CHANGED, "the config names no field for consent any more")
        self._learn_latches()
        left = op.contact in self._latches.contacts
        value = consent.unsubscribed if left else consent.subscribed
        result = self._at.planfix.mark(op.contact, field=consent.field, value=value)
        if result.ok:
            self._at.store.consent.mark(op.contact, field=consent.field, value=value, at=stamp())
        return result

    def _one_call(self, entries: Sequence[Entry], *, again: bool = False) -> None:
        ready = self._admit(entries, again=again)
        if not ready:
            return
        self._journal.send(ready, at=stamp())
        results = call(self._at, self._list_id, [entry.operation for entry in ready], again=again)
        self.applied.unmet |= {
            entry.operation.person.key
            for entry, result in zip(ready, results, strict=True)
            if entry.operation.op is Op.UNSUBSCRIBE and result.result is Result.ABSENT
        }
        self._record(ready, results)

    def _admit(self, entries: Sequence[Entry], *, again: bool) -> list[Entry]:
        """Drop what was latched since the plan was made, and what waits for another.

        What was sent before waited its turn then.
        """
        self._learn_latches()
        latched, waiting, ready = [], [], []
        for entry in entries:
            op = entry.operation
            if op.op in _WRITES_TO_PERSON and self._unwanted(op):
                latched.append(entry)
            elif not again and op.after is not None and op.after not in self.applied.freed:
                waiting.append(entry)
            else:
                ready.append(entry)
        if latched:
            self._journal.drop(latched, "unsubscribed meanwhile", at=stamp())
            self.applied.unwanted.update(entry.operation.op for entry in latched)
            if again:  # it may have been done all the same
                self._take_back([entry.operation for entry in latched])
        if waiting:
            self._journal.drop(waiting, "the address was not freed", at=stamp())
            self.applied.waiting.update(entry.operation.op for entry in waiting)
        return ready

    def _learn_latches(self) -> bool:
        """Read the latches again where there are new ones; say whether there were."""
        newest = self._at.store.consent.newest()
        if newest == self._latched_at:
            return False
        self._latched_at, self._latches = newest, latches_of(self._at)
        return True

    def _take_back(self, operations: Sequence[Operation]) -> None:
        """Journal that people leave who were put on the list while they asked to leave it.

        The list was, or will be, told of the address that they named; this is the other one.
        """
        for op in operations:
            if op.op in _PUTS_ADDRESS:
                why = "unsubscribed while the list was being written"
                wish = Operation(Op.UNSUBSCRIBE, op.contact, op.person, why)
                self._journal.wish(self._at.number, wish, run=self._at.run, at=stamp())

    def _unwanted(self, operation: Operation) -> bool:
        latches = self._latches
        return bool(latches) and (
            operation.contact in latches.contacts
            or latches.holds_key(operation.person.key)
            or latches.holds_key(operation.old_key)
        )

    def _record(self, entries: Sequence[Entry], results: Sequence[ItemResult]) -> None:
        at = stamp()
        ended: list[Ended] = []
        latches: list[NewLatch] = []
        for entry, result in zip(entries, results, strict=True):
            op = entry.operation
            state, status = _ended(op, result, readable=self._at.backend.capabilities.can_read)
            if result.result is Result.REFUSED:
                why = "the list says that they unsubscribed"
                latches += [NewLatch(why, key=key) for key in (op.person.key, op.old_key) if key]
                latches += [NewLatch(why, contact=op.contact)] if op.contact else []
            elif state is State.FAILED:
                self.applied.failed += 1
                log.debug("operation.failed", op=op.op.value, contact=op.contact)
            elif state is State.DONE:
                self.applied.done[op.op] += 1
                if op.op in {Op.RENAME, Op.REMOVE}:
                    self.applied.freed.add(op.contact)
            absent = "the list has no such member" if result.result is Result.ABSENT else ""
            error = result.message or (absent if state is State.FAILED else "")
            ended.append(Ended(entry, state, error, status, result.reference, result.contact))
        learned = Learned(latches=latches)
        for e in ended:
            op = e.entry.operation
            left = op.op is Op.UNSUBSCRIBE and e.state is not State.FAILED
            if left or e.status is MemberStatus.UNSUBSCRIBED:
                learned.gone.append((op.person.key, e.reference, at))
            elif op.op is Op.ADD and e.state is State.DONE and self._seen_off:
                learned.back.append(op.person.key)
        self._at.store.consent.learn(
            self._at.number, self._at.consent_number, learned, run=self._at.run, at=at
        )
        next_try = [stamp(wait) for wait in RETRY_QUARANTINE_AFTER]
        if self._learn_latches():  # before the results are kept, so that no kill loses a wish
            written = [e.entry.operation for e in ended if e.state is State.DONE]
            self._take_back([operation for operation in written if self._unwanted(operation)])
        self._journal.record(self._at.number, ended, at=at, next_try=next_try)


def _batches(entries: Sequence[Entry], capabilities: Capabilities) -> Iterator[list[Entry]]:
    """Yield what goes in one call, in their order."""
    most = {Op.UPDATE: capabilities.bulk_update, Op.REMOVE: capabilities.bulk_remove}
    batch: list[Entry] = []
    for entry in entries:
        op = entry.operation
        full = bool(batch) and (
            op.after is not None
            or op.op is not batch[0].operation.op
            or len(batch) >= most.get(op.op, 1)
        )
        if full:
            yield batch
            batch = []
        batch.append(entry)
    if batch:
        yield batch


def _ended(
    operation: Operation, result: ItemResult, *, readable: bool
) -> tuple[State, MemberStatus]:
    """Return where an operation stands after its call, and what it shows of the member.

    A refused rename doesn't show which of the two addresses left or bounces, so the member
    counts as before until the list is read again. So does one who should leave and is not at
    that address: they may have moved to another.
    """
    renames = operation.op is Op.RENAME
    match result.result:
        case Result.REFUSED:
            return State.REFUSED, MemberStatus.ACTIVE if renames else MemberStatus.UNSUBSCRIBED
        case Result.BLOCKED if not renames:
            return State.REFUSED, MemberStatus.BLOCKED
        case Result.ABSENT if operation.op in {Op.RENAME, Op.UPDATE}:
            return State.FAILED, MemberStatus.ACTIVE
    if not result.ok:
        return State.FAILED, MemberStatus.ACTIVE
    moved = readable and result.result is Result.ABSENT
    left = operation.op is Op.UNSUBSCRIBE and not moved
    return State.DONE, MemberStatus.UNSUBSCRIBED if left else MemberStatus.ACTIVE


def call(
    open_link: OpenLink, list_id: ListId, operations: Sequence[Operation], *, again: bool
) -> list[ItemResult]:
    """Make the one call that these operations of one kind need."""
    backend = open_link.backend
    people = [Addressee(operation.contact, operation.person) for operation in operations]
    first = operations[0]
    match first.op:
        case Op.ADD if first.resubscribes:
            return backend.resubscribe(list_id, people, again=again)
        case Op.ADD:
            return backend.upsert(list_id, people, known=False, again=again)
        case Op.UPDATE:
            return backend.upsert(list_id, people, known=True, again=again)
        case Op.RENAME:
            return [backend.rename(list_id, first.old_address, people[0], again=again)]
        case Op.REMOVE:
            return backend.remove(list_id, people, again=again)
        case Op.UNSUBSCRIBE:
            return backend.unsubscribe(list_id, people, again=again)
        case Op.PLANFIX_UPDATE | Op.PLANFIX_CREATE | Op.CONSENT:
            raise ValueError(f"{first.op} is no call of a list")
        case _:
            assert_never(first.op)
