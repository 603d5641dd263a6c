"""Whoever left is never subscribed by us again, whatever happens in Planfix."""

import io
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from syncd.app import decisions
from syncd.core.address import key_of
from syncd.core.report import RunReport
from syncd.simulator.planfix import SimulatedPlanfix
from tests.fakes.email_service import EmailService, Fault
from tests.scene import Scene, applied, link, planned

ANNA = "anna@example.com"
ELSEWHERE = "anna@example.org"


def anna_left(scene: Scene, *, others: int = 3) -> int:
    """Put Anna and others on the list, and let Anna leave; return her contact."""
    anna = scene.planfix.add(name="Anna", last_name="Berg", email=ANNA)
    for number in range(others):
        scene.planfix.add(name="Other", email=f"other{number}@example.com")
    assert scene.run().exit_code == 0
    scene.unsubscribe(ANNA)
    scene.service.opted_out.update({key_of(ANNA), key_of(ELSEWHERE)})
    return anna


def stays_away(scene: Scene) -> None:
    """Run twice; Anna is on the list under neither address, and nobody put her back."""
    for _ in range(2):
        assert scene.run().exit_code in {0, 1}
    assert not {ANNA, ELSEWHERE} & scene.members().keys()
    assert scene.service.resubscribed == 0


def test_an_unsubscribe_takes_the_person_off_the_list_at_once(scene: Scene) -> None:
    anna_left(scene)

    assert set(scene.members()) == {f"other{number}@example.com" for number in range(3)}
    assert scene.service.actions[-1] == "updateContact delete"


def test_edits_in_planfix_do_not_bring_back_whoever_left(scene: Scene) -> None:
    anna = anna_left(scene)

    scene.planfix.edit(anna, name="Anne", last_name="Lund")

    stays_away(scene)


def test_a_new_address_does_not_bring_back_whoever_left(scene: Scene) -> None:
    anna = anna_left(scene)

    scene.planfix.edit(anna, email=ELSEWHERE)
    stays_away(scene)
    scene.planfix.edit(anna, email="")
    stays_away(scene)
    scene.planfix.edit(anna, email=ANNA.upper())
    stays_away(scene)


def test_a_new_contact_with_the_address_does_not_bring_back_whoever_left(scene: Scene) -> None:
    anna = anna_left(scene)

    scene.planfix.delete(anna)
    stays_away(scene)
    again = scene.planfix.add(name="Anna", email=ANNA)
    stays_away(scene)
    scene.planfix.edit(again, email=ELSEWHERE)
    stays_away(scene)


def test_leaving_and_entering_the_selection_does_not_bring_back_whoever_left(
    make_scene: Callable[..., Scene],
) -> None:
    scene = make_scene(links=[link("customers", selection="filter:77")])
    scene.planfix.add_filter("77", "Newsletter")
    ids = [scene.planfix.add(name="A", email=a) for a in (ANNA, "b@example.com", "c@example.com")]
    for contact in ids:
        scene.planfix.put_in(contact, "77")
    scene.run()
    scene.unsubscribe(ANNA)
    scene.service.opted_out.add(key_of(ANNA))

    scene.planfix.take_out(ids[0], "77")
    stays_away(scene)
    scene.planfix.put_in(ids[0], "77")
    stays_away(scene)


def test_a_swap_with_somebody_who_left_subscribes_nobody(scene: Scene) -> None:
    anna = anna_left(scene)
    boris = scene.planfix.add(name="Boris", email="boris@example.com")
    scene.run()

    scene.planfix.edit(anna, email="boris@example.com")
    scene.planfix.edit(boris, email=ANNA)

    stays_away(scene)


def test_a_move_to_the_address_of_somebody_who_left_waits(scene: Scene) -> None:
    anna = anna_left(scene)
    boris = scene.planfix.add(name="Boris", email="boris@example.com")
    scene.run()

    scene.planfix.edit(boris, email=ANNA)
    stays_away(scene)
    scene.planfix.delete(anna)
    stays_away(scene)


