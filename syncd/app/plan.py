"""One link's plan: compare, judge, write down. A dry run is this and no more."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeGuard

import structlog

from syncd.app.apply import DAY, latches_of, stamp
from syncd.app.confirm import confirm
from syncd.app.observe import observe
from syncd.app.releases import heed_field
from syncd.app.world import OpenLink
from syncd.core.events import Event, What
from syncd.core.journal import fingerprint, signature, subject
from syncd.core.link import ACCOUNT, LinkNumber, NewSubscribers, Vanished
from syncd.core.pairs import NewLatch, Row, Standing
from syncd.core.people import ContactId, MemberStatus
from syncd.core.plan import End, Held, Loses, Op, Operation, Pairing, Repoint, Step, Suppressed
from syncd.core.pushes import Reported
from syncd.core.report import PlannedOperation
from syncd.engine.consent import Latches, left_elsewhere, met_elsewhere, spread
from syncd.engine.guard import Tally, Verdict, judge
from syncd.engine.merge import Policy
from syncd.engine.reconcile import steps, strangers
from syncd.engine.renames import LATCHED_GROUP
from syncd.ports import ListId, SweepReport

if TYPE_CHECKING:
    from syncd.store.draft import Draft

log = structlog.get_logger()


@dataclass
class LinkPlan:
    """What one link's plan comes to."""

    counts: Counter[Op] = field(default_factory=Counter)
    verdict: Verdict = field(default_factory=Verdict)
    withheld: int = 0
    held: int = 0
    suppressed: int = 0
    list_read: int | None = None
    latch_met: int = 0
    operations: tuple[PlannedOperation, ...] | None = None
    reports: tuple[Reported, ...] = ()


def plan_link(
    open_link: OpenLink,
    sweep: SweepReport,
    list_id: ListId | None,
    *,
    dry_run: bool,
    stop: Callable[[], bool],
) -> LinkPlan:
    """Read the list, compare and judge; a dry run is this and no more."""
    store, number, link = open_link.store, open_link.number, open_link.link
    approved = store.journal.withheld(store.runs.approved(stamp()), number)
    pairs = store.pairs.count(number)
    removed_lately = store.journal.removed_since(number, stamp(-DAY))
    limit = link.limits.allowance(pairs)
    policy = _policy(open_link, certified=sweep.certified)
    heed_field(open_link)
    seen = observe(
        open_link,
        list_id,
        restore=policy.restore,
        allowance=limit - removed_lately,
        approved=approved.keys(),
        keep=not dry_run,
        stop=stop,
    )
    removed_lately += seen.lost
    standing = confirm(
        open_link,
        store.pairs.absent(number, open_link.snapshot.id),
        allowance=limit - removed_lately if sweep.read else -1,
        approved={ContactId(int(str(line[0]))) for line in approved if line[1] == Op.REMOVE},
        certified=sweep.certified,
    )
    _latch_met_elsewhere(open_link)
    _spread_latches(open_link, standing, allowance=limit)
    planner = _Planner(open_link, policy, frozenset(approved), stopped=seen.empty)
    with store.journal.drafting(
        number, open_link.snapshot.id, run=open_link.run, at=stamp(), keep=not dry_run
    ) as draft:
        draft.write(planner.operations(draft.rows(standing)))
        if sweep.certified:
            draft.free(planner.well)
        tally = Tally(
            pairs=pairs,
            read=None if link.selection.is_pushed else sweep.read,
            removals=planner.removals,
            removed_lately=removed_lately,
            losing=planner.losing,
            waiting=seen.waiting,
            vanished=seen.vanished,
            returned=seen.returned,
            empty=seen.empty,
        )
        plan = planner.judged(draft, tally, keep_operations=dry_run)
    plan.list_read, plan.reports = seen.read, seen.reports
    return plan


def _policy(open_link: OpenLink, *, certified: bool) -> Policy:
    link = open_link.link
    return Policy(
        direction=link.direction,
        conflict=link.conflict,
        restore=link.vanished is Vanished.RESTORE,
        creates=link.new_subscribers is NewSubscribers.CREATE,
        names=open_link.backend.capabilities.names,
        first_run=not open_link.store.links.has_run(open_link.number),
        certified=certified,
    )


