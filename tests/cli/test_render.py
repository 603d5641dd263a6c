import json
import tracemalloc
from datetime import UTC, datetime
from itertools import count

from syncd.cli import render
from syncd.core.plan import Finding, Guard, Op
from syncd.core.report import Failure, LinkReport, PlannedOperation, RunReport, no_counts

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def planned(number: int) -> PlannedOperation:
    return PlannedOperation(
        op=Op.ADD, contact=number, email=f"p{number}@example.com", old_email="", why="new"
    )


def report(operations: int) -> RunReport:
    link = LinkReport(
        link="customers",
        planfix_read=operations,
        certified=True,
        planned={**no_counts(), Op.ADD: operations},
        operations=tuple(planned(number) for number in range(operations)),
    )
    return RunReport(run="r1", started=NOON, finished=NOON, dry_run=True, links=[link])


def test_a_table_is_aligned_and_shows_nothing_as_a_dash() -> None:
    lines = list(render.table(("ID", "NAME"), [(1, "Anna"), (1000, None)]))

    assert lines == ["ID    NAME", "1     Anna", "1000  –"]


def test_a_table_without_rows_is_its_head() -> None:
    assert list(render.table(("ID", "NAME"), [])) == ["ID  NAME"]


def test_a_table_that_never_ends_is_shown_as_it_comes() -> None:
    lines = render.table(("ID",), zip(count()))

    assert [next(lines) for _ in range(1000)][-1] == "998"


def test_what_a_terminal_would_obey_is_shown_and_not_sent() -> None:
    (_, line) = render.table(("NAME",), [("Anna\x1b[2J\r\nBerg\u202e",)])

    assert line == "Anna�[2J��Berg�"


def test_the_streamed_run_document_is_the_run_document() -> None:
    failed = LinkReport(link="firms", failure=Failure("temporary", "away", 69))
    whole = report(3)
    whole.links.append(failed)

    written = "".join(render.run_document(whole))

    assert json.loads(written) == whole.document()
    assert "\n" not in written


def test_a_run_without_links_is_a_document_too() -> None:
    empty = RunReport(run="r1", started=NOON, failure=Failure("internal", "a fault", 70))

    assert json.loads("".join(render.run_document(empty))) == empty.document()


def test_a_plan_of_a_hundred_thousand_is_not_held_a_second_time() -> None:
    whole = report(100_000)
    tracemalloc.start()

    size = sum(len(piece) for piece in render.run_document(whole))
    size += sum(len(line) for line in render.run_summary(whole))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert size > 10_000_000
    assert peak < 1_000_000


def test_a_finding_names_the_command_that_releases() -> None:
    finding = Finding(Guard.REMOVAL_LIMIT, "20 removals are planned.", "See in Planfix.")
    link = LinkReport(link="customers", withheld=20, findings=(finding,))
    whole = RunReport(run="r1", started=NOON, links=[link])

    lines = list(render.run_summary(whole))

    assert "    Try: See in Planfix. If it is right: syncd approve r1" in lines
    assert "customers: waits for a person" in lines


def test_a_finding_that_has_its_own_command_names_no_other() -> None:
    finding = Finding(Guard.SCOPE, "Another list.", "Forget the pairs: syncd rebase customers")

    assert render.advice(finding, report(0)) == "Forget the pairs: syncd rebase customers"
