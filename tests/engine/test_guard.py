"""Guards 3, 4 and 5: just below, at and above each limit."""

import pytest

from syncd.core.link import Limits
from syncd.core.plan import Guard, Loses
from syncd.engine.guard import Tally, Verdict, judge

LIMITS = Limits(removals=50, removals_percent=10, removals_floor=3)
FREE = Verdict()


def tally(
    *,
    pairs: int = 100,
    read: int = 100,
    removals: int = 0,
    removed_lately: int = 0,
    losing: dict[Loses, int] | None = None,
) -> Tally:
    return Tally(
        pairs=pairs,
        read=read,
        removals=removals,
        removed_lately=removed_lately,
        losing=losing or {},
    )


def guards(verdict: Verdict) -> list[Guard]:
    return [finding.guard for finding in verdict.findings]


@pytest.mark.parametrize(
    ("pairs", "allowed"),
    [
        pytest.param(10, 3, id="floor"),
        pytest.param(30, 3, id="where-the-share-meets-the-floor"),
        pytest.param(39, 3, id="the-share-is-rounded-down"),
        pytest.param(40, 4, id="percent"),
        pytest.param(499, 49, id="just-below-the-absolute"),
        pytest.param(500, 50, id="absolute"),
        pytest.param(5000, 50, id="above-the-absolute"),
        pytest.param(2, 3, id="a-tiny-list-may-be-emptied"),
    ],
)
def test_removals_up_to_the_limit_go_on_and_one_more_withholds_all(
    pairs: int, allowed: int
) -> None:
    assert judge(tally(pairs=pairs, removals=allowed - 1), LIMITS) == FREE
    assert judge(tally(pairs=pairs, removals=allowed), LIMITS) == FREE
    over = judge(tally(pairs=pairs, removals=allowed + 1), LIMITS)
    assert over.removals
    assert guards(over) == [Guard.REMOVAL_LIMIT]


def test_a_limit_below_the_floor_wins() -> None:
    limits = Limits(removals=1, removals_percent=10, removals_floor=3)

    assert judge(tally(removals=1), limits) == FREE
    assert judge(tally(removals=2), limits).removals


@pytest.mark.parametrize(("lately", "removals"), [(9, True), (8, False), (0, False)])
def test_removals_of_the_last_24_hours_count(lately: int, *, removals: bool) -> None:
    assert judge(tally(removals=2, removed_lately=lately), LIMITS).removals is removals


def test_without_a_removal_there_is_nothing_to_withhold() -> None:
    assert judge(tally(removed_lately=11), LIMITS) == FREE


def test_an_empty_read_withholds_every_removal() -> None:
    verdict = judge(tally(read=0, removals=1), LIMITS)

    assert verdict.removals
    assert guards(verdict) == [Guard.EMPTY_READ]


def test_an_empty_read_of_a_link_without_pairs_is_fine() -> None:
    assert judge(tally(pairs=0, read=0), LIMITS) == FREE


def test_an_empty_read_whose_removals_were_all_approved_goes_through() -> None:
    assert judge(tally(read=0, removals=0), LIMITS) == FREE


def test_removals_nobody_asked_about_wait_even_below_the_limit() -> None:
    verdict = judge(tally(removals=2, losing={Loses.UNASKED: 1}), LIMITS)

    assert verdict.removals
    assert guards(verdict) == [Guard.REMOVAL_LIMIT]


@pytest.mark.parametrize("loss", [Loses.FIRST, Loses.LAST, Loses.ADDRESS, Loses.OLD_ADDRESS])
@pytest.mark.parametrize(
    ("pairs", "count", "withheld"),
    [
        pytest.param(20, 10, False, id="half"),
        pytest.param(19, 10, True, id="more-than-half"),
        pytest.param(9, 9, False, id="all-but-under-the-floor"),
        pytest.param(10, 10, True, id="at-the-floor"),
        pytest.param(100, 50, False, id="half-of-many"),
        pytest.param(100, 51, True, id="more-than-half-of-many"),
    ],
)
def test_more_than_half_and_at_least_ten_losing_the_same_are_withheld(
    loss: Loses, pairs: int, count: int, *, withheld: bool
) -> None:
    verdict = judge(tally(pairs=pairs, losing={loss: count}), LIMITS)

    assert verdict.losses == (loss if withheld else Loses.NOTHING)
    assert guards(verdict) == ([Guard.MASS_CHANGE] if withheld else [])


def test_losses_of_different_kinds_do_not_add_up() -> None:
    losing = {Loses.FIRST: 30, Loses.LAST: 30}

    assert judge(tally(pairs=50, losing=losing), LIMITS).losses == Loses.FIRST | Loses.LAST
    assert judge(tally(pairs=60, losing=losing), LIMITS) == FREE


def test_every_finding_is_told_with_its_counts_and_a_hint() -> None:
    verdict = judge(tally(removals=11, losing={Loses.FIRST: 60}), LIMITS)

    assert guards(verdict) == [Guard.REMOVAL_LIMIT, Guard.MASS_CHANGE]
    assert "11 removals" in verdict.findings[0].message
    assert "60 of 100" in verdict.findings[1].message
    assert all(finding.hint for finding in verdict.findings)