class _Planner:
    """Turns the engine's steps into a draft, counting what the guards want to know.

    `stopped`: a guard stopped the link, and only what it withholds is written down.
    """

    def __init__(
        self,
        open_link: OpenLink,
        policy: Policy,
        approved: frozenset[tuple[object, ...]],
        *,
        stopped: bool,
    ) -> None:
        self._at = open_link
        self._policy = policy
        self._approved = approved
        self._stopped = stopped
        self._latches = latches_of(open_link)
        self._quarantined = open_link.store.journal.quarantined(open_link.number)
        # Those of whom nothing is wanted any more: at first all, but who could not leave yet.
        wishing = {subject(e.operation) for e in open_link.store.journal.open(open_link.number)}
        self.well = self._quarantined.keys() - wishing
        self._now = stamp()
        self._looked_up = open_link.store.journal.looked_up(open_link.number, self._now)
        self._resting: set[ContactId] = set()  # in quarantine, or waiting for one who is
        self._settled: set[ContactId] = set()  # who leave, or wait with their exchange
        self._moves: list[Repoint | End] = []
        self._pairings: list[Pairing] = []
        self._held: list[Held] = []
        self._kept_out: list[Event] = []
        self._plan = LinkPlan()
        self.removals = 0
        self.losing: Counter[Loses] = Counter()

    def operations(self, rows: Iterator[Row]) -> Iterator[tuple[Operation, bool]]:
        """Yield every operation to journal, with whether a person approved it."""
        for step in self._steps(rows):
            match step:
                case Operation():
                    if self.well:
                        self.well.discard(subject(step))
                    if self._rests(step):
                        self._resting.add(step.contact)
                        continue
                    approved = bool(self._approved) and signature(step) in self._approved
                    self._count(step, approved=approved)
                    yield step, approved
                case Held():
                    self._held.append(step)
                case Suppressed():
                    self._keep_out(step)
                case Pairing():
                    self._plan.suppressed += step.status is MemberStatus.UNSUBSCRIBED
                    self._pairings.append(step)
                case Repoint() | End():
                    self._moves.append(step)

    def _steps(self, rows: Iterator[Row]) -> Iterator[Step]:
        """Yield what the engine says, then whom consent reaches from elsewhere."""
        backend, latches, policy = self._at.backend, self._latches, self._policy
        for step in steps(_usable(rows, backend.fault_of), latches, policy):
            if _settles_leaving(step):
                self._settled.add(step.contact)
            if not self._stopped or (isinstance(step, Operation) and Loses.VANISHED in step.loses):
                yield step
        if self._stopped:
            return
        store, number = self._at.store, self._at.number
        yield from strangers(store.sightings.strangers(self._at.snapshot.id), latches, policy)
        newest = store.consent.newest(ACCOUNT)
        if newest > store.links.latch_met(number):
            everywhere = _latches_everywhere(self._at, number)
            for leave in left_elsewhere(store.pairs.active(number), everywhere):
                if leave.contact not in self._settled:
                    yield leave
            self._plan.latch_met = newest
        yield from self._marks()

    def _marks(self) -> Iterator[Operation]:
        """Yield what Planfix is to be told of people's consent; not before the second run."""
        consent = self._at.link.consent
        if consent.field is None or self._policy.first_run:
            return
        unmarked = self._at.store.consent.unmarked(
            self._at.sharing,
            self._at.snapshot.id,
            field=consent.field,
            unsubscribed=consent.unsubscribed,
        )
        for contact, person, left in unmarked:
            why = "unsubscribed" if left else "subscribed again"
            yield Operation(Op.CONSENT, contact, person, why)

    def _keep_out(self, step: Suppressed) -> None:
        self._plan.suppressed += 1
        if step.now is not None:
            what = What.EDITED if step.edited else What.KEPT_OUT
            detail = fingerprint(step.now) if step.edited else ""
            self._kept_out.append(Event(what, step.contact, step.now.key, detail))

    def _rests(self, operation: Operation) -> bool:
        """Whether a quarantined contact or a look-up is not yet due, or waits for one of them."""
        if operation.after in self._resting:
            self._held.append(Held(operation.contact, "the address is not free yet"))
            return True
        if operation.op is Op.PLANFIX_CREATE:
            held = self._looked_up.get(operation.person.key)
            if held is not None:
                self._held.append(held)
                return True
        if not self._quarantined:
            return False
        failed_with, next_at = self._quarantined.get(subject(operation), ("", ""))
        return failed_with == fingerprint(operation.person) and next_at > self._now

    def _count(self, operation: Operation, *, approved: bool) -> None:
        self._plan.counts[operation.op] += 1
        if approved:
            return
        self.removals += operation.op is Op.REMOVE
        if operation.loses:  # flags are slow to walk
            for loss in operation.loses:
                self.losing[loss] += 1

    def judged(self, draft: "Draft", tally: Tally, *, keep_operations: bool) -> LinkPlan:
        """Judge the draft, withhold what must wait, and carry out what needs no call."""
        plan = self._plan
        plan.verdict = judge(tally, self._at.link.limits)
        swaps_wait = Loses.OLD_ADDRESS in plan.verdict.losses
        draft.repoint(
            [
                move
                for move in self._moves
                if not (swaps_wait and isinstance(move, Repoint) and move.swap)
            ]
        )
        draft.pair(self._pairings)
        draft.hold(self._held)
        draft.tell(self._kept_out)
        draft.met(plan.latch_met)
        plan.held = len({(held.contact, held.key) for held in self._held})
        if plan.verdict.findings:
            plan.withheld = draft.withhold(
                removals=plan.verdict.removals, losses=plan.verdict.losses
            )
        if keep_operations:
            plan.operations = tuple(
                PlannedOperation(
                    op=operation.op,
                    contact=operation.contact,
                    email=operation.person.address,
                    old_email=operation.old_address,
                    why=operation.why,
                )
                for operation in draft.entries()
            )
        return plan


