"""Close a run: remember how it ended, tell who must know, forget what is too old."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from syncd import clock
from syncd.app.apply import stamp
from syncd.app.world import World
from syncd.core.report import Outcome, RunReport

AUDIT_KEPT: Final = timedelta(days=400)
WITHHELD_KEPT: Final = timedelta(days=7)


def close(world: World, report: RunReport) -> None:
    """Remember a run in the store, alert where a person must act, and prune once a day."""
    earlier = [] if report.dry_run else world.store.runs.outcomes(world.after_failures)
    world.store.runs.end(report, at=stamp())
    if not report.dry_run and _worth_telling(report, earlier, world.after_failures):
        world.alert(_alert(report))
    if world.store.runs.first_of_day(clock.now().date().isoformat()):
        world.store.journal.prune(
            audit_before=stamp(-AUDIT_KEPT), withheld_before=stamp(-WITHHELD_KEPT)
        )


def _worth_telling(report: RunReport, earlier: Sequence[str], after_failures: int) -> bool:
    """A refusal is told when it begins; failures, when they have become a row.

    `earlier` are the outcomes of the runs before this one, the latest first.
    """
    if report.outcome is Outcome.REFUSED:
        return earlier[:1] != [Outcome.REFUSED]
    if report.outcome is not Outcome.FAILED:
        return False
    row = [outcome == Outcome.FAILED for outcome in earlier[: after_failures - 1]]
    begins_earlier = earlier[after_failures - 1 : after_failures] == [Outcome.FAILED]
    return len(row) == after_failures - 1 and all(row) and not begins_earlier


def _alert(report: RunReport) -> dict[str, Any]:
    """Return what the alert says: the run document without its plan, and what to do."""
    document = report.document()
    for link, found in zip(document["links"], report.links, strict=True):
        link.pop("operations", None)
        link["findings"] = [f"{finding.message} {finding.hint}" for finding in found.findings]
    if any(link.withheld for link in report.links):
        document["next"] = f"syncd approve {report.run}"
    return document
