"""One link's plan: compare, judge, write down. A dry run is this and no more."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from syncd.app.apply import latches_of, stamp
from syncd.app.confirm import confirm
from syncd.app.world import OpenLink
from syncd.core.journal import fingerprint, signature
from syncd.core.pairs import Row, Standing
from syncd.core.people import ContactId
from syncd.core.plan import End, Held, Loses, Op, Operation, Repoint, Suppressed
from syncd.core.report import PlannedOperation
from syncd.engine.consent import spread
from syncd.engine.guard import Tally, Verdict, judge
from syncd.engine.reconcile import steps
from syncd.ports import SweepReport

if TYPE_CHECKING:
    from syncd.store.journal import Draft

DAY: Final = timedelta(hours=24)
"""How long removals count against their limit, and how long an approval holds."""


@dataclass
class LinkPlan:
    """What one link's plan comes to."""

    counts: Counter[Op] = field(default_factory=Counter)
    verdict: Verdict = field(default_factory=Verdict)
    withheld: int = 0
    held: int = 0
    suppressed: int = 0
    operations: tuple[PlannedOperation, ...] | None = None


def plan_link(open_link: OpenLink, sweep: SweepReport, *, dry_run: bool) -> LinkPlan:
    """Compare and judge; a dry run is this and no more."""
    store, number = open_link.store, open_link.number
    approved = store.journal.withheld(store.runs.approved(stamp()), number)
    pairs = store.pairs.count(number)
    removed_lately = store.journal.removed_since(number, stamp(-DAY))
    allowance = open_link.link.limits.allowance(pairs) - removed_lately
    standing = confirm(
        open_link,
        store.pairs.absent(number, open_link.snapshot.id),
        allowance=allowance if sweep.read else -1,
        approved={ContactId(int(str(line[0]))) for line in approved if line[1] == Op.REMOVE},
        certified=sweep.certified,
    )
    _spread_latches(open_link, standing)
    planner = _Planner(open_link, frozenset(approved))
    with store.journal.drafting(
        number, open_link.snapshot.id, run=open_link.run, at=stamp(), keep=not dry_run
    ) as draft:
        draft.write(planner.operations(draft.rows(standing)))
        if sweep.certified:
            draft.free(planner.well)
        tally = Tally(
            pairs=pairs,
            read=sweep.read,
            removals=planner.removals,
            removed_lately=removed_lately,
            losing=planner.losing,
        )
        return planner.judged(draft, tally, keep_operations=dry_run)


class _Planner:
    """Turns the engine's steps into a draft, counting what the guards want to know."""

    def __init__(self, open_link: OpenLink, approved: frozenset[tuple[object, ...]]) -> None:
        self._limits = open_link.link.limits
        self._approved = approved
        self._latches = latches_of(open_link)
        self._quarantined = open_link.store.journal.quarantined(open_link.number)
        # Those of whom nothing is wanted any more: at first all, but who could not leave yet.
        wishing = {e.operation.contact for e in open_link.store.journal.open(open_link.number)}
        self.well = self._quarantined.keys() - wishing
        self._now = stamp()
        self._resting: set[ContactId] = set()  # in quarantine, or waiting for one who is
        self._moves: list[Repoint | End] = []
        self._held: list[Held] = []
        self._plan = LinkPlan()
        self.removals = 0
        self.losing: Counter[Loses] = Counter()

    def operations(self, rows: Iterator[Row]) -> Iterator[tuple[Operation, bool]]:
        """Yield every operation to journal, with whether a person approved it."""
        for step in steps(rows, self._latches):
            if isinstance(step, Operation):
                self.well.discard(step.contact)
            match step:
                case Operation() if self._rests(step):
                    self._resting.add(step.contact)
                case Operation():
                    approved = bool(self._approved) and signature(step) in self._approved
                    self._count(step, approved=approved)
                    yield step, approved
                case Held():
                    self._held.append(step)
                case Suppressed():
                    self._plan.suppressed += 1
                case Repoint() | End():
                    self._moves.append(step)

    def _rests(self, operation: Operation) -> bool:
        """Whether a quarantined contact is not yet due, or waits for one who isn't."""
        if operation.after in self._resting:
            self._held.append(Held(operation.contact, "the address is not free yet"))
            return True
        if not self._quarantined:
            return False
        failed_with, next_at = self._quarantined.get(operation.contact, ("", ""))
        return failed_with == fingerprint(operation.person) and next_at > self._now

    def _count(self, operation: Operation, *, approved: bool) -> None:
        self._plan.counts[operation.op] += 1
        if approved:
            return
        self.removals += operation.op is Op.REMOVE
        for loss in operation.loses:
            self.losing[loss] += 1

    def judged(self, draft: "Draft", tally: Tally, *, keep_operations: bool) -> LinkPlan:
        """Judge the draft, withhold what must wait, and carry out what needs no call."""
        plan = self._plan
        plan.verdict = judge(tally, self._limits)
        swaps_wait = Loses.OLD_ADDRESS in plan.verdict.losses
        draft.repoint(
            [
                move
                for move in self._moves
                if not (swaps_wait and isinstance(move, Repoint) and move.swap)
            ]
        )
        draft.hold(self._held)
        plan.held = len({held.contact for held in self._held})
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


def _spread_latches(open_link: OpenLink, standing: dict[ContactId, Standing]) -> None:
    """Latch who follows from those that are latched, before anything is planned."""
    while latches := latches_of(open_link):
        at = stamp()
        with open_link.store.journal.drafting(
            open_link.number, open_link.snapshot.id, run=open_link.run, at=at, keep=False
        ) as draft:
            new = list(spread(draft.rows(standing), latches))
        if not new:
            return
        open_link.store.consent.latch(open_link.consent_number, new, run=open_link.run, at=at)
