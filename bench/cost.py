"""What runs cost: calls, log lines, and CPU beside that of parsing the same bytes alone."""

import logging
import tempfile
import time
from pathlib import Path

import structlog
from lxml import etree
from structlog.testing import capture_logs

from bench.figures import Figure
from bench.planfix import PAGE, Planfix, planfix
from bench.receiver import TOKEN, receiver
from bench.world import forget_comparison, timed_run, world_in
from syncd.app.world import World


def figures(contacts: int, rounds: int) -> list[Figure]:
    """Measure all runs over an account of this size."""
    with planfix(contacts) as side, tempfile.TemporaryDirectory(prefix="syncd-bench-") as folder:
        firsts = [_first(side, Path(folder) / str(number)) for number in range(min(rounds, 3))]
        place = Path(folder) / "0"
        with world_in(place, side) as world:
            quiet = [_beside(side, world) for _ in range(rounds)]
            together = [_changed(side, world, spread=False) for _ in range(rounds)]
            spread = [_changed(side, world, spread=True) for _ in range(rounds)]
            read = [_read_whole(side, world) for _ in range(rounds)]
            calls, lines, pages = _counts(side, world)
        unread = _unread(side, Path(folder) / "unread", rounds)
        opening = [_opening(side, place) for _ in range(3)]
    of = f"{contacts:,} contacts"
    return [
        Figure(f"calls of a run without changes, {of} ({pages} pages)", pages, [calls]),
        Figure("log lines of it", pages + 5, [lines]),
        Figure(f"CPU of a run without changes / parsing, {of}", 0.6, quiet),
        Figure("the same, where the list can't be read", 0.6, unread),
        Figure("the same, where the list must be read whole", None, read),
        Figure(f"CPU of a run with 1 % changed, side by side / parsing, {of}", 0.8, together),
        Figure(f"CPU of a run with 1 % changed, one a page / parsing, {of}", 0.8, spread),
        Figure(f"CPU of the first run / parsing, {of}", 3.2, firsts),
        Figure(f"CPU of opening the store / parsing, {of}", 0.6, opening),
    ]


def _beside(side: Planfix, world: World) -> float:
    """Return the CPU of a run as a share of parsing the same pages before and after it."""
    before = _parsing_s(side)
    spent_s, _ = timed_run(world)
    return spent_s / min(before, _parsing_s(side))


def _parsing_s(side: Planfix) -> float:
    spent_s = 0.0
    for body in side.pages():
        begin = time.process_time()
        etree.fromstring(body)
        spent_s += time.process_time() - begin
    return spent_s


def _first(side: Planfix, folder: Path) -> float:
    folder.mkdir()
    with world_in(folder, side) as world:
        return _beside(side, world)


def _changed(side: Planfix, world: World, *, spread: bool) -> float:
    side.edit(spread=spread)
    return _beside(side, world)


def _read_whole(side: Planfix, world: World) -> float:
    forget_comparison(world)
    return _beside(side, world)


def _unread(side: Planfix, folder: Path, rounds: int) -> list[float]:
    """Measure runs without changes beside a service that takes people and shows nobody."""
    folder.mkdir()
    with receiver(str(folder)) as port:
        url = f"http://127.0.0.1:{port}/planfix/email"
        keys = f'type = "planfix-json"\nurl = "{url}"\ntoken = "{TOKEN}"'
        (folder / "ours").mkdir()
        with world_in(folder / "ours", side, list_keys=keys) as world:
            timed_run(world)
            return [_beside(side, world) for _ in range(rounds)]


def _opening(side: Planfix, folder: Path) -> float:
    begin = time.process_time()
    with world_in(folder, side):
        spent_s = time.process_time() - begin
    return spent_s / _parsing_s(side)


def _counts(side: Planfix, world: World) -> tuple[int, int, int]:
    """Return calls and log lines of a run without changes, and how many pages there are."""
    before = side.calls("contact.getList")
    quiet = structlog.get_config()["wrapper_class"]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))
    with capture_logs() as lines:
        _, report = timed_run(world)
    structlog.configure(wrapper_class=quiet)
    pages = max(1, -(-(report.links[0].planfix_read or 0) // PAGE))
    return side.calls("contact.getList") - before, len(lines), pages
