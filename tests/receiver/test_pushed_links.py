"""Lists that Planfix made here: links like any other, which are told and never read."""

from datetime import timedelta

import pytest

from syncd.app import decisions, look
from syncd.app.history import history
from syncd.core.report import RunReport
from syncd.errors import ConfigurationError
from syncd.receiver.pushes import UNKNOWN_LIST
from syncd.wire.email_service import ImportContacts
from tests.receiver.conftest import Pushes, contact
from tests.scene import Scene, applied, link, planned

ANNA, BEN, CLEO = "anna@example.com", "ben@example.com", "cleo@example.com"
PEOPLE = {101: ANNA, 102: BEN, 103: CLEO}


def test_what_planfix_pushes_reaches_the_list_of_that_name(scene: Scene, pushes: Pushes) -> None:
    pushes.bring(pushes.create("Клиенты"), PEOPLE)

    report = scene.run()

    [done] = report.links
    assert (report.exit_code, done.link, done.planfix_read, done.certified) == (
        0,
        "Клиенты",
        3,
        True,
    )
    assert applied(done) == {"add": 3}
    assert scene.members("Клиенты").keys() == {ANNA, BEN, CLEO}
    assert scene.ids("Клиенты") == {ANNA: 101, BEN: 102, CLEO: 103}


def test_planfix_is_asked_nothing(scene: Scene, pushes: Pushes) -> None:
    list_id = pushes.create("News")
    pushes.bring(list_id, PEOPLE)
    scene.run()
    pushes.delete(list_id, 101, ANNA)
    scene.run()

    assert scene.planfix.requests == []


def test_a_run_where_nothing_was_pushed_does_nothing(scene: Scene, pushes: Pushes) -> None:
    pushes.bring(pushes.create("News"), PEOPLE)
    scene.run()
    scene.service.requests.clear()

    [done] = scene.run().links

    assert planned(done) == {}
    assert scene.service.requests == []


def test_an_update_an_add_and_a_delete_reach_the_list(scene: Scene, pushes: Pushes) -> None:
    list_id = pushes.create("News")
    pushes.bring(list_id, PEOPLE)
    scene.run()

    pushes.update(list_id, 101, "anna.new@example.com", ANNA)
    pushes.delete(list_id, 102, BEN)
    pushes.add(list_id, 104, "dan@example.com")
    [done] = scene.run().links

    assert applied(done) == {"rename": 1, "remove": 1, "add": 1}
    assert scene.members("News").keys() == {"anna.new@example.com", CLEO, "dan@example.com"}


def test_the_same_pushes_twice_change_nothing_twice(scene: Scene, pushes: Pushes) -> None:
    list_id = pushes.create("News")
    assert pushes.create("News") == list_id
    for _ in range(2):
        pushes.bring(list_id, PEOPLE)
    scene.run()
    for _ in range(2):
        pushes.update(list_id, 101, "anna.new@example.com", ANNA)
        pushes.delete(list_id, 102, BEN)
    scene.run()
    for _ in range(2):
        pushes.update(list_id, 101, "anna.new@example.com", ANNA)
        pushes.delete(list_id, 102, BEN)

    [done] = scene.run().links

    assert planned(done) == {}
    assert scene.members("News").keys() == {"anna.new@example.com", CLEO}


def test_the_last_member_may_go(scene: Scene, pushes: Pushes) -> None:
    list_id = pushes.create("News")
    pushes.bring(list_id, {101: ANNA})
    scene.run()

    pushes.delete(list_id, 101, ANNA)
    report = scene.run()

    assert (report.exit_code, scene.members("News")) == (0, {})


def test_the_removal_limit_holds_and_approve_lets_through(scene: Scene, pushes: Pushes) -> None:
    list_id = pushes.create("News")
    people = {number: f"p{number}@example.com" for number in range(20)}
    pushes.bring(list_id, people)
    scene.run()
    for number in range(4):
        pushes.delete(list_id, number, people[number])

    refused = scene.run()
    scene.approve(refused.run)
    approved = scene.run()

    assert (refused.exit_code, refused.links[0].withheld) == (4, 4)
    assert (approved.exit_code, applied(approved.links[0])) == (0, {"remove": 4})


def test_who_unsubscribed_stays_out_however_often_planfix_pushes_them(
    scene: Scene, pushes: Pushes
) -> None:
    list_id = pushes.create("News")
    pushes.bring(list_id, PEOPLE)
    scene.run()
    scene.unsubscribe(ANNA, "News")

    pushes.bring(list_id, PEOPLE)
    pushes.delete(list_id, 101, ANNA)
    scene.run()
    pushes.add(list_id, 101, ANNA)
    scene.run()
    pushes.update(list_id, 101, "anna.new@example.com", ANNA)
    scene.run()
    pushes.add(list_id, 999, ANNA)
    scene.run()

    assert scene.members("News").keys() == {BEN, CLEO}
    assert scene.service.resubscribed == 0


