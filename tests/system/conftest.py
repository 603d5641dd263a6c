"""What the tests of a whole run share: lists to play on, and what kills runs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from syncd.core.people import ContactId
from syncd.simulator.planfix import SimulatedPlanfix
from tests.fakes.listmonk import ListmonkServer
from tests.lists import PlayedEmbedded, PlayedList, PlayedListmonk, PlayedMailman
from tests.system.killing import Killer, started


@pytest.fixture
def anna(planfix: SimulatedPlanfix) -> ContactId:
    """Put Anna and Ben into Planfix; the number is Anna's."""
    number = planfix.add(name="Anna", last_name="Orlova", email="anna@example.com")
    planfix.add(name="Ben", last_name="Ozols", email="ben@example.com")
    return ContactId(number)


@pytest.fixture
def own(tmp_path: Path) -> PlayedEmbedded:
    """Give the list that is quick to play on."""
    return PlayedEmbedded(tmp_path)


@pytest.fixture
def listmonk() -> Iterator[PlayedListmonk]:
    """Give a listmonk; at its end, nobody may have been put back against their will."""
    with ListmonkServer() as server:
        yield PlayedListmonk(server)
        assert (server.resubscribed, server.strange) == (0, [])


@pytest.fixture(params=["embedded", "listmonk", "mailman3"])
def people(request: pytest.FixtureRequest) -> PlayedList:
    """Give each list that can be read."""
    if request.param == "embedded":
        return request.getfixturevalue("own")  # type: ignore[no-any-return]
    if request.param == "listmonk":
        return request.getfixturevalue("listmonk")  # type: ignore[no-any-return]
    return PlayedMailman(request.getfixturevalue("mailman"))


@pytest.fixture
def killer() -> Iterator[Killer]:
    """Give what lets runs die at a step of our choice."""
    with started() as killer:
        yield killer
