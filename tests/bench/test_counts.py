"""The bars of docs/benchmarks.md that are exact counts; those that are times are measured."""

import io
import re
from collections.abc import Callable, Iterable

import pytest

from syncd import logs
from syncd.app.run import run_once
from syncd.core.plan import Op
from syncd.simulator.planfix import SimulatedPlanfix
from tests.fakes.email_service import EmailService
from tests.scene import Scene, link

MakeScene = Callable[..., Scene]


def fill(planfix: SimulatedPlanfix, numbers: Iterable[int]) -> dict[int, int]:
    """Add contacts; return their ids by number."""
    return {
        number: planfix.add(name="Eva", last_name="Holm", email=f"p{number}@example.com")
        for number in numbers
    }


@pytest.mark.parametrize(
    ("contacts", "pages"), [(0, 1), (1, 1), (99, 1), (100, 1), (101, 2), (1000, 10)]
)
def test_a_run_without_changes_asks_for_each_page_once_and_the_list_nothing(
    scene: Scene, contacts: int, pages: int
) -> None:
    fill(scene.planfix, range(contacts))
    scene.run()
    calls, requests = scene.planfix.calls("contact.getList"), len(scene.service.requests)

    report = scene.run()

    assert report.exit_code == 0
    assert scene.planfix.calls("contact.getList") - calls == pages
    assert scene.service.requests[requests:] == []


def test_a_run_without_changes_asks_planfix_for_nothing_but_pages(scene: Scene) -> None:
    fill(scene.planfix, range(101))
    scene.run()
    before = len(scene.planfix.requests)

    scene.run()

    asked = [request.method for request in scene.planfix.requests[before:]]
    assert asked == ["contact.getList"] * 2


def test_a_run_without_changes_walks_contacts_and_pairs_once(make_scene: MakeScene) -> None:
    scene = make_scene(links=[link("customers", backend="own")])
    fill(scene.planfix, range(20))
    scene.run()
    scene.run()
    asked: list[str] = []
    with scene.world() as world:
        raw = world.store._database.raw
        raw.set_trace_callback(asked.append)
        run_once(world)
        raw.set_trace_callback(None)
        walks = [
            step
            for statement in asked
            if statement.lstrip().startswith(("SELECT", "DELETE", "UPDATE"))
            for *_, step in raw.execute(f"EXPLAIN QUERY PLAN {statement}")
            if re.search(r"\b(c|p|contact|pair)\b( USING PRIMARY KEY \(\w+=\?\))?$", step)
        ]

    assert walks == ["SEARCH c USING PRIMARY KEY (selection=?)"]


@pytest.mark.parametrize("level", ["info", "debug"])
def test_a_run_without_changes_logs_a_line_for_each_page_at_most_and_five(
    scene: Scene, level: str
) -> None:
    fill(scene.planfix, range(301))
    scene.run()
    lines = io.StringIO()
    logs.configure(level, "json", lines)

    scene.run()

    assert 1 <= len(lines.getvalue().splitlines()) <= 4 + 5


def test_changes_cost_a_call_for_each_import_edit_and_removal(scene: Scene) -> None:
    ids = fill(scene.planfix, range(100))
    scene.run()
    fill(scene.planfix, range(100, 1101))
    for number in range(7):
        scene.planfix.edit(ids[number], last_name="Lind")
    for number in range(7, 10):
        scene.planfix.edit(ids[number], email=f"new{number}@example.com")
    for number in range(10, 13):
        scene.planfix.delete(ids[number])
    before = len(scene.service.requests)

    report = scene.run()

    assert report.exit_code == 0
    applied = scene.link_of(report).applied
    assert (applied[Op.ADD], applied[Op.UPDATE], applied[Op.RENAME]) == (1001, 7, 3)
    assert len(scene.service.requests) - before == 3 + (7 + 3) + 3


def test_ten_adds_or_fewer_go_singly(scene: Scene, service: EmailService) -> None:
    fill(scene.planfix, range(20))
    scene.run()
    fill(scene.planfix, range(20, 30))
    before = len(service.requests)

    scene.run()

    assert len(service.requests) - before == 10
