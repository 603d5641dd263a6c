"""The guards, end to end: what is held, withheld or refused, and what releases it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from freezegun import freeze_time

from syncd.app import look
from syncd.core.address import key_of
from syncd.errors import UsageError
from syncd.simulator.faults import Faults
from syncd.simulator.planfix import SimulatedPlanfix
from tests.fakes.email_service import EmailService
from tests.scene import CUSTOMERS, Scene, applied, link, planned

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def crowd(scene: Scene, count: int, first_name: str = "Anna") -> list[int]:
    """Put so many contacts into Planfix and on the list; return their ids."""
    ids = [
        scene.planfix.add(name=first_name, last_name="Berg", email=f"a{number}@example.com")
        for number in range(count)
    ]
    assert scene.run().exit_code == 0
    scene.service.requests.clear()
    return ids


# 1. Certified sweeps.

LIES: dict[str, Callable[[Faults], None]] = {
    "wrong total": lambda faults: faults.wrong_total(page=2),
    "duplicate": lambda faults: faults.duplicate(page=2),
    "short page": lambda faults: faults.short_page(page=1),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_an_uncertified_read_adds_and_updates_and_removes_nobody(
    scene: Scene, lie: Callable[[Faults], None]
) -> None:
    ids = crowd(scene, 250)
    scene.planfix.delete(ids[30])
    scene.planfix.edit(ids[31], last_name="Lund")
    scene.planfix.add(name="New", email="new@example.com", id=7)  # on the first page
    lie(scene.planfix.faults)

    report = scene.run()

    [done] = report.links
    assert (report.exit_code, done.outcome, done.certified) == (1, "partial", False)
    assert applied(done) == {"add": 1, "update": 1}
    assert "a30@example.com" in scene.members()

    scene.planfix.faults.clear()
    report = scene.run()

    assert (report.exit_code, applied(report.links[0])) == (0, {"remove": 1})


def test_a_total_that_is_wrong_throughout_removes_nobody(scene: Scene) -> None:
    ids = crowd(scene, 120)
    scene.planfix.delete(ids[0])
    scene.planfix.faults.wrong_total()

    report = scene.run()

    assert (report.exit_code, planned(report.links[0])) == (1, {})
    assert len(scene.members()) == 120


def test_a_read_that_shifted_once_is_repeated_and_then_certified(scene: Scene) -> None:
    ids = crowd(scene, 250)
    scene.planfix.faults.shift(lambda: scene.planfix.delete(ids[10]))

    report = scene.run()

    assert (report.exit_code, applied(report.links[0])) == (0, {"remove": 1})
    assert "a10@example.com" not in scene.members()
    assert len(scene.members()) == 249


# 2. Removal candidates.


def test_a_deleted_contact_is_removed(scene: Scene) -> None:
    ids = crowd(scene, 5)

    scene.planfix.delete(ids[2])
    report = scene.run()

    assert applied(report.links[0]) == {"remove": 1}
    assert scene.planfix.calls("contact.get") == 1


def test_a_contact_that_we_may_no_longer_see_is_held(scene: Scene) -> None:
    ids = crowd(scene, 5)

    scene.planfix.hide(ids[2])
    report = scene.run()

    assert (report.exit_code, planned(report.links[0]), report.links[0].held) == (0, {}, 1)
    assert len(scene.members()) == 5


def test_a_contact_that_only_left_the_filter_is_missed_twice_before_it_goes(
    make_scene: Callable[..., Scene],
) -> None:
    scene = make_scene(links=[link("customers", selection="filter:77")])
    scene.planfix.add_filter("77", "Newsletter")
    ids = [scene.planfix.add(name="A", email=f"a{n}@example.com") for n in range(5)]
    for contact in ids:
        scene.planfix.put_in(contact, "77")
    scene.run()

    scene.planfix.take_out(ids[0], "77")
    before = len(scene.planfix.requests)
    report = scene.run()

    assert applied(report.links[0]) == {"remove": 1}
    asked = scene.planfix.requests[before:]
    assert [request.method for request in asked] == [
        "contact.getList",
        "contact.get",
        "contact.getList",
    ]
    assert [r.text("pageSize") for r in asked if r.method == "contact.getList"] == ["100", "97"]


def test_an_address_that_went_to_somebody_unread_stays_on_the_list(scene: Scene) -> None:
    ids = crowd(scene, 250)
    scene.planfix.edit(ids[0], email="")
    scene.planfix.edit(ids[-1], email="a0@example.com")
    scene.planfix.faults.short_page(page=3)

    report = scene.run()

    assert (report.exit_code, report.links[0].certified) == (1, False)
    assert applied(report.links[0]) == {}
    assert "a0@example.com" in scene.members()

    scene.planfix.faults.clear()
    scene.run()

    assert "a0@example.com" in scene.members()
    assert "a249@example.com" not in scene.members()


def test_a_contact_that_the_second_sweep_shows_stays(scene: Scene) -> None:
    ids = crowd(scene, 150)
    lost = ids[-1]
    # The first sweep is told that there is one contact less, and is shown one less: it is
    # certified, and wrong.
    scene.planfix.faults.wrong_total(by=-1, times=2)
    scene.planfix.faults.short_page(page=2, times=1)

    report = scene.run()

    assert report.links[0].certified is True
    assert planned(report.links[0]) == {}
    assert scene.planfix.calls("contact.get") == 1
    assert f"a{ids.index(lost)}@example.com" in scene.members()


# 3. The removal limit.


def test_removals_up_to_the_limit_are_made_and_one_more_withholds_them_all(scene: Scene) -> None:
    ids = crowd(scene, 60)  # 10 % are 6
    with freeze_time(NOON, tick=True):
        for contact in ids[:6]:
            scene.planfix.delete(contact)
        report = scene.run()
        assert (report.exit_code, applied(report.links[0])) == (0, {"remove": 6})

        scene.planfix.delete(ids[6])
        scene.planfix.edit(ids[20], last_name="Lund")
        report = scene.run()

    [done] = report.links
    assert (report.exit_code, done.outcome, done.withheld) == (4, "refused", 1)
    assert planned(done) == {"update": 1, "remove": 1}
    assert applied(done) == {"update": 1}
    assert len(scene.members()) == 54


def test_removals_stop_counting_after_24_hours(scene: Scene) -> None:
    ids = crowd(scene, 10)  # the floor of 3
    with freeze_time(NOON, tick=True) as clock:
        for contact in ids[:3]:
            scene.planfix.delete(contact)
        assert applied(scene.run().links[0]) == {"remove": 3}
        scene.planfix.delete(ids[3])
        clock.tick(timedelta(hours=23, minutes=59))
        assert scene.run().exit_code == 4

        clock.tick(timedelta(minutes=2))
        report = scene.run()

    assert (report.exit_code, applied(report.links[0])) == (0, {"remove": 1})


def test_limits_come_from_the_config(make_scene: Callable[..., Scene]) -> None:
    more = "[links.limits]\nremovals = 200\nremovals_percent = 0\nremovals_floor = 1\n"
    scene = make_scene(links=[CUSTOMERS + more])
    ids = crowd(scene, 100)

    for contact in ids[:2]:
        scene.planfix.delete(contact)

    assert scene.run().links[0].withheld == 2


def test_an_approval_releases_what_that_run_withheld_and_no_more(scene: Scene) -> None:
    ids = crowd(scene, 20)
    for contact in ids[:8]:
        scene.planfix.delete(contact)
    refused = scene.run()
    assert (refused.exit_code, refused.links[0].withheld) == (4, 8)

    assert scene.approve(refused.run) == 8
    scene.planfix.delete(ids[8])
    report = scene.run()

    # What was approved doesn't count, so the ninth is within the limit.
    assert (report.exit_code, applied(report.links[0])) == (0, {"remove": 9})
    assert len(scene.members()) == 11


def test_approved_removals_do_not_count_towards_later_limits(scene: Scene) -> None:
    ids = crowd(scene, 20)
    for contact in ids[:8]:
        scene.planfix.delete(contact)
    scene.approve(scene.run().run)
    scene.run()

    for contact in ids[8:11]:
        scene.planfix.delete(contact)

    assert applied(scene.run().links[0]) == {"remove": 3}


def test_an_approval_serves_once(make_scene: Callable[..., Scene]) -> None:
    scene = make_scene(links=[link("customers", selection="filter:77")])
    scene.planfix.add_filter("77", "Newsletter")
    ids = [scene.planfix.add(name="A", email=f"a{n}@example.com") for n in range(20)]
    for contact in ids:
        scene.planfix.put_in(contact, "77")
    scene.run()
    for contact in ids[:8]:
        scene.planfix.take_out(contact, "77")
    scene.approve(scene.run().run)
    assert applied(scene.run().links[0]) == {"remove": 8}
    for contact in ids[:8]:
        scene.planfix.put_in(contact, "77")
    assert applied(scene.run().links[0]) == {"add": 8}

    for contact in ids[:8]:
        scene.planfix.take_out(contact, "77")
    report = scene.run()

    assert (report.exit_code, report.links[0].withheld) == (4, 8)


def test_an_approval_ends_after_24_hours(scene: Scene) -> None:
    ids = crowd(scene, 20)
    with freeze_time(NOON, tick=True) as clock:
        for contact in ids[:8]:
            scene.planfix.delete(contact)
        scene.approve(scene.run().run)

        clock.tick(timedelta(hours=24, seconds=1))
        report = scene.run()

    assert (report.exit_code, report.links[0].withheld) == (4, 8)


def test_approving_what_is_not_there_is_told(scene: Scene) -> None:
    crowd(scene, 3)
    quiet = scene.run()

    with pytest.raises(UsageError, match="nothing withheld"):
        scene.approve(quiet.run)
    with pytest.raises(UsageError, match="no run"):
        scene.approve("20260101T000000Z-0000")


# 4. The empty selection.


def test_an_empty_selection_removes_nobody_until_it_is_approved(
    make_scene: Callable[..., Scene],
) -> None:
    more = "[links.limits]\nremovals_floor = 50\n"
    scene = make_scene(links=[link("customers", selection="filter:77", more=more)])
    scene.planfix.add_filter("77", "Newsletter")
    ids = [scene.planfix.add(name="A", email=f"a{n}@example.com") for n in range(3)]
    for contact in ids:
        scene.planfix.put_in(contact, "77")
    scene.run()

    for contact in ids:
        scene.planfix.take_out(contact, "77")
    refused = scene.run()

    assert (refused.exit_code, refused.links[0].withheld) == (4, 3)
    assert "without a single contact" in refused.links[0].findings[0].message
    assert len(scene.members()) == 3

    scene.approve(refused.run)
    report = scene.run()

    assert (report.exit_code, applied(report.links[0])) == (0, {"remove": 3})
    assert scene.members() == {}


# 5. Mass changes.


def test_first_names_that_all_vanish_are_withheld(scene: Scene) -> None:
    ids = crowd(scene, 20)
    for contact in ids[:11]:
        scene.planfix.edit(contact, name="")
    scene.planfix.edit(ids[19], last_name="Lund")

    report = scene.run()

    [done] = report.links
    assert (report.exit_code, done.withheld, applied(done)) == (4, 11, {"update": 1})
    assert scene.members()["a0@example.com"] == ("Anna", "Berg")

    scene.approve(report.run)
    report = scene.run()

    assert (report.exit_code, applied(report.links[0])) == (0, {"update": 11})
    assert scene.members()["a0@example.com"] == ("", "Berg")


def test_half_of_the_pairs_is_not_yet_a_mass_change(scene: Scene) -> None:
    ids = crowd(scene, 20)
    for contact in ids[:10]:
        scene.planfix.edit(contact, name="")

    report = scene.run()

    assert (report.exit_code, applied(report.links[0])) == (0, {"update": 10})


def test_fewer_than_ten_are_no_mass_change(scene: Scene) -> None:
    ids = crowd(scene, 9)
    for contact in ids:
        scene.planfix.edit(contact, last_name="")

    assert scene.run().exit_code == 0


def test_addresses_that_all_change_are_withheld(scene: Scene) -> None:
    ids = crowd(scene, 20)
    for number, contact in enumerate(ids[:15]):
        scene.planfix.edit(contact, email=f"b{number}@example.com")

    report = scene.run()

    assert (report.exit_code, report.links[0].withheld) == (4, 15)
    assert set(scene.members()) == {f"a{number}@example.com" for number in range(20)}

    scene.approve(report.run)

    assert applied(scene.run().links[0]) == {"rename": 15}


# 6. Broken pages.

BROKEN: dict[str, Callable[[Faults], None]] = {
    "DOCTYPE": lambda faults: faults.doctype(page=2),
    "wrong root": lambda faults: faults.wrong_root(page=2),
    "other status": lambda faults: faults.status_other(page=2),
    "truncated": lambda faults: faults.truncated(page=2),
    "cut": lambda faults: faults.cut_connection(page=2),
    "empty": lambda faults: faults.empty_body(page=2),
    "HTML": lambda faults: faults.html_page(page=2),
    "500": lambda faults: faults.http_status(500, page=2),
}


@pytest.mark.parametrize("damage", BROKEN.values(), ids=BROKEN)
def test_a_page_that_stays_broken_stops_the_link_and_removes_nobody(
    scene: Scene, damage: Callable[[Faults], None]
) -> None:
    ids = crowd(scene, 150)
    scene.planfix.delete(ids[0])
    damage(scene.planfix.faults)

    report = scene.run()

    document = report.document()["links"][0]
    assert (report.exit_code, document["error"]["kind"]) == (69, "temporary")
    assert (document["planfix_read"], document["certified"]) == (None, None)
    assert scene.service.requests == []

    scene.planfix.faults.clear()

    assert applied(scene.run().links[0]) == {"remove": 1}


def test_a_page_that_is_broken_once_is_asked_for_again(scene: Scene) -> None:
    crowd(scene, 150)
    scene.planfix.faults.truncated(page=2, times=1)

    report = scene.run()

    assert (report.exit_code, report.links[0].certified) == (0, True)


def test_control_characters_are_dropped(scene: Scene) -> None:
    ids = crowd(scene, 20)
    scene.planfix.faults.control_characters(ids[3])
    scene.planfix.edit(ids[3], last_name="Lund")

    report = scene.run()

    assert report.exit_code == 0
    assert scene.members()["a3@example.com"] == ("Anna", "Lund")


def test_a_contact_that_no_parser_takes_counts_as_present(scene: Scene) -> None:
    ids = crowd(scene, 30)
    scene.planfix.faults.unparsable_contact(ids[3])
    scene.planfix.edit(ids[4], last_name="Lund")
    scene.planfix.delete(ids[5])

    report = scene.run()

    [done] = report.links
    assert (report.exit_code, done.quarantined, done.certified) == (1, 1, False)
    assert applied(done) == {"update": 1}
    assert len(scene.members()) == 30

    scene.planfix.faults.clear()

    assert applied(scene.run().links[0]) == {"remove": 1}


# 7. Scope.


def test_another_account_is_refused_until_rebase(scene: Scene) -> None:
    crowd(scene, 3)
    scene.unsubscribe("a0@example.com")
    scene.service.opted_out.add(key_of("a0@example.com"))
    with SimulatedPlanfix(account="other") as other:
        other.add(name="Anna", email="a0@example.com")
        other.add(name="Boris", email="boris@example.com")
        scene.write_config(planfix_keys={"url": other.url, "account": "other"})
        report = scene.run()
        assert (report.exit_code, report.outcome) == (4, "refused")
        assert other.requests == []

        scene.rebase()
        report = scene.run()

    assert report.exit_code == 0
    assert applied(report.links[0]) == {"add": 1}
    assert scene.service.resubscribed == 0


def test_another_service_is_refused_until_rebase(scene: Scene) -> None:
    crowd(scene, 3)
    with EmailService() as other:
        scene.write_config(service_url=other.url)
        assert scene.run().exit_code == 4
        assert other.requests == []

        assert scene.rebase() == 3
        assert scene.run().exit_code == 0
        assert other.actions == ["createList", *["updateContact add"] * 3]


def test_another_list_is_refused_until_rebase_and_consent_stays(scene: Scene) -> None:
    crowd(scene, 3)
    scene.unsubscribe("a0@example.com")
    scene.write_config(links=[CUSTOMERS.replace("Customers", "Others")])
    assert scene.run().exit_code == 4

    scene.rebase()
    report = scene.run()

    assert report.exit_code == 0
    assert set(scene.members("Others")) == {"a1@example.com", "a2@example.com"}


def test_a_link_without_pairs_may_point_elsewhere(scene: Scene) -> None:
    assert scene.run().exit_code == 0

    scene.write_config(links=[CUSTOMERS.replace("Customers", "Others")])
    scene.planfix.add(name="Anna", email="anna@example.com")

    assert scene.run().exit_code == 0
    assert set(scene.members("Others")) == {"anna@example.com"}


@pytest.mark.parametrize("named", ['list = "Customers"', 'list = "customers"', "list_id = ID"])
def test_whoever_left_a_list_stays_off_it_whatever_its_link_is_called(
    scene: Scene, named: str
) -> None:
    crowd(scene, 3)
    scene.unsubscribe("a0@example.com")
    [list_id] = scene.service.lists
    keys = named.replace("ID", f'"{list_id}"')
    scene.write_config(
        links=[f'name = "clients"\nselection = "contact"\nbackend = "news"\n{keys}\n']
    )

    if scene.run().exit_code == 4:
        assert scene.rebase("clients") == 3
        assert scene.run().exit_code == 0

    assert set(scene.members()) == {"a1@example.com", "a2@example.com"}
    with scene.world() as world:
        assert [line.exit_code for line in look.check(world) if not line.ok] == []


def test_a_link_that_is_only_called_otherwise_goes_on_as_before(scene: Scene) -> None:
    crowd(scene, 3)
    scene.write_config(links=[CUSTOMERS.replace('"customers"', '"clients"')])

    report = scene.run()

    assert (report.exit_code, planned(report.links[0])) == (0, {})
    assert list(scene.service.lists.values())[1:] == []


def test_links_that_exchange_names_keep_their_lists_and_who_left_them(scene: Scene) -> None:
    links = [link("aa"), link("bb", backend="own")]
    scene.write_config(links=links)
    crowd(scene, 3)
    scene.unsubscribe("a0@example.com", "aa")
    exchanged = [
        each.replace('"aa"', '"x"').replace('"bb"', '"aa"').replace('"x"', '"bb"') for each in links
    ]
    scene.write_config(links=exchanged)

    report = scene.run()

    assert (report.exit_code, [planned(one) for one in report.links]) == (0, [{}, {}])
    assert set(scene.members("Aa")) == {"a1@example.com", "a2@example.com"}
    assert len(scene.own_members()) == 3


def test_a_link_that_was_taken_out_and_comes_back_knows_who_left(scene: Scene) -> None:
    crowd(scene, 3)
    scene.unsubscribe("a0@example.com")
    scene.write_config(links=[link("others", backend="own")])
    assert scene.run().exit_code == 0
    assert len(scene.own_members()) == 3  # another list, which nobody left

    scene.write_config(links=[link("others", backend="own"), CUSTOMERS])
    report = scene.run()

    assert (report.exit_code, [planned(one) for one in report.links]) == (0, [{}, {}])
    assert set(scene.members()) == {"a1@example.com", "a2@example.com"}


def test_a_list_known_by_its_id_and_found_by_its_name_is_refused_under_another_name(
    scene: Scene,
) -> None:
    head = 'name = "{}"\nselection = "contact"\nbackend = "own"\n'
    scene.write_config(links=[link("own", backend="own")])
    scene.run()
    by_id = head.format("customers") + 'list_id = "1"\n'
    scene.write_config(links=[by_id])
    crowd(scene, 3)
    scene.rebase()
    scene.run()
    scene.unsubscribe("a0@example.com")
    by_name = head.format("clients") + 'list = "Own"\n'
    scene.write_config(links=[by_name])

    report = scene.run()

    assert report.exit_code == 4
    [finding] = report.links[0].findings
    assert "was that of link customers" in finding.message
    scene.write_config(links=[f'{by_name}list_id = "1"\n'])
    scene.run()
    scene.rebase("clients")
    assert scene.run().exit_code == 0
    assert set(scene.own_members()) == {"a1@example.com", "a2@example.com"}


def test_a_wish_told_under_the_new_name_before_its_first_run_counts(scene: Scene) -> None:
    crowd(scene, 3)
    scene.write_config(links=[CUSTOMERS.replace('"customers"', '"clients"')])

    scene.unsubscribe("a0@example.com", "clients")
    scene.write_config(links=[CUSTOMERS])

    assert scene.run().exit_code == 0
    assert set(scene.members()) == {"a1@example.com", "a2@example.com"}
