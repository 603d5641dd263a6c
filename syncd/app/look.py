"""Read and show: check, status, lists."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from syncd.app.world import World
from syncd.core.commands import command
from syncd.core.link import Direction, Link, NewSubscribers, Vanished
from syncd.core.people import ContactId, Member, MemberStatus
from syncd.core.report import Failure, Outcome, in_step
from syncd.errors import SyncdError, UsageError
from syncd.ports import ListId, MemberSide

if TYPE_CHECKING:
    from syncd.store.runs import LinkPart


@dataclass(frozen=True, slots=True)
class Checked:
    """One line of `check`; `exit_code` counts where it is not `ok`, a hint beside `ok` warns."""

    subject: str
    ok: bool
    message: str
    hint: str = ""
    exit_code: int = 0


@dataclass(frozen=True, slots=True)
class ListLine:
    """A link's list; the counts are None where it can't be read, and why in `failure`.

    `members` are on the list, mailed or not; whoever left is counted where the list tells.
    """

    link: str
    backend: str
    name: str
    list_id: ListId | None
    pairs: int
    members: int | None = None
    unsubscribed: int | None = None
    blocked: int | None = None
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """A member of a list; the contact they are paired with, and for what they wait."""

    member: Member
    contact: ContactId | None
    waits: str


def check(world: World) -> list[Checked]:
    """Try everything a run needs, changing nothing."""
    lines = [
        Checked("config", ok=True, message=f"{len(world.links)} links, well-formed"),
        Checked("store", ok=True, message="opened, undamaged"),
    ]
    lines += [Checked("config", ok=True, message=warning) for warning in world.warnings]
    lines.append(_try("Planfix", world.planfix.check))
    lines += _check_rights(world)
    lines += [_check_link(world, link) for link in world.links]
    for name in dict.fromkeys(link.backend for link in world.links):
        lines += _check_backend(world, name)
    return lines


def _check_backend(world: World, name: str) -> Iterator[Checked]:
    """Reach a service, and find the lists that the links have there."""
    subject = f"backend {name}"
    try:
        opened = world.open_backend(name)
    except SyncdError as error:
        yield _failed(subject, error)
        return
    with closing(opened) as backend:
        reached = _try(subject, backend.check)
        yield reached
        for link in world.links:
            if reached.ok and link.backend == name:
                yield from _check_list(world, link, backend)


def _check_rights(world: World) -> Iterator[Checked]:
    """Say what the token must be allowed to; Planfix tells only when it is called."""
    writing = [link for link in world.links if link.direction is not Direction.TO_LIST]
    creating = [link for link in writing if link.new_subscribers is NewSubscribers.CREATE]
    telling = [link for link in world.links if link.consent.field is not None]
    functions = {
        "contact.update": bool(writing),
        "contact.add": bool(creating),
        "contact.updateCustomData": bool(telling),
    }
    needed = ", ".join(name for name, used in functions.items() if used)
    if needed:
        names = ", ".join(link.name for link in world.links if link in {*writing, *telling})
        message = f"written to by {names}; the token must be allowed {needed}"
        yield Checked("Planfix", ok=True, message=message)


def _try(subject: str, attempt: Callable[[], str]) -> Checked:
    try:
        return Checked(subject, ok=True, message=attempt())
    except SyncdError as error:
        return _failed(subject, error)


def _failed(subject: str, error: SyncdError) -> Checked:
    return Checked(subject, False, str(error), error.hint, error.exit_code)


def _check_link(world: World, link: Link) -> Checked:
    subject = f"link {link.name}"
    number = world.store.links.number(link.name)
    if number is None:
        return Checked(subject, ok=True, message="new: its first run adopts and adds")
    pairs = world.store.pairs.count(number)
    moved = world.store.links.scope(number) != world.scopes[link.name]
    if moved and pairs:
        return Checked(
            subject,
            ok=False,
            message="its pairs were made with another account, backend or list",
            hint=f"Put the config back, or: {command('rebase', link.name)}",
            exit_code=4,
        )
    if not moved and world.store.links.creation_unknown(number):
        return Checked(
            subject,
            ok=False,
            message="whether its list was created is unknown",
            hint=f"Set list_id in the config, or: {command('rebase', link.name)}",
            exit_code=78,
        )
    allowance = link.limits.allowance(pairs)
    return Checked(subject, ok=True, message=f"{pairs} pairs; removals in 24 hours: {allowance}")


def _check_list(world: World, link: Link, backend: MemberSide) -> Iterator[Checked]:
    """Find a link's list and read it, where its service lets us."""
    subject, can = f"list of {link.name}", backend.capabilities
    yield _try(subject, lambda: _list_found(world, link, backend))
    if link.vanished is Vanished.RESTORE and can.can_read and not can.tells_unsubscribe:
        yield Checked(
            subject,
            ok=True,
            message='vanished = "restore" subscribes people again who left: this service doesn\'t'
            " tell them from those whom somebody took off",
            hint='Set vanished = "unsubscribe".',
        )


