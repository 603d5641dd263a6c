"""One run: read, compare, judge, write down, carry out, close."""

import json
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import groupby
from typing import TYPE_CHECKING

import structlog

from syncd import clock
from syncd.app.apply import Applied, Applier, stamp
from syncd.app.close import close
from syncd.app.plan import LinkPlan, plan_link
from syncd.app.settle import settle
from syncd.app.world import OpenLink, World
from syncd.core.commands import command
from syncd.core.link import Link
from syncd.core.plan import Finding, Guard, Op
from syncd.core.report import Failure, LinkReport, RunReport
from syncd.errors import (
    AmbiguousError,
    BusyError,
    ConfigurationError,
    StoppedError,
    SyncdError,
)
from syncd.ports import ListId, SweepReport

if TYPE_CHECKING:
    from syncd.store.snapshots import Snapshot

log = structlog.get_logger()


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
                while not world.store.runs.begin(
                    report.run, trigger=trigger, dry_run=dry_run, at=stamp()
                ):  # a run of this very second has the same four digits
                    report.run = new_run_id()
                    structlog.contextvars.bind_contextvars(run=report.run)
                by_target = sorted(chosen, key=lambda link: link.selection.target)
                for _, group in groupby(by_target, key=lambda link: link.selection.target):
                    report.links += _run_selection(world, tuple(group), report, stop)
                report.links.sort(key=lambda done: [link.name for link in chosen].index(done.link))
                report.finished = clock.now()
                close(world, report)
        except BusyError as error:
            report.failure = Failure.of(error)
            log.info("run.busy", why=str(error))
        except SyncdError as error:
            report.failure = Failure.of(error)
            log.warning("run.failed", error=str(error))
        except Exception:
            report.failure = _internal("the run")
            log.exception("run.failed")
    report.finished = report.finished or clock.now()
    return report


def never_ran(error: SyncdError, *, dry_run: bool = False) -> RunReport:
    """Return the report of a run that came to an end before it had a store."""
    now = clock.now()
    return RunReport(
        run=new_run_id(), started=now, finished=now, dry_run=dry_run, failure=Failure.of(error)
    )


def _run_selection(
    world: World, links: tuple[Link, ...], report: RunReport, stop: Callable[[], bool]
) -> Iterator[LinkReport]:
    """Bring every link of one selection in step; they share one sweep."""
    reading = _Reading(world, links[0], stop)
    for link in links:
        done = LinkReport(link=link.name, operations=() if report.dry_run else None)
        with structlog.contextvars.bound_contextvars(link=link.name):
            try:
                _run_link(world, link, reading, done, report=report, stop=stop)
            except StoppedError:
                done.stopped = True
            except SyncdError as error:
                done.failure = Failure.of(error)
            except Exception:
                done.failure = _internal(f"link {link.name}")
                log.exception("link.failed")
            _log_closed(done)
        yield done


class _Reading:
    """The sweep that the links of one selection share: made when the first of them needs it."""

    def __init__(self, world: World, link: Link, stop: Callable[[], bool]) -> None:
        self._planfix = world.planfix
        self._selection = link.selection
        self._stop = stop
        consents = (each.consent for each in world.links if each.selection == link.selection)
        self._fields = {
            consent.field
            for consent in consents
            if consent.field is not None and consent.allow_planfix_release
        }
        self._sweep: SweepReport | SyncdError | None = None

    def sweep(self, snapshot: "Snapshot") -> SweepReport:
        """Read the selection into its snapshot, once; a failure is every link's.

        What Planfix pushed is there already, and is all that there is.
        """
        if self._selection.is_pushed:
            here = snapshot.present()
            return SweepReport(total=here, read=here, pages=0, certified=True, changed=True)
        if self._sweep is None:
            snapshot.want(self._fields)
            try:
                self._sweep = self._planfix.sweep(self._selection, snapshot, stop=self._stop)
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
            done.findings, done.judged = (refusal,), True
            return
        if not report.dry_run:
            settle(open_link, world.list_id(link))
        sweep = reading.sweep(open_link.snapshot)
        done.planfix_read, done.certified = sweep.read, sweep.certified
        list_id = _found_list(open_link) if report.dry_run else _ensure_list(open_link)
        _insist_on_its_own(world, link, list_id)
        refusal = _left_with_another(world, open_link, list_id)
        if refusal is not None:
            done.findings, done.judged = (refusal,), True
            return
        _compare_and_apply(open_link, sweep, list_id, done, dry_run=report.dry_run, stop=stop)