def test_whoever_took_the_address_of_somebody_who_left_is_off_the_list_when_deleted(
    scene: Scene,
) -> None:
    anna_left(scene)
    boris = scene.planfix.add(name="Boris", email="boris@example.com")
    scene.run()
    scene.planfix.edit(boris, email=ANNA)
    scene.run()
    assert "boris@example.com" in scene.members()

    scene.planfix.delete(boris)
    report = scene.run()

    assert applied(report.links[0]) == {"unsubscribe": 1}
    assert "boris@example.com" not in scene.members()
    stays_away(scene)


def test_an_unsubscribe_by_an_address_that_no_run_has_seen_yet_is_heeded(scene: Scene) -> None:
    anna = scene.planfix.add(name="Anna", email=ANNA)
    scene.planfix.add(name="Boris", email="boris@example.com")
    scene.run()
    scene.unsubscribe(ELSEWHERE)
    scene.service.opted_out.add(key_of(ELSEWHERE))

    scene.planfix.edit(anna, email=ELSEWHERE)
    scene.run()

    assert set(scene.members()) == {"boris@example.com"}
    stays_away(scene)


@pytest.mark.parametrize("scope", ["link", "account"])
@pytest.mark.parametrize("slip", ["each the next one's", "everybody one"])
def test_a_slip_in_a_column_latches_nobody_and_is_mended_by_mending_it(
    make_scene: Callable[..., Scene], scope: str, slip: str
) -> None:
    """One address of the column had unsubscribed; a latch on all the others would stay."""
    more = f'[links.consent]\nscope = "{scope}"\n'
    field = 'field = 10124\nunsubscribed = "no"\nsubscribed = "yes"\n'
    scene = make_scene(links=[link("customers", more=more + field), link("letters", more=more)])
    anna = anna_left(scene, others=20)
    addresses = [each.email for each in scene.planfix.contacts.values()]
    scene.run()
    before = scene.members(), scene.members("Letters")

    for number, contact in enumerate(tuple(scene.planfix.contacts)):
        slipped = addresses[max(number - 1, 0)] if slip.startswith("each") else ANNA
        scene.planfix.edit(contact, email=slipped)
    for _ in range(2):
        scene.run()

    assert (scene.members(), scene.members("Letters")) == before
    marked = [c.id for c in scene.planfix.contacts.values() if c.custom.get(10124) == "no"]
    assert marked == [anna]
    for contact, address in zip(tuple(scene.planfix.contacts), addresses, strict=True):
        scene.planfix.edit(contact, email=address)
    report = scene.run()
    assert [planned(each) for each in report.links] == [{}, {}]
    assert [each.held for each in report.links] == [0, 0]


@pytest.mark.parametrize("scope", ["link", "account"])
def test_a_member_who_swaps_with_one_who_left_waits_on_the_list(
    make_scene: Callable[..., Scene], scope: str
) -> None:
    scene = make_scene(links=[link("customers", more=f'[links.consent]\nscope = "{scope}"\n')])
    anna = anna_left(scene)
    boris = scene.planfix.add(name="Boris", email="boris@example.com")
    scene.run()

    scene.planfix.edit(anna, email="boris@example.com")
    scene.planfix.edit(boris, email=ANNA)

    stays_away(scene)
    assert "boris@example.com" in scene.members()


def test_whose_address_left_another_list_of_the_account_stays_out_at_the_next(
    make_scene: Callable[..., Scene], planfix: SimulatedPlanfix
) -> None:
    """They are another contact there."""
    account = '[links.consent]\nscope = "account"\n'
    planfix.add_filter("1", "One")
    planfix.add_filter("2", "Two")
    scene = make_scene(
        links=[link(f"list{n}", selection=f"filter:{n}", more=account) for n in (1, 2)]
    )
    for number in ("1", "2"):
        planfix.put_in(planfix.add(name="Anna", email=ANNA), number)
        planfix.put_in(planfix.add(name="Other", email=f"other{number}@example.com"), number)
    scene.run()
    scene.unsubscribe(ANNA, "list1")
    scene.run()

    scene.rebase("list2")
    other_anna = max(c.id for c in planfix.contacts.values() if c.email == ANNA)
    planfix.edit(other_anna, email=ELSEWHERE)
    scene.run()

    assert scene.members("List2").keys() == {"other2@example.com"}


