"""Learn of a list that can't be read from what its service told."""

from collections.abc import Iterator

from syncd.app.world import OpenLink
from syncd.core.pairs import Known
from syncd.core.pushes import Reported
from syncd.engine.sightings import reported


def sight(open_link: OpenLink) -> tuple[Reported, ...]:
    """Take what the service told since the last run as sightings; return all of it.

    Each comes with the contact whose member it is of now.
    """
    store, number = open_link.store, open_link.number
    read: list[Reported] = []

    def beside_pairs() -> Iterator[tuple[Reported, Known | None]]:
        for report in store.reports.of(number):
            pair = store.pairs.of_member(number, report.contact, report.member.person.key)
            read.append(report if pair is None else report.of(pair.contact))
            yield report, pair

    differences = reported(beside_pairs(), open_link.backend.capabilities.names)
    store.sightings.replace(number, differences, follows=False)
    return tuple(read)
