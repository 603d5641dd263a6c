"""Read and show: check, status, lists."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from syncd.app.world import World
from syncd.core.link import Link
from syncd.core.people import Member
from syncd.errors import SyncdError, UsageError
from syncd.ports import ListId


@dataclass(frozen=True, slots=True)
class Checked:
    """One line of `check`; `exit_code` counts where it is not `ok`."""

    subject: str
    ok: bool
    message: str
    hint: str = ""
    exit_code: int = 0


@dataclass(frozen=True, slots=True)
class ListLine:
    """A link's list; `members` is None where it can't be read."""

    link: str
    backend: str
    name: str
    list_id: ListId | None
    pairs: int
    members: int | None


def check(world: World) -> list[Checked]:
    """Try everything a run needs, changing nothing."""
    lines = [
        Checked("config", ok=True, message=f"{len(world.links)} links, well-formed"),
        Checked("store", ok=True, message="opened, undamaged"),
    ]
    lines += [Checked("config", ok=True, message=warning) for warning in world.warnings]
    lines.append(_try("Planfix", world.planfix.check))
    for name in dict.fromkeys(link.backend for link in world.links):
        lines.append(_try(f"backend {name}", _Backend(world, name).check))
    lines += [_check_link(world, link) for link in world.links]
    return lines


class _Backend:
    def __init__(self, world: World, name: str) -> None:
        self._world = world
        self._name = name

    def check(self) -> str:
        with closing(self._world.open_backend(self._name)) as backend:
            return backend.check()


def _try(subject: str, attempt: Callable[[], str]) -> Checked:
    try:
        return Checked(subject, ok=True, message=attempt())
    except SyncdError as error:
        return Checked(subject, False, str(error), error.hint, error.exit_code)


def _check_link(world: World, link: Link) -> Checked:
    subject = f"link {link.name}"
    number = world.store.links.number(link.name)
    if number is None:
        return Checked(subject, ok=True, message="new: its first run adopts and adds")
    if world.store.links.scope(number) != world.scopes[link.name]:
        return Checked(
            subject,
            ok=False,
            message="its pairs were made with another account, backend or list",
            hint=f"Put the config back, or: syncd rebase {link.name}",
            exit_code=4,
        )
    if world.store.links.creation_unknown(number):
        return Checked(
            subject,
            ok=False,
            message="whether its list was created is unknown",
            hint=f"Set list_id in the config, or: syncd rebase {link.name}",
            exit_code=78,
        )
    pairs = world.store.pairs.count(number)
    allowance = link.limits.allowance(pairs)
    return Checked(subject, ok=True, message=f"{pairs} pairs; removals in 24 hours: {allowance}")


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
    document = store.runs.last(link.name)
    found: dict[str, Any] = next(
        (part for part in (document or {}).get("links", ()) if part["link"] == link.name), {}
    )
    findings = store.runs.findings(document["run"], link.name) if document else []
    waiting = store.runs.waiting(number) if number is not None else []
    reasons = [f"{message} {hint}".strip() for _, message, hint in findings]
    if found.get("error"):
        reasons.append(found["error"]["message"])
    reasons += [f"contact {contact}: {why}" for contact, why in waiting]
    quiet = not (found.get("withheld") or found.get("held") or found.get("quarantined"))
    return {
        "link": link.name,
        "list": link.list_name or str(link.list_id),
        "in_step": found.get("outcome") == "ok" and quiet,
        "pairs": store.pairs.count(number) if number is not None else 0,
        "withheld": found.get("withheld", 0),
        "held": found.get("held", 0),
        "quarantined": found.get("quarantined", 0),
        "latched": store.consent.count(number) if number is not None else 0,
        "last_run": _brief(document),
        "reasons": reasons,
    }


def _brief(document: dict[str, Any] | None) -> dict[str, Any] | None:
    if document is None:
        return None
    return {key: document[key] for key in ("run", "finished", "outcome", "exit_code")}


def lists(world: World) -> list[ListLine]:
    """Return the links' lists, with counts where they can be read."""
    return [_list_line(world, link) for link in world.links]


def _list_line(world: World, link: Link) -> ListLine:
    number = world.store.links.number(link.name)
    list_id = world.list_id(link)
    members = None
    with closing(world.open_backend(link.backend)) as backend:
        if backend.capabilities.can_read and list_id is not None:
            members = sum(1 for _ in backend.read(list_id))
    pairs = world.store.pairs.count(number) if number is not None else 0
    return ListLine(link.name, link.backend, link.list_name, list_id, pairs, members)


def members(world: World, link: str) -> Iterator[Member]:
    """Yield a readable list's members.

    Raises:
        UsageError: the list can't be read, or there is none yet.
    """
    chosen = world.link(link)
    line = _list_line(world, chosen)
    with closing(world.open_backend(chosen.backend)) as backend:
        if not backend.capabilities.can_read:
            raise UsageError(f"The list of link {link} can't be read: its service only takes.")
        if line.list_id is None:
            raise UsageError(f"Link {link} has no list yet.", hint="Run: syncd --once")
        yield from backend.read(line.list_id)
