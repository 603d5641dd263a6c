"""What people wish on a list counts, whatever anybody does: a machine plays them all.

People join, leave, complain, bounce, and change their names and addresses on the list; contacts
come, change, go and come back in Planfix; an operator decides, forgets and restores backups; runs
die at any call. The model knows who wants the list. After each run: nobody who left was put back
by us; nobody was taken off who is still in Planfix and wants the list; Planfix got no empty value
and no contact twice. Left alone, both sides settle, and then a run plans nothing.
"""

import shutil
import tempfile
from collections import Counter
from contextlib import ExitStack, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

from freezegun import freeze_time
from hypothesis import HealthCheck, Phase, assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from syncd import clock
from syncd.app import decisions
from syncd.app.run import run_once
from syncd.app.wiring import account_of, open_world
from syncd.core.address import AddressKey, fault_of, key_of
from syncd.core.people import ContactId, Person
from syncd.core.report import RunReport
from syncd.engine.consent import Latches
from syncd.errors import UsageError
from syncd.receiver.pushes import reported
from syncd.simulator.people import SimulatedContact
from syncd.simulator.planfix import SimulatedPlanfix
from syncd.wire.email_service import Accepted, Change, MemberReport
from tests.dying import Crash, dying
from tests.fakes.email_service import EmailService
from tests.fakes.listmonk import ListmonkServer
from tests.fakes.mailman import MailmanServer
from tests.lists import (
    PlayedEmbedded,
    PlayedList,
    PlayedListmonk,
    PlayedMailman,
    PlayedTold,
    Restore,
)
from tests.scene import Scene, link, planned

FIELD = 10124
POOL = tuple(f"p{number}@example.com" for number in range(6))
ADDRESSES = (*POOL, "P3@Example.com", "", "bad@@")
NAMES = ("Anna Berg", "Ben Ozols", "Cleo Lund")
NUMBERS = st.integers(0, 11)
FILTER = "77"