def opened(world: World, link: Link, run: str) -> OpenLink:
    """Return a link's place in the store, with its service opened for this run."""
    snapshot = world.store.snapshot(world.account, link.selection)
    world.store.links.rename(world.named_scopes)  # by another config, a process may have renamed it
    number = world.store.links.open(
        link.name,
        world.scopes[link.name],
        snapshot.id,
        follow=not link.selection.is_pushed,  # a list made again is another selection
    )
    return OpenLink(
        link=link,
        number=number,
        sharing=world.sharing(link),
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
        f"Put the config back, or forget the pairs and adopt again: {command('rebase', name)}",
    )


def _left_with_another(world: World, open_link: OpenLink, list_id: ListId | None) -> Finding | None:
    """Guard 7: a new link whose list was that of one which the config has no more.

    Who left it is known to that one. By its list's id, the link takes all of that over; found
    by its name, the list was taken for another one.
    """
    name, links, scopes = open_link.link.name, open_link.store.links, world.named_scopes
    if list_id is None or name not in scopes or links.has_run(open_link.number):
        return None
    other = links.left_with(list_id, scopes, name)
    if other is None:
        return None
    return Finding(
        Guard.SCOPE,
        f"The list of link {name} was that of link {other}, which the config has no more, and what"
        " is known of who left it is kept there.",
        f"Write list_id = {json.dumps(list_id)} for it in the config, as {other} had it.",
    )


def _insist_on_its_own(world: World, link: Link, list_id: ListId | None) -> None:
    """See that no link before this one feeds the same list, under whatever name.

    Raises:
        ConfigurationError: one does.
    """
    for other in world.links[: world.links.index(link)]:
        here = world.places[other.backend] == world.places[link.backend]
        if here and list_id is not None and str(world.list_id(other)) == str(list_id):
            raise ConfigurationError(
                f"The list of link {link.name} is that of link {other.name}: two links may not"
                " feed the same list.",
                hint="Give one of them another list, or end it: syncd lists",
            )


def _compare_and_apply(
    open_link: OpenLink,
    sweep: SweepReport,
    list_id: ListId | None,
    report: LinkReport,
    *,
    dry_run: bool,
    stop: Callable[[], bool],
) -> None:
    """Plan, and carry the plan out unless this is a dry run."""
    plan = plan_link(open_link, sweep, list_id, dry_run=dry_run, stop=stop)
    report.list_read = plan.list_read
    report.planned = {op: plan.counts[op] for op in Op}
    report.withheld, report.held, report.suppressed = plan.withheld, plan.held, plan.suppressed
    report.findings, report.judged = plan.verdict.findings, True
    if plan.withheld and not dry_run:
        open_link.store.journal.thin_withheld(open_link.number)
    report.operations = plan.operations
    try:
        if list_id is not None and not dry_run:
            _apply(open_link, list_id, plan, report, stop)
    finally:
        report.quarantined = len(open_link.store.journal.quarantined(open_link.number))
        report.quarantined += len(sweep.unreadable)


def _apply(
    open_link: OpenLink,
    list_id: ListId,
    plan: LinkPlan,
    report: LinkReport,
    stop: Callable[[], bool],
) -> None:
    if plan.counts.total() > plan.withheld:
        applier = Applier(open_link, list_id, stop)
        try:
            applier.carry_out(plan.counts[Op.ADD])
        finally:
            _report_applied(applier.applied, report)
    if not report.stopped:
        store, number = open_link.store, open_link.number
        writes_planfix = store.links.has_run(number)
        # What was told of a pair that an earlier first run made is for the next run to write.
        settled = [told for told in plan.reports if writes_planfix or told.contact is None]
        store.links.ran(number)
        if settled:
            store.reports.settle(number, settled, run=open_link.run)
    if report.certified:
        open_link.snapshot.drop_absent()


def _report_applied(applied: Applied, report: LinkReport) -> None:
    """Tell what was done; what turned out to be not due yet, or no more, was no plan."""
    undue = applied.waiting + applied.unwanted
    report.planned = {op: count - undue[op] for op, count in report.planned.items()}
    report.applied = {op: applied.done[op] for op in Op}
    report.held += applied.waiting.total()
    report.stopped = applied.stopped


def _found_list(open_link: OpenLink) -> ListId | None:
    """Return the id of the link's list, where there is one."""
    link = open_link.link
    if link.list_id is not None:
        return link.list_id
    known = open_link.store.links.list_id(open_link.number)
    return known if known is not None else open_link.backend.find_list(link.list_name)


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
            f" one made: {command('rebase', link.name)}",
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


def _internal(where: str) -> Failure:
    return Failure(
        "internal", f"A fault of syncd's own stopped {where}; the log has the traceback.", 70
    )


def new_run_id() -> str:
    """Return a name for a run: when it began, and four digits of chance."""
    return f"{clock.now():%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
