"""Lists that can be read, and what people and their administrators do there.

One interface for all of them, so that one test can be played on each; a name is one text, as
some lists hold no more. Nothing here goes through syncd.
"""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from copy import deepcopy
from pathlib import Path
from typing import Any, Final, Protocol

from syncd.backends.base import Retry
from syncd.backends.embedded import Embedded
from syncd.core.address import AddressKey, key_of
from syncd.core.people import ContactId, Member, MemberStatus, Person
from syncd.core.plan import Result
from syncd.ports import Entry
from syncd.wire.email_service import Change
from tests.fakes.email_service import EmailService, StoredContact, StoredList
from tests.fakes.listmonk import TOKEN, ListmonkServer
from tests.fakes.listmonk import USER as API_USER
from tests.fakes.mailman import DOMAIN, MailmanServer
from tests.fakes.mailman import USER as ADMIN

QUIET: Final = {
    "pre_verified": True,
    "pre_confirmed": True,
    "pre_approved": True,
    "send_welcome_message": False,
}

Restore = Callable[[], None]


class PlayedList(Protocol):
    """The list of the link "customers", as people know it.

    `table` is the backend's in the config. `tells` says whether it tells who left from who
    was never there; `splits` whether it holds first and last name apart.
    """

    table: str
    tells: bool
    splits: bool

    def members(self) -> dict[str, str]:
        """Return who is active, and their names, by key."""

    def gone(self) -> set[AddressKey]:
        """Return who the list says has left."""

    def join(self, address: str, name: str) -> None:
        """Let a person subscribe, at their own will."""

    def leave(self, address: str) -> None:
        """Let a member unsubscribe."""

    def complain(self, address: str) -> None:
        """Let a member call a letter spam."""

    def bounce(self, address: str) -> None:
        """Let letters to a member come back until the list sends no more."""

    def rename(self, address: str, new: str) -> None:
        """Let a member change their address; one that somebody has is left alone."""

    def call(self, address: str, name: str) -> None:
        """Let a member change their name."""

    def wipe(self, address: str) -> None:
        """Let an administrator erase a member."""

    def kept(self) -> Restore:
        """Make a backup of the list; what is returned puts it back."""


class PlayedEmbedded:
    """syncd's own list."""

    table = 'name = "played"\ntype = "embedded"\npath = "played.db"\n'
    tells = True
    splits = True

    def __init__(self, folder: Path) -> None:
        self._path = folder / "played.db"

    def _open(self) -> Any:
        return closing(Embedded(Embedded.Options(path=self._path), Retry()))

    def members(self) -> dict[str, str]:
        return {
            member.person.key: f"{member.person.first} {member.person.last}".strip()
            for member in self._read()
            if member.status is MemberStatus.ACTIVE
        }

    def gone(self) -> set[AddressKey]:
        return {
            member.person.key
            for member in self._read()
            if member.status is MemberStatus.UNSUBSCRIBED
        }

    def _read(self) -> list[Member]:
        with self._open() as own:
            return [] if own.find_list("Customers") is None else list(own.read("1"))

    def join(self, address: str, name: str) -> None:
        first, _, last = name.partition(" ")
        with self._open() as own:
            own.ensure_list("Customers")
            own.join("1", Person.of(address, first, last))

    def leave(self, address: str) -> None:
        with self._open() as own:
            own.leave("1", address)

    complain = leave

    def bounce(self, address: str) -> None:
        self._set(address, "blocked")

    def wipe(self, address: str) -> None:
        self._set(address, "removed")

    def _set(self, address: str, status: str) -> None:
        with closing(sqlite3.connect(self._path)) as db, db:
            db.execute(
                "UPDATE member SET status = ? WHERE email_key = ?", (status, key_of(address))
            )

    def rename(self, address: str, new: str) -> None:
        name = self.members()[key_of(address)]
        first, _, last = name.partition(" ")
        with self._open() as own:
            own.rename("1", address, Entry(ContactId(0), Person.of(new, first, last)))

    def call(self, address: str, name: str) -> None:
        first, _, last = name.partition(" ")
        with self._open() as own:
            [result] = own.upsert(
                "1", [Entry(ContactId(0), Person.of(address, first, last))], known=True
            )
        assert result.result in {Result.DONE, Result.UNCHANGED}

    def kept(self) -> Restore:
        with closing(sqlite3.connect(self._path)) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        bytes_then = self._path.read_bytes()

        def restore() -> None:
            for side in ("-wal", "-shm"):
                Path(f"{self._path}{side}").unlink(missing_ok=True)
            self._path.write_bytes(bytes_then)

        return restore


