"""Fetch the evidence that guard 2 asks for: is a contact that the sweep missed really gone?"""

from collections.abc import Collection, Sequence
from typing import Final

from syncd.app.world import OpenLink
from syncd.core.pairs import Standing
from syncd.core.people import ContactId

SECOND_PAGE_SIZE: Final = 97
"""Another page size shifts every page border: what fell between two pages turns up."""
LOOKUPS: Final = 500
"""How many contacts one run asks about at most; those beyond wait for the next run."""


def confirm(
    open_link: OpenLink,
    absent: Sequence[ContactId],
    *,
    allowance: int,
    approved: Collection[ContactId],
    certified: bool,
) -> dict[ContactId, Standing]:
    """Say what is known of each paired contact that the sweep missed.

    Asking costs a call each, so it ends where the removals are over the limit anyhow
    (`allowance` is what is left of it); those that a person approved are always asked about.
    Those that are latched are asked about, too, but don't count: they are off the list.
    Absence from a read that isn't certified means nothing. Who left a pushed selection is gone
    by Planfix's own word.
    """
    if open_link.link.selection.is_pushed:
        return dict.fromkeys(absent, Standing.LEFT)
    if not certified:
        return {}
    return _ask(open_link, absent, allowance=allowance, approved=approved)


def _ask(
    open_link: OpenLink,
    absent: Sequence[ContactId],
    *,
    allowance: int,
    approved: Collection[ContactId],
) -> dict[ContactId, Standing]:
    standing: dict[ContactId, Standing] = {}
    latched, _ = open_link.store.consent.latched(open_link.number)
    second: frozenset[ContactId] | None = None
    gone = asked = 0
    for contact in sorted(absent, key=lambda c: (c not in approved, c)):
        if contact not in approved:
            if gone > allowance:
                standing[contact] = Standing.UNASKED
                continue
            if asked >= LOOKUPS:
                continue
        asked += 1
        exists = open_link.planfix.exists(contact)
        if exists is None:
            continue
        if exists:
            if second is None:
                second = _second_sweep(open_link, absent)
            if contact in second:
                continue
        standing[contact] = Standing.LEFT if exists else Standing.DELETED
        gone += contact not in approved and contact not in latched
    return standing


def _second_sweep(open_link: OpenLink, absent: Sequence[ContactId]) -> frozenset[ContactId]:
    """Return whom a second sweep shows; everyone, where it proves nothing."""
    found, certified = open_link.planfix.sweep_ids(open_link.link.selection, SECOND_PAGE_SIZE)
    return found if certified else frozenset(absent)
