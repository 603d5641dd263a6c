"""Undo: what a run wrote over in Planfix is written back, where it still is as the run left it.

Each value is an operation of its own, journaled like a run's. It settles nothing between the
halves of a pair, so the next run sees a contact that was changed and brings the list after it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from typing import Final

from syncd.app.apply import stamp
from syncd.app.run import new_run_id
from syncd.app.world import World
from syncd.core.journal import Ended, State, Written
from syncd.core.link import LinkNumber
from syncd.core.people import ContactId, Person
from syncd.core.plan import Fields, Op, Operation, Result
from syncd.errors import ConfigurationError, UsageError


class Fate(StrEnum):
    """What became of one value."""

    PUT_BACK = "put back"
    CHANGED = "changed in Planfix since"
    EMPTY = "nothing was there before"  # and an empty value is never written
    REFUSED = "refused by Planfix"


_FATES: Final = {
    Result.CHANGED: Fate.CHANGED,
    Result.FAILED: Fate.REFUSED,
    Result.TAKEN: Fate.REFUSED,
}


@dataclass(frozen=True, slots=True)
class Value:
    """One value of a contact that the run wrote over; `error` is Planfix's own word."""

    contact: ContactId
    field: Fields
    fate: Fate
    error: str = ""


@dataclass(frozen=True, slots=True)
class Undone:
    """What became of a run's writes to Planfix.

    `run` is the undo's own name, as `history` shows it; `created` are the contacts that the
    undone run made: a person decides about them.
    """

    run: str
    values: tuple[Value, ...]
    created: tuple[ContactId, ...]


def undo(world: World, run: str) -> Undone:
    """Put back the values that a run wrote over in Planfix; it may be repeated.

    Raises:
        UsageError: there is no such run, or its journal is not settled.
        ConfigurationError: the config names another account or list than the run wrote for.
        BusyError: a run is under way.
        TemporaryError, AuthenticationError: Planfix can't be written; what is left undone by it
            is put back by another `undo`.
    """
    store, own = world.store, new_run_id()
    if not store.runs.known(run):
        raise UsageError(f"There is no run {run!r}.", hint="See: syncd status")
    with store.lock():
        written = store.journal.written_to_planfix(run)
        _refuse_unsettled(run, written)
        _refuse_elsewhere(world, {one.link for one in written})
        values: list[Value] = []
        for link, done in groupby(written, key=lambda one: one.link):
            steps = [step for one in done for step in _backwards(one.entry.operation, run)]
            values += [step for step in steps if isinstance(step, Value)]
            with store.journal.drafting(link, 0, run=own, at=stamp(), keep=True) as draft:
                draft.write((step, False) for step in steps if isinstance(step, Operation))
            values += _carry_out(world, own, link)
    operations = [one.entry.operation for one in written]
    created = [op.contact for op in operations if op.op is Op.PLANFIX_CREATE]
    return Undone(own, tuple(values), tuple(created))


def _refuse_unsettled(run: str, written: Sequence[Written]) -> None:
    if any(one.state is State.SENT for one in written):
        raise UsageError(
            f"Run {run} was cut short: what it sent to Planfix last has no result yet.",
            hint="Settle it with a run (syncd --once), then undo.",
        )


def _refuse_elsewhere(world: World, written_for: set[LinkNumber]) -> None:
    """Guard 7: the numbers of contacts mean something in their own account only."""
    known = {
        number
        for name, scope in world.scopes.items()
        if (number := world.store.links.number(name)) is not None
        and world.store.links.scope(number) == scope
    }
    if not written_for <= known:
        raise ConfigurationError(
            "The run wrote for a link that the config doesn't have, or has with another account,"
            " service or list.",
            hint="Put the config back as it was then, and undo again.",
        )


def _backwards(done: Operation, run: str) -> Iterator[Operation | Value]:
    """Yield what puts back each value that was written, or says why it can't be."""
    overwritten = done.overwrites if done.op is Op.PLANFIX_UPDATE else {}
    for field, (before, _) in overwritten.items():
        if not before:
            yield Value(done.contact, field, Fate.EMPTY)
            continue
        yield Operation(
            Op.PLANFIX_UPDATE,
            done.contact,
            _put_back(done, field),
            f"put back, since run {run} was undone",
            old_address=done.person.address,
            old_key=done.person.key,
            old_first=done.person.first,
            old_last=done.person.last,
            settles=Fields(0),
        )


def _put_back(done: Operation, field: Fields) -> Person:
    now, before = done.person, done.old
    match field:
        case Fields.FIRST:
            return now._replace(first=before.first)
        case Fields.LAST:
            return now._replace(last=before.last)
        case _:
            return now._replace(address=before.address, key=before.key)


def _carry_out(world: World, run: str, link: LinkNumber) -> Iterator[Value]:
    """Write to Planfix what was journaled for a link, and yield what became of it."""
    journal, after = world.store.journal, 0
    while entries := journal.for_planfix(run, link, after):
        for entry in entries:
            journal.send([entry], at=stamp())
            wanted = entry.operation
            result = world.planfix.correct(wanted.contact, was=wanted.old, wanted=wanted.person)
            if result.ok:
                journal.record(link, [Ended(entry, State.DONE)], at=stamp(), next_try=())
            else:
                journal.drop([entry], result.message, at=stamp())
            (field,) = wanted.overwrites
            fate = _FATES.get(result.result, Fate.PUT_BACK)
            yield Value(wanted.contact, field, fate, result.message)
        after = entries[-1].id
