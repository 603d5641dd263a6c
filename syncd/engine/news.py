"""What a sighting means: who left a list, who is back, whose address bounces."""

from enum import StrEnum

from syncd.core.pairs import Gone, Pair, Release, Sighting
from syncd.core.people import Member, MemberStatus


class News(StrEnum):
    """What became of a member since the store last knew."""

    LEFT = "unsubscribed on the list"
    VANISHED = "gone from the list"
    RETURNED = "subscribed again on the list"  # which the list proves
    SEEMS_BACK = "active on the list again"  # perhaps a list restored from a backup
    BOUNCED = "the address bounces"
    WORKS = "the address works again"
    RENEWED = "a member under another reference"
    STRANGE = "a standing that syncd does not know"
    NONE = "nothing of that kind"


def news_of(
    sighting: Sighting, pair: Pair | None, gone: Gone | None, *, latched: bool = False
) -> News:
    """Say what a sighting means for a person's consent and for what we know of the member.

    `gone` is the record of the member's key on this list; `latched`: they are kept out already.
    That somebody left is news unless it is known, by their latch; or was before a person said
    that they may be subscribed again.
    """
    member = sighting.member
    status = pair.status if pair is not None else None
    if member is None:
        news = News.VANISHED
    elif member.status is MemberStatus.UNSUBSCRIBED:
        known = gone is not None and pair is None and _known(member, gone, latched=latched)
        news = News.NONE if known else News.LEFT
    elif member.status is MemberStatus.UNKNOWN:
        news = News.STRANGE
    elif member.status is MemberStatus.BLOCKED:
        news = News.BOUNCED if status is MemberStatus.ACTIVE else News.NONE
    elif status is MemberStatus.UNSUBSCRIBED or gone is not None:
        news = _return(member, gone or Gone("", pair.reference if pair is not None else ""))
    elif status is MemberStatus.BLOCKED:
        news = News.WORKS
    else:
        renewed = pair is not None and member.reference not in {"", pair.reference}
        news = News.RENEWED if renewed else News.NONE
    return news


def _known(member: Member, gone: Gone, *, latched: bool) -> bool:
    """Say whether a member's absence is the one that is on record."""
    if member.since > gone.at:
        return False
    if gone.release is Release.PERHAPS:
        return member.since != ""  # else they may have been put back, and have left again
    return latched or gone.release is Release.DUE


def _return(member: Member, gone: Gone) -> News:
    """Tell a return that only a new subscription explains: a newer time, a new reference."""
    newer = bool(gone.at and member.since > gone.at)
    other = bool(gone.reference and member.reference not in {"", gone.reference})
    return News.RETURNED if newer or other else News.SEEMS_BACK
