"""Links as remembered: what their pairs were made with, and their list's id."""

import json
import sqlite3
from collections.abc import Mapping
from typing import Final, NamedTuple

from syncd.core.link import LinkNumber, Selection
from syncd.ports import ListId
from syncd.store.database import Database

_FOLLOW = (
    "INSERT INTO contact (selection, id, address, key, first, last, fault, page)"
    " SELECT ?, contact, address, key, first, last, '', NULL FROM pair WHERE link = ?"
    " ON CONFLICT (selection, id) DO NOTHING"
)

_KNOWN: Final = """
SELECT link.name, link.id, link.scope, link.list_id,
       COALESCE(substr(selection.target, 1, length(?1)) = ?1, 0),
       EXISTS (SELECT 1 FROM pair WHERE pair.link = link.id), link.ran,
       EXISTS (SELECT 1 FROM latch WHERE latch.link = link.id)
  FROM link LEFT JOIN selection ON selection.id = link.selection ORDER BY link.id
"""

# What may be known of a link before its first run.
_LEARNED: Final = ("latch", "gone", "lifted", "reported", "event", "operation")

# Who left one list and is active on another has not come back: their latch stays.
_FORGET_GONE = "DELETE FROM gone WHERE link = ?"


class _List(NamedTuple):
    """A list, as far as a config and a store tell it from others."""

    place: tuple[str, ...]
    name: str
    ids: frozenset[str]

    @classmethod
    def of(cls, scope: str, list_id: ListId | None) -> "_List":
        """Return the list of a link; written in two ways it may well be the same to a service."""
        if not scope:  # no run has met the link
            return cls((), "", frozenset())
        _, _, _, place, name, named = json.loads(scope)
        ids = frozenset(str(each).casefold() for each in (named, list_id) if each is not None)
        parts = tuple(part.rstrip("/") for part in place.casefold().split())
        return cls(parts, name.casefold(), ids)

    def is_one_with(self, other: "_List") -> bool:
        """Say whether two are one list for certain."""
        if not self.place or self.place != other.place:
            return False
        if self.ids and other.ids:
            return not self.ids.isdisjoint(other.ids)
        return bool(self.name) and self.name == other.name


class _Known(NamedTuple):
    """A link as the store knows it."""

    number: LinkNumber
    list: _List
    pushed: bool
    paired: bool
    ran: bool
    latched: bool

    @property
    def begun(self) -> bool:
        """Whether a run has brought anybody to the list, or came to its end."""
        return self.paired or self.ran


