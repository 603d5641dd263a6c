"""One run: read, compare, judge, write down, carry out, close."""

import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Final

import structlog

from syncd import clock
from syncd.app.apply import Applied, Applier, latches_of, stamp
from syncd.app.close import close
from syncd.app.confirm import confirm
from syncd.app.settle import settle
from syncd.app.world import OpenLink, World
from syncd.core.journal import fingerprint, signature
from syncd.core.link import Link
from syncd.core.pairs import Row, Standing
from syncd.core.people import ContactId
from syncd.core.plan import (
    End,
    Finding,
    Guard,
    Held,
    Loses,
    Op,
    Operation,
    Repoint,
    Suppressed,
)
from syncd.core.report import Failure, LinkReport, PlannedOperation, RunReport
from syncd.engine.consent import spread
from syncd.engine.guard import Tally, Verdict, judge
from syncd.engine.reconcile import reconcile
from syncd.errors import AmbiguousError, ConfigurationError, SyncdError
from syncd.ports import ListId, SweepReport

if TYPE_CHECKING:
    from syncd.store.journal import Draft

log = structlog.get_logger()

DAY: Final = timedelta(hours=24)


def run_once(
    world: World,
    *,
    links: Sequence[str] = (),
    dry_run: bool = False,
    trigger: str = "once",
    stop: Callable[[], bool] = lambda: False,
) -> RunReport:
    """Bring links in step, once, and say how it went; a failure is a part of the report.

    Raises:
        UsageError: a link that the config doesn't have.
    """
    chosen = world.chosen(links)
    report = RunReport(run=new_run_id(), started=clock.now(), dry_run=dry_run)
    with structlog.contextvars.bound_contextvars(run=report.run):
        try:
            with world.store.lock():
                world.store.runs.begin(report.run, trigger=trigger, dry_run=dry_run, at=stamp())
                by_target = sorted(chosen, key=lambda link: link.selection.target)
                for _, group in groupby(by_target, key=lambda link: link.selection.target):
                    report.links += _run_selection(world, tuple(group), report, stop)
                report.links.sort(key=lambda done: [link.name for link in chosen].index(done.link))
                report.finished = clock.now()
                close(world, report)
        except SyncdError as error:
            report.failure = _failure(error)
            log.warning("run.failed", error=str(error))
        except Exception:
            report.failure = _internal("the run")
            log.exception("run.failed")
    report.finished = report.finished or clock.now()
    return report


def _run_selection(
    world: World, links: tuple[Link, ...], report: RunReport, stop: Callable[[], bool]
) -> Iterator[LinkReport]:
    """Bring every link of one selection in step; they share one sweep."""
    reading = _Reading(world, links[0])
    for link in links:
        done = LinkReport(link=link.name)
        with structlog.contextvars.bound_contextvars(link=link.name):
            try:
                _run_link(world, link, reading, done, report=report, stop=stop)
            except SyncdError as error:
                done.failure = _failure(error)
            except Exception:
                done.failure = _internal(f"link {link.name}")
                log.exception("link.failed")
            _log_closed(done)
        yield done


class _Reading:
    """The sweep that the links of one selection share: made when the first of them needs it."""

    def __init__(self, world: World, link: Link) -> None:
        self._planfix = world.planfix
        self._selection = link.selection
        self._snapshot = world.store.snapshot(world.account, link.selection)
        self._sweep: SweepReport | SyncdError | None = None

    def sweep(self) -> SweepReport:
        """Read the selection, once; a failure is every link's."""
        if self._sweep is None:
            try:
                self._sweep = self._planfix.sweep(self._selection, self._snapshot)
            except SyncdError as error:
                self._sweep = error
        if isinstance(self._sweep, SyncdError):
            raise self._sweep
        return self._sweep


def _run_link(
    world: World,
    link: Link,
    reading: _Reading,
    done: LinkReport,
    *,
    report: RunReport,
    stop: Callable[[], bool],
) -> None:
    """Bring one link in step, or say in its report what stands in the way."""
    if stop():
        done.stopped = True
        return
    open_link = opened(world, link, report.run)
    with closing(open_link.backend):
        refusal = _other_scope(world, open_link)
        if refusal is not None:
            done.findings = (refusal,)
            return
        if not report.dry_run:
            settle(open_link, world.store.links.list_id(open_link.number))
        _compare_and_apply(open_link, reading.sweep(), done, dry_run=report.dry_run, stop=stop)


def opened(world: World, link: Link, run: str) -> OpenLink:
    """Return a link's place in the store, with its service opened for this run."""
    snapshot = world.store.snapshot(world.account, link.selection)
    return OpenLink(
        link=link,
        number=world.store.links.open(link.name, world.scopes[link.name], snapshot.id),
        run=run,
        backend=world.open_backend(link.backend),
        snapshot=snapshot,
        store=world.store,
        planfix=world.planfix,
    )


def _other_scope(world: World, open_link: OpenLink) -> Finding | None:
    """Guard 7: pairs that were made with another account, backend or list."""
    name = open_link.link.name
    if world.store.links.scope(open_link.number) == world.scopes[name]:
        return None
    return Finding(
        Guard.SCOPE,
        f"The pairs of link {name} were made with another account, backend or list.",
        f"Put the config back, or forget the pairs and adopt again: syncd rebase {name}",
    )