def test_a_slip_that_gives_everybody_an_address_that_left_takes_nobody_off(scene: Scene) -> None:
    anna_left(scene, others=20)
    for contact in scene.planfix.contacts:
        scene.planfix.edit(contact, email=ANNA)

    report = scene.run()

    assert planned(report.links[0]) == {}
    assert len(scene.members()) == 20


def test_forgetting_somebody_who_left_does_not_bring_them_back(scene: Scene) -> None:
    anna = anna_left(scene)

    assert scene.forget(ANNA).latched
    stays_away(scene)
    scene.planfix.delete(anna)
    scene.planfix.add(name="Anna", email=ANNA)
    stays_away(scene)


def test_nothing_in_the_store_names_somebody_forgotten(scene: Scene) -> None:
    anna = anna_left(scene)
    scene.planfix.delete(anna)
    stays_away(scene)

    scene.forget(ANNA)

    for file in scene.folder.glob("syncd.db*"):
        assert ANNA.encode() not in file.read_bytes(), file.name


def test_a_rebase_does_not_bring_back_whoever_left(scene: Scene) -> None:
    anna = anna_left(scene)

    scene.rebase()
    stays_away(scene)
    scene.planfix.edit(anna, email=ELSEWHERE)
    stays_away(scene)


def test_a_list_deleted_and_made_anew_does_not_bring_back_whoever_left(scene: Scene) -> None:
    anna_left(scene)

    with scene.world() as world:
        decisions.delete_list(world, "customers")

    stays_away(scene)
    assert len(scene.members()) == 3


def test_an_unsubscribe_before_the_first_run_is_heeded(scene: Scene) -> None:
    scene.planfix.add(name="Anna", email=ANNA)
    scene.unsubscribe(ANNA)
    scene.service.opted_out.add(key_of(ANNA))

    stays_away(scene)


def test_a_list_service_that_is_down_does_not_lose_the_wish(scene: Scene) -> None:
    anna = scene.planfix.add(name="Anna", email=ANNA)
    scene.run()
    scene.service.fail(Fault.UNAVAILABLE, times=None)
    scene.unsubscribe(ANNA)
    scene.service.opted_out.add(key_of(ANNA))
    scene.planfix.edit(anna, last_name="Lund")
    assert scene.run().exit_code == 69
    scene.service.recover()

    stays_away(scene)


@pytest.mark.parametrize("scope", ["link", "account"])
def test_an_unsubscribe_reaches_as_far_as_its_scope(
    make_scene: Callable[..., Scene], scope: str
) -> None:
    consent = f'[links.consent]\nscope = "{scope}"\n'
    scene = make_scene(links=[link("first", more=consent), link("second", more=consent)])
    scene.planfix.add(name="Anna", email=ANNA)
    scene.planfix.add(name="Boris", email="boris@example.com")
    scene.run()

    scene.unsubscribe(ANNA, "first")
    scene.run()

    assert set(scene.members("First")) == {"boris@example.com"}
    assert (ANNA in scene.members("Second")) is (scope == "link")


class PausingService(EmailService):
    """Stands still once, just before it takes a request in which a text occurs."""

    def __init__(self) -> None:
        super().__init__()
        self._text = b""
        self._reached, self._go_on = threading.Event(), threading.Event()

    def pause_before(self, text: str) -> None:
        self._text = text.encode()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        length = int(handler.headers["Content-Length"])
        body = handler.rfile.read(length)
        handler.rfile = io.BufferedReader(io.BytesIO(body))
        if self._text and self._text in body:
            self._text = b""
            self._reached.set()
            self._go_on.wait(30)
        super().answer(handler)

    def meanwhile(self, run: Callable[[], RunReport], act: Callable[[], object]) -> RunReport:
        """Run until it stands still, act, and let it go on to its end."""
        with ThreadPoolExecutor(1) as thread:
            running = thread.submit(run)
            assert self._reached.wait(30)
            act()
            self._go_on.set()
            return running.result(30)


@pytest.fixture
def pausing() -> Iterator[PausingService]:
    with PausingService() as pausing:
        yield pausing


@pytest.fixture
def paused(tmp_path: Path, planfix: SimulatedPlanfix, pausing: PausingService) -> Scene:
    return Scene(tmp_path, planfix, pausing)


