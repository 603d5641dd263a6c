"""The last runs of a link as a small picture: what each changed, and how it ended."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Final

from syncd.core.overview import LinkRun
from syncd.core.plan import TO_PLANFIX, Op
from syncd.core.report import Outcome

COLUMNS: Final = 48
STEP: Final = 10
BARS_HEIGHT: Final = 56
MARKS_HEIGHT: Final = 16
WIDTH: Final = COLUMNS * STEP
HEIGHT: Final = BARS_HEIGHT + MARKS_HEIGHT

_BAR_WIDTH: Final = 7
_LEAST_HEIGHT: Final = 2.0

KINDS: Final[Mapping[str, frozenset[Op]]] = {
    "put": frozenset({Op.ADD, Op.UPDATE, Op.RENAME}),
    "taken": frozenset({Op.REMOVE, Op.UNSUBSCRIBE}),
    "planfix": TO_PLANFIX,
}
"""The colours of a bar, from its foot upwards, and what they stand for."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A piece of a column, in units of the picture."""

    kind: str
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Column:
    """One run; `middle` is where its mark stands."""

    x: float
    middle: float
    width: float
    bars: tuple[Bar, ...]
    outcome: Outcome
    run: LinkRun


@dataclass(frozen=True, slots=True)
class Chart:
    """The columns from left to right, the latest run last; `most` is the tallest one's count."""

    columns: tuple[Column, ...]
    most: int
    changes: int


def chart(runs: Sequence[LinkRun]) -> Chart:
    """Draw runs, given the latest first; it stands at the right edge, however few there are.

    Heights grow with the square root, so that a first run of thousands leaves a change of one
    in sight.
    """
    shown = runs[:COLUMNS]
    most = max((_changes(run) for run in shown), default=0)
    columns = [_column(run, WIDTH - (place + 1) * STEP, most) for place, run in enumerate(shown)]
    return Chart(tuple(reversed(columns)), most, sum(_changes(run) for run in shown))


def _changes(run: LinkRun) -> int:
    return sum(run.applied.values())


def _column(run: LinkRun, x: float, most: int) -> Column:
    changes = _changes(run)
    height = max(_LEAST_HEIGHT, BARS_HEIGHT * sqrt(changes / most)) if changes else 0.0
    left, bars, foot = x + (STEP - _BAR_WIDTH) / 2, [], float(BARS_HEIGHT)
    for kind, ops in KINDS.items():
        count = sum(run.applied.get(op, 0) for op in ops)
        if count:
            piece = height * count / changes
            foot -= piece
            bars.append(Bar(kind, round(foot, 2), round(piece, 2)))
    return Column(left, left + _BAR_WIDTH / 2, _BAR_WIDTH, tuple(bars), run.outcome, run)
