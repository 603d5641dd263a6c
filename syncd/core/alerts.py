"""Alerts by SMS: what is remembered so that a storm of them is one message and a summary."""

from datetime import datetime
from typing import NamedTuple


class Window(NamedTuple):
    """A kind of alert was told at `at`; so many further ones were only counted since."""

    at: datetime
    further: int
