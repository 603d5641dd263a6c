"""Tell the time: the one place that asks the system for it."""

import time
from datetime import UTC, datetime


def now() -> datetime:
    """Return the present moment in UTC, with its offset."""
    return datetime.now(UTC)


def stamp(moment: datetime) -> str:
    """Return a moment as it is kept: ISO 8601 in UTC, to the microsecond, so that texts sort."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def monotonic_s() -> float:
    """Return seconds on a clock that never jumps, for measuring spans."""
    return time.monotonic()
