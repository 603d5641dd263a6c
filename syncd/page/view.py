"""An overview → the page's text, every value of it escaped."""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from importlib.resources import files
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from syncd.core.overview import LinkOverview, Overview, Pulse
from syncd.core.plan import Op
from syncd.core.report import Outcome
from syncd.logs import redact
from syncd.page import chart
from syncd.page.health import Problem

STYLE: Final = files("syncd.page").joinpath("style.css").read_text(encoding="utf-8")
ICON: Final = files("syncd.page").joinpath("icon.svg").read_bytes()
_DIGEST: Final = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
STYLE_SOURCE: Final = f"'sha256-{_DIGEST}'"
"""What a Content-Security-Policy calls the page's only style."""

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_ENDED: Final = {
    Outcome.OK: "done",
    Outcome.PARTIAL: "partly done",
    Outcome.REFUSED: "waits for a person",
    Outcome.FAILED: "failed",
}
_DONE: Final = {
    Op.ADD: "added",
    Op.UPDATE: "updated",
    Op.RENAME: "moved to a new address",
    Op.REMOVE: "removed",
    Op.UNSUBSCRIBE: "unsubscribed",
    Op.PLANFIX_UPDATE: "corrected in Planfix",
    Op.PLANFIX_CREATE: "made in Planfix",
    Op.CONSENT: "marked in Planfix",
}
_TO_DO: Final = {
    Op.ADD: "addition{s}",
    Op.UPDATE: "update{s}",
    Op.RENAME: "move{s}",
    Op.REMOVE: "removal{s}",
    Op.UNSUBSCRIBE: "unsubscription{s}",
    Op.PLANFIX_UPDATE: "correction{s} in Planfix",
    Op.PLANFIX_CREATE: "new contact{s}",
    Op.CONSENT: "mark{s} in Planfix",
}


@dataclass(frozen=True, slots=True)
class Standing:
    """How a link stands: words, and one of the tones good, calm, warn, bad."""

    words: str
    tone: str


_CANT: Final = Standing("syncd can't do its work", "bad")


def page(
    overview: Overview | None,
    *,
    pulse: Pulse | None,
    pushes: Mapping[tuple[str, str], int],
    problems: tuple[Problem, ...],
    now: datetime,
) -> str:
    """Return the page as it stands at a moment; without an overview, since none can be had."""
    shown = overview or Overview()
    return _ENVIRONMENT.get_template("page.html").render(
        overview=shown,
        unread=overview is None,
        pulse=pulse,
        pushes=pushes,
        problems=problems,
        now=now,
        failing=[link for link in shown.links if link.last and link.last.error],
        headline=_CANT if problems else headline(shown),
        version=version("syncd"),
        style=Markup(STYLE),  # noqa: S704  (a file of ours)
    )


def headline(overview: Overview) -> Standing:
    """Say in one line how everything stands."""
    links = overview.links
    if not links:
        return Standing("No link is set up", "calm")
    each = [standing(link) for link in links]
    in_step = sum(link.in_step for link in links)
    if in_step == len(links):
        return Standing("Everything is in step", "good")
    last = [link.last for link in links]
    if all(run is not None and run.outcome is Outcome.OK for run in last):
        count = sum(run.held + run.quarantined for run in last if run is not None)
        verb = "waits" if count == 1 else "wait"
        return Standing(f"In step, but for {number(count)} who {verb}", "calm")
    if len(links) == 1:
        return Standing(f"{links[0].name}: {each[0].words}", each[0].tone)
    tones = [stands.tone for stands in each]
    tone = next((tone for tone in ("bad", "warn") if tone in tones), "calm")
    return Standing(f"{in_step} of {len(links)} links are in step", tone)


def standing(link: LinkOverview) -> Standing:
    """Say how one link stands."""
    last = link.last
    if last is None:
        return Standing("has not run yet", "calm")
    if link.in_step:
        return Standing("in step", "good")
    match last.outcome:
        case Outcome.FAILED:
            return Standing("failed", "bad")
        case Outcome.REFUSED:
            return Standing("waits for a person", "warn")
        case Outcome.PARTIAL:
            return Standing("partly done", "warn")
        case Outcome.OK:
            return Standing("in step but for those who wait", "calm")


def ago(moment: datetime, now: datetime) -> str:
    """Return how far a moment is from now, in words."""
    span_s = (now - moment).total_seconds()
    words = _span(abs(span_s))
    if words == _NO_TIME:
        return "just now" if span_s >= 0 else "in a moment"
    return f"{words} ago" if span_s > 0 else f"in {words}"


_NO_TIME: Final = "a moment"


def _span(span_s: float) -> str:
    for unit_s, noun in ((_DAY, "day"), (_HOUR, "hour"), (_MINUTE, "minute")):
        if span_s >= unit_s:
            count = int(span_s // unit_s)
            return f"{count} {noun}{'s' if count > 1 else ''}"
    return _NO_TIME


def clock_time(moment: datetime, now: datetime) -> str:
    """Return a moment to the minute, in UTC; with its day where that is not near."""
    moment = moment.astimezone(UTC)
    near = abs(moment - now) < timedelta(hours=12)
    return f"{moment:%H:%M} UTC" if near else f"{moment:%-d %b %Y, %H:%M} UTC"


def duration(seconds: float) -> str:
    """Return a length of time, as short as can be."""
    if seconds < 1:
        return "less than a second"
    if seconds < _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < _HOUR:
        return f"{seconds // _MINUTE:.0f} min {seconds % _MINUTE:.0f} s"
    return f"{seconds // _HOUR:.0f} h {seconds % _HOUR // _MINUTE:.0f} min"


def number(value: float) -> str:
    """Return a count with thin spaces between its thousands."""
    return f"{value:,.0f}".replace(",", "\u202f")


def done(of: Mapping[Op, int]) -> str:
    """Tell what a run did."""
    told = ", ".join(f"{number(count)} {_DONE[op]}" for op, count in of.items() if count)
    return told or "nothing changed"


def todo(of: Mapping[Op, int]) -> str:
    """Tell what is not done yet."""
    return ", ".join(
        f"{number(count)} {_TO_DO[op].format(s='s' if count > 1 else '')}"
        for op, count in of.items()
        if count
    )


def ended(outcome: Outcome) -> str:
    """Return how a run ended, in words."""
    return _ENDED[outcome]


_ENVIRONMENT: Final = Environment(
    loader=PackageLoader("syncd.page", ""),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.filters.update(
    ago=ago, clock_time=clock_time, duration=duration, number=number, done=done, todo=todo,
    ended=ended,
    safe_words=redact, standing=standing, chart=chart.chart,
)  # fmt: skip
_ENVIRONMENT.globals.update(WIDTH=chart.WIDTH, HEIGHT=chart.HEIGHT, BARS=chart.BARS_HEIGHT)
