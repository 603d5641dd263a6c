"""Both sides, a config file and a store, with what an operator and the people do to them."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from syncd.app import decisions
from syncd.app.run import run_once
from syncd.app.wiring import open_world
from syncd.app.world import World
from syncd.backends.base import Retry
from syncd.backends.embedded import Embedded
from syncd.core.address import AddressKey, key_of
from syncd.core.people import ContactId, MemberStatus, Person
from syncd.core.report import LinkReport, RunReport
from syncd.ports import Entry, ListId
from syncd.simulator.planfix import SimulatedPlanfix
from tests.fakes.email_service import EmailService, StoredContact
from tests.lists import PlayedList

CUSTOMERS = 'name = "customers"\nselection = "contact"\nbackend = "news"\nlist = "Customers"\n'
OPS = (
    "add", "update", "rename", "remove", "unsubscribe", "planfix_update", "planfix_create",
    "consent",
)  # fmt: skip

Names = tuple[str, str]


@dataclass
class Scene:
    """A whole set-up in one folder. `news` takes the e-mail service protocol, `own` is embedded.

    `more` is what else stands in the config.

    Each `run` opens everything anew, as a process of its own would.
    """

    folder: Path
    planfix: SimulatedPlanfix
    service: EmailService
    links: Sequence[str] = (CUSTOMERS,)
    planfix_keys: Mapping[str, object] = field(default_factory=dict)
    service_url: str = ""
    service_token: str = ""
    attempts: int = 2
    timeout: str = "20s"
    more: str = ""

    def __post_init__(self) -> None:
        self.write_config()

    @property
    def config(self) -> Path:
        return self.folder / "config.toml"

    @property
    def store(self) -> Path:
        return self.folder / "syncd.db"

    def write_config(self, **changes: Any) -> None:
        """Write the config file, with fields of the scene changed first."""
        for name, value in changes.items():
            setattr(self, name, value)
        planfix = {
            "url": self.planfix.url,
            "account": self.planfix.account,
            "api_key": self.planfix.api_key,
            "token": self.planfix.token,
            "requests_per_second": 100000.0,
            **self.planfix_keys,
        }
        self.config.touch(mode=0o600)
        self.config.write_text(
            "[planfix]\n"
            + "".join(f"{key} = {json.dumps(value)}\n" for key, value in planfix.items())
            + f'[retry]\nattempts = {self.attempts}\nwait = "1s"\ntimeout = "{self.timeout}"\n'
            + '[store]\npath = "syncd.db"\n'
            + '[[backends]]\nname = "news"\ntype = "planfix-json"\n'
            + f'url = "{self.service_url or self.service.url}"\n'
            + f'token = "{self.service_token or self.service.token}"\n'
            + '[[backends]]\nname = "own"\ntype = "embedded"\npath = "lists.db"\n'
            + "".join(f"[[links]]\n{link}" for link in self.links)
            + self.more,
            encoding="utf-8",
        )

    # An operator.

    @contextmanager
    def world(self) -> Iterator[World]:
        with open_world(self.config) as world:
            yield world

    def run(
        self,
        *links: str,
        dry_run: bool = False,
        stop: Callable[[], bool] = lambda: False,
    ) -> RunReport:
        with self.world() as world:
            return run_once(world, links=links, dry_run=dry_run, stop=stop)

    def link_of(self, report: RunReport, name: str = "customers") -> LinkReport:
        return next(link for link in report.links if link.link == name)

    def approve(self, run: str) -> int:
        with self.world() as world:
            return decisions.approve(world, run)

    def unsubscribe(self, address: str, link: str = "customers") -> str:
        with self.world() as world:
            return decisions.unsubscribe(world, link, address)

    def rebase(self, link: str = "customers") -> int:
        with self.world() as world:
            return decisions.rebase(world, link)

    def forget(self, address: str) -> decisions.Forgotten:
        with self.world() as world:
            return decisions.forget(world, address)

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "syncd", "--config", str(self.config), *arguments]

    def start(self, *arguments: str, timezone: str = "UTC") -> "subprocess.Popen[str]":
        return subprocess.Popen(
            self.command(*arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "TZ": timezone},
        )

    def syncd(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run the command to its end."""
        return subprocess.run(
            self.command(*arguments), capture_output=True, text=True, timeout=60, check=False
        )

    # The lists.

    def members(self, name: str = "Customers") -> dict[str, Names]:
        """Return who is on a list of the service, with their names; nobody where it is missing."""
        return {key: (who.first, who.last) for key, who in self._stored(name).items()}

    def ids(self, name: str = "Customers") -> dict[str, int]:
        """Return the contacts that the members of a list were said to be."""
        return {key: who.id for key, who in self._stored(name).items()}

    def _stored(self, name: str) -> dict[AddressKey, StoredContact]:
        newest_first = reversed(self.service.lists.values())
        return next((stored.members for stored in newest_first if stored.name == name), {})

    @contextmanager
    def embedded(self) -> Iterator[Embedded]:
        with closing(Embedded(Embedded.Options(path=self.folder / "lists.db"), Retry())) as own:
            yield own

    def change_member(self, address: str, person: Person) -> None:
        """Let a member change what the embedded list has of them."""
        with self.embedded() as own:
            entry = Entry(ContactId(0), person)
            if key_of(address) == person.key:
                [result] = own.upsert("1", [entry], known=True)
            else:
                result = own.rename("1", address, entry)
        assert result.ok, result

    def own_members(self, list_id: ListId = "1") -> dict[str, Names]:
        """Return the active members of an embedded list, with their names."""
        with self.embedded() as own:
            return {
                member.person.key: (member.person.first, member.person.last)
                for member in own.read(list_id)
                if member.status is MemberStatus.ACTIVE
            }


def link(name: str, *, backend: str = "news", selection: str = "contact", more: str = "") -> str:
    """Return a link's table, with a list of its own name."""
    keys = f'name = "{name}"\nselection = "{selection}"\nbackend = "{backend}"\n'
    return f'{keys}list = "{name.title()}"\n{more}'


def scene_of(
    make_scene: Callable[..., Scene], people: PlayedList, more: str = 'direction = "both"\n'
) -> Scene:
    """Make a link from all persons to a list that people play on."""
    return make_scene(
        more=f"[[backends]]\n{people.table}", links=[link("customers", backend="played", more=more)]
    )


def add(planfix: SimulatedPlanfix, *addresses: str) -> list[ContactId]:
    """Add a contact for each address, named after it."""
    return [ContactId(planfix.add(name=a[0].upper(), last_name="Berg", email=a)) for a in addresses]


def quiet(scene: Scene) -> None:
    """Say that a run has nothing to do."""
    report = scene.run()
    assert (report.exit_code, planned(scene.link_of(report))) == (0, {})


def counts(**ops: int) -> dict[str, int]:
    """Return counts of operations, zero for those that are not named."""
    return {op: ops.get(op, 0) for op in OPS}


def planned(report: LinkReport) -> dict[str, int]:
    """Return what a link planned, without the zeros."""
    return {op.value: count for op, count in report.planned.items() if count}


def applied(report: LinkReport) -> dict[str, int]:
    """Return what a link did, without the zeros."""
    return {op.value: count for op, count in report.applied.items() if count}
