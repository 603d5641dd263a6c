"""Values → text for people, or JSON; no command lays out text itself.

What may be long is yielded line by line and never held as a whole.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from syncd.app.undo import Undone
    from syncd.core.plan import Finding, Op
    from syncd.core.report import Failure, LinkReport, RunReport

_MEASURED: Final = 200  # rows that a table's widths are taken from
_STATES: Final = {
    "ok": "done",
    "partial": "partly done",
    "refused": "waits for a person",
    "failed": "failed",
}
_PLAN_HEAD: Final = ("OPERATION", "CONTACT", "E-MAIL", "OLD E-MAIL", "WHY")


def cell(value: object) -> str:
    """Return a value on one line, without what a terminal would obey."""
    match value:
        case None:
            return "–"
        case bool():
            return "yes" if value else "no"
        case datetime():
            return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"
        case _:
            return "".join(char if char.isprintable() else "�" for char in str(value))


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """Yield aligned lines; a cell wider than all of the first rows' only shifts its own line."""
    cells = ([cell(value) for value in row] for row in rows)
    measured = list(islice(cells, _MEASURED))
    widths = [max(map(len, column)) for column in zip(head, *measured, strict=True)]
    for row in chain([head], measured, cells):
        padded = (text.ljust(width) for text, width in zip(row, widths, strict=True))
        yield "  ".join(padded).rstrip()


def to_json(value: object) -> str:
    """Return a value as one line of JSON."""
    return json.dumps(value, ensure_ascii=False, default=_plain)


def json_array(items: Iterable[object]) -> Iterator[str]:
    """Yield a JSON array, an item a line."""
    before = "["
    for item in items:
        yield before + to_json(item)
        before = ","
    yield "]" if before == "," else "[]"


def run_document(report: "RunReport") -> Iterator[str]:
    """Yield the run document in pieces, with a dry run's operations one by one."""
    light = replace(report, links=[replace(link, operations=None) for link in report.links])
    document = light.document()
    shells = document.pop("links")
    yield to_json(document)[:-1] + ', "links": ['
    for number, (shell, link) in enumerate(zip(shells, report.links, strict=True)):
        yield (", " if number else "") + to_json(shell)[:-1]
        if link.operations is not None:
            yield ', "operations": '
            yield from json_array(
                {
                    "op": operation.op.value,
                    "contact": operation.contact,
                    "email": operation.email,
                    "old_email": operation.old_email or None,
                    "why": operation.why,
                }
                for operation in link.operations
            )
        yield "}"
    yield "]}"


def run_summary(report: "RunReport") -> Iterator[str]:
    """Yield what one run did, and what a person has to do now; a dry run's plan with it."""
    what = "dry run" if report.dry_run else "run"
    yield f"{what} {report.run}: {_STATES[report.outcome.value]}"
    for link in report.links:
        yield ""
        yield f"{link.link}: {_STATES[link.outcome.value]}"
        yield from (f"  {line}" for line in _link_lines(report, link))
        if link.operations:
            yield ""
            yield from table(
                _PLAN_HEAD,
                ((op.op, op.contact, op.email, op.old_email, op.why) for op in link.operations),
            )


def _link_lines(report: "RunReport", link: "LinkReport") -> Iterator[str]:
    if link.planfix_read is not None:
        doubt = "" if link.certified else ", not certified: nobody is removed on such a read"
        yield f"read: {link.planfix_read} contacts{doubt}"
    if link.list_read is not None:
        yield f"read: {link.list_read} members"
    yield f"planned: {counts(link.planned)}"
    if not report.dry_run:
        yield f"applied: {counts(link.applied)}"
    if link.held:
        yield f"held: {link.held} (see: syncd status)"
    if link.quarantined:
        yield f"quarantined: {link.quarantined} (see: syncd status)"
    if link.suppressed:
        yield f"not added, since they unsubscribed: {link.suppressed}"
    if link.stopped:
        yield "stopped before the end, as asked; the next run goes on"
    if link.withheld:
        yield f"withheld: {link.withheld}"
    for finding in link.findings:
        yield f"{finding.guard}: {finding.message}"
        yield f"  Try: {advice(finding, report)}"


def undone(of: "Undone", run: str) -> Iterator[str]:
    """Yield what became of a run's writes to Planfix, and what is left for a person."""
    from syncd.app.undo import Fate  # noqa: PLC0415
    from syncd.core.plan import FIELD_NAMES  # noqa: PLC0415

    heads = {
        Fate.PUT_BACK: f"Put back in Planfix (run {of.run}):",
        Fate.CHANGED: "Left alone, since it was changed in Planfix after the run:",
        Fate.EMPTY: "Left alone, since nothing was there before the run:",
        Fate.REFUSED: "Refused by Planfix:",
    }
    for fate, head in heads.items():
        values = [value for value in of.values if value.fate is fate]
        if values:
            yield head
        for value in values:
            more = f" ({value.error})" if fate is Fate.REFUSED else ""
            yield f"  contact {value.contact}: {FIELD_NAMES[value.field]}{more}"
    if not of.values:
        yield f"Run {run} wrote over nothing in Planfix: there is nothing to put back."
    if of.created:
        yield "Contacts that the run made; they stay, unless you delete them in Planfix:"
        yield from (f"  contact {contact}" for contact in of.created)
    if of.values:
        yield "Consent is as it was. The next run brings the lists after Planfix."


def advice(finding: "Finding", report: "RunReport") -> str:
    """Return what to do about a finding, with the command that releases what it withheld."""
    if "syncd " in finding.hint:
        return finding.hint
    return f"{finding.hint} If it is right: syncd approve {report.run}".strip()


def counts(of: "Mapping[Op, int]") -> str:
    """Return counts in words, those that are zero left out."""
    return ", ".join(f"{count} {op.value}" for op, count in of.items() if count) or "nothing"


def failures(report: "RunReport") -> Iterator[tuple[str, "Failure"]]:
    """Yield what failed, with the link's name (empty: the whole run)."""
    if report.failure is not None:
        yield "", report.failure
    for link in report.links:
        if link.failure is not None:
            yield link.link, link.failure


def status(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield how things stand."""
    yield from table(
        ("LINK", "LIST", "IN STEP", "PAIRS", "WITHHELD", "HELD", "QUARANTINED", "LATCHED", "RUN"),
        (
            (
                link["link"], link["list"], link["in_step"], link["pairs"], link["withheld"],
                link["held"], link["quarantined"], link["latched"], _last(link["last_run"]),
            )
            for link in found["links"]
        ),
    )  # fmt: skip
    for link in found["links"]:
        for reason in link["reasons"]:
            yield f"{link['link']}: {cell(reason)}"
        if link["approve"]:
            run, also = link["approve"]["run"], link["approve"]["also"]
            more = f" (it also releases what that run withheld of: {', '.join(also)})"
            told = f"if what is withheld is right{more if also else ''}: syncd approve {run}"
            yield f"{link['link']}: {cell(told)}"
    yield f"last run: {_last(found['last_run'])}"
    yield f"next run: {cell(found['next_run'])}"


def _last(run: Mapping[str, Any] | None) -> str:
    if run is None:
        return "never"
    return f"{run['run']} {_STATES[run['outcome']]}"


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
