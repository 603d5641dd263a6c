"""How things stand, for the operator's page, the metrics and health: without an address in it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from syncd.core.commands import command
from syncd.core.plan import Finding, Guard, Op
from syncd.core.report import Outcome, in_step


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkRun:
    """One link's part of a run that has ended; `duration_s` is the whole run's.

    The counts are those of the run document, zeros left out. `error` says what stopped the
    link, or the run, and `hint` what to do about it.
    """

    run: str
    finished: datetime
    duration_s: float
    outcome: Outcome
    planned: Mapping[Op, int] = field(default_factory=dict)
    applied: Mapping[Op, int] = field(default_factory=dict)
    planfix_read: int | None = None
    list_read: int | None = None
    certified: bool | None = None
    withheld: int = 0
    held: int = 0
    quarantined: int = 0
    error: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Someone who waits, by the contact's number; 0 is a member without a contact.

    `next_try` is None where every run tries again.
    """

    contact: int
    why: str
    next_try: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """What a guard withheld in the link's last run that it judged, or why it stopped the link.

    `also` are the other links of which the same run withheld something: an approval is the
    whole run's. `approved` is until when a person's word holds; None where there is none.
    """

    run: str
    link: str
    findings: tuple[Finding, ...]
    operations: Mapping[Op, int]
    also: tuple[str, ...] = ()
    approved: datetime | None = None

    @property
    def command(self) -> str:
        """The command that lets it go on."""
        if any(finding.guard is Guard.SCOPE for finding in self.findings):
            return command("rebase", self.link)
        return command("approve", self.run)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkOverview:
    """One link: its last runs, the latest first, and who waits.

    `judged` is the last run that came as far as its guards: what it left waiting still waits,
    however many have failed since. `held` and `quarantined` show some of those whom it counted.
    `latched` counts contacts, or addresses where those are more. `runs_total`, `planned_total`
    and `applied_total` count since the store was made.
    """

    name: str
    list_name: str
    pairs: int = 0
    latched: int = 0
    runs: tuple[LinkRun, ...] = ()
    judged: LinkRun | None = None
    refusal: Refusal | None = None
    held: tuple[Waiting, ...] = ()
    quarantined: tuple[Waiting, ...] = ()
    runs_total: Mapping[Outcome, int] = field(default_factory=dict)
    planned_total: Mapping[Op, int] = field(default_factory=dict)
    applied_total: Mapping[Op, int] = field(default_factory=dict)

    @property
    def last(self) -> LinkRun | None:
        """The last run of the link that ended."""
        return self.runs[0] if self.runs else None

    @property
    def waits(self) -> bool:
        """Whether anybody is held or quarantined."""
        return bool(self.held or self.quarantined)

    @property
    def unseen(self) -> int:
        """How many more of them there are than are shown."""
        judged = self.judged
        counted = judged.held + judged.quarantined if judged is not None else 0
        return max(0, counted - len(self.held) - len(self.quarantined))

    @property
    def in_step(self) -> bool:
        """Whether the last run left nothing to do and nobody waiting."""
        last = self.last
        return last is not None and in_step(
            last.outcome, withheld=last.withheld, held=last.held, quarantined=last.quarantined
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """Everything, at one moment; totals count since the store was made.

    `run_ended` is when the last run did, of any link. `latched_everywhere` are those of
    `scope = "account"`, who are in each link's count too. `sms` counts messages by state.
    """

    links: tuple[LinkOverview, ...] = ()
    run_ended: datetime | None = None
    latched_everywhere: int = 0
    runs_total: int = 0
    run_seconds_total: float = 0.0
    planfix_calls_total: int = 0
    sms: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """What a daemon's scheduler says of itself.

    `beat_s` is how long ago it was last awake. `begun` is when the last whole run was, over or
    not; `running_since` is that of any run that is under way, one for what was pushed, too.
    `failed_in_row` counts the last runs of either kind that were stopped as a whole, and `error`
    says what stopped the last of them: a link that fails does not stop a run.
    """

    beat_s: float
    next_run: datetime
    begun: datetime | None = None
    running_since: datetime | None = None
    failed_in_row: int = 0
    error: str = ""