def test_whoever_leaves_while_their_add_waits_is_never_added(
    paused: Scene, pausing: PausingService
) -> None:
    for number in range(1100):
        paused.planfix.add(name="A", email=f"a{number}@example.com")
    pausing.pause_before("a0@example.com")

    def leave() -> None:
        assert "Latched" in paused.unsubscribe("a1050@example.com")
        pausing.opted_out.add(key_of("a1050@example.com"))

    report = pausing.meanwhile(paused.run, leave)

    assert report.exit_code == 0
    assert len(paused.members()) == 1099
    assert "a1050@example.com" not in paused.members()
    assert paused.run().exit_code == 0
    assert pausing.resubscribed == 0


@pytest.mark.parametrize("others", [0, 20], ids=["as an add", "in an import"])
def test_whoever_leaves_while_their_add_is_on_its_way_is_taken_off_by_the_next_run(
    paused: Scene, pausing: PausingService, others: int
) -> None:
    paused.planfix.add(name="Anna", email=ANNA)
    for number in range(others):
        paused.planfix.add(name="A", email=f"a{number}@example.com")
    pausing.pause_before(ANNA)

    pausing.meanwhile(paused.run, lambda: paused.unsubscribe(ANNA))
    paused.run()

    assert ANNA not in paused.members()
    assert planned(paused.run().links[0]) == {}


def test_whoever_leaves_while_their_move_is_on_its_way_is_on_the_list_at_neither_address(
    paused: Scene, pausing: PausingService
) -> None:
    anna = paused.planfix.add(name="Anna", email=ANNA)
    paused.planfix.add(name="Boris", email="boris@example.com")
    paused.run()
    paused.planfix.edit(anna, email=ELSEWHERE)
    pausing.pause_before(ELSEWHERE)

    pausing.meanwhile(paused.run, lambda: paused.unsubscribe(ANNA))
    paused.run()

    assert set(paused.members()) == {"boris@example.com"}
    assert planned(paused.run().links[0]) == {}


def test_whoever_leaves_by_the_new_address_while_their_move_is_on_its_way_is_off_the_list(
    paused: Scene, pausing: PausingService
) -> None:
    anna = paused.planfix.add(name="Anna", email=ANNA)
    paused.planfix.add(name="Boris", email="boris@example.com")
    paused.run()
    paused.planfix.edit(anna, email=ELSEWHERE)
    pausing.pause_before(ELSEWHERE)

    pausing.meanwhile(paused.run, lambda: paused.unsubscribe(ELSEWHERE))
    paused.run()

    assert set(paused.members()) == {"boris@example.com"}


@pytest.mark.parametrize("address", [ANNA, ELSEWHERE])
def test_a_move_of_unknown_fate_leaves_nobody_on_the_list_who_wants_to_go(
    scene: Scene, address: str
) -> None:
    anna = scene.planfix.add(name="Anna", email=ANNA)
    scene.planfix.add(name="Boris", email="boris@example.com")
    scene.run()
    scene.planfix.edit(anna, email=ELSEWHERE)
    scene.service.fail(Fault.DROP_DONE, times=None)
    assert scene.run().exit_code == 69
    scene.service.recover()
    assert ELSEWHERE in scene.members()

    scene.unsubscribe(address)
    scene.run()

    assert set(scene.members()) == {"boris@example.com"}
    assert planned(scene.run().links[0]) == {}


def test_an_add_of_unknown_fate_leaves_nobody_on_the_list_who_wants_to_go(scene: Scene) -> None:
    scene.run()
    scene.planfix.add(name="Anna", email=ANNA)
    scene.service.fail(Fault.DROP_DONE, times=None)
    assert scene.run().exit_code == 69
    scene.service.recover()
    assert ANNA in scene.members()

    scene.unsubscribe(ANNA)

    assert scene.members() == {}
    assert scene.run().exit_code == 0
    assert scene.members() == {}


def test_who_is_forgotten_before_the_list_was_told_is_said_to_be_still_on_it(
    scene: Scene,
) -> None:
    scene.run()
    scene.service.fail(Fault.ERROR, times=None)
    scene.unsubscribe("subscriber@example.com")
    scene.service.recover()

    forgotten = scene.forget("subscriber@example.com")

    assert forgotten.still_on == ("customers",)
