"""Read the list, and learn from it before anything is planned: who left, who is back."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Final

import structlog

from syncd.app.apply import DAY, latches_of, stamp
from syncd.app.reading import read_list
from syncd.app.reports import sight
from syncd.app.world import OpenLink
from syncd.core.address import AddressKey
from syncd.core.events import Event, Learned, What
from syncd.core.pairs import Gone, NewLatch, Pair, Sighting
from syncd.core.people import ContactId, Member, MemberStatus
from syncd.core.plan import Loses, Op
from syncd.core.pushes import Reported
from syncd.engine.news import News, news_of
from syncd.ports import ListId

log = structlog.get_logger()

_WHY: Final = {
    What.LEFT: "the list says that they unsubscribed",
    What.VANISHED: "gone from the list",
    What.LET_GO: "gone from the list",
}

_BACK: Final = "active on the list again"


@dataclass(frozen=True, slots=True)
class Observation:
    """What reading a list came to.

    `read` counts its members, None where it can't be read. `empty`: it has nobody, though pairs
    were active. `waiting` is what must wait for a person, since it is too much at once:
    `vanished` and `returned` count it. `lost` are those whom the list has lost in the last 24
    hours without anybody's approval; they count like removals. `reports` is what the service of
    a list that can't be read told.
    """

    read: int | None = None
    empty: bool = False
    waiting: Loses = Loses.NOTHING
    vanished: int = 0
    returned: int = 0
    lost: int = 0
    reports: tuple[Reported, ...] = ()


def observe(
    open_link: OpenLink,
    list_id: ListId | None,
    *,
    restore: bool,
    allowance: int,
    approved: Collection[tuple[object, ...]],
    keep: bool,
    stop: Callable[[], bool],
) -> Observation:
    """Read a list, or what its service told, and keep what follows for people's consent.

    `allowance` is how many more removals the link's limit has room for: members who vanished,
    and returns that nothing proves, count against it, and over it all of them wait. `approved`
    are the signatures of what a person has released. `restore`: who vanished is put back.
    `keep`: what the list came to is kept, so that it is read again only once something changed.

    Raises:
        TemporaryError: the list could not be read whole.
        ConfigurationError: there is no such list.
        StoppedError: `stop` said so.
    """
    store, number, asked = open_link.store, open_link.number, stamp()
    lost = store.events.count(number, What.VANISHED.value, stamp(-DAY))
    read: int | None = None
    reports: tuple[Reported, ...] = ()
    if open_link.backend.capabilities.can_read:
        read = read_list(open_link, list_id, keep=keep, stop=stop)
    elif not (reports := sight(open_link)):
        return Observation(lost=lost)
    # Asked before the sightings are sorted: some of them are dropped, whose members are there.
    missed_subscribers = [] if read is None else store.sightings.missed(number)
    sorting = _Sorting(open_link, restore=restore, approved=approved)
    vanished, returned = sorting.vanished, sorting.returned
    missed = len(vanished) + sorting.missed
    empty = not read and missed > 0
    waiting = Loses.NOTHING
    if empty or missed + len(returned) > allowance - lost:
        waiting |= Loses.VANISHED if missed else Loses.NOTHING
        waiting |= Loses.RETURNED if returned else Loses.NOTHING
        store.sightings.mark_returning(number for number, _, _ in returned)
    else:
        for contact, pair in vanished:
            sorting.gone(contact, pair, What.VANISHED)
        for _, sighting, found in returned:
            sorting.back(sighting, found, What.SEEMS_BACK)
        lost += len(vanished)
    if not empty and not restore:
        sorting.missing(missed_subscribers)
    store.consent.learn(
        number, open_link.consent_number, sorting.learned,
        run=open_link.run, at=stamp(), asked=asked,
    )  # fmt: skip
    if sorting.learned.events:
        log.info("list.news", **Counter(event.what.value for event in sorting.learned.events))
    return Observation(read, empty, waiting, missed, len(returned), lost, reports)


class _Sorting:
    """Sightings sorted: what is certain is learned at once, and the rest is offered.

    `vanished` are gone without a word, `returned` back without a proof; `missed` counts those
    who are gone and shall be put back. Those whom a person approved are in none of these.
    """

    def __init__(
        self, open_link: OpenLink, *, restore: bool, approved: Collection[tuple[object, ...]]
    ) -> None:
        self._at = open_link
        self._restore = restore
        self._approved = {
            (line[2], Loses(int(str(line[6])))): ContactId(int(str(line[0])))
            for line in approved
            if line[1] == Op.CONSENT
        }
        self._put_back = {line[0] for line in approved if line[1] == Op.ADD}
        self._latches = latches_of(open_link)
        self._now = stamp()
        self.learned = Learned()
        self.vanished: list[tuple[ContactId, Pair]] = []
        self.returned: list[tuple[int, Sighting, Pair | None]] = []
        self.missed = 0
        consent, sightings = open_link.store.consent, open_link.store.sightings
        self._gone, self._hashed = consent.gone(open_link.number), consent.hashed
        proves_nothing = []
        for number, sighting, pair, present in sightings.all(
            open_link.number, open_link.snapshot.id
        ):
            known = next(filter(None, map(self._gone_from, _left_from(sighting, pair))), None)
            latched = self._is_latched(sighting, pair)
            news = news_of(sighting, pair, known, latched=latched)
            if news in {News.RETURNED, News.SEEMS_BACK} and not latched:
                self.back(sighting, pair, None)  # somebody released them
            elif not self._sort(number, news, sighting, pair, present=present):
                proves_nothing.append(number)
        sightings.drop(proves_nothing)

    def _gone_from(self, key: AddressKey) -> Gone | None:
        return self._gone.get(self._hashed(key)) if self._gone else None

    def _sort(
        self, number: int, news: News, sighting: Sighting, pair: Pair | None, *, present: bool
    ) -> bool:
        """Take one sighting; False where nothing may be concluded from it."""
        contact, member = sighting.contact, sighting.member
        match news:
            case News.LEFT if member is not None:
                self._left(sighting, member, pair)
            case News.VANISHED if pair is not None and contact is not None:
                self._vanished(contact, pair, present=present)
            case News.RETURNED:
                self.back(sighting, pair, What.RETURNED)
            case News.SEEMS_BACK if (sighting.key, Loses.RETURNED) in self._approved:
                self._use(sighting.key, Loses.RETURNED)
                self.back(sighting, pair, What.RETURNED)
            case News.SEEMS_BACK:
                self.returned.append((number, sighting, pair))
            case News.STRANGE:
                log.warning("list.standing_unknown")
                return pair is None
            case _ if pair is not None and contact is not None and member is not None:
                self._standing(news, contact, member)
            case _ if member is not None and member.status.on_list:
                # At an address that is latched for another reason, they are none of our business.
                return not self._latches.holds_key(sighting.key)
        return True

    def _left(self, sighting: Sighting, member: Member, pair: Pair | None) -> None:
        learned, why = self.learned, _WHY[What.LEFT]
        since = member.since or self._now
        for key in _keys(sighting, pair):
            learned.latches.append(NewLatch(why, key=key))
            learned.gone.append((key, member.reference, since))
        self._tell(What.LEFT, sighting.contact, sighting.key, since)
        if sighting.contact is not None:
            learned.latches.append(NewLatch(why, contact=sighting.contact))
            standing = (sighting.contact, MemberStatus.UNSUBSCRIBED, member.reference)
            learned.marked.append(standing)

    def _vanished(self, contact: ContactId, pair: Pair, *, present: bool) -> None:
        if contact in self._latches.contacts and self._gone_from(pair.base.key) is not None:
            # Who was not there when the list was told to let them go is nowhere else either.
            self.learned.marked.append((contact, MemberStatus.UNSUBSCRIBED, ""))
        elif self._restore and present and contact not in self._latches.contacts:
            self.missed += contact not in self._put_back
        elif self._approved.get((pair.base.key, Loses.VANISHED)) == contact:
            self._use(pair.base.key, Loses.VANISHED)
            self.gone(contact, pair, What.LET_GO)
        else:
            self.vanished.append((contact, pair))

    def _use(self, key: AddressKey, loses: Loses) -> None:
        """Let an approval serve once."""
        self.learned.approved.append((self._approved[key, loses], key))

    def gone(self, contact: ContactId, pair: Pair, what: What) -> None:
        """Latch somebody who vanished."""
        why, key = _WHY[what], pair.base.key
        self.learned.latches += [NewLatch(why, key=key), NewLatch(why, contact=contact)]
        self.learned.gone.append((key, pair.reference, self._now))
        self.learned.marked.append((contact, MemberStatus.UNSUBSCRIBED, ""))
        self._tell(what, contact, key, self._now)

    def missing(self, subscribers: Iterable[AddressKey]) -> None:
        """Latch those whose contact was asked for, and who were gone before they were a pair.

        The contact may be read any time now, and would put them back on the list.
        """
        for key in subscribers:
            self.learned.latches.append(NewLatch(_WHY[What.VANISHED], key=key))
            self.learned.gone.append((key, "", self._now))
            self._tell(What.VANISHED, None, key, self._now)

    def _is_latched(self, sighting: Sighting, pair: Pair | None) -> bool:
        latches = self._latches
        return (
            any(map(latches.holds_key, _keys(sighting, pair)))
            or sighting.contact in latches.contacts
            or (pair is not None and pair.status is MemberStatus.UNSUBSCRIBED)
        )

    def back(self, sighting: Sighting, pair: Pair | None, what: What | None) -> None:
        """End the latches of somebody who is back, of all contacts at that address too.

        With them goes what their latches had spread to: the address that such a contact has now,
        unless somebody was seen to leave from there. `what` is told, where it is news.
        """
        store, keys = self._at.store, _keys(sighting, pair)
        pushed = self._at.link.selection.is_pushed
        contacts = {c for key in keys for c in store.runs.contacts_with(key, pushed=pushed)}
        if sighting.contact is not None:
            contacts.add(sighting.contact)
        spread = store.pairs.keys_of(self._at.number, sorted(contacts))
        keys += [key for key in spread if key not in keys and self._gone_from(key) is None]
        if sighting.contact is not None and sighting.member is not None:
            standing = (sighting.contact, MemberStatus.ACTIVE, sighting.member.reference)
            self.learned.marked.append(standing)
        self.learned.lifted += [NewLatch(_BACK, key=key) for key in keys]
        self.learned.lifted += [NewLatch(_BACK, contact=c) for c in sorted(contacts)]
        self.learned.back += keys
        if what is not None:
            self._tell(what, sighting.contact, sighting.key, self._now)

    def _standing(self, news: News, contact: ContactId, member: Member) -> None:
        status = {News.BOUNCED: MemberStatus.BLOCKED, News.WORKS: MemberStatus.ACTIVE}.get(news)
        if status is not None:
            what = What.BOUNCED if news is News.BOUNCED else What.WORKS
            self._tell(what, contact, member.person.key, self._now)
            self.learned.marked.append((contact, status, member.reference))
        elif news is News.RENEWED:
            self.learned.marked.append((contact, MemberStatus.ACTIVE, member.reference))

    def _tell(self, what: What, contact: ContactId | None, key: AddressKey, since: str) -> None:
        self.learned.events.append(Event(what, contact, key, since))


def _left_from(sighting: Sighting, pair: Pair | None) -> list[AddressKey]:
    """Return the addresses from which a member may have left, to be back now.

    A member who only moved is not back for being gone from where they were.
    """
    if pair is None or (pair.status is MemberStatus.ACTIVE and sighting.key != pair.base.key):
        return [sighting.key]
    return [pair.base.key, sighting.key]


def _keys(sighting: Sighting, pair: Pair | None) -> list[AddressKey]:
    """Return the addresses that a sighting is about: the member's, and what it was agreed to be."""
    return sorted({sighting.key} | ({pair.base.key} if pair is not None else set()))
