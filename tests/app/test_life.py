"""Whatever people, the operator and crashes do, the promises hold: a machine plays them all.

The promises: nobody who left is subscribed by us again; nobody is taken off a list who is
still in Planfix; in the end the list is what Planfix says; and then a run plans nothing.
"""

import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from syncd.app import decisions
from syncd.app.run import run_once
from syncd.app.wiring import open_world
from syncd.core.address import AddressKey, fault_of, key_of
from syncd.core.people import ContactId
from syncd.core.report import RunReport
from syncd.engine.consent import Latches
from syncd.errors import UsageError
from syncd.simulator.people import SimulatedContact
from syncd.simulator.planfix import SimulatedPlanfix
from tests.dying import Crash, dying
from tests.fakes.email_service import EmailService, Fault
from tests.scene import Scene, link, planned

ADDRESSES = (*(f"p{number}@example.com" for number in range(7)), "P3@Example.com", "", "bad@@")
NAMES = ("Anna", "Boris", "")
NUMBERS = st.integers(0, 11)
FAULTS = (Fault.ERROR, Fault.DROP, Fault.DROP_DONE, Fault.CUT)


class Life(RuleBasedStateMachine):
    """One account, read three contacts a page, and one list that can only be written."""

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        self.planfix = self._stack.enter_context(SimulatedPlanfix())
        self.service = self._stack.enter_context(EmailService())
        more = "[links.limits]\nremovals_floor = 2\nremovals_percent = 30\n"
        self.scene = Scene(
            folder,
            self.planfix,
            self.service,
            [link("customers", more=more)],
            planfix_keys={"page_size": 3},
        )
        self.orphans: set[str] = set()  # on the list, and forgotten: the operator was told
        self.world = self._stack.enter_context(open_world(self.scene.config))
        for number in range(5):
            self.planfix.add(name="Anna", email=f"p{number}@example.com")
        self.run()

    def teardown(self) -> None:
        try:
            self.settle()
        finally:
            self._stack.close()

    def run(self, *, dry_run: bool = False) -> RunReport:
        before = self.scene.members().keys()
        report = run_once(self.world, dry_run=dry_run)
        assert report.exit_code in {0, 1, 4, 69, 78}, report
        if report.exit_code == 78:
            assert "unknown" in str(report.document()["links"][0]["error"])
            decisions.rebase(self.world, "customers")
            return self.run(dry_run=dry_run)
        if report.exit_code in {0, 1, 4}:
            left = before - self.scene.members().keys() - self.service.opted_out
            latches = self.latches()
            seen = {
                key_of(c.email)
                for c in self.people()
                if not (self.planfix.is_hidden(c.id) or c.id in latches.contacts)
            }
            assert not {key for key in left & seen if not latches.holds_key(AddressKey(key))}
        return report

    def people(self) -> list[SimulatedContact]:
        return list(self.planfix.contacts.values())

    def anybody(self, number: int) -> int | None:
        ids = sorted(self.planfix.contacts)
        return ids[number % len(ids)] if ids else None

    # People in Planfix.

    @rule(email=st.sampled_from(ADDRESSES), name=st.sampled_from(NAMES))
    def a_contact_comes(self, email: str, name: str) -> None:
        self.planfix.add(name=name, email=email)

    @rule(number=NUMBERS, email=st.sampled_from(ADDRESSES))
    def a_contact_moves(self, number: int, email: str) -> None:
        if (contact := self.anybody(number)) is not None:
            self.planfix.edit(contact, email=email)

    @rule(number=NUMBERS, name=st.sampled_from(NAMES))
    def a_contact_changes_its_name(self, number: int, name: str) -> None:
        if (contact := self.anybody(number)) is not None:
            self.planfix.edit(contact, name=name)

    @rule(one=NUMBERS, two=NUMBERS)
    def two_contacts_swap_addresses(self, one: int, two: int) -> None:
        first, second = self.anybody(one), self.anybody(two)
        if first is None or second is None:
            return
        addresses = self.planfix.contacts[first].email, self.planfix.contacts[second].email
        self.planfix.edit(first, email=addresses[1])
        self.planfix.edit(second, email=addresses[0])

    @rule(number=NUMBERS)
    def a_contact_is_deleted(self, number: int) -> None:
        if (contact := self.anybody(number)) is not None:
            self.planfix.delete(contact)

    @rule(number=NUMBERS)
    def a_contact_is_hidden_from_us(self, number: int) -> None:
        if (contact := self.anybody(number)) is not None:
            self.planfix.hide(contact)

    @rule(number=NUMBERS)
    def a_contact_is_shown_to_us_again(self, number: int) -> None:
        if (contact := self.anybody(number)) is not None:
            self.planfix.unhide(contact)

    # Members, and the operator.

    @rule(number=NUMBERS)
    def a_member_leaves(self, number: int) -> None:
        if members := sorted(self.scene.members()):
            address = members[number % len(members)]
            decisions.unsubscribe(self.world, "customers", address)
            self.service.opted_out.add(key_of(address))

    @rule()
    def a_run_is_made(self) -> None:
        self.run()

    @rule()
    def a_dry_run_changes_nothing(self) -> None:
        before = self.scene.members(), len(self.service.requests)
        self.run(dry_run=True)
        assert (self.scene.members(), len(self.service.requests)) == before

    @rule()
    def what_a_run_withheld_is_approved(self) -> None:
        report = self.run()
        if report.links[0].withheld:
            decisions.approve(self.world, report.run)

    @rule(number=NUMBERS)
    def somebody_is_forgotten(self, number: int) -> None:
        if left := sorted(self.service.opted_out):
            with suppress(UsageError):  # nothing but the latch is known of them
                decisions.forget(self.world, left[number % len(left)])
            self.orphans |= {key for key in self.scene.members() if self.pair_of(key) is None}

    @rule()
    def the_link_is_rebased(self) -> None:
        decisions.rebase(self.world, "customers")
        # Until then there is no list of ours; and whom we may not see is not on the new one.
        assert run_once(self.world).exit_code in {0, 1}

    # What goes wrong.

    @rule(calls=st.integers(1, 5), done=st.booleans())
    def a_run_dies_at_a_call(self, calls: int, done: bool) -> None:
        with suppress(Crash):
            run_once(dying(self.world, calls, done=done))

    @rule(fault=st.sampled_from(FAULTS), times=st.integers(1, 4))
    def the_list_fails(self, fault: Fault, times: int) -> None:
        self.service.fail(fault, times=times)
        self.run()
        self.service.recover()

    @rule(lie=st.sampled_from(["wrong_total", "duplicate", "short_page"]), page=st.integers(1, 3))
    def planfix_shows_a_page_that_lies(self, lie: str, page: int) -> None:
        getattr(self.planfix.faults, lie)(page=page)
        self.run()
        self.planfix.faults.clear()

    # The promises.

    @invariant()
    def nobody_who_left_is_back(self) -> None:
        assert self.service.resubscribed == 0
        assert not self.service.opted_out & self.scene.members().keys()

    @rule()
    def settle(self) -> None:
        """Left alone, and with what waits approved, the list becomes what Planfix says."""
        for contact in tuple(self.planfix.contacts):
            self.planfix.unhide(contact)
        for _ in range(6):
            report = self.run()
            if not report.links[0].withheld:
                break
            decisions.approve(self.world, report.run)
        members = self.scene.members()

        quiet = self.run()

        assert quiet.exit_code == 0
        assert planned(quiet.links[0]) == {}
        assert self.scene.members() == members
        self.list_is_what_planfix_says()

    def list_is_what_planfix_says(self) -> None:
        number = self.world.store.links.number("customers")
        assert number is not None
        latches = self.latches()
        waiting = {contact for contact, _ in self.world.store.runs.waiting(number)}
        members = self.scene.members()
        for contact in self.people():
            key = key_of(contact.email)
            if fault_of(contact.email) or contact.id in latches.contacts | waiting:
                continue
            assert key in members or latches.holds_key(key)
        for member in members.keys() - self.orphans:
            paired = self.pair_of(member)
            assert paired is not None
            assert paired in self.planfix.contacts
            person = self.planfix.contacts[paired]
            if person.id not in latches.contacts | waiting:
                assert (member, members[member]) == (key_of(person.email), (person.name, ""))

    def latches(self) -> Latches:
        consent = self.world.store.consent
        number = self.world.store.links.number("customers")
        assert number is not None
        return Latches(*consent.latched(number), consent.hashed)

    def pair_of(self, address: str) -> ContactId | None:
        number = self.world.store.links.number("customers")
        assert number is not None
        found = self.world.store.pairs.of_key(number, key_of(address))
        return found[0] if found is not None else None


TestLife = Life.TestCase
TestLife.settings = settings(
    max_examples=10,
    stateful_step_count=20,
    deadline=None,
    phases=[Phase.generate],  # each step plays a whole run: too slow to shrink
    suppress_health_check=list(HealthCheck),
)