class Wishes(RuleBasedStateMachine):
    """One account, read three contacts a page, and one list that is read.

    `keys` are more of the link's.
    """

    keys: ClassVar[str] = ""

    def __init__(self) -> None:
        super().__init__()
        self._stack, self._opened = ExitStack(), ExitStack()
        self.folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        self.planfix = self._stack.enter_context(SimulatedPlanfix())
        self.service = self._stack.enter_context(EmailService())
        self.people = self.make_list()
        self.out: set[AddressKey] = set()  # addresses whose owners left
        self.left: set[int] = set()  # contacts whose owners left
        self.created: Counter[AddressKey] = Counter()  # by us, in Planfix
        self.backup: tuple[Restore, set[AddressKey]] | None = None
        self.stored = False

    def make_list(self) -> PlayedList:
        return PlayedEmbedded(self.folder)

    @initialize(
        direction=st.sampled_from(["both", "both", "to-list", "to-planfix"]),
        conflict=st.sampled_from(["planfix", "list", "hold"]),
        vanished=st.sampled_from(["unsubscribe", "unsubscribe", "restore"]),
        create=st.booleans(),
        scope=st.sampled_from(["link", "account"]),
        shows=st.booleans(),
        releases=st.booleans(),
    )
    def begin(
        self,
        direction: str,
        conflict: str,
        vanished: str,
        *,
        create: bool,
        scope: str,
        shows: bool,
        releases: bool,
    ) -> None:
        if direction == "to-planfix":  # which puts nobody back
            vanished = "unsubscribe"
        self.direction, self.restores = direction, vanished == "restore"
        more = f'direction = "{direction}"\nconflict = "{conflict}"\nvanished = "{vanished}"\n'
        if create and direction != "to-list":
            more += 'new_subscribers = "create"\n'
        more += self.keys + "[links.limits]\nremovals_floor = 2\nremovals_percent = 30\n"
        more += f'[links.consent]\nscope = "{scope}"\n'
        if shows:
            more += f'field = {FIELD}\nunsubscribed = "no"\nsubscribed = "yes"\n'
            more += f"allow_planfix_release = {str(releases).lower()}\n"
        self.releases = shows and releases
        self.scene = Scene(
            self.folder,
            self.planfix,
            self.service,
            [link("customers", backend="played", selection=f"filter:{FILTER}", more=more)],
            planfix_keys={"page_size": 3},
            more=f"[[backends]]\n{self.people.table}",
        )
        self.open_world()
        self.planfix.add_filter(FILTER, "Newsletter")
        for number in range(4):
            self.a_contact_comes(POOL[number], NAMES[number % 3])
        self.people.join(POOL[3], "Dora Quist")
        self.people.join(POOL[4], "Emil Rask")
        before = dict(self.planfix.contacts)
        self.run()
        assert self.planfix.contacts == before  # a first run writes nothing to Planfix

    def teardown(self) -> None:
        try:
            if hasattr(self, "world"):
                self.settle()
        finally:
            self._opened.close()
            self._stack.close()

    def open_world(self) -> None:
        self.world = self._opened.enter_context(open_world(self.scene.config))

    # Runs, and what must be true after each.

    def run(self, *, dry_run: bool = False) -> RunReport:
        with self.judged():
            report = run_once(self.world, dry_run=dry_run)
        assert report.exit_code in {0, 1, 4}, report
        [done] = report.links
        assert sum(done.planned.values()) >= sum(done.applied.values()) + done.withheld
        return report

    def judged(self) -> "Judged":
        return Judged(self)

    @property
    def number(self):  # type: ignore[no-untyped-def]
        number = self.world.store.links.number("customers")
        assert number is not None
        return number

    def latches(self) -> Latches:
        consent = self.world.store.consent
        return Latches(*consent.latched(self.number), consent.hashed)

    def contacts(self) -> list[SimulatedContact]:
        return list(self.planfix.contacts.values())

    def selected(self) -> list[SimulatedContact]:
        listed = self.planfix.listing(FILTER) or []
        return [self.planfix.contacts[contact] for contact in listed]

    def anybody(self, number: int) -> int:
        ids = sorted(self.planfix.contacts)
        assume(ids)
        return ids[number % len(ids)]

    def member(self, number: int) -> str:
        members = sorted(self.people.members())
        assume(members)
        return members[number % len(members)]

    def behind(self, key: AddressKey) -> set[int]:
        """Return the contacts of an address: those who have it, and whose member it is."""
        contacts = {c.id for c in self.contacts() if key_of(c.email) == key}
        if self.world.store.links.number("customers") is not None:
            pair = self.world.store.pairs.of_key(self.number, key)
            contacts |= {pair[0]} if pair is not None else set()
        return contacts

    def leaves(self, address: str, *, told: bool) -> None:
        """Note that somebody left; where that isn't told, nobody can know it of a stranger."""
        if not told and self.world.store.pairs.of_key(self.number, key_of(address)) is None:
            return
        self.out.add(key_of(address))
        self.left |= self.behind(key_of(address))

    def returns(self, *addresses: str) -> None:
        for key in map(key_of, addresses):
            self.out.discard(key)
            self.left -= self.behind(key)

    # People on the list.

    @rule(address=st.sampled_from(POOL), name=st.sampled_from(NAMES))
    def somebody_joins(self, address: str, name: str) -> None:
        if key_of(address) not in self.people.members():
            self.people.join(address, name)
            if key_of(address) in self.people.members():
                self.returns(address)

    @rule(number=NUMBERS)
    def a_member_leaves(self, number: int) -> None:
        address = self.member(number)
        self.leaves(address, told=self.people.tells)
        self.people.leave(address)

    @rule(number=NUMBERS)
    def a_member_complains(self, number: int) -> None:
        address = self.member(number)
        self.leaves(address, told=self.people.tells)
        self.people.complain(address)

    @rule(number=NUMBERS)
    def a_member_bounces(self, number: int) -> None:
        self.people.bounce(self.member(number))

    @rule(number=NUMBERS, name=st.sampled_from(NAMES))
    def a_member_changes_their_name(self, number: int, name: str) -> None:
        self.people.call(self.member(number), name)

    @rule(number=NUMBERS, new=st.sampled_from(POOL))
    def a_member_changes_their_address(self, number: int, new: str) -> None:
        old = self.member(number)
        self.people.rename(old, new)
        if key_of(new) in self.people.members() and old not in self.people.members():
            self.returns(new)

    @rule(number=NUMBERS)
    def a_member_is_erased(self, number: int) -> None:
        address = self.member(number)
        if not self.restores:
            self.leaves(address, told=False)
        self.people.wipe(address)

    # People in Planfix.

    @rule(email=st.sampled_from(ADDRESSES), name=st.sampled_from(NAMES))
    def a_contact_comes(self, email: str, name: str) -> None:
        first, _, last = name.partition(" ")
        contact = self.planfix.add(name=first, last_name=last, email=email)
        self.planfix.put_in(contact, FILTER)
        if key_of(email) in self.out:
            self.left.add(contact)

    @rule(number=NUMBERS, email=st.sampled_from(ADDRESSES))
    def a_contact_moves(self, number: int, email: str) -> None:
        self.planfix.edit(self.anybody(number), email=email)

    @rule(number=NUMBERS, name=st.sampled_from(NAMES))
    def a_contact_changes_its_name(self, number: int, name: str) -> None:
        first, _, last = name.partition(" ")
        self.planfix.edit(self.anybody(number), name=first, last_name=last)

    @rule(one=NUMBERS, two=NUMBERS)
    def two_contacts_swap_addresses(self, one: int, two: int) -> None:
        first, second = self.anybody(one), self.anybody(two)
        addresses = self.planfix.contacts[first].email, self.planfix.contacts[second].email
        self.planfix.edit(first, email=addresses[1])
        self.planfix.edit(second, email=addresses[0])

    @rule(number=NUMBERS)
    def a_contact_is_deleted(self, number: int) -> None:
        self.planfix.delete(self.anybody(number))

    @rule(number=NUMBERS)
    def a_contact_leaves_the_selection(self, number: int) -> None:
        self.planfix.take_out(self.anybody(number), FILTER)

    @rule(number=NUMBERS)
    def a_contact_enters_the_selection(self, number: int) -> None:
        self.planfix.put_in(self.anybody(number), FILTER)

    @rule(number=NUMBERS)
    def a_contact_is_hidden_from_us(self, number: int) -> None:
        self.planfix.hide(self.anybody(number))

    @rule(number=NUMBERS)
    def a_contact_is_shown_to_us_again(self, number: int) -> None:
        self.planfix.unhide(self.anybody(number))

    @rule(number=NUMBERS, value=st.sampled_from(["yes", "no", ""]))
    def a_consent_field_is_set_by_hand(self, number: int, value: str) -> None:
        contact = self.anybody(number)
        self.planfix.edit(contact, custom={FIELD: value})
        if self.releases and value == "yes":
            self.released({contact})

    # The operator.

    @rule(number=NUMBERS)
    def an_operator_unsubscribes_a_member(self, number: int) -> None:
        address = self.member(number)
        self.leaves(address, told=True)
        decisions.unsubscribe(self.world, "customers", address)

    @rule(number=NUMBERS)
    def an_operator_releases_somebody(self, number: int) -> None:
        left = sorted(self.out)
        assume(left)
        address = left[number % len(left)]
        self.released(self.behind(address), address)
        with suppress(UsageError):  # not read yet that they left
            decisions.release(self.world, address, links=(), reason="asked us")

    def released(self, contacts: set[int], *keys: AddressKey) -> None:
        """Take a person's word that they may be subscribed again."""
        known = self.world.store.pairs.keys_of(self.number, [ContactId(c) for c in contacts])
        now = {key_of(c.email) for c in self.contacts() if c.id in contacts}
        self.out -= {*keys, *known, *now}
        self.left -= contacts

    @rule(number=NUMBERS)
    def somebody_is_forgotten(self, number: int) -> None:
        """Who vanished since the last run was known by their pair alone, which goes with it."""
        left = sorted(self.out)
        assume(left)
        address = left[number % len(left)]
        if address not in self.people.gone() and not self.latches().holds_key(address):
            self.out.remove(address)
            self.left -= self.behind(address)
        with suppress(UsageError):
            decisions.forget(self.world, address)

    @rule()
    def the_link_is_rebased(self) -> None:
        """Who vanished since the last run was known by their pair alone."""
        decisions.rebase(self.world, "customers")
        self.only_what_is_known()

    def only_what_is_known(self) -> None:
        latches, gone = self.latches(), self.people.gone()
        self.out = {key for key in self.out if key in gone or latches.holds_key(key)}
        known = {contact for key in self.out for contact in self.behind(key)}
        self.left &= known | latches.contacts

    @rule()
    def a_run_is_made(self) -> None:
        self.run()

    @rule()
    def what_a_run_withheld_is_approved(self) -> None:
        report = self.run()
        if report.links[0].withheld:
            decisions.approve(self.world, report.run)

    @rule()
    def a_dry_run_changes_nothing(self) -> None:
        before = self.people.members(), dict(self.planfix.contacts)
        self.run(dry_run=True)
        assert (self.people.members(), dict(self.planfix.contacts)) == before

    @rule(calls=st.integers(1, 5), done=st.booleans())
    def a_run_dies_at_a_call(self, calls: int, *, done: bool) -> None:
        with self.judged(), suppress(Crash):
            run_once(dying(self.world, calls, done=done))

    # Backups.

    @rule()
    def the_list_is_backed_up(self) -> None:
        self.backup = (self.people.kept(), set(map(key_of, self.people.members())))

    @precondition(lambda self: self.backup is not None)
    @rule()
    def the_list_is_restored(self) -> None:
        """Whom it brings back counts as returned: few at once are, many wait for a person."""
        assert self.backup is not None
        restore, members = self.backup
        before = self.people.members().keys()
        restore()
        self.returns(*(members - before))

    @rule()
    def the_store_is_backed_up(self) -> None:
        (self.folder / "store.copy").unlink(missing_ok=True)
        decisions.backup(self.world, self.folder / "store.copy")
        self.stored = True

    @precondition(lambda self: self.stored and self.people.tells)
    @rule()
    def the_store_is_restored(self) -> None:
        """What the list itself still tells is learned anew; nobody knows the rest."""
        self._opened.close()
        for side in ("", "-wal", "-shm"):
            (self.folder / f"syncd.db{side}").unlink(missing_ok=True)
        shutil.copy(self.folder / "store.copy", self.folder / "syncd.db")
        self.open_world()
        self.only_what_is_known()

    # Left alone.

    @rule()
    def settle(self) -> None:
        for contact in tuple(self.planfix.contacts):
            self.planfix.unhide(contact)
        quiet_runs = 0  # a first run says nothing to Planfix yet
        for _ in range(10):
            report = self.run()
            quiet_runs = 0 if planned(report.links[0]) else quiet_runs + 1
            if report.links[0].withheld:
                decisions.approve(self.world, report.run)
            if quiet_runs > 1:
                break
        before = self.people.members(), dict(self.planfix.contacts)

        quiet = self.run()

        assert quiet.exit_code in {0, 1}
        assert planned(quiet.links[0]) == {}
        assert (self.people.members(), dict(self.planfix.contacts)) == before
        assert self.out & before[0].keys() == set()  # an operator's word has been told, too
        self.both_sides_agree()

    def both_sides_agree(self) -> None:
        latches, members = self.latches(), self.people.members()
        waiting = {contact for contact, _ in self.world.store.runs.waiting(self.number)}
        for contact in self.selected():
            key = key_of(contact.email)
            pair = self.world.store.pairs.of_key(self.number, key)
            if (
                fault_of(contact.email)
                or contact.id in latches.contacts | waiting
                or latches.holds_key(key)
            ):
                continue
            if self.direction != "to-planfix":
                assert pair is not None, contact
            if pair is not None and pair[0] == contact.id and pair[1].status == "active":
                assert key in members, contact
                if self.direction == "both":
                    assert members[key] == f"{contact.name} {contact.last_name}".strip()


