"""A person's word: approve, forget, rebase, unsubscribe, delete a list, back up."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from syncd.app.apply import DAY, stamp
from syncd.app.run import new_run_id, opened
from syncd.app.settle import settle
from syncd.app.world import OpenLink, World
from syncd.core.address import NO_KEY, key_asked_for
from syncd.core.link import ConsentScope, Link
from syncd.core.pairs import NewLatch
from syncd.core.people import NOBODY, ContactId, Person
from syncd.core.plan import Op, Operation
from syncd.errors import BusyError, ConfigurationError, SyncdError, UsageError


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was erased; `still_on` names links whose list still has the person."""

    contacts: int
    latched: bool
    still_on: tuple[str, ...]


def approve(world: World, run: str) -> int:
    """Release what a run withheld, for 24 hours; return how many operations that are.

    Raises:
        UsageError: there is no such run, or it withheld nothing.
    """
    withheld = world.store.runs.withheld(run)
    if withheld is None:
        raise UsageError(f"There is no run {run!r}.", hint="See: syncd status")
    if not withheld:
        raise UsageError(
            f"Run {run} has nothing withheld.",
            hint="Approve the last run, or the first that was refused: syncd status",
        )
    world.store.runs.approve(run, at=stamp(), until=stamp(DAY))
    return withheld


def forget(world: World, address: str) -> Forgotten:
    """Erase a person's data from the store, audit and history; a latch stays, as a hash.

    Raises:
        UsageError: nothing is known of that address, or it is none.
        BusyError: a run is under way, which may hold the person's data.
    """
    runs, stories, key = world.store.runs, world.store.stories, key_asked_for(address)
    with world.store.lock():
        traces = stories.traces(key)
        latches = stories.latches(traces, world.store.consent.hashed)
        contacts = traces.contacts
        if not (contacts or latches or stories.operations(traces) or stories.seen(traces)):
            raise UsageError("Nothing is known of that address.")
        still_on = runs.links_on(key, contacts)
        runs.forget(key, contacts)
    return Forgotten(len(contacts), bool(latches), tuple(still_on))


def release(world: World, address: str, *, links: Sequence[str], reason: str) -> int:
    """Lift the latches of a person, so that the next run may subscribe them again.

    `links` are names, none standing for all. Returns how many latches were lifted.

    Raises:
        UsageError: no such link, no address, or nobody with that address is latched there.
        BusyError: a run is under way.
    """
    store, key, run, at = world.store, key_asked_for(address), new_run_id(), stamp()
    lifted = 0
    addresses, people = {key}, set[ContactId]()
    with store.lock():
        for link in world.chosen(links):
            number = store.links.number(link.name)
            if number is None:
                continue
            pushed = link.selection.is_pushed
            contacts = set(store.runs.contacts_with(key, pushed=pushed))
            if (pair := store.pairs.of_key(number, key)) is not None:
                contacts.add(pair[0])
            keys = {key, *store.pairs.keys_of(number, sorted(contacts))}
            lifted += store.consent.release(
                number, sorted(keys), sorted(contacts), run=run, at=at, reason=reason
            )
            addresses |= keys
            people |= contacts
        if not links:  # of the account's latches nothing is left, for lists to come either
            lifted = max(lifted, store.consent.release_everywhere(addresses, people))
    if not lifted:
        raise UsageError(
            "Nobody with that address is latched there.", hint="See: syncd history EMAIL"
        )
    return lifted


def rebase(world: World, link: str) -> int:
    """Forget the pairs of a link that now points elsewhere; return how many. Consent stays."""
    name = world.link(link).name
    number = world.store.links.number(name)
    if number is None:
        return 0
    with world.store.lock():
        return world.store.links.rebase(number, world.scopes[name])


