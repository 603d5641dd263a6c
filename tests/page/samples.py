"""A bad day: every standing that a link may have, and everybody who may wait."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from syncd.core.overview import LinkOverview, LinkRun, Overview, Pulse, Refusal, Waiting
from syncd.core.plan import Finding, Guard, Op
from syncd.core.report import Outcome

NOW = datetime(2026, 11, 26, 14, 5, 33, tzinfo=UTC)
PULSE = Pulse(beat_s=3.0, next_run=NOW + timedelta(minutes=11), begun=NOW - timedelta(minutes=4))
PUSHES = {
    ("planfix/email", "taken"): 1204,
    ("list-events", "taken"): 31,
    ("planfix/sms", "refused"): 2,
}


def run(
    number: int,
    outcome: Outcome = Outcome.OK,
    applied: Mapping[str, int] | None = None,
    *,
    error: str = "",
    hint: str = "",
    withheld: int = 0,
    held: int = 0,
    quarantined: int = 0,
) -> LinkRun:
    """Return the run so many quarters of an hour before the last one."""
    ended = NOW - timedelta(minutes=3 + 15 * number)
    counts = {Op(op): count for op, count in (applied or {}).items()}
    return LinkRun(
        run=f"{ended:%Y%m%dT%H%M%SZ}-{number:04x}",
        finished=ended, duration_s=3.2 + number % 5, outcome=outcome,
        planned=counts, applied=counts, planfix_read=1843, list_read=1790,
        certified=True, withheld=withheld, held=held, quarantined=quarantined, error=error,
        hint=hint,
    )  # fmt: skip


def changes(number: int) -> dict[str, int]:
    """Return what a working day changes, run by run."""
    if number % 7 == 3:
        return {"update": 1 + number % 4, "rename": number % 2}
    if number % 11 == 5:
        return {"add": 2 + number % 9, "remove": 1 + number % 3, "planfix_update": number % 3}
    return {}


def quiet(count: int) -> tuple[LinkRun, ...]:
    """Return runs that went well."""
    return tuple(run(number, applied=changes(number)) for number in range(count))


NEWSLETTER = LinkOverview(
    name="newsletter", list_name="Newsletter", pairs=12_834, latched=417, runs=quiet(48),
    judged=run(0),
    applied_total={Op.ADD: 13_208},
)  # fmt: skip
_WITHHELD = run(0, Outcome.REFUSED, withheld=312, held=2, quarantined=1, applied={"update": 4})
CUSTOMERS = LinkOverview(
    name="customers",
    list_name="Kunden & Freunde",
    pairs=1790,
    latched=63,
    runs=(_WITHHELD, run(1, Outcome.REFUSED, withheld=312), *quiet(48)[2:20],
          run(20, Outcome.FAILED, error="x"), run(21, Outcome.PARTIAL, {"add": 3}), *quiet(47)[22:],
          run(47, applied={"add": 1790})),
    judged=_WITHHELD,
    refusal=Refusal(
        run=_WITHHELD.run,
        link="customers",
        findings=(
            Finding(
                Guard.REMOVAL_LIMIT,
                "312 removals are planned and 3 were made in the last 24 hours; 179 are allowed"
                " for 1790 members.",
                "See in Planfix whether so many contacts really left.",
            ),
        ),
        operations={Op.REMOVE: 312},
    ),
    held=(
        Waiting(contact=48_201, why="not a valid e-mail address"),
        Waiting(contact=51_377, why="the address belongs to another contact, which waits itself"),
    ),
    quarantined=(
        Waiting(
            contact=50_113,
            why="The list service refused it: the domain takes no mail",
            next_try=NOW + timedelta(hours=4),
        ),
    ),
)  # fmt: skip
PARTNERS = LinkOverview(
    name="partners", list_name="Partners", pairs=88, latched=2,
    runs=(
        run(0, Outcome.FAILED, error="lists.example.com did not answer within 120 seconds, five"
            " times in a row.",
            hint="The next run tries again; if it stays, look after the side that is named."),
        run(1, Outcome.FAILED), *quiet(30)[2:],
    ),
    judged=run(2),
)  # fmt: skip
FRESH = LinkOverview(name="press", list_name="Press")

BAD_DAY = Overview(
    links=(NEWSLETTER, CUSTOMERS, PARTNERS, FRESH),
    run_ended=NOW - timedelta(minutes=3),
    latched_everywhere=12,
    runs_total=4211,
    run_seconds_total=13_820.5,
    planfix_calls_total=88_412,
    sms={"done": 310, "queued": 1, "unknown": 1},
)
GOOD_DAY = Overview(links=(NEWSLETTER,), run_ended=NOW - timedelta(minutes=3), runs_total=48)

WITHHELD_DAY = Overview(links=(CUSTOMERS, NEWSLETTER), run_ended=NOW - timedelta(minutes=3))
