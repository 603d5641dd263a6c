"""A figure, its bar, and how both are shown."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Figure:
    """What was measured, several times, beside what it may be at most, where that is said."""

    name: str
    bar: float | None
    measured: Sequence[float]

    def row(self) -> tuple[str, str, str, str, str]:
        """Return the figure as a line of the table; the best of several decides."""
        best = min(self.measured)
        shown = f"{best:.3g}", f"{median(self.measured):.3g}"
        if self.bar is None:
            return self.name, "", *shown, ""
        return self.name, f"{self.bar:g}", *shown, "met" if best <= self.bar else "missed"


def table(figures: Sequence[Figure]) -> str:
    """Lay the figures out as a table that Markdown takes."""
    rows = [("figure", "bar", "best", "median", "verdict"), *(each.row() for each in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)
