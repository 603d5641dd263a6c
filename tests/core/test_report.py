"""The run document, to the letter, and the exit code."""

from datetime import UTC, datetime

import pytest

from syncd.core.people import ContactId
from syncd.core.plan import Finding, Guard, Op
from syncd.core.report import Failure, LinkReport, Outcome, PlannedOperation, RunReport

STARTED = datetime(2026, 11, 23, 22, 15, 30, 999, tzinfo=UTC)
NONE = dict.fromkeys(
    ["add", "update", "rename", "remove", "unsubscribe", "planfix_update", "planfix_create",
     "consent"], 0,
)  # fmt: skip
FINDING = Finding(Guard.REMOVAL_LIMIT, "too many")


def failure(code: int) -> Failure:
    return Failure("temporary", "no answer", code)


def test_the_document_has_the_promised_shape() -> None:
    link = LinkReport(
        link="customers", planfix_read=1234, certified=True,
        planned={Op.ADD: 1}, applied={Op.ADD: 1},
    )  # fmt: skip
    report = RunReport(run="20261123T221530Z-7f3a", started=STARTED, finished=STARTED, links=[link])

    document = report.document()

    assert document == {
        "run": "20261123T221530Z-7f3a",
        "started": "2026-11-23T22:15:30Z", "finished": "2026-11-23T22:15:30Z",
        "dry_run": False, "outcome": "ok", "exit_code": 0, "error": None,
        "links": [{
            "link": "customers", "outcome": "ok", "error": None,
            "planfix_read": 1234, "list_read": None, "certified": True,
            "planned": {**NONE, "add": 1}, "applied": {**NONE, "add": 1},
            "withheld": 0, "held": 0, "quarantined": 0,
        }],
    }  # fmt: skip
    assert list(document) == [
        "run", "started", "finished", "dry_run", "outcome", "exit_code", "error", "links",
    ]  # fmt: skip
    assert list(document["links"][0]["planned"]) == list(NONE)


def test_a_dry_run_shows_its_operations() -> None:
    rename = PlannedOperation(
        op=Op.RENAME, contact=ContactId(7), email="b@example.com", old_email="a@example.com",
        why="address changed in Planfix",
    )  # fmt: skip
    link = LinkReport(link="customers", operations=(rename,))

    [document] = RunReport(run="r", started=STARTED, dry_run=True, links=[link]).document()["links"]

    assert document["operations"] == [{
        "op": "rename", "contact": 7, "email": "b@example.com", "old_email": "a@example.com",
        "why": "address changed in Planfix",
    }]  # fmt: skip


def test_what_stopped_the_whole_run_stands_at_the_top() -> None:
    report = RunReport(run="r", started=STARTED, failure=failure(75))

    document = report.document()

    assert document["error"] == {"kind": "temporary", "message": "no answer"}
    assert (document["outcome"], document["exit_code"]) == ("failed", 75)
    assert (document["links"], document["finished"]) == ([], None)


def test_a_links_own_failure_stands_in_the_link() -> None:
    report = RunReport(run="r", started=STARTED, links=[LinkReport(link="a", failure=failure(69))])

    document = report.document()

    assert document["error"] is None
    assert document["links"][0]["error"] == {"kind": "temporary", "message": "no answer"}
    assert document["links"][0]["certified"] is None


@pytest.mark.parametrize(
    ("link", "outcome", "code"),
    [
        (LinkReport(link="a"), Outcome.OK, 0),
        (LinkReport(link="a", held=3), Outcome.OK, 0),
        (LinkReport(link="a", quarantined=1), Outcome.PARTIAL, 1),
        (LinkReport(link="a", certified=False), Outcome.PARTIAL, 1),
        (LinkReport(link="a", stopped=True), Outcome.PARTIAL, 75),
        (LinkReport(link="a", findings=(FINDING,), quarantined=1), Outcome.REFUSED, 4),
        (LinkReport(link="a", findings=(FINDING,), failure=failure(69)), Outcome.FAILED, 69),
    ],
)
def test_a_link_ends_as_its_worst_part(link: LinkReport, outcome: Outcome, code: int) -> None:
    report = RunReport(run="r", started=STARTED, links=[LinkReport(link="fine"), link])

    assert (link.outcome, report.outcome, report.exit_code) == (outcome, outcome, code)


@pytest.mark.parametrize(
    ("codes", "first"),
    [
        ([1, 4, 75, 69, 70, 77, 78], 78),
        ([1, 4, 75, 69, 70, 77], 77),
        ([1, 4, 75, 69, 70], 70),
        ([1, 4, 75, 69], 69),
        ([1, 4, 75], 75),
        ([1, 4], 4),
        ([1], 1),
        ([], 0),
        ([2], 2),
    ],
)
def test_of_several_exit_codes_the_gravest_counts(codes: list[int], first: int) -> None:
    links = [LinkReport(link=str(code), failure=failure(code)) for code in codes]

    assert RunReport(run="r", started=STARTED, links=links).exit_code == first
