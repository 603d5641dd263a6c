"""The page over whatever a test wants to be shown."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime

import httpx
from starlette.types import ASGIApp

from syncd.core.overview import Overview, Pulse
from syncd.errors import SyncdError
from syncd.metrics import CONTENT_TYPE, exposition
from syncd.page.app import Sources, application
from tests.page.samples import BAD_DAY, NOW, PULSE, PUSHES

HOME = "http://127.0.0.1:8788"


@dataclass
class Shown:
    """What the page is told, as a daemon would tell it."""

    found: Overview | SyncdError = BAD_DAY
    beat: Pulse | None = PULSE
    came_in: Mapping[tuple[str, str], int] = field(default_factory=lambda: PUSHES)

    def overview(self) -> Overview:
        if isinstance(self.found, SyncdError):
            raise self.found
        return self.found

    def run_ended(self) -> datetime | None:
        return self.overview().run_ended

    def pulse(self) -> Pulse | None:
        return self.beat

    def pushes(self) -> Mapping[tuple[str, str], int]:
        return self.came_in


def app(shown: Shown | None = None) -> ASGIApp:
    shown = shown or Shown()
    return application(
        Sources(shown.overview, shown.run_ended, shown.pulse, shown.pushes),
        metrics=exposition,
        metrics_type=CONTENT_TYPE,
        now=lambda: NOW,
        names=["Syncd-Host"],
    )


@asynccontextmanager
async def asking(shown: Shown | None = None) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app(shown))
    async with httpx.AsyncClient(transport=transport, base_url=HOME) as client:
        yield client
