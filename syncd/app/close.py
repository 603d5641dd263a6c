"""Close a run: remember how it ended, tell who must know, forget what is too old."""

from datetime import timedelta
from typing import Any, Final

import structlog

from syncd import clock
from syncd.app.apply import stamp
from syncd.app.world import World
from syncd.core.report import RunReport

AUDIT_KEPT: Final = timedelta(days=400)
WITHHELD_KEPT: Final = timedelta(days=7)
TEXTS_KEPT: Final = timedelta(days=30)

log = structlog.get_logger()


def close(world: World, report: RunReport) -> None:
    """Remember a run in the store, alert where a person must act, and prune once a day."""
    world.store.runs.end(report, at=stamp())
    if not report.dry_run:
        _tell(world, report)
    if world.store.runs.first_of_day(clock.now().date().isoformat()):
        world.store.journal.prune(
            audit_before=stamp(-AUDIT_KEPT), withheld_before=stamp(-WITHHELD_KEPT)
        )
        world.store.outbox.prune(clock.now() - TEXTS_KEPT)


def _tell(world: World, report: RunReport) -> None:
    """Tell what is new: a link's refusal when it begins, its failures when they are a row.

    Remembered only afterwards: whoever dies in between tells it twice, and not never.
    """
    untold = world.store.streaks.untold(world.after_failures)
    news = {done.link: untold[done.link] for done in report.links if done.link in untold}
    if not news:
        return
    try:
        world.alert(_alert(report), news)
    except Exception:  # the border of an alert: no run fails for it
        log.exception("alert.failed")
    world.store.streaks.mark_told(news)


def _alert(report: RunReport) -> dict[str, Any]:
    """Return what the alert says: the run document without its plan, and what to do."""
    document = report.document()
    for link, found in zip(document["links"], report.links, strict=True):
        link.pop("operations", None)
        link["findings"] = [f"{finding.message} {finding.hint}" for finding in found.findings]
        link["hint"] = found.failure.advice if found.failure is not None else ""
    if any(link.withheld for link in report.links):
        document["next"] = f"syncd approve {report.run}"
    elif hints := dict.fromkeys(link["hint"] for link in document["links"] if link["hint"]):
        document["next"] = " ".join(hints)
    return document
