"""Read a list, or as much of it as changed, and keep what its pairs don't know."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from syncd.app.world import OpenLink
from syncd.core.pairs import Compared, Sighting
from syncd.core.people import Member
from syncd.engine.sightings import compare
from syncd.errors import StoppedError
from syncd.ports import ListId

_ASK_EVERY: Final = 1000
"""How many members are read before it is asked whether to stop."""

_FEW: Final = 1000
"""With more changes, or differences, a list is read again: memory doesn't grow with them."""


def read_list(
    open_link: OpenLink, list_id: ListId | None, *, keep: bool, stop: Callable[[], bool]
) -> int:
    """Keep as sightings what differs from the pairs; return how many members the list has.

    Where the list tells what changed since the last comparison, only that is compared again, and
    the pairs that were written since. `keep`: what it came to is kept for the next time.

    Raises:
        TemporaryError: the list could not be read whole.
        ConfigurationError: there is no such list.
        StoppedError: `stop` said so.
    """
    store, number, backend = open_link.store, open_link.number, open_link.backend
    follows = backend.capabilities.keeps_reference
    followed = list_id if keep else None
    if followed is not None and (now := _compared_again(open_link, followed)) is not None:
        store.sightings.replace(number, now.differences, follows=follows)
        return now.members
    # Asked for before the list is read: what changes in between makes it the name of another.
    edition = backend.edition(followed) if followed is not None else ""
    if edition:
        store.comparisons.begin(number)
    members = _Members(() if list_id is None else backend.read(list_id), stop)
    differences = _Few(
        compare(store.pairs.known(number), members, backend.capabilities.names), _FEW
    )
    store.sightings.replace(number, differences, follows=follows)
    if not edition:
        return members.count
    # An empty list is read in no time, and may be about to be filled: notes would be many.
    if members.count and differences.all is not None:
        store.comparisons.keep(number, edition, members.count, differences.all)
    else:
        store.comparisons.drop(number)
    return members.count


def _compared_again(open_link: OpenLink, list_id: ListId) -> Compared | None:
    """Compare what changed on the list or among the pairs; None where nothing tells that."""
    store, number, backend = open_link.store, open_link.number, open_link.backend
    last = store.comparisons.last(number, _FEW)
    if last is None:
        return None
    changes = backend.changes(list_id, last.edition, also=last.rewritten, most=_FEW)
    if changes is None:
        return None
    if changes.edition == last.edition and not changes.keys:
        return last
    pairs = store.pairs.at(number, changes.keys)
    found = list(compare(pairs, changes.members, backend.capabilities.names))
    others = [seen for seen in last.differences if seen.key not in changes.keys]
    differences = sorted(others + found, key=lambda seen: seen.key)
    if len(differences) > _FEW:
        return None
    now = Compared(changes.edition, changes.count, tuple(differences))
    store.comparisons.renew(number, last, now)
    return now


class _Members:
    """A list's members, counted as they pass."""

    def __init__(self, members: Iterable[Member], stop: Callable[[], bool]) -> None:
        self._members = members
        self._stop = stop
        self.count = 0

    def __iter__(self) -> Iterator[Member]:
        for member in self._members:
            self.count += 1
            if not self.count % _ASK_EVERY and self._stop():
                raise StoppedError("Asked to stop while the list was read.")
            yield member


class _Few:
    """Sightings as they pass, and all of them afterwards, where they are few."""

    def __init__(self, sightings: Iterable[Sighting], most: int) -> None:
        self._sightings = sightings
        self._most = most
        self.all: list[Sighting] | None = []

    def __iter__(self) -> Iterator[Sighting]:
        for sighting in self._sightings:
            if self.all is not None:
                self.all.append(sighting)
                if len(self.all) > self._most:
                    self.all = None
            yield sighting
