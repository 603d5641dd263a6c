"""Whether syncd is well, and what is wrong where it isn't: for load balancers and monitoring.

Well means that it does its work; that a link waits for a person, or fails, is for alerts.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from syncd.core.overview import Pulse
from syncd.errors import SyncdError

BEAT_S: Final = 120.0
"""The scheduler is awake twice a minute; after so long it is taken for dead."""

LONGEST_RUN: Final = timedelta(hours=24)
LONGEST_WITHOUT_END: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that keeps syncd from its work: one word for machines, a sentence for people."""

    name: str
    message: str


def problems(
    ended: datetime | SyncdError | None, pulse: Pulse | None, now: datetime
) -> tuple[Problem, ...]:
    """Return what is wrong; `ended` says when the last run did, or why nobody can read it."""
    found = []
    if isinstance(ended, SyncdError):
        found.append(Problem("store", f"{ended} {ended.hint}".strip()))
    if pulse is not None:
        found += _of_scheduler(pulse, now)
        if not isinstance(ended, SyncdError):
            found += _of_runs(ended, pulse, now)
    return tuple(found)


def _of_scheduler(pulse: Pulse, now: datetime) -> list[Problem]:
    if pulse.beat_s > BEAT_S:
        words = f"The scheduler was last awake {pulse.beat_s:.0f} seconds ago: restart syncd."
        return [Problem("scheduler", words)]
    since = pulse.running_since
    if since is not None and now - since > LONGEST_RUN:
        words = f"The run that began at {since:%Y-%m-%d %H:%M} UTC is still under way."
        return [Problem("run", words)]
    return []


def _of_runs(ended: datetime | None, pulse: Pulse, now: datetime) -> list[Problem]:
    """Say so where the last runs failed, or runs begin and none comes to its end."""
    if pulse.failed_in_row:
        which = f"last {pulse.failed_in_row} runs" if pulse.failed_in_row > 1 else "last run"
        return [Problem("runs", f"The {which} failed: {pulse.error}")]
    if pulse.running_since is not None or pulse.begun is None:
        return []
    if ended is not None and ended >= pulse.begun:
        return []
    if ended is not None and now - ended <= LONGEST_WITHOUT_END:
        return []
    last = f"since {ended:%Y-%m-%d %H:%M} UTC" if ended is not None else "yet"
    return [
        Problem(
            "runs",
            f"No run has come to its end {last}, though the scheduler begins them: the log says"
            " why (run.busy: another process has the store).",
        )
    ]
