"""A whole world on loopback: a simulated Planfix, the embedded list, two runs, and their story."""

import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from syncd.app import look
from syncd.app.run import run_once
from syncd.app.wiring import open_world
from syncd.app.world import World
from syncd.core.report import LinkReport, RunReport
from syncd.simulator.planfix import SimulatedPlanfix

if TYPE_CHECKING:
    from syncd.core.people import Member

CONTACTS: Final = 243
_LINK: Final = "customers"
_CONFIG: Final = """
[planfix]
url = "{url}"
account = "{account}"
api_key = "{api_key}"
token = "{token}"
requests_per_second = 1000.0

[store]
path = "syncd.db"

[[backends]]
name = "news"
type = "embedded"
path = "lists.db"

[[links]]
name = "customers"
selection = "contact"
backend = "news"
list = "Customers"
"""


def demo(show: Callable[[str], None]) -> int:
    """Play the demo and return an exit code; everything it makes is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="syncd-demo-") as folder, SimulatedPlanfix() as planfix:
        people = _people(planfix)
        config = Path(folder) / "config.toml"
        config.touch(mode=0o600)
        config.write_text(
            _CONFIG.format(
                url=planfix.url,
                account=planfix.account,
                api_key=planfix.api_key,
                token=planfix.token,
            ),
            encoding="utf-8",
        )
        with open_world(config) as world:
            return _play(_Stage(show), planfix, people, world)


def _people(planfix: SimulatedPlanfix) -> Mapping[str, int]:
    """Fill Planfix: a crowd, and the few whom the story follows."""
    planfix.populate(CONTACTS, seed=7)
    cast = {
        "Anna": ("Anna", "Berg", "anna.berg@example.com"),
        "Boris": ("Boris", "Lind", "boris@example.com"),
        "Clara": ("Clara", "Holm", "clara@example.com"),
        "Daria": ("Daria", "Vogt", "daria@example.org"),
        "Emil": ("Emil", "Sand", "emil@example.org"),
        "Freja": ("Freja", "Dahl", "freja@example.com"),
    }
    return {
        who: planfix.add(name=name, last_name=last, email=email)
        for who, (name, last, email) in cast.items()
    }


def _play(
    stage: "_Stage", planfix: SimulatedPlanfix, people: Mapping[str, int], world: World
) -> int:
    stage.title("syncd demo: Planfix contacts into a mailing list, on this machine alone")

    stage.act("1", "The first run", "Everyone with a usable address is put on the list.")
    first = run_once(world, trigger="demo")
    stage.run(first)

    stage.act(
        "2", "Nothing changed", "A run asks Planfix for each page once, and the list nothing."
    )
    before = planfix.calls("contact.getList")
    second = run_once(world, trigger="demo")
    stage.run(second)
    stage.line(f"calls to Planfix: {planfix.calls('contact.getList') - before}, to the list: 0")

    stage.act("3", "A working day in Planfix", "Colleagues change contacts:")
    planfix.edit(people["Anna"], last_name="Berg-Lund")
    stage.line("Anna marries: her last name changes")
    planfix.edit(people["Daria"], email="daria.vogt@example.net")
    stage.line("Daria gets a new address")
    _swap(planfix, people["Boris"], people["Clara"])
    stage.line("Boris and Clara had each other's address: somebody swaps them")
    planfix.delete(people["Emil"])
    stage.line("Emil is deleted")
    planfix.edit(people["Freja"], email="freja@@example")
    stage.line("a slip of the hand turns Freja's address into 'freja@@example'")

    stage.act("4", "The next run", "Each change reaches the list, and nothing else does.")
    third = run_once(world, trigger="demo")
    stage.run(third)
    _members_now(stage, world)

    stage.act("5", "Why?", "syncd history daria.vogt@example.net")
    for told in look.history(world, "daria.vogt@example.net"):
        stage.line(f"{told.at:%H:%M:%S}  {told.run}  {told.what}")
    stage.act("", "Freja's member keeps the old address", "syncd status")
    for link in look.status(world)["links"]:
        for reason in link["reasons"]:
            stage.line(f"held: {reason}")
    stage.end()
    return max(first.exit_code, second.exit_code, third.exit_code)


def _swap(planfix: SimulatedPlanfix, one: int, other: int) -> None:
    mine, theirs = planfix.contacts[one].email, planfix.contacts[other].email
    planfix.edit(one, email="")
    planfix.edit(other, email=mine)
    planfix.edit(one, email=theirs)


def _members_now(stage: "_Stage", world: World) -> None:
    wanted = ("anna", "boris", "clara", "daria", "emil", "freja")
    found: dict[str, Member] = {
        member.person.key.partition("@")[0].partition(".")[0]: member
        for member in look.members(world, _LINK)
        if member.person.key.startswith(wanted)
        and member.person.last in {"Berg-Lund", "Lind", "Holm", "Vogt", "Sand", "Dahl"}
    }
    stage.line("")
    stage.line("on the list now:")
    for who in wanted:
        member = found.get(who)
        if member is None:
            stage.line(f"  {who:6} not on the list")
        else:
            person = member.person
            stage.line(f"  {person.address:26} {person.first} {person.last}")


class _Stage:
    """Tells the story, with a little colour where it is shown on a terminal."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show
        self._colour = sys.stdout.isatty()

    def _paint(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour else text

    def title(self, text: str) -> None:
        self._show(self._paint(text, "1"))

    def act(self, number: str, title: str, text: str) -> None:
        head = f"{number}. {title}" if number else title
        self._show("")
        self._show(self._paint(head, "1;36"))
        self._show(f"   {text}")

    def line(self, text: str) -> None:
        self._show(f"   {text}".rstrip())

    def run(self, report: RunReport) -> None:
        for link in report.links:
            self._link(report, link)

    def _link(self, report: RunReport, link: LinkReport) -> None:
        applied = [f"{count} {op.value}" for op, count in link.applied.items() if count]
        done = self._paint(", ".join(applied) or "nothing to do", "32")
        self.line(f"run {report.run}: {link.planfix_read} contacts read, certified")
        self.line(f"list: {done}")
        if link.held:
            self.line(self._paint(f"held: {link.held} (an address that can't be used)", "33"))
        if link.failure is not None:
            self.line(self._paint(link.failure.message, "31"))

    def end(self) -> None:
        self._show("")
        self._show("All of it was real: HTTP on loopback, two SQLite files, now removed.")
        self._show("Next: config.example.toml, then syncd check and syncd --dry-run")
