"""What counts as being well: a scheduler that is awake, and runs that come to their end."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from syncd.core.overview import Pulse
from syncd.errors import TemporaryError
from syncd.page.health import BEAT_S, LONGEST_RUN, problems
from tests.page.samples import NOW, PULSE

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
IDLE = replace(PULSE, begun=NOW - 4 * MINUTE)
RUNNING = replace(IDLE, running_since=NOW - 4 * MINUTE)


def names(ended: datetime | TemporaryError | None, pulse: Pulse | None) -> list[str]:
    return [problem.name for problem in problems(ended, pulse, NOW)]


@pytest.mark.parametrize(
    ("ended", "pulse"),
    [
        (NOW - 3 * MINUTE, IDLE),
        (None, replace(IDLE, begun=None)),
        (NOW - 5 * HOUR, replace(IDLE, begun=NOW - 5 * HOUR - MINUTE)),
        (NOW - 5 * MINUTE, IDLE),
        (None, RUNNING),
        (NOW - 5 * HOUR, RUNNING),
        (None, replace(RUNNING, running_since=NOW - LONGEST_RUN)),
        (NOW, replace(IDLE, beat_s=BEAT_S)),
    ],
    ids=[
        "just ended", "about to begin", "a long night", "another process ran", "first run",
        "first run of the morning", "long run", "slow beat",
    ],
)  # fmt: skip
def test_all_is_well(ended: datetime | None, pulse: Pulse) -> None:
    assert names(ended, pulse) == []


def test_a_scheduler_that_sleeps_too_long_is_dead() -> None:
    assert names(NOW, replace(IDLE, beat_s=BEAT_S + 1)) == ["scheduler"]


def test_a_run_that_never_ends_is_told() -> None:
    stuck = replace(RUNNING, running_since=NOW - LONGEST_RUN - MINUTE)

    assert names(NOW - 25 * HOUR, stuck) == ["run"]


@pytest.mark.parametrize("ended", [None, NOW - 2 * HOUR], ids=["never", "long ago"])
def test_runs_that_begin_and_never_come_to_their_end_are_told(ended: datetime | None) -> None:
    assert names(ended, IDLE) == ["runs"]


@pytest.mark.parametrize(("count", "which"), [(1, "The last run"), (3, "The last 3 runs")])
@pytest.mark.parametrize("pulse", [IDLE, RUNNING], ids=["between runs", "during the next"])
def test_runs_that_fail_as_a_whole_are_told_at_once(pulse: Pulse, count: int, which: str) -> None:
    failing = replace(pulse, failed_in_row=count, error="The disk is full. Free some space.")

    [problem] = problems(NOW - 3 * MINUTE, failing, NOW)

    assert (problem.name, problem.message) == (
        "runs",
        f"{which} failed: The disk is full. Free some space.",
    )


def test_an_unreadable_store_is_told_beside_a_dead_scheduler() -> None:
    gone = TemporaryError("The store can't be read.")

    assert names(gone, replace(IDLE, beat_s=BEAT_S + 1)) == ["store", "scheduler"]
    assert names(gone, None) == ["store"]