@dataclass
class _Plan:
    """What one link's plan comes to."""

    counts: Counter[Op] = field(default_factory=Counter)
    verdict: Verdict = field(default_factory=Verdict)
    withheld: int = 0
    held: int = 0
    suppressed: int = 0
    operations: tuple[PlannedOperation, ...] | None = None


def _compare_and_apply(
    open_link: OpenLink,
    sweep: SweepReport,
    report: LinkReport,
    *,
    dry_run: bool,
    stop: Callable[[], bool],
) -> None:
    """Plan, and carry the plan out unless this is a dry run."""
    report.planfix_read, report.certified = sweep.read, sweep.certified
    plan = _plan(open_link, sweep, dry_run=dry_run)
    report.planned = {op: plan.counts[op] for op in Op}
    report.withheld, report.held, report.suppressed = plan.withheld, plan.held, plan.suppressed
    report.findings = plan.verdict.findings
    report.operations = plan.operations
    try:
        if not dry_run:
            _apply(open_link, plan, report, stop)
    finally:
        report.quarantined = len(open_link.store.journal.quarantined(open_link.number))
        report.quarantined += len(sweep.unreadable)


def _plan(open_link: OpenLink, sweep: SweepReport, *, dry_run: bool) -> _Plan:
    """Compare and judge; a dry run is this and no more."""
    store, number = open_link.store, open_link.number
    since = (clock.now() - DAY).isoformat(timespec="microseconds")
    approved = store.journal.withheld(store.runs.approved(stamp()), number)
    pairs = store.pairs.count(number)
    removed_lately = store.journal.removed_since(number, since)
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
        self._now = stamp()
        self._resting: set[ContactId] = set()  # in quarantine, or waiting for one who is
        self._moves: list[Repoint | End] = []
        self._held: list[Held] = []
        self._plan = _Plan()
        self.removals = 0
        self.losing: Counter[Loses] = Counter()

    def operations(self, rows: Iterator[Row]) -> Iterator[tuple[Operation, bool]]:
        """Yield every operation to journal, with whether a person approved it."""
        for step in reconcile(rows, self._latches):
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

    def judged(self, draft: "Draft", tally: Tally, *, keep_operations: bool) -> _Plan:
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
    latches = latches_of(open_link)
    if not latches:
        return
    at = stamp()
    with open_link.store.journal.drafting(
        open_link.number, open_link.snapshot.id, run=open_link.run, at=at, keep=False
    ) as draft:
        new = list(spread(draft.rows(standing), latches))
    open_link.store.consent.latch(open_link.consent_number, new, run=open_link.run, at=at)


def _apply(open_link: OpenLink, plan: _Plan, report: LinkReport, stop: Callable[[], bool]) -> None:
    list_id = _ensure_list(open_link)
    if plan.counts.total() > plan.withheld:
        applier = Applier(open_link, list_id, stop)
        try:
            applier.carry_out(plan.counts[Op.ADD])
        finally:
            _report_applied(applier.applied, report)
    if report.certified:
        open_link.snapshot.drop_absent()


def _report_applied(applied: Applied, report: LinkReport) -> None:
    report.applied = {op: applied.done[op] for op in Op}
    report.held += applied.waiting
    report.stopped = applied.stopped


def _ensure_list(open_link: OpenLink) -> ListId:
    """Return the id of the link's list, making the list where it is missing.

    Raises:
        ConfigurationError: a creation was sent and never answered, and can't be looked up.
    """
    links, number, link = open_link.store.links, open_link.number, open_link.link
    if link.list_id is not None:
        if links.list_id(number) != link.list_id:
            links.answered(number, link.list_id)
        return link.list_id
    known = links.list_id(number)
    if known is not None:
        return known
    if links.creation_unknown(number) and not open_link.backend.capabilities.finds_lists:
        raise ConfigurationError(
            f"Whether the list of link {link.name} was created is unknown: the service was asked"
            " to, and its answer never came.",
            hint="Look for the list at the service and set list_id in the config; or have a new"
            f" one made: syncd rebase {link.name}",
        )
    links.ask(number)
    try:
        created = open_link.backend.ensure_list(link.list_name)
    except AmbiguousError:
        raise
    except SyncdError:
        links.answered(number, None)
        raise
    links.answered(number, created)
    return created


def _log_closed(report: LinkReport) -> None:
    log.info(
        "run.closed",
        outcome=report.outcome.value,
        read=report.planfix_read,
        certified=report.certified,
        planned={op.value: count for op, count in report.planned.items() if count},
        applied={op.value: count for op, count in report.applied.items() if count},
        withheld=report.withheld,
        held=report.held,
        quarantined=report.quarantined,
        suppressed=report.suppressed,
        error=report.failure.message if report.failure else None,
    )


def _failure(error: SyncdError) -> Failure:
    return Failure(error.kind.value, str(error), error.exit_code, error.hint)


def _internal(where: str) -> Failure:
    return Failure(
        "internal", f"A fault of syncd's own stopped {where}; the log has the traceback.", 70
    )


def new_run_id() -> str:
    """Return a name for a run: when it began, and four digits of chance."""
    return f"{clock.now():%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