class PlayedListmonk:
    """A simulated listmonk."""

    tells = True
    splits = False

    def __init__(self, server: ListmonkServer) -> None:
        self.server = server
        self.table = (
            f'name = "played"\ntype = "listmonk"\nurl = "{server.url}"\n'
            f'user = "{API_USER}"\ntoken = "{TOKEN}"\n'
        )

    @property
    def _list(self) -> int:
        found = [each.id for each in self.server.lists.values() if each.name == "Customers"]
        return found[0] if found else self.server.make_list("Customers")

    def members(self) -> dict[str, str]:
        return {
            key_of(person.email): person.name
            for (_, number), row in self.server.rows.items()
            if row.status != "unsubscribed"  # a list that asks for nothing needs no more
            and (person := self.server.people[number]).status == "enabled"
        }

    def gone(self) -> set[AddressKey]:
        complained = {row["subscriber_id"] for row in self.server.bounces if row["type"] != "hard"}
        return {
            key_of(self.server.people[number].email)
            for (_, number), row in self.server.rows.items()
            if row.status == "unsubscribed" or number in complained
        }

    def join(self, address: str, name: str) -> None:
        known = [p.id for p in self.server.people.values() if key_of(p.email) == key_of(address)]
        number = known[0] if known else self.server.make_person(address, name)
        if self.server.people[number].status != "blocklisted":
            self.server.welcome.add(number)
            self.server.join(self._list, number)

    def leave(self, address: str) -> None:
        self.server.welcome.discard(self.server.person(address).id)
        self.server.leave(self._list, address)

    def complain(self, address: str) -> None:
        self.server.welcome.discard(self.server.person(address).id)
        self.server.bounce(address, "complaint")

    def bounce(self, address: str) -> None:
        self.server.bounce(address)

    def rename(self, address: str, new: str) -> None:
        if all(key_of(person.email) != key_of(new) for person in self.server.people.values()):
            self.server.person(address).email = new

    def call(self, address: str, name: str) -> None:
        self.server.person(address).name = name

    def wipe(self, address: str) -> None:
        self.server.wipe(address)

    def kept(self) -> Restore:
        server = self.server
        then = deepcopy((server.people, server.rows, server.bounces))

        def restore() -> None:
            server.people, server.rows, server.bounces = deepcopy(then)

        return restore


class PlayedMailman:
    """A real Mailman."""

    tells = False
    splits = False

    def __init__(self, server: MailmanServer) -> None:
        self._server = server
        self.table = (
            f'name = "played"\ntype = "mailman3"\nurl = "http://127.0.0.1:{server.port}/3.1"\n'
            f'user = "{ADMIN}"\npassword = "{server.password}"\ndomain = "{DOMAIN}"\n'
        )
        self._list = f"customers.{DOMAIN}"

    def _find(self, **more: str) -> list[dict[str, Any]]:
        query = {"list_id": self._list, "role": "member", **more}
        return list(self._server.ask("POST", "/members/find", query).get("entries", []))

    def members(self) -> dict[str, str]:
        if self._server.request("GET", f"/lists/{self._list}")[0] != 200:
            return {}
        bounced = {row["email"] for row in self._find(delivery_status="by_bounces")}
        return {
            row["email"]: row.get("display_name", "")
            for row in self._find()
            if row["email"] not in bounced
        }

    def gone(self) -> set[AddressKey]:
        return set()

    def join(self, address: str, name: str) -> None:
        fields = {"list_id": self._list, "subscriber": address, "display_name": name, **QUIET}
        self._server.request("POST", "/members", fields)

    def leave(self, address: str) -> None:
        emails = {"emails": [address.lower()]}
        self._server.ask("DELETE", f"/lists/{self._list}/roster/member", emails)

    complain = wipe = leave

    def bounce(self, address: str) -> None:
        [row] = [row for row in self._find() if row["email"] == address.lower()]
        stopped = {"delivery_status": "by_bounces"}
        self._server.ask("PATCH", f"/members/{row['member_id']}/preferences", stopped)

    def rename(self, address: str, new: str) -> None:
        """Leave and join: Mailman's own way for who has no account there."""
        name = self.members()[address.lower()]
        if new.lower() not in {row["email"] for row in self._find()}:
            self.leave(address)
            self.join(new, name)

    def call(self, address: str, name: str) -> None:
        self._server.ask("PATCH", f"/addresses/{address.lower()}", {"display_name": name})

    def kept(self) -> Restore:
        return self._server.kept()


class PlayedTold:
    """A list that can't be read, whose service tells what people do there.

    Nobody erases a member there, and no backup of it is put back: nothing would tell of that.
    """

    tells = True
    splits = True
    list_id: Final = "lst-customers"

    def __init__(self, service: EmailService, tell: Callable[[Change, Person, str], None]) -> None:
        self._service = service
        self._tell = tell
        service.lists[self.list_id] = StoredList("Customers")
        self.table = (
            f'name = "played"\ntype = "planfix-json"\nurl = "{service.url}"\n'
            f'token = "{service.token}"\n[receiver]\n'
        )

    @property
    def _members(self) -> dict[AddressKey, StoredContact]:
        return self._service.lists[self.list_id].members

    def members(self) -> dict[str, str]:
        return {key: f"{who.first} {who.last}".strip() for key, who in self._members.items()}

    def gone(self) -> set[AddressKey]:
        return set()

    def join(self, address: str, name: str) -> None:
        self._service.opted_out.discard(key_of(address))
        self._put(Change.ADD, address, name)

    def leave(self, address: str) -> None:
        who = self._members.pop(key_of(address))
        self._service.opted_out.add(key_of(address))
        self._tell(Change.DELETE, Person.of(address, who.first, who.last), "")

    complain = leave

    def rename(self, address: str, new: str) -> None:
        if key_of(new) not in self._members:
            name = self.members()[key_of(address)]
            del self._members[key_of(address)]
            self._service.opted_out.discard(key_of(new))
            self._put(Change.UPDATE, new, name, address)

    def call(self, address: str, name: str) -> None:
        self._put(Change.UPDATE, address, name)

    def _put(self, change: Change, address: str, name: str, old: str = "") -> None:
        first, _, last = name.partition(" ")
        self._members[key_of(address)] = StoredContact(0, address, first, last)
        self._tell(change, Person.of(address, first, last), old)

    def bounce(self, address: str) -> None:
        raise NotImplementedError

    wipe = bounce

    def kept(self) -> Restore:
        raise NotImplementedError
