"""The run document: what `--once --json` prints, and what a person is told."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from syncd.core.plan import Finding, Op
from syncd.errors import BusyError, Kind, SyncdError

PRECEDENCE: Final = (78, 77, 70, 69, 75, 4, 1)
"""Of several exit codes, the first of these is the run's."""


class Outcome(StrEnum):
    """How a link, or a run, ended."""

    OK = "ok"
    PARTIAL = "partial"
    REFUSED = "refused"
    FAILED = "failed"


def in_step(outcome: Outcome, *, withheld: int, held: int, quarantined: int) -> bool:
    """Whether a link's run left nothing to do and nobody waiting."""
    return outcome is Outcome.OK and not (withheld or held or quarantined)


_ADVICE: Final[Mapping[str, str]] = {
    Kind.TEMPORARY: "The next run tries again; if it stays, look after the side that is named.",
    Kind.INTERNAL: "Report it, with the traceback from the log.",
}


@dataclass(frozen=True, slots=True)
class Failure:
    """What stopped a link or a run."""

    kind: str
    message: str
    exit_code: int
    hint: str = ""
    rest_s: float = 0.0

    @classmethod
    def of(cls, error: SyncdError) -> "Failure":
        """Return what an error says of itself."""
        return cls(error.kind.value, str(error), error.exit_code, error.hint, error.rest_s)

    @property
    def advice(self) -> str:
        """Return what to do next: the hint, or what its kind asks for."""
        return self.hint or _ADVICE.get(self.kind, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedOperation:
    """One line of a dry run's plan."""

    op: Op
    contact: int
    email: str
    old_email: str
    why: str


def no_counts() -> dict[Op, int]:
    """Return a count of zero for each kind of operation."""
    return dict.fromkeys(Op, 0)


@dataclass(slots=True, kw_only=True)
class LinkReport:
    """What one run did with one link."""

    link: str
    planfix_read: int | None = None
    list_read: int | None = None
    certified: bool | None = None
    planned: Mapping[Op, int] = field(default_factory=no_counts)
    applied: Mapping[Op, int] = field(default_factory=no_counts)
    withheld: int = 0
    held: int = 0
    quarantined: int = 0
    suppressed: int = 0
    findings: tuple[Finding, ...] = ()
    failure: Failure | None = None
    judged: bool = False  # it came as far as its guards
    stopped: bool = False  # asked to stop before the end
    operations: tuple[PlannedOperation, ...] | None = None  # a dry run's plan

    @property
    def outcome(self) -> Outcome:
        """Return how the link ended."""
        if self.failure is not None:
            return Outcome.FAILED
        if self.findings:
            return Outcome.REFUSED
        if self.quarantined or self.certified is False or self.stopped:
            return Outcome.PARTIAL
        return Outcome.OK

    @property
    def exit_codes(self) -> set[int]:
        """Return every exit code this link asks for."""
        codes = {self.failure.exit_code} if self.failure is not None else set()
        if self.stopped:
            codes.add(75)
        if self.findings:
            codes.add(4)
        if self.quarantined or self.certified is False:
            codes.add(1)
        return codes


@dataclass(slots=True, kw_only=True)
class RunReport:
    """What one run did."""

    run: str
    started: datetime
    finished: datetime | None = None
    dry_run: bool = False
    failure: Failure | None = None
    links: list[LinkReport] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """Return the code of the worst thing that happened."""
        codes = {code for link in self.links for code in link.exit_codes}
        if self.failure is not None:
            codes.add(self.failure.exit_code)
        return next((code for code in PRECEDENCE if code in codes), max(codes, default=0))

    @property
    def busy(self) -> bool:
        """Return whether it never began, since another one was under way."""
        return self.failure is not None and self.failure.exit_code == BusyError.exit_code

    @property
    def rest_s(self) -> float:
        """Return how long another run would be of no use, in seconds."""
        failures = [self.failure, *(link.failure for link in self.links)]
        return max((failure.rest_s for failure in failures if failure is not None), default=0.0)

    @property
    def outcome(self) -> Outcome:
        """Return how the run ended: as its worst link did."""
        if self.failure is not None:
            return Outcome.FAILED
        worst = (Outcome.FAILED, Outcome.REFUSED, Outcome.PARTIAL)
        found = {link.outcome for link in self.links}
        return next((outcome for outcome in worst if outcome in found), Outcome.OK)

    def document(self) -> dict[str, Any]:
        """Return the run document in the shape that design section 3 fixes."""
        return {
            "run": self.run,
            "started": _stamp(self.started),
            "finished": _stamp(self.finished) if self.finished else None,
            "dry_run": self.dry_run,
            "outcome": str(self.outcome),
            "exit_code": self.exit_code,
            "error": _error(self.failure),
            "links": [_link_document(link) for link in self.links],
        }


def _link_document(link: LinkReport) -> dict[str, Any]:
    document: dict[str, Any] = {
        "link": link.link,
        "outcome": str(link.outcome),
        "error": _error(link.failure),
        "planfix_read": link.planfix_read,
        "list_read": link.list_read,
        "certified": link.certified,
        "planned": {str(op): link.planned.get(op, 0) for op in Op},
        "applied": {str(op): link.applied.get(op, 0) for op in Op},
        "withheld": link.withheld,
        "held": link.held,
        "quarantined": link.quarantined,
    }
    if link.operations is not None:
        document["operations"] = list(_operations(link.operations))
    return document


def _operations(operations: Iterable[PlannedOperation]) -> Iterable[dict[str, Any]]:
    for operation in operations:
        yield {
            "op": str(operation.op),
            "contact": operation.contact,
            "email": operation.email,
            "old_email": operation.old_email or None,
            "why": operation.why,
        }


def _error(failure: Failure | None) -> dict[str, str] | None:
    if failure is None:
        return None
    return {"kind": failure.kind, "message": failure.message}


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
