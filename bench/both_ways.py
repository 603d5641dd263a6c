"""What both directions cost: beside reading both sides, and beside vdirsyncer's algorithm."""

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from lxml import etree

from bench.figures import Figure
from bench.planfix import Planfix, planfix
from bench.world import forget_comparison, timed_run, world_in

VDIRSYNCER = Path(sys.executable).parents[1] / "vdirsyncer" / "bin" / "python"
"""Its environment, beside ours: `make bench` makes it."""

_ROOT = Path(__file__).parents[1]
_FEW = 5_000


def figures(pairs: int, rounds: int) -> list[Figure]:
    """Measure runs without changes over so many pairs, and the same people in vdirsyncer."""
    return [_three_ways(pairs, rounds), *_side_by_side(pairs, rounds)]


def _three_ways(pairs: int, rounds: int) -> Figure:
    """A run in both directions beside parsing Planfix's pages and fetching the list's rows."""
    ratios = []
    with (
        planfix(pairs) as side,
        tempfile.TemporaryDirectory(prefix="syncd-bench-") as name,
        world_in(Path(name), side, 'direction = "both"\n') as world,
    ):
        timed_run(world)
        for _ in range(rounds):
            forget_comparison(world)
            before_s = _reading_s(side, Path(name))
            spent_s, _ = timed_run(world)
            ratios.append(spent_s / min(before_s, _reading_s(side, Path(name))))
    return Figure(f"CPU of a run both ways without changes / reading, {pairs:,} pairs", 2, ratios)


def _reading_s(side: Planfix, folder: Path) -> float:
    spent_s = 0.0
    for body in side.pages():
        begin = time.process_time()
        etree.fromstring(body)
        spent_s += time.process_time() - begin
    with closing(sqlite3.connect(folder / "lists.db")) as lists:
        begin = time.process_time()
        rows = lists.execute("SELECT * FROM member ORDER BY email_key")
        while rows.fetchmany(1000):
            pass
        return spent_s + time.process_time() - begin


@dataclass(frozen=True)
class _Cost:
    """What a phase over so many people took."""

    people: int
    spent_s: float
    added_bytes: int


def _side_by_side(people: int, rounds: int) -> list[Figure]:
    if not VDIRSYNCER.exists():
        raise SystemExit("bench: vdirsyncer is missing; start the bench by `make bench`")
    ours, theirs = [], []
    for _ in range(rounds):  # in turn, so that a machine that slows down slows both
        ours.append((_phases(_FEW, "syncd"), _phases(people, "syncd")))
        theirs.append((_phases(_FEW, "vdirsyncer"), _phases(people, "vdirsyncer")))
    found = []
    for phase in ("quiet", "changed", "first"):
        pairs = [(our[1][phase], their[1][phase]) for our, their in zip(ours, theirs, strict=True)]
        name = f"CPU per person / vdirsyncer's, {_PHASES[phase]}, {people:,} people"
        found.append(Figure(name, 0.1, [our.spent_s / their.spent_s for our, their in pairs]))
    for phase in ("quiet", "first"):
        name = f"memory per person / vdirsyncer's, {_PHASES[phase]}"
        shares = [
            max(0.0, _bytes_each(our, phase)) / _bytes_each(their, phase)
            for our, their in zip(ours, theirs, strict=True)
        ]
        found.append(Figure(name, 0.2, shares))
    return found


_PHASES = {"quiet": "no changes", "changed": "1 % changed", "first": "the first time"}

_Sizes = tuple[dict[str, _Cost], dict[str, _Cost]]


def _bytes_each(sizes: _Sizes, phase: str) -> float:
    few, many = (costs[phase] for costs in sizes)
    return (many.added_bytes - few.added_bytes) / (many.people - few.people)


def _phases(people: int, program: str) -> dict[str, _Cost]:
    """Let one of the two programs go through its phases."""
    python = VDIRSYNCER if program == "vdirsyncer" else Path(sys.executable)
    with tempfile.TemporaryDirectory(prefix="syncd-bench-") as folder:
        done = subprocess.run(
            [python, "-m", f"bench.beside.{program}", str(people), f"{folder}/memory.db"],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(_ROOT)},
            check=True,
        )
    lines = map(json.loads, done.stdout.splitlines())
    return {name: _Cost(people, spent_s, added) for name, spent_s, added in lines}