class Judged:
    """What one run may not do."""

    def __init__(self, life: Wishes) -> None:
        self._life = life

    def __enter__(self) -> None:
        self._members = self._life.people.members()
        self._contacts = dict(self._life.planfix.contacts)

    def __exit__(self, *_: object) -> None:
        life, members = self._life, self._life.people.members()
        contacts = dict(life.planfix.contacts)
        latches = life.latches()
        for key in map(AddressKey, members.keys() - self._members.keys()):
            assert key not in life.out, f"{key} had left"
            behind = {c.id for c in contacts.values() if key_of(c.email) == key}
            assert not behind & life.left or behind - life.left, f"whoever has {key} had left"
        wanted = {
            key_of(c.email)
            for c in life.selected()
            if c.id not in latches.contacts and not latches.holds_key(key_of(c.email))
        }
        taken_off = (self._members.keys() - members.keys()) & wanted
        assert not taken_off
        for number, before in self._contacts.items():
            after = contacts[number]
            for name in ("name", "last_name", "email"):
                assert getattr(after, name) or not getattr(before, name), f"{name} emptied"
            if life.direction == "to-list":
                assert after._replace(custom={}) == before._replace(
                    custom={}, last_update=after.last_update
                )
        for number in contacts.keys() - self._contacts.keys():
            key = key_of(contacts[number].email)
            assert all(key_of(c.email) != key for c in self._contacts.values()), "known already"
            life.created[key] += 1


