"""A run: one, or one after the other by the daemon."""

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from syncd.app import look
from syncd.app.run import run_once
from syncd.app.wiring import open_for_run, open_world
from syncd.cli import render
from syncd.cli.asked import Asked, progress, show
from syncd.cli.tell import tell_failure
from syncd.config.settings import Schedule
from syncd.core.report import RunReport
from syncd.daemon import PUSH, Cron, Ended, Every, Heart, Notes, Timetable, serve, stopping

if TYPE_CHECKING:
    from syncd.app.serving import Serving

log = structlog.get_logger()


def once(asked: Asked) -> int:
    """Do one run, or its dry half, and show how it went."""
    opened = open_world if asked.dry_run else open_for_run
    with (
        stopping() as stop,
        progress() as told,
        opened(asked.load(), progress=told, stop=stop) as world,
    ):
        report = run_once(world, links=asked.links, dry_run=asked.dry_run, stop=stop)
        if not asked.dry_run:
            world.relay(stop)
    if asked.as_json:
        show(render.run_document(report), end="")
        show([""])
    else:
        show(render.run_summary(report))
    for link, failure in render.failures(report):
        tell_failure(f"{link}: {failure.message}" if link else failure.message, failure.hint)
    return report.exit_code


def daemon(asked: Asked) -> int:
    """Run until asked to end."""
    _live(lambda serving: Configured(asked, serving))
    return 0


def stay(config: Path) -> None:
    """Run by the demo's config until asked to end, and show where that can be seen."""
    _live(lambda serving: _Shown(Asked(config=str(config)), serving))


def _live(load: Callable[["Serving"], "Configured"]) -> None:
    from syncd.app.serving import Serving  # noqa: PLC0415  (a single run has no use for it)

    heart = Heart()
    with Notes() as notes:
        serving = Serving(notes.pushed, heart.pulse)
        serve(notes, heart, lambda: load(serving), serving.stop)


class Configured:
    """The daemon's work under one reading of the config.

    Each run opens the store anew, in the thread it runs in: a connection belongs to one.
    """

    def __init__(self, asked: Asked, serving: "Serving") -> None:
        self._links = asked.links
        self._serving = serving
        self._loaded = asked.load()
        with open_world(self._loaded) as world:
            world.chosen(asked.links)
        self._timetable = timetable_of(self._loaded.settings.schedule)

    @property
    def timetable(self) -> Timetable:
        """When to run."""
        return self._timetable

    def take_effect(self) -> None:
        """Serve as this reading wants it."""
        self._serving.follow(self._loaded.settings)

    def run(self, trigger: str, stop: Callable[[], bool]) -> Ended | None:
        """Do one run, and log what asks for a person; for a push, of what is pushed alone."""
        with open_for_run(self._loaded, stop=stop) as world:
            links = [link.name for link in world.chosen(self._links)]
            if trigger == PUSH:
                links = [name for name in links if world.link(name).selection.is_pushed]
            if not links:
                return None
            report = run_once(world, links=links, trigger=trigger, stop=stop)
        if report.busy:
            return Ended(words="put off, as another process was at work", busy=True)
        self._serving.wake_relay()  # for what the run told by SMS
        _log_what_asks_for_a_person(report)
        failure = report.failure
        return Ended(
            words=f"{report.run} {report.outcome}",
            error=f"{failure.message} {failure.hint}".strip() if failure is not None else "",
            rest_s=report.rest_s,
        )

    def status(self, next_run: datetime) -> Mapping[str, object]:
        """Return how things stand."""
        with open_world(self._loaded) as world:
            return look.status(world, next_run)


class _Shown(Configured):
    """The demo's work, which says where it can be seen."""

    def take_effect(self) -> None:
        """Serve, and show the addresses."""
        from syncd.app.demo import addresses  # noqa: PLC0415

        super().take_effect()
        show(addresses(self._serving.ports))


def timetable_of(schedule: Schedule) -> Timetable:
    """Return when `[schedule]` wants a run."""
    if schedule.cron is not None:
        return Cron(schedule.cron, schedule.timezone)
    return Every(schedule.every or 0)


def _log_what_asks_for_a_person(report: RunReport) -> None:
    for link, failure in render.failures(report):
        log.error(
            "link.failed" if link else "run.failed",
            run=report.run, link=link, why=failure.message, hint=failure.hint,
        )  # fmt: skip
    for done in report.links:
        for finding in done.findings:
            log.warning(
                "link.withheld",
                run=report.run, link=done.link, operations=done.withheld,
                why=finding.message, hint=render.advice(finding, report),
            )  # fmt: skip
