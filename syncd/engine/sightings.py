"""A list as it was read × its pairs: who is otherwise than the store knows."""

from collections.abc import Iterable, Iterator

from syncd.core.pairs import Known, Sighting
from syncd.core.people import ContactId, Member, MemberStatus, Names, Person
from syncd.core.pushes import Reported

_ACTIVE = MemberStatus.ACTIVE


def compare(pairs: Iterable[Known], members: Iterable[Member], names: Names) -> Iterator[Sighting]:
    """Walk both along their keys; yield each member that its pair doesn't know so.

    Both come sorted by key, each key once. Members without a pair are yielded too, and pairs
    whose member is gone; nothing is held in memory.
    """
    known = iter(pairs)
    pair = next(known, None)
    for member in members:
        key = member.person.key
        while pair is not None and pair[0] < key:
            if pair[5] == "active":
                yield Sighting(pair[0], pair[1], None)
            pair = next(known, None)
        if pair is None or pair[0] != key:
            yield Sighting(key, None, member)
            continue
        person = member.person
        _, _, _, first, last, status, reference = pair
        if (
            member.status is not _ACTIVE
            or status != "active"
            or person.first != first
            or person.last != last
            or member.reference != reference
        ):
            seen = _otherwise(Known(*pair), member, names)
            if seen is not None:
                yield Sighting(key, pair[1], seen)
        pair = next(known, None)
    while pair is not None:
        if pair[5] == "active":
            yield Sighting(pair[0], pair[1], None)
        pair = next(known, None)


def reported(reports: Iterable[tuple[Reported, Known | None]], names: Names) -> Iterator[Sighting]:
    """Yield what a list's service told that the pairs don't know; each report beside its pair.

    A service says what a member is, and nothing of the others: nobody is gone for not being
    told of. Who isn't known to be on the list is so only where the service says that they
    subscribed; when it said so is no proof of it, as a time that the list itself gives.
    """
    met: set[ContactId] = set()
    for report, pair in reports:
        member = report.member
        if member.status.on_list:
            member = member._replace(since="")
        told = report.joined or not member.status.on_list
        if pair is None or pair.contact in met:
            if told:
                yield Sighting(member.person.key, None, member)
            continue
        met.add(pair.contact)
        if pair.status == MemberStatus.UNSUBSCRIBED and not told:
            continue
        seen: Member | None = member
        if member.person.key == pair.key:
            seen = _otherwise(pair, member, names)
            if seen is None and report.joined:  # they may have left in between
                seen = member._replace(person=_base(pair))
        if seen is not None:
            yield Sighting(member.person.key, pair.contact, seen)


def held_as(person: Person, names: Names) -> tuple[str, str]:
    """Return the names of a person as a list of this kind can hold them."""
    if names is Names.ONE:
        return person.one_text, ""
    return person.first, person.last


def _base(pair: Known) -> Person:
    return Person(pair.address, pair.key, pair.first, pair.last)


def _otherwise(pair: Known, member: Member, names: Names) -> Member | None:
    """Return a member in the base's spelling, or None where the pair knows it all."""
    key, address, status, reference = pair.key, pair.address, pair.status, pair.reference
    if status == MemberStatus.UNSUBSCRIBED and not member.status.on_list:
        return None
    if status == MemberStatus.BLOCKED == member.status:
        return None
    base = _base(pair)
    # A name that we never gave may have been made up by the list.
    own = names is Names.ONE and held_as(base, names)[0] in {"", held_as(member.person, names)[0]}
    found = base if own else Person(address, key, member.person.first, member.person.last)
    known = status == MemberStatus.ACTIVE and member.status.on_list and found == base
    if known and member.reference in {reference, ""}:
        return None
    return Member(member.reference, found, member.status, member.since)