@pytest.mark.parametrize("number", [101, 999])
@pytest.mark.parametrize("runs_between", [0, 1])
def test_who_comes_from_the_address_of_one_who_left_stays_out(
    scene: Scene, pushes: Pushes, number: int, runs_between: int
) -> None:
    """Also where no run saw them there."""
    list_id = pushes.create("News")
    pushes.bring(list_id, PEOPLE)
    scene.run()
    scene.unsubscribe(ANNA, "News")
    scene.run()

    if number != 101:
        pushes.add(list_id, number, ANNA.upper())
    for _ in range(runs_between):
        scene.run()
    pushes.update(list_id, number, "anna.new@example.com")
    scene.run()
    pushes.update(list_id, number, "anna.newer@example.com", "anna.new@example.com")
    scene.run()

    assert scene.members("News").keys() == {BEN, CLEO}


def test_the_old_address_that_is_told_counts_where_the_contact_was_never_met(
    scene: Scene, pushes: Pushes
) -> None:
    scene.write_config(links=[link("customers", more=ACCOUNT)])
    scene.run()
    scene.unsubscribe(ANNA, "customers")

    pushes.update(pushes.create("News"), 201, "anna.new@example.com", ANNA)
    scene.run()

    assert scene.members("News") == {}


def test_a_number_that_was_never_met_is_matched_by_the_address(
    scene: Scene, pushes: Pushes
) -> None:
    list_id = pushes.create("News")
    pushes.bring(list_id, PEOPLE)
    scene.run()

    pushes.delete(list_id, 9001, ANNA)
    pushes.update(list_id, 9002, "ben.new@example.com", BEN)
    pushes.delete(list_id, 9003, "stranger@example.com")
    scene.run()

    assert scene.members("News").keys() == {"ben.new@example.com", CLEO}


def test_a_number_that_is_known_is_not(scene: Scene, pushes: Pushes) -> None:
    """Two contacts may share an address."""
    list_id = pushes.create("News")
    pushes.bring(list_id, {**PEOPLE, 104: ANNA})
    scene.run()

    pushes.delete(list_id, 104, ANNA)
    pushes.update(list_id, 104, "dora@example.com", BEN)
    scene.run()

    assert scene.members("News").keys() == {ANNA, BEN, CLEO, "dora@example.com"}


ACCOUNT = '[links.consent]\nscope = "account"\n'


def test_the_account_reaches_a_pushed_list_by_address_and_not_by_number(
    scene: Scene, pushes: Pushes
) -> None:
    scene.write_config(links=[link("customers", more=ACCOUNT)])
    anna = scene.planfix.add(name="Anna", email=ANNA)
    pushes.bring(pushes.create("News"), {anna: BEN, anna + 1: ANNA, anna + 2: CLEO})
    scene.run()

    scene.unsubscribe(ANNA, "customers")
    scene.run()

    assert scene.members("News").keys() == {BEN, CLEO}
    assert planned(scene.link_of(scene.run(), "News")) == {}


def test_an_unsubscribe_from_a_pushed_list_leaves_other_links_contacts_of_that_number_alone(
    scene: Scene, pushes: Pushes
) -> None:
    scene.write_config(links=[link("customers", more=ACCOUNT)])
    ben = scene.planfix.add(name="Ben", email=BEN)
    pushes.bring(pushes.create("News"), {ben: ANNA})
    scene.run()

    scene.unsubscribe(ANNA, "customers")
    scene.run()

    assert scene.members("Customers").keys() == {BEN}
    assert scene.members("News").keys() == set()


def test_they_stay_out_of_a_list_that_is_given_up_and_made_again(
    scene: Scene, pushes: Pushes
) -> None:
    list_id = pushes.create("News")
    pushes.bring(list_id, PEOPLE)
    scene.run()
    scene.unsubscribe(ANNA, "News")
    pushes.give_up(list_id)
    scene.run()

    again = pushes.create("News")
    pushes.bring(again, PEOPLE)
    report = scene.run()

    assert again != list_id
    assert [done.link for done in report.links] == ["News"]
    assert scene.members("News").keys() == {BEN, CLEO}


@pytest.mark.parametrize("runs_between", [0, 1])
def test_a_list_that_is_given_up_is_kept_and_made_again_it_loses_nobody(
    scene: Scene, pushes: Pushes, runs_between: int
) -> None:
    list_id = pushes.create("News")
    pushes.bring(list_id, PEOPLE)
    scene.run()

    pushes.give_up(list_id)
    for _ in range(runs_between):
        assert scene.run().links == []
    again = pushes.create("News")
    assert applied(scene.run().links[0]) == {}
    pushes.bring(again, {101: ANNA})
    scene.run()

    assert scene.members("News").keys() == {ANNA, BEN, CLEO}
    assert scene.service.actions.count("createList") == 1


def test_a_list_that_is_given_up_takes_nothing_more(pushes: Pushes) -> None:
    list_id = pushes.create("News")
    pushes.give_up(list_id)
    pushes.give_up(list_id)
    pushes.give_up("lst-unheard-of")

    assert pushes.push(ImportContacts(list_id, (contact(101, ANNA),))) == UNKNOWN_LIST


# Names.