class WishesOnListmonk(Wishes):
    """The same on a list that holds names as one text, and people on a server's every list."""

    def make_list(self) -> PlayedList:
        self.server = self._stack.enter_context(ListmonkServer())
        return PlayedListmonk(self.server)

    def released(self, contacts: set[int], *keys: AddressKey) -> None:
        super().released(contacts, *keys)
        self.server.welcome |= {p.id for p in self.server.people.values()} - {
            p.id for p in self.server.people.values() if key_of(p.email) in self.out
        }

    def teardown(self) -> None:
        super().teardown()
        assert (self.server.strange, self.server.resubscribed) == ([], 0)


class WishesOnMailman(Wishes):
    """The same on a real Mailman, which forgets who left."""

    process: ClassVar[MailmanServer]

    def make_list(self) -> PlayedList:
        self.process.reset()
        self.process.ask("POST", "/domains", {"mail_host": "lists.example.com"})
        return PlayedMailman(self.process)


class WishesTold(Wishes):
    """The same on a list that can't be read: its service tells what happens there.

    It may tell of our own writes, too. What it doesn't tell, nobody can know: nothing of the kind
    happens here. Minutes pass before people do something.
    """

    keys = f'list_id = "{PlayedTold.list_id}"\n'

    def __init__(self) -> None:
        super().__init__()
        self.clock = self._stack.enter_context(freeze_time(clock.now(), tick=True))
        self.tells_all = False

    def make_list(self) -> PlayedList:
        self.server = self._stack.enter_context(EmailService())
        return PlayedTold(self.server, self.tell)

    @initialize(tells_all=st.booleans())
    def it_may_tell_all(self, *, tells_all: bool) -> None:
        self.tells_all = tells_all

    def tell(self, change: Change, person: Person, old: str) -> None:
        self.clock.tick(timedelta(minutes=6))
        self.report(change, person, old)

    def report(self, change: Change, person: Person, old: str = "") -> None:
        settings = self.world.settings
        report = MemberReport(PlayedTold.list_id, change, person, old)
        effect = reported(report, ("played",), settings.links, at=clock.now())
        with self.world.store.pushes.batch(account_of(settings)) as batch:
            assert effect(batch) == Accepted()

    def run(self, *, dry_run: bool = False) -> RunReport:
        before = len(self.server.requests)
        report = super().run(dry_run=dry_run)
        if self.tells_all:
            for request in self.server.requests[before:]:
                self.tell_of(request.fields["data"])
        return report

    def tell_of(self, data: dict[str, Any]) -> None:
        for who in data.get("contacts") or [data["contact"]]:
            person = Person.of(who["email"], who["firstName"], who["lastName"])
            self.report(Change(data.get("action", "add")), person, data.get("oldEmail", ""))

    a_member_bounces = a_member_is_erased = None  # type: ignore[assignment]
    the_list_is_backed_up = the_list_is_restored = None  # type: ignore[assignment]
    the_store_is_restored = None  # type: ignore[assignment]

    def released(self, contacts: set[int], *keys: AddressKey) -> None:
        super().released(contacts, *keys)
        self.server.opted_out &= self.out

    def teardown(self) -> None:
        super().teardown()
        assert self.server.resubscribed == 0


def play(machine: type[Wishes], examples: int, steps: int = 25) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=True,  # the same lives in each run of the tests
            phases=[Phase.generate],  # each step plays a whole run: too slow to shrink
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_wishes_count_on_syncds_own_list() -> None:
    play(Wishes, 8)


def test_wishes_count_on_listmonk() -> None:
    play(WishesOnListmonk, 6)


def test_wishes_count_on_a_list_that_is_told_of() -> None:
    play(WishesTold, 6)


def test_wishes_count_on_mailman(mailman: MailmanServer) -> None:
    WishesOnMailman.process = mailman
    play(WishesOnMailman, 2, 8)