def unsubscribe(world: World, link: str, address: str) -> str:
    """Take a person off a list at their wish: latch first, then tell the list.

    The latch holds from the moment this returns, whatever the list answers. While a run is
    under way it, or the next one, tells the list.

    Raises:
        UsageError: no such link, or no address.
    """
    key_asked_for(address)
    chosen = world.link(link)
    reaches = [chosen]
    if chosen.consent.scope is ConsentScope.ACCOUNT:
        reaches = [chosen, *(other for other in world.links if other.name != chosen.name)]
    run = new_run_id()
    person = Person.of(address, "", "")
    waiting = [_latch(world, reached, person, run) for reached in reaches]
    try:
        with world.store.lock():
            left = [at.link.name for at in waiting if _tell(at, person)]
    except BusyError:
        return (
            "Latched: they are not subscribed again."
            " The run that is under way tells the list, or the next one does."
        )
    except SyncdError as error:
        return (
            f"Latched: they are not subscribed again. The list could not be told yet ({error})."
            " The next run tries again."
        )
    finally:
        for open_link in waiting:
            open_link.backend.close()
    if not left:
        names = ", ".join(reached.name for reached in reaches)
        return (
            "Latched: they are not subscribed again. There is no member at that address on the"
            f" list of {names}. Where they have another one, unsubscribe that too:"
            " syncd history EMAIL"
        )
    return f"Unsubscribed from {', '.join(left)}; syncd never subscribes them again by itself."


def _latch(world: World, link: Link, person: Person, run: str) -> OpenLink:
    open_link = opened(world, link, run)
    store, number = world.store, open_link.number
    keys, contact, known = {person.key}, NOBODY, person
    if (pair := store.pairs.of_key(number, person.key)) is not None:
        contact, known = pair[0], pair[1].base
    if (report := store.reports.about(number, person.key)) is not None:
        contact, known = report.contact or contact, report.member.person
        keys |= {known.key, report.old_key} - {NO_KEY}
    contacts = {
        each
        for key in keys
        for each in store.runs.contacts_with(key, pushed=link.selection.is_pushed)
    } | {contact}
    why = "unsubscribed by an operator, at the person's wish"
    latches = [NewLatch(why, key=key) for key in sorted(keys)]
    latches += [NewLatch(why, contact=each) for each in sorted(contacts - {NOBODY})]
    wish = Operation(Op.UNSUBSCRIBE, contact, known, why)
    store.consent.let_go(number, open_link.consent_number, latches, wish, run=run, at=stamp())
    return open_link


def _tell(open_link: OpenLink, person: Person) -> bool:
    """Tell the list what it was not told yet; say whether it had that person."""
    list_id = open_link.store.links.list_id(open_link.number)
    settled = settle(open_link, open_link.link.list_id if list_id is None else list_id)
    return settled is not None and person.key not in settled.unmet


def delete_list(world: World, link: str) -> str:
    """Delete a link's list on its backend; the pairs end, consent stays.

    Raises:
        UsageError: no list of that link is known.
    """
    chosen = world.link(link)
    with world.store.lock(), closing(world.open_backend(chosen.backend)) as backend:
        number = world.store.links.number(chosen.name)
        list_id = world.list_id(chosen)
        if list_id is None:
            raise UsageError(f"Link {link} has no list yet.")
        backend.delete_list(list_id)
        ended = 0
        if number is not None:
            ended = world.store.links.rebase(number, world.scopes[chosen.name])
        if chosen.selection.is_pushed:
            world.store.pushes.end(link, at=stamp())
            return (
                f"The list of {link} is deleted; {ended} pairs ended, and the link with them."
                " Have Planfix give the list up, too: what it pushes is refused."
            )
    return (
        f"The list of {link} is deleted; {ended} pairs ended. The next run makes it anew:"
        " take the link out of the config if it shall stay away."
    )


def backup(world: World, target: Path) -> int:
    """Copy the store to a new file while others work; return its size in bytes.

    Raises:
        ConfigurationError: the file exists, or can't be written.
    """
    try:
        return world.store.backup(target)
    except OSError as error:
        raise ConfigurationError(
            f"The backup {target} can't be written: {error.strerror}.",
            hint="Name a file that does not exist yet, in a folder that can be written.",
        ) from error
