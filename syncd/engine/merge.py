"""Three ways for one pair: what was agreed on, what each side has now → what each shall have."""

from dataclasses import dataclass

from syncd.core.address import fault_of
from syncd.core.link import Conflict, Direction
from syncd.core.pairs import Row
from syncd.core.people import Names, Person
from syncd.core.plan import Fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a link's config, its backend and its past say about settling differences.

    `restore`: who vanished from the list is put back. `creates`: new subscribers become
    contacts. `first_run`: nothing is written to Planfix yet. `certified`: Planfix's contacts were
    read whole; else somebody unread may have the address that another gives up, so that nobody
    is removed.
    """

    direction: Direction = Direction.TO_LIST
    conflict: Conflict = Conflict.PLANFIX
    restore: bool = False
    creates: bool = False
    names: Names = Names.FIRST_LAST
    first_run: bool = False
    certified: bool = True

    @property
    def writes_list(self) -> bool:
        """Whether the list follows Planfix; consent reaches it in any case."""
        return self.direction is not Direction.TO_PLANFIX

    @property
    def writes_planfix(self) -> bool:
        """Whether Planfix follows the list."""
        return self.direction is not Direction.TO_LIST and not self.first_run


@dataclass(frozen=True, slots=True)
class Merged:
    """What each side shall hold of a person, and the fields on which both insist."""

    on_list: Person
    in_planfix: Person
    conflicts: Fields


@dataclass(frozen=True, slots=True)
class _Field:
    """One value of a pair; `kept` says that Planfix's stays, whatever the list has."""

    now: str
    base: str
    seen: str
    kept: bool

    def settled(self, policy: Policy) -> tuple[str, str] | None:
        """Return the list's and Planfix's future value; None where a person must choose."""
        if self.now == self.seen or policy.direction is Direction.TO_LIST:
            return self.now, self.now
        if self.kept or self.seen == self.base:
            return (self.now if policy.writes_list else self.seen), self.now
        if self.now != self.base:
            if policy.conflict is Conflict.HOLD:
                return None
            if policy.conflict is Conflict.PLANFIX:
                return (self.now if policy.writes_list else self.seen), self.now
        return self.seen, self.seen if policy.writes_planfix else self.now


def merge(row: Row, base: Person, policy: Policy) -> Merged:
    """Settle each field of a pair by itself.

    Nothing empty, unusable or made of one text for both names is ever written to Planfix: there
    Planfix's value stays, and goes to the list. An address that Planfix lacks, or that can't be
    written to, is nobody's word against the list's.
    """
    now, seen = row.now, row.member
    wordless = not now.key or bool(row.fault)
    one = policy.names is Names.ONE
    fields = {
        Fields.ADDRESS: _Field(
            base.address if wordless else now.address,
            base.address,
            seen.address,
            kept=not seen.key or bool(fault_of(seen.address)),
        ),
        Fields.FIRST: _Field(now.first, base.first, seen.first, kept=one or not seen.first),
        Fields.LAST: _Field(now.last, base.last, seen.last, kept=one or not seen.last),
    }
    settled = {name: field.settled(policy) for name, field in fields.items()}
    conflicts = Fields(sum(name for name, values in settled.items() if values is None))
    keys = {person.address: person.key for person in (now, base, seen)}
    sides = []
    for side in (0, 1):
        address, first, last = (
            values[side] if values is not None else fields[name].now
            for name, values in settled.items()
        )
        sides.append(Person(address, keys[address], first, last))
    on_list, in_planfix = sides
    if wordless and in_planfix.key == base.key:
        in_planfix = in_planfix._replace(address=now.address, key=now.key)
    return Merged(on_list, in_planfix, conflicts)


def agreed(a: Person, b: Person) -> Fields:
    """Return the fields that two have in common."""
    return Fields(
        (a.first == b.first) * Fields.FIRST
        | (a.last == b.last) * Fields.LAST
        | (a.address == b.address) * Fields.ADDRESS
    )