def _list_found(world: World, link: Link, backend: MemberSide) -> str:
    name = link.list_name or "the list"
    list_id = _list_id(world, link, backend)
    if list_id is None:
        looked = "not there yet" if backend.capabilities.finds_lists else "not made yet"
        return f"{name}: {looked}; the first run makes it"
    line = _list_line(world, link, backend)
    if line.members is None:
        return f"{name} (id {list_id}): its service only takes, and can't be read"
    left = f", {line.unsubscribed} unsubscribed" if backend.capabilities.tells_unsubscribe else ""
    return f"{name} (id {list_id}): {line.members} members{left}"


def status(world: World, next_run: datetime | None = None) -> dict[str, Any]:
    """Return how things stand, link by link, without an address in it."""
    last = world.store.runs.last()
    return {
        "links": [_link_status(world, link) for link in world.links],
        "last_run": _brief(last),
        "next_run": next_run.isoformat() if next_run else None,
    }


def _link_status(world: World, link: Link) -> dict[str, Any]:
    store = world.store
    number = store.links.number(link.name)
    last, judged = store.runs.last_of(link.name), store.runs.last_judged(link.name)
    waiting = store.runs.waiting(number) if number is not None else []
    findings = judged.findings if judged is not None else []
    reasons = [f"{message} {hint}".strip() for _, message, hint in findings]
    if last is not None and last.part["error"]:
        reasons.append(f"{last.part['error']['message'].rstrip('.')}. {last.hint}".strip())
    reasons += [f"contact {contact}: {why}" for contact, why in waiting if contact]
    strangers = Counter(why for contact, why in waiting if not contact)
    reasons += [
        f"members of the list without a contact ({count}): {why};"
        f" to see who: {command('lists members', link.name)}"
        for why, count in strangers.items()
    ]
    waits = {
        count: judged.part[count] if judged is not None else 0
        for count in ("withheld", "held", "quarantined")
    }
    return {
        "link": link.name,
        "list": link.list_name or str(link.list_id),
        "in_step": last is not None and in_step(Outcome(last.part["outcome"]), **waits),
        "pairs": store.pairs.count(number) if number is not None else 0,
        **waits,
        "latched": store.consent.count(number) if number is not None else 0,
        "approve": _approval(world, link, judged),
        "last_run": _brief(last.document if last is not None else None),
        "reasons": reasons,
    }


def _approval(world: World, link: Link, judged: "LinkPart | None") -> dict[str, Any] | None:
    """Return the run to approve, with the other links of which that releases something."""
    if judged is None or not judged.part["withheld"]:
        return None
    run = judged.document["run"]
    also = [name for name in world.store.runs.withheld_from(run) if name != link.name]
    return {"run": run, "also": also}


def _brief(document: dict[str, Any] | None) -> dict[str, Any] | None:
    if document is None:
        return None
    return {key: document[key] for key in ("run", "finished", "outcome", "exit_code")}


def lists(world: World) -> list[ListLine]:
    """Return the links' lists, with counts where they can be read; a failure is a line's own."""
    lines = []
    for link in world.links:
        try:
            with closing(world.open_backend(link.backend)) as backend:
                lines.append(_list_line(world, link, backend))
        except SyncdError as error:
            line = _unread(world, link, world.list_id(link))
            lines.append(replace(line, failure=Failure.of(error)))
    return lines


def _list_line(world: World, link: Link, backend: MemberSide) -> ListLine:
    list_id = _list_id(world, link, backend)
    line = _unread(world, link, list_id)
    if list_id is None or not backend.capabilities.can_read:
        return line
    standing = Counter(member.status for member in backend.read(list_id))
    return replace(
        line,
        members=sum(count for status, count in standing.items() if status.on_list),
        unsubscribed=standing[MemberStatus.UNSUBSCRIBED],
        blocked=standing[MemberStatus.BLOCKED],
    )


def _unread(world: World, link: Link, list_id: ListId | None) -> ListLine:
    number = world.store.links.number(link.name)
    pairs = world.store.pairs.count(number) if number is not None else 0
    return ListLine(link.name, link.backend, link.list_name, list_id, pairs)


def _list_id(world: World, link: Link, backend: MemberSide) -> ListId | None:
    """Return the id of a link's list: the known one, else that of the list with its name."""
    known = world.list_id(link)
    return known if known is not None else backend.find_list(link.list_name)


def members(world: World, link: str) -> Iterator[Listed]:
    """Yield a readable list's members, with what syncd knows of each.

    Raises:
        UsageError: the list can't be read, or there is none yet.
    """
    chosen, store = world.link(link), world.store
    number = store.links.number(chosen.name)
    waiting = store.runs.reasons(number) if number is not None else {}
    with closing(world.open_backend(chosen.backend)) as backend:
        if not backend.capabilities.can_read:
            raise UsageError(f"The list of link {link} can't be read: its service only takes.")
        list_id = _list_id(world, chosen, backend)
        if list_id is None:
            raise UsageError(f"Link {link} has no list yet.", hint="Run: syncd --once")
        for member in backend.read(list_id):
            key = member.person.key
            pair = store.pairs.of_key(number, key) if number is not None else None
            contact = pair[0] if pair is not None else None
            waits = waiting.get((contact or 0, "" if contact else key), "")
            yield Listed(member, contact, waits)