def test_a_name_that_the_config_uses_gets_a_number(scene: Scene, pushes: Pushes) -> None:
    scene.write_config(links=(link("customers"), link("vip")))
    scene.planfix.add(name="Vera", email="vera@example.org")
    pushes.bring(pushes.create("Customers"), {101: ANNA})
    pushes.bring(pushes.create("vip"), {102: BEN})

    report = scene.run()

    assert [done.link for done in report.links] == ["customers", "vip", "Customers (2)", "vip (2)"]
    assert scene.members("Customers").keys() == {"vera@example.org"}
    assert scene.members("Customers (2)").keys() == {ANNA}
    assert scene.members("vip (2)").keys() == {BEN}


def test_a_list_at_another_service_takes_no_name_away(scene: Scene, pushes: Pushes) -> None:
    scene.write_config(links=(link("persons", backend="own").replace("Persons", "Customers"),))
    pushes.bring(pushes.create("Customers"), {101: ANNA})

    assert [done.link for done in scene.run().links] == ["persons", "Customers"]


def test_a_second_list_of_the_same_name_is_another_list(scene: Scene, pushes: Pushes) -> None:
    first = pushes.create("News")
    pushes.bring(first, {101: ANNA})
    second = pushes.create("News")
    pushes.bring(second, {102: BEN})

    scene.run()

    assert first != second
    assert scene.members("News").keys() == {ANNA}
    assert scene.members("News (2)").keys() == {BEN}


def test_asked_for_again_before_it_is_used_it_is_the_same_list(pushes: Pushes) -> None:
    first = pushes.create("News")
    pushes.now += timedelta(hours=2, minutes=45)
    again = pushes.create("News")
    pushes.now += timedelta(hours=1)
    later = pushes.create("News")

    assert again == first
    assert later != first


def test_a_config_that_takes_the_name_of_a_pushed_list_is_refused(
    scene: Scene, pushes: Pushes
) -> None:
    pushes.create("Customers")
    scene.write_config(links=(link("customers"),))

    with pytest.raises(ConfigurationError, match="name of a list that Planfix made"):
        scene.run()


def test_no_list_is_fed_twice_whatever_it_is_called(scene: Scene, pushes: Pushes) -> None:
    pushes.bring(pushes.create("News"), {101: ANNA})
    scene.run()
    [made] = scene.service.lists
    by_id = 'name = "mine"\nselection = "contact"\nbackend = "news"\nlist_id = ' + repr(made)
    scene.write_config(links=(by_id.replace("'", '"') + "\n",))
    scene.planfix.add(name="Vera", email="vera@example.org")

    report = scene.run()

    mine, pushed = report.links
    assert (mine.outcome, pushed.outcome, report.exit_code) == ("ok", "failed", 78)
    assert pushed.failure is not None
    assert "may not feed the same list" in pushed.failure.message


def test_a_list_whose_backend_is_gone_says_so(scene: Scene, pushes: Pushes) -> None:
    pushes.backend = "own"
    pushes.create("News")
    text = scene.config.read_text(encoding="utf-8")
    scene.config.write_text(text.partition('[[backends]]\nname = "own"')[0], encoding="utf-8")

    report = scene.run()

    assert report.exit_code == 78
    assert (
        failure(report) == "The config has no backend 'own' any more, on which Planfix made a list."
    )


def failure(report: RunReport) -> str:
    [done] = report.links
    assert done.failure is not None
    return done.failure.message


# Commands.


def test_status_check_lists_and_history_show_them_like_others(scene: Scene, pushes: Pushes) -> None:
    pushes.backend = "own"
    pushes.bring(pushes.create("News"), PEOPLE)
    scene.run()

    with scene.world() as world:
        [status] = look.status(world)["links"]
        [line] = look.lists(world)
        members = [listed.member.person.address for listed in look.members(world, "News")]
        told = [(event.link, event.what) for event in history(world, ANNA)]
        checked = {one.subject: one.message for one in look.check(world)}

    assert (status["link"], status["in_step"], status["pairs"]) == ("News", True, 3)
    assert (line.link, line.name, line.pairs, line.members) == ("News", "News", 3, 3)
    assert members == [ANNA, BEN, CLEO]
    assert told == [("News", f"added to the list News as {ANNA}: new in the selection")]
    assert checked["link News"] == "3 pairs; removals in 24 hours: 3"


def test_a_deleted_list_ends_its_link(scene: Scene, pushes: Pushes) -> None:
    list_id = pushes.create("News")
    pushes.bring(list_id, PEOPLE)
    scene.run()

    with scene.world() as world:
        told = decisions.delete_list(world, "News")

    assert "3 pairs ended, and the link with them" in told
    assert scene.service.lists == {}
    assert scene.run().links == []


def test_forget_erases_what_was_pushed_and_the_latch_stays(scene: Scene, pushes: Pushes) -> None:
    list_id = pushes.create("News")
    pushes.bring(list_id, PEOPLE)
    scene.run()
    scene.unsubscribe(ANNA, "News")

    forgotten = scene.forget(ANNA)
    pushes.bring(list_id, PEOPLE)
    scene.run()

    assert (forgotten.contacts, forgotten.latched) == (1, True)
    assert scene.members("News").keys() == {BEN, CLEO}
