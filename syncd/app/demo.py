"""A whole world on loopback: a simulated Planfix, the embedded list, a working day, its story."""

import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

from syncd.app import look
from syncd.app.history import history
from syncd.app.run import run_once
from syncd.app.wiring import open_world
from syncd.app.world import World
from syncd.backends.base import Retry
from syncd.backends.embedded import Embedded
from syncd.core.people import NOBODY, Person
from syncd.core.report import LinkReport, RunReport
from syncd.ports import Entry, ListId
from syncd.simulator.planfix import SimulatedPlanfix
from syncd.wire.email_service import CreateList, encode_request

CONTACTS: Final = 242
_WRONGLY_OUT: Final = 80
_FILTER: Final = "715"
_LINK: Final = "newsletter"
_LISTS: Final = "lists.db"
_CAST: Final = {
    "Anna": ("Berg", "anna@example.com"),
    "Boris": ("Lind", "boris@example.com"),
    "Clara": ("Holm", "clara@example.com"),
    "Daria": ("Vogt", "daria@example.com"),
    "Emil": ("Sand", "emil@example.com"),
    "Freja": ("Dahl", "freja@example.com"),
    "Gustav": ("Ek", "gustav@example.com"),
}
_PUSH_TOKEN: Final = "demo-token"  # noqa: S105  (of a world that ends with the demo)
_NEW_ADDRESS: Final = "daria.vogt@example.org"
_CONSENT_FIELD: Final = 10124
_GONE_WELL: Final = [0, 0, 0, 0, 0, 4, 0]
_FAULT: Final = 70
_CONFIG: Final = """
[planfix]
url = "{url}"
account = "{account}"
api_key = "{api_key}"
token = "{token}"
requests_per_second = 1000.0

[schedule]
every = "1m"

[store]
path = "syncd.db"

[[backends]]
name = "news"
type = "embedded"
path = "{lists}"

[[links]]
name = "newsletter"
selection = "filter:715"
backend = "news"
list = "Newsletter"
direction = "both"
[links.consent]
field = {consent_field}
unsubscribed = "Unsubscribed"
subscribed = "Subscribed"

[receiver]
listen = "127.0.0.1:0"
admin_listen = "127.0.0.1:0"
[[receiver.email]]
token = "{push_token}"
backend = "news"

[log]
level = "error"
"""


def demo(show: Callable[[str], None], stay: Callable[[Path], None] = lambda _: None) -> int:
    """Play the demo and return an exit code; everything it makes is gone afterwards.

    `stay` gets the config of its world when the story is told; the world lasts until it returns.
    """
    with tempfile.TemporaryDirectory(prefix="syncd-demo-") as folder, SimulatedPlanfix() as planfix:
        cast = _people(planfix)
        config = Path(folder) / "config.toml"
        config.touch(mode=0o600)
        config.write_text(
            _CONFIG.format(
                url=planfix.url,
                account=planfix.account,
                api_key=planfix.api_key,
                token=planfix.token,
                lists=_LISTS,
                consent_field=_CONSENT_FIELD,
                push_token=_PUSH_TOKEN,
            ),
            encoding="utf-8",
        )
        lists = Embedded.Options(path=Path(folder) / _LISTS)
        stage = _Stage(show)
        with open_world(config) as world, closing(Embedded(lists, Retry())) as people:
            code = _Play(stage, planfix, people, cast, world).play()
        stay(config)
        stage.end()
    return code


def addresses(ports: Mapping[str, int]) -> list[str]:
    """Tell where a world that stays can be seen, given what its daemon listens at."""
    pushes, seen = (f"http://127.0.0.1:{ports[key]}" for key in ("listen", "admin_listen"))
    request = encode_request(CreateList("Guests"), _PUSH_TOKEN).decode()
    return [
        "",
        "The daemon is up, with a run every minute. Ctrl-C ends it.",
        f"   page     {seen}/",
        f"   metrics  {seen}/metrics",
        f"   health   {seen}/health",
        "   A list, pushed as Planfix would do it:",
        f"            curl -d '{request}' {pushes}/planfix/email",
    ]