class Links:
    """The links a store has known."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def number(self, name: str) -> LinkNumber | None:
        """Return a link's number, or None where no run has met it."""
        rows = self._database.rows("SELECT id FROM link WHERE name = ?", (name,))
        return LinkNumber(rows[0][0]) if rows else None

    def rename(self, scopes: Mapping[str, str]) -> None:
        """Have each list's link called what the config calls it now, by its scope.

        So a list keeps what is known of it, and above all of who left it, whatever its link is
        called. A link that the config has no more stays with its list; where its name was given
        to another, it takes the one that was free.
        """
        as_before = dict(self._database.rows("SELECT name, scope FROM link"))
        if scopes.items() <= as_before.items() or not _renamed(self._known(), scopes):
            return
        with self._database.transaction() as raw:
            known = self._known()  # another process may have been faster
            renamed = _renamed(known, scopes)
            raw.executemany(
                "UPDATE link SET name = ' ' || id WHERE id = ?",
                [(each.number,) for each in renamed.values()],
            )
            raw.executemany(
                "UPDATE link SET name = ? WHERE id = ?",
                [(name, each.number) for name, each in renamed.items()],
            )
            for name, each in renamed.items():
                before = known.get(name)
                if before is not None and not before.begun:
                    for table in _LEARNED:
                        raw.execute(
                            f"UPDATE OR REPLACE {table} SET link = ? WHERE link = ?",
                            (each.number, before.number),
                        )

    def left_with(self, list_id: ListId, scopes: Mapping[str, str], link: str) -> str | None:
        """Return the name of a link that the config has no more, and whose list is this link's."""
        found = _List.of(scopes[link], list_id)
        for name, known in self._known().items():
            if name in scopes or known.pushed or not (known.paired or known.latched):
                continue
            if known.list.is_one_with(found):
                return name
        return None

    def _known(self) -> dict[str, _Known]:
        return {
            name: _Known(
                LinkNumber(number),
                _List.of(scope, None if list_id is None else json.loads(list_id)),
                *map(bool, flags),
            )
            for name, number, scope, list_id, *flags in self._database.rows(
                _KNOWN, (Selection.pushed("").target,)
            )
        }

    def open(self, name: str, scope: str, selection: int, *, follow: bool = True) -> LinkNumber:
        """Return a link's number; a new link, or one without pairs, takes this scope.

        Where the selection changed, the paired contacts become ones that the new selection
        has not shown, so that they are judged like any that is missing. Without `follow`, it is
        a new beginning: the pairs end.
        """
        with self._database.transaction() as raw:
            raw.execute(
                "INSERT INTO link (name, scope, selection, asked) VALUES (?, ?, ?, 0)"
                " ON CONFLICT (name) DO NOTHING",
                (name, scope, selection),
            )
            number, known_scope, known_selection = raw.execute(
                "SELECT id, scope, selection FROM link WHERE name = ?", (name,)
            ).fetchone()
            paired = raw.execute("SELECT 1 FROM pair WHERE link = ? LIMIT 1", (number,)).fetchone()
            if known_scope != scope and not paired:
                raw.execute(
                    "UPDATE link SET scope = ?, list_id = NULL, asked = 0 WHERE id = ?",
                    (scope, number),
                )
                raw.execute(_FORGET_GONE, (number,))
            if known_selection != selection:
                if follow:
                    raw.execute(_FOLLOW, (selection, number))
                else:
                    _end_pairs(raw, number)
                raw.execute("UPDATE link SET selection = ? WHERE id = ?", (selection, number))
        return LinkNumber(number)

    def scope(self, link: LinkNumber) -> str:
        """Return what the pairs of a link were made with."""
        return str(self._database.rows("SELECT scope FROM link WHERE id = ?", (link,))[0][0])

    def list_id(self, link: LinkNumber) -> ListId | None:
        """Return the list's id as its service gave it, or None while there is none."""
        rows = self._database.rows("SELECT list_id FROM link WHERE id = ?", (link,))
        if not rows or rows[0][0] is None:
            return None
        found: ListId = json.loads(rows[0][0])
        return found

    def creation_unknown(self, link: LinkNumber) -> bool:
        """Whether a list's creation was sent and its answer never came."""
        return bool(self._database.rows("SELECT asked FROM link WHERE id = ?", (link,))[0][0])

    def ask(self, link: LinkNumber) -> None:
        """Remember, before the call, that a list is being created."""
        self._set(link, list_id=None, asked=True)

    def answered(self, link: LinkNumber, list_id: ListId | None) -> None:
        """Remember the list's id; None: it certainly was not created."""
        self._set(link, list_id=list_id, asked=False)

    def has_run(self, link: LinkNumber) -> bool:
        """Whether a link's first run, which writes nothing to Planfix, is over."""
        return bool(self._database.rows("SELECT ran FROM link WHERE id = ?", (link,))[0][0])

    def ran(self, link: LinkNumber) -> None:
        """Remember that a run of the link came to its end."""
        with self._database.transaction() as raw:
            raw.execute("UPDATE link SET ran = 1 WHERE id = ? AND NOT ran", (link,))

    def latch_met(self, link: LinkNumber) -> int:
        """Return the newest latch of the account that was looked for among the pairs."""
        return int(self._database.rows("SELECT latch_met FROM link WHERE id = ?", (link,))[0][0])

    def _set(self, link: LinkNumber, *, list_id: ListId | None, asked: bool) -> None:
        with self._database.transaction() as raw:
            raw.execute(
                "UPDATE link SET list_id = ?, asked = ? WHERE id = ?",
                (None if list_id is None else json.dumps(list_id), asked, link),
            )

    def rebase(self, link: LinkNumber, scope: str) -> int:
        """Forget the pairs of a link and its list; return how many.

        Consent stays, and so do people's wishes to leave that were not told yet.
        """
        with self._database.transaction() as raw:
            known = raw.execute("SELECT scope FROM link WHERE id = ?", (link,)).fetchone()
            if known != (scope,):
                raw.execute(_FORGET_GONE, (link,))
            raw.execute(
                "UPDATE link SET scope = ?, list_id = NULL, asked = 0 WHERE id = ?", (scope, link)
            )
            return _end_pairs(raw, link)


def _end_pairs(raw: sqlite3.Connection, link: LinkNumber) -> int:
    """Forget a link's pairs, and drop what was to be done for them; return how many they were.

    Who asked to leave, and whom the list has not been told of, still asks.
    """
    ended = raw.execute("DELETE FROM pair WHERE link = ?", (link,)).rowcount
    raw.execute("UPDATE link SET ran = 0, latch_met = 0 WHERE id = ?", (link,))
    raw.execute("UPDATE reported SET contact = NULL WHERE link = ?", (link,))
    for table in ("held", "quarantine", "subscriber"):
        raw.execute(f"DELETE FROM {table} WHERE link = ?", (link,))
    raw.execute(
        "UPDATE operation SET state = 'dropped' WHERE link = ?"
        " AND state IN ('planned', 'sent', 'withheld') AND op <> 'unsubscribe'",
        (link,),
    )
    return ended


def _renamed(known: Mapping[str, _Known], scopes: Mapping[str, str]) -> dict[str, _Known]:
    """Return the links that are to have another name, by that name."""
    now = dict(known)
    wanted = {name: _List.of(scope, None) for name, scope in scopes.items()}
    for name, its_list in wanted.items():
        own = now.get(name)
        fits = own is not None and own.list.is_one_with(its_list)
        if own is not None and (own.pushed or (fits and own.begun)):
            continue
        for other, stray in now.items():
            at_home = other in wanted and stray.list.is_one_with(wanted[other])
            if at_home or stray.pushed or not stray.list.is_one_with(its_list):
                continue
            if not fits or stray.paired or stray.latched:
                now[name] = stray
                if own is None:
                    del now[other]
                else:
                    now[other] = own
                break
    return {name: each for name, each in now.items() if known.get(name) != each}