def _settles_leaving(step: Step) -> TypeGuard[Operation | Held]:
    if isinstance(step, Operation):
        return step.op is Op.UNSUBSCRIBE
    return isinstance(step, Held) and step.why == LATCHED_GROUP


def _usable(rows: Iterator[Row], fault_of: Callable[[str], str]) -> Iterator[Row]:
    """Yield rows; those whose address this list's service doesn't take say so."""
    for row in rows:
        fault = "" if row.fault or not row.now.key else fault_of(row.now.address)
        yield row._replace(fault=fault) if fault else row


def _latches_everywhere(open_link: OpenLink, link: LinkNumber) -> Latches:
    consent, pushed = open_link.store.consent, open_link.link.selection.is_pushed
    return Latches(*consent.latched_everywhere(link, pushed=pushed), consent.hashed)


def _latch_met_elsewhere(open_link: OpenLink) -> None:
    """Latch the contacts of members whose addresses left another list, and with it all."""
    store, number = open_link.store, open_link.number
    if store.consent.newest(ACCOUNT) <= store.links.latch_met(number):
        return
    for latched_in in _reaches(open_link):
        everywhere = _latches_everywhere(open_link, latched_in)
        met = met_elsewhere(store.pairs.active(number), everywhere)
        store.consent.latch(latched_in, met, run=open_link.run, at=stamp())


def _spread_latches(
    open_link: OpenLink, standing: dict[ContactId, Standing], *, allowance: int
) -> None:
    """Latch who follows from those that are latched, before anything is planned.

    A latch is for good, and a slip in Planfix may bring many contacts to the addresses of others:
    where more members would follow than may be removed, none does, and all wait as they are.
    """
    consent, pushed = open_link.store.consent, open_link.link.selection.is_pushed
    spread_before = None
    for latched_in in _reaches(open_link):
        latches = Latches(*consent.latched(latched_in, pushed=pushed), consent.hashed)
        if latches == spread_before:
            continue
        new = _followers(open_link, standing, latches)
        contacts = {latch.contact for latch in new}
        active = open_link.store.pairs.active(open_link.number) if new else ()
        members = sum(contact in contacts for contact, _ in active)
        if members > allowance:
            log.warning("consent.waits", members=members, allowance=allowance)
            return
        if new:
            consent.latch(latched_in, new, run=open_link.run, at=stamp())
        spread_before = latches.plus(new)


def _reaches(open_link: OpenLink) -> Iterable[LinkNumber]:
    """Return what the latches of a link are for: the account, and the link.

    What follows from one that ended for another link is no business of that one.
    """
    return dict.fromkeys((open_link.consent_number, open_link.number))


def _followers(
    open_link: OpenLink, standing: dict[ContactId, Standing], latches: Latches
) -> list[NewLatch]:
    new: list[NewLatch] = []
    while latches:
        with open_link.store.journal.drafting(
            open_link.number, open_link.snapshot.id, run=open_link.run, at=stamp(), keep=False
        ) as draft:
            more = list(spread(draft.rows(standing), latches))
        if not more:
            break
        new += more
        latches = latches.plus(more)
    return new