def _people(planfix: SimulatedPlanfix) -> Mapping[str, int]:
    """Fill Planfix: a crowd, and the few whom the story follows; all are in one saved filter."""
    planfix.populate(CONTACTS, seed=7)
    cast = {
        first: planfix.add(name=first, last_name=last, email=email)
        for first, (last, email) in _CAST.items()
    }
    persons = [contact.id for contact in planfix.contacts.values() if not contact.is_company]
    planfix.add_filter(_FILTER, "Newsletter", persons)
    return cast


class _Play:
    """The acts, in the order of the day."""

    def __init__(
        self,
        stage: "_Stage",
        planfix: SimulatedPlanfix,
        people: Embedded,
        cast: Mapping[str, int],
        world: World,
    ) -> None:
        self._stage = stage
        self._planfix = planfix
        self._people = people  # what they do on the list by themselves
        self._cast = cast
        self._world = world
        self._codes: list[int] = []

    def play(self) -> int:
        """Play all acts; a day that did not go as told is a fault of syncd's own."""
        self._stage.title("syncd demo: Planfix, a mailing list and one working day")
        self._mornings()
        self._day()
        self._who_left()
        self._mistake()
        self._who_waits()
        return 0 if self._codes == _GONE_WELL else _FAULT

    def _mornings(self) -> None:
        stage = self._stage
        stage.act("1. The first run", "syncd --once")
        people = [who for who in self._planfix.contacts.values() if not who.is_company]
        without = sum(not who.email for who in people)
        stage.line(f'A filter in Planfix, "Newsletter", takes {len(people)} people, {without} of')
        stage.line("them without an address. The mailing list is empty.")
        self._run()
        stage.act("2. Nothing has changed", "syncd --once")
        self._run()

    def _day(self) -> None:
        stage = self._stage
        stage.act("3. A working day on both sides")
        self._in_planfix()
        self._on_the_list()
        stage.act("4. What would a run do?", "syncd --dry-run")
        self._run(dry_run=True)
        stage.act("5. Do it", "syncd --once")
        self._run()
        daria, gustav = (self._planfix.contacts[self._cast[name]] for name in ("Daria", "Gustav"))
        stage.line(f"Planfix has Daria at {daria.email} now,")
        stage.line(f'and its field for consent shows "{gustav.custom[_CONSENT_FIELD]}" for Gustav.')
        stage.line("Of these people, the list has:")
        for listed in look.members(self._world, _LINK):
            member, person = listed.member, listed.member.person
            if person.first in _CAST and person.last.split("-")[0] == _CAST[person.first][0]:
                name = f"{person.first} {person.last}"
                left = "" if member.status.on_list else stage.amber(member.status)
                stage.line(f"  {person.address:24} {name:16} {left}")

    def _in_planfix(self) -> None:
        stage, cast, edit = self._stage, self._cast, self._planfix.edit
        edit(cast["Anna"], last_name="Berg-Lund")
        stage.line("Planfix: Anna Berg marries and is now Anna Berg-Lund.")
        boris, clara = _CAST["Boris"][1], _CAST["Clara"][1]
        edit(cast["Boris"], email=clara)
        edit(cast["Clara"], email=boris)
        stage.line("         Boris and Clara had each other's address; a colleague swaps them.")
        self._planfix.delete(cast["Emil"])
        edit(cast["Freja"], email="freja@@example")
        stage.line("         Emil is deleted. A slip of the hand makes Freja's freja@@example.")

    def _on_the_list(self) -> None:
        stage = self._stage
        daria = Person.of(_NEW_ADDRESS, "Daria", _CAST["Daria"][0])
        self._people.rename(self._list_id, _CAST["Daria"][1], Entry(NOBODY, daria))
        stage.line("The list: Daria gives her new address there.")
        self._people.leave(self._list_id, _CAST["Gustav"][1])
        stage.line("          Gustav unsubscribes.")

    def _who_left(self) -> None:
        stage, address = self._stage, _CAST["Gustav"][1]
        stage.act("6. Who left stays out", "syncd --once")
        self._planfix.edit(self._cast["Gustav"], last_name="Eek")
        stage.line("Somebody corrects Gustav's name in Planfix: he is Gustav Eek.")
        (link,) = self._run().links
        stage.line(f"kept out, since they unsubscribed: {stage.amber(str(link.suppressed))}")
        stage.line(stage.dim(f"$ syncd history {address}"))
        for told in history(self._world, address):
            first, *more = told.what.split("; ")
            stage.line(f"{told.at:%H:%M:%S}  {first}")
            for line in more:
                stage.line(f"          {line}")

    def _mistake(self) -> None:
        stage, planfix = self._stage, self._planfix
        stage.act("7. A mistake in Planfix", "syncd --once")
        crowd = [who.id for who in planfix.contacts.values() if who.email and not who.is_company]
        fallen = crowd[:_WRONGLY_OUT]
        stage.line(f"Somebody edits the filter, and {len(fallen)} people drop out of it.")
        for contact in fallen:
            planfix.take_out(contact, _FILTER)
        report = self._run()
        stage.line(f"If they had really left: syncd approve {report.run}")
        stage.line(
            "They have not: the filter is put right, and the next run has nothing to withhold."
        )
        for contact in fallen:
            planfix.put_in(contact, _FILTER)
        self._run()

    def _who_waits(self) -> None:
        stage = self._stage
        stage.act("8. Who waits, and for what?", "syncd status")
        for link in look.status(self._world)["links"]:
            stage.line(f"{link['pairs']} pairs, {link['withheld']} withheld, {link['held']} held")
            for reason in link["reasons"]:
                stage.line(stage.amber(reason))
        stage.line("That is Freja: she keeps her place on the list, at the old address.")

    @property
    def _list_id(self) -> ListId:
        found = self._world.list_id(self._world.link(_LINK))
        if found is None:
            raise RuntimeError("the first run made no list")
        return found

    def _run(self, *, dry_run: bool = False) -> RunReport:
        calls = self._planfix.calls("contact.getList")
        report = run_once(self._world, dry_run=dry_run, trigger="demo")
        self._codes.append(report.exit_code)
        calls = self._planfix.calls("contact.getList") - calls
        for link in report.links:
            self._stage.read(link, calls)
            for operation in link.operations or ():
                where = operation.email
                if operation.old_email:
                    where = f"{operation.old_email} → {where}"
                self._stage.line(f"{operation.op:14} {where:42} {operation.why}")
            self._stage.done(link, report)
        return report


