"""A list as it was read × its pairs: who is otherwise than the store knows."""

from collections.abc import Iterable, Iterator

from syncd.core.pairs import Known, Sighting
from syncd.core.people import Member, MemberStatus, Names, Person

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


def held_as(person: Person, names: Names) -> tuple[str, str]:
    """Return the names of a person as a list of this kind can hold them."""
    if names is Names.ONE:
        return person.one_text, ""
    return person.first, person.last


def _otherwise(pair: Known, member: Member, names: Names) -> Member | None:
    """Return a member in the base's spelling, or None where the pair knows it all."""
    key, _, address, first, last, status, reference = pair
    if status == MemberStatus.UNSUBSCRIBED and not member.status.on_list:
        return None
    if status == MemberStatus.BLOCKED == member.status:
        return None
    base = Person(address, key, first, last)
    # A name that we never gave may have been made up by the list.
    own = names is Names.ONE and held_as(base, names)[0] in {"", held_as(member.person, names)[0]}
    found = base if own else Person(address, key, member.person.first, member.person.last)
    known = status == MemberStatus.ACTIVE and member.status.on_list and found == base
    if known and member.reference in {reference, ""}:
        return None
    return Member(member.reference, found, member.status, member.since)
