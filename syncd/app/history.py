"""History: what syncd did and saw for one person, in words for whoever answers them."""

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import groupby
from typing import Final, NamedTuple

from syncd.app.world import World
from syncd.core.address import key_asked_for
from syncd.core.events import Seen, What
from syncd.core.journal import State, Story
from syncd.core.people import ContactId, Person
from syncd.core.plan import FIELD_NAMES, Op, Operation

_KEPT_OFF: Final = "not subscribed again by syncd"
_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
_SEEN: Final = {
    What.LEFT: f"left the list {{list}} on {{day}} (seen by run {{run}}); {_KEPT_OFF}",
    What.VANISHED: f"gone from the list {{list}}, which doesn't say why (seen by run {{run}});"
    f" taken as leaving: {_KEPT_OFF}",
    What.LET_GO: f"gone from the list {{list}} with many others (seen by run {{run}}), which"
    f" somebody approved; taken as leaving: {_KEPT_OFF}",
    What.RETURNED: "subscribed again on the list {list} by themselves (seen by run {run})",
    What.SEEMS_BACK: "on the list {list} again (seen by run {run}); taken as their own return",
    What.RELEASED: "released by an operator, so that syncd may subscribe them again: {cause}",
    What.FIELD_RELEASED: "released in Planfix, where somebody set the field for consent back",
    What.BOUNCED: "the address bounces, says the list {list} (seen by run {run})",
    What.WORKS: "the address works again, says the list {list} (seen by run {run})",
    What.EDITED: "not added again when the contact was edited (seen on {day})",
    What.KEPT_OUT: "not added to the list {list}: the person, or this address, has unsubscribed",
    What.HELD: "waits: {cause}",
}
_WORDS: Final = {  # what was done, and what was only meant
    Op.ADD: ("added to the list {list} as {person}", "adding to the list {list}"),
    Op.UPDATE: ("updated on the list {list} to {person}", "updating on the list {list}"),
    Op.RENAME: (
        "moved on the list {list} from {old} to {new}",
        "moving on the list {list} from {old} to {new}",
    ),
    Op.REMOVE: ("removed from the list {list}", "removing from the list {list}"),
    Op.UNSUBSCRIBE: ("unsubscribed on the list {list}", "unsubscribing on the list {list}"),
    Op.PLANFIX_UPDATE: ("written to Planfix: {values}", "writing to Planfix: {values}"),
    Op.PLANFIX_CREATE: (
        "contact {contact} made in Planfix for {person}",
        "making a contact in Planfix for {person}",
    ),
    Op.CONSENT: ("told to Planfix in the field for consent", "telling Planfix of their consent"),
}
_STATES: Final = {
    State.PLANNED: "to be done",
    State.SENT: "sent, its answer not known yet",
    State.FAILED: "refused, to be tried again",
    State.REFUSED: "refused by the list for good",
    State.WITHHELD: "waits for an approval (syncd approve {run})",
    State.DROPPED: "given up in this run",
}
_DEPARTURES: Final = frozenset({What.LEFT, What.VANISHED, What.LET_GO})


@dataclass(frozen=True, slots=True)
class Told:
    """One thing that happened to a person."""

    at: datetime
    run: str
    link: str
    what: str


def history(world: World, address: str) -> list[Told]:
    """Return everything syncd did and saw for the person behind an address, oldest first.

    Any address will do that one of their contacts has or had. Where that leads to several
    contacts, each line says whose it is.

    Raises:
        UsageError: it is no address.
    """
    stories = world.store.stories
    traces = stories.traces(key_asked_for(address))
    waiting = set(stories.waiting(traces))
    lists = {link.name: link.list_name or str(link.list_id) for link in world.links}
    seen = stories.seen(traces)
    departures = {one.run for one in seen if one.what in _DEPARTURES}
    told = [
        _Line(one.at, one.run, one.link, one.contact, _sighting(one, lists, waiting))
        for one in seen
    ]
    told += [
        _Line(one.at, one.run, one.link or "every link", one.contact, f"{_KEPT_OFF}: {one.why}")
        for one in stories.latches(traces, world.store.consent.hashed)
        if one.run not in departures  # which say so themselves
    ]
    told += [
        _Line(one.at, one.run, one.link, one.operation.contact, _operation(one, lists))
        for one in stories.operations(traces)
    ]
    several = len(traces.contacts) > 1
    lines = [line.told(several=several) for line in sorted(told, key=lambda line: line.at)]
    return list(_without_repetition(dict.fromkeys(lines)))


def _without_repetition(lines: Iterable[Told]) -> Iterator[Told]:
    """Yield of what each run met anew the first time, and the last with their number."""
    for _, alike in groupby(lines, key=lambda line: (line.link, line.what)):
        first, *again = alike
        yield first
        if again:
            times = "once" if len(again) == 1 else f"{len(again)} times"
            yield replace(again[-1], what=f"again, {times} by now: {first.what}")


class _Line(NamedTuple):
    at: str
    run: str
    link: str
    contact: ContactId | None
    what: str

    def told(self, *, several: bool) -> Told:
        """Say whose it is, where that isn't clear."""
        whose = f"contact {self.contact}: " if several and self.contact else ""
        return Told(datetime.fromisoformat(self.at), self.run, self.link, whose + self.what)


def _sighting(seen: Seen, lists: Mapping[str, str], waiting: Container[tuple[str, str]]) -> str:
    """Say what was seen of a person, apart from what was done."""
    cause = seen.detail.partition(" ")[2]
    words = _SEEN[seen.what]
    if seen.what is What.HELD and (seen.link, cause) not in waiting:
        words = "waited: {cause}"
    return words.format(
        list=lists.get(seen.link, seen.link),
        day=_day(seen.detail if seen.what is What.LEFT else seen.at),
        run=seen.run,
        cause=cause,
    )


def _operation(story: Story, lists: Mapping[str, str]) -> str:
    """Say what became of an operation, and why it was to be done."""
    op, why = story.operation, story.operation.why
    if op.op is Op.CONSENT and op.loses:  # nothing was to be written: a person is asked
        waits = "waits" if story.state is State.WITHHELD else "waited"
        return f"{why}, with many others: {waits} for an approval (syncd approve {story.run})"
    done, meant = _WORDS[op.op]
    words = done if story.state is State.DONE else f"{_STATES[story.state]}: {meant}"
    error = f" ({story.error})" if story.error else ""
    told = words.format(
        list=lists.get(story.link, story.link),
        run=story.run,
        person=_person(op.person),
        old=op.old_address,
        new=op.person.address,
        values=_changes(op),
        contact=op.contact,
    )
    return f"{told}: {why}{error}"


def _changes(op: Operation) -> str:
    return ", ".join(
        f"{FIELD_NAMES[field]} {before or 'empty'} → {after}"
        for field, (before, after) in op.overwrites.items()
    )


def _person(person: Person) -> str:
    return f"{f'{person.first} {person.last}'.strip()} {person.address}".strip()


def _day(at: str) -> str:
    day = datetime.fromisoformat(at).astimezone(UTC)
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"