class _Stage:
    """Tells the story, with a little colour where it is shown on a terminal."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show
        self._colour = sys.stdout.isatty()

    def _paint(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour else text

    def amber(self, text: str) -> str:
        """Paint what waits for somebody."""
        return self._paint(text, "33")

    def dim(self, text: str) -> str:
        """Paint what somebody types."""
        return self._paint(text, "2")

    def title(self, text: str) -> None:
        self._show(self._paint(text, "1"))

    def act(self, title: str, command: str = "") -> None:
        self._show("")
        told = self._paint(title, "1;36")
        self._show(f"{told}  {self.dim('$ ' + command)}" if command else told)

    def line(self, text: str) -> None:
        self._show(f"   {text}".rstrip())

    def read(self, link: LinkReport, calls: int) -> None:
        """Show what was read, and what stood in the way of that."""
        if link.failure is not None:
            self.line(self._paint(link.failure.message, "31"))
            return
        proved = "complete" if link.certified else "not known to be complete"
        self.line(f"read: {link.planfix_read} contacts in {calls} calls, {proved}")

    def done(self, link: LinkReport, report: RunReport) -> None:
        """Show what came of it."""
        if not report.dry_run:
            applied = [f"{count} {op.value}" for op, count in link.applied.items() if count]
            self.line(f"done: {self._paint(', '.join(applied) or 'nothing', '32')}")
        if link.held:
            self.line(f"held: {self.amber(str(link.held))}")
        if link.withheld:
            self.line(f"withheld: {self.amber(str(link.withheld))}, exit code {report.exit_code}")
        for finding in link.findings:
            self.line(self.amber(finding.message))

    def end(self) -> None:
        self._show("")
        self._show("All of it was real: HTTP on loopback and two SQLite files, now removed.")
        self._show("Next: config.example.toml, then syncd check and syncd --dry-run")
