"""Plan + limits → what may go on, and why not: arithmetic and no more."""

from dataclasses import dataclass
from typing import Final

from syncd.core.link import Limits
from syncd.core.plan import Finding, Guard, Loses

MASS_CHANGE_FLOOR: Final = 10

_LOSSES: Final = {
    Loses.FIRST: "would lose their first name",
    Loses.LAST: "would lose their last name",
    Loses.ADDRESS: "would lose their address",
    Loses.OLD_ADDRESS: "would change their address",
    Loses.PLANFIX_VALUES: "would be written over in Planfix",
    Loses.PLANFIX_NEW: "would become new contacts in Planfix",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What a plan comes to; what a person has approved is not in it.

    `read` counts the contacts of the selection, None where Planfix itself says who leaves it and
    an empty one is no sign of a bad read. `removed_lately` are the removals of the last 24 hours,
    members whom the list lost with them. `losing` counts, for each loss, the operations that
    cause it. `waiting` is what the list showed of too many members at once: `vanished` and
    `returned` count it; `empty` says that the list has nobody any more.
    """

    pairs: int
    read: int | None
    removals: int
    removed_lately: int
    losing: dict[Loses, int]
    waiting: Loses = Loses.NOTHING
    vanished: int = 0
    returned: int = 0
    empty: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """Which operations must wait for a person."""

    removals: bool = False
    losses: Loses = Loses.NOTHING
    findings: tuple[Finding, ...] = ()


def judge(tally: Tally, limits: Limits) -> Verdict:
    """Say what of a plan is withheld."""
    findings: list[Finding] = []
    withhold_removals = False
    if tally.pairs and tally.read == 0 and tally.removals:
        withhold_removals = True
        findings.append(_empty_read(tally))
    elif tally.removals + tally.removed_lately > limits.allowance(tally.pairs) and tally.removals:
        withhold_removals = True
        findings.append(_over_the_limit(tally, limits))
    elif unasked := tally.losing.get(Loses.UNASKED, 0):
        # More were missing than the limit allows, so not all were asked about; that some of
        # them need no removal after all proves nothing of the others.
        withhold_removals = True
        findings.append(_unasked(unasked))
    losses = tally.waiting
    if Loses.VANISHED in tally.waiting:
        findings.append(_empty_list(tally) if tally.empty else _vanished(tally, limits))
    if Loses.RETURNED in tally.waiting:
        findings.append(_returned(tally))
    for loss, words in _LOSSES.items():
        count = tally.losing.get(loss, 0)
        if count >= MASS_CHANGE_FLOOR and 2 * count > tally.pairs:
            losses |= loss
            findings.append(_mass_change(count, tally.pairs, words))
    return Verdict(withhold_removals, losses, tuple(findings))


def _empty_read(tally: Tally) -> Finding:
    return Finding(
        Guard.EMPTY_READ,
        f"The selection came back without a single contact, while {tally.pairs} are on the list.",
        "See in Planfix whether the filter and the token's rights are as they should be.",
    )


def _over_the_limit(tally: Tally, limits: Limits) -> Finding:
    return Finding(
        Guard.REMOVAL_LIMIT,
        f"{tally.removals} removals are planned and {tally.removed_lately} were made in the last"
        f" 24 hours; {limits.allowance(tally.pairs)} are allowed for {tally.pairs} members.",
        "See in Planfix whether so many contacts really left.",
    )


def _empty_list(tally: Tally) -> Finding:
    return Finding(
        Guard.EMPTY_READ,
        f"The list came back without a single member, while {tally.pairs} people are known to be"
        " on it.",
        "See at the list service whether the list was emptied or replaced. Approving takes them"
        " as having left.",
    )


def _vanished(tally: Tally, limits: Limits) -> Finding:
    return Finding(
        Guard.REMOVAL_LIMIT,
        f"{tally.vanished} members are gone from the list at once;"
        f" {limits.allowance(tally.pairs)} a day are allowed for {tally.pairs} members.",
        "See at the list service whether so many people really left: a damaged list looks so.",
    )


def _returned(tally: Tally) -> Finding:
    return Finding(
        Guard.REMOVAL_LIMIT,
        f"{tally.returned} people who had left are active on the list again, and nothing proves"
        " that they came back by themselves.",
        "See at the list service whether a backup was restored there.",
    )


def _unasked(count: int) -> Finding:
    return Finding(
        Guard.REMOVAL_LIMIT,
        f"So many contacts are missing that {count} of them were not looked up in Planfix.",
        "See in Planfix whether so many contacts really left.",
    )


def _mass_change(count: int, pairs: int, words: str) -> Finding:
    return Finding(
        Guard.MASS_CHANGE,
        f"{count} of {pairs} members {words} in one run.",
        "See in Planfix whether an import went wrong.",
    )
