"""Runs that go well: what is done, what it costs, and what the run document says."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest

from syncd import clock
from syncd.core.sms import PhoneNumber, Text
from tests.fakes.email_service import Fault
from tests.scene import Scene, applied, counts, link, planned

FIRST, SECOND = "20261123T221530Z-7f3a", "20261123T221530Z-0b1c"


def test_a_first_run_of_many_imports_them_in_batches_of_at_most_500(scene: Scene) -> None:
    for number in range(1203):
        scene.planfix.add(name="Anna", email=f"a{number}@example.com")

    report = scene.run()

    assert report.exit_code == 0
    assert scene.service.actions == ["createList", *["importContacts"] * 3]
    sizes = [len(r.fields["data"]["contacts"]) for r in scene.service.requests[1:]]
    assert sizes == [500, 500, 203]
    assert len(scene.members()) == 1203


def test_ten_new_contacts_are_added_singly(scene: Scene) -> None:
    for number in range(10):
        scene.planfix.add(name="Anna", last_name="Berg", email=f"a{number}@example.com")

    scene.run()

    assert scene.service.actions == ["createList", *["updateContact add"] * 10]


def test_eleven_new_contacts_are_imported(scene: Scene) -> None:
    for number in range(11):
        scene.planfix.add(name="Anna", last_name="Berg", email=f"a{number}@example.com")

    scene.run()

    assert scene.service.actions == ["createList", "importContacts"]


def test_a_quiet_run_asks_planfix_once_per_page_and_the_list_nothing(scene: Scene) -> None:
    for number in range(250):
        scene.planfix.add(name="Anna", email=f"a{number}@example.com")
    scene.run()
    scene.service.requests.clear()
    calls = len(scene.planfix.requests)

    report = scene.run()

    assert [r.method for r in scene.planfix.requests[calls:]] == ["contact.getList"] * 3
    assert scene.service.actions == []
    assert (report.exit_code, planned(report.links[0])) == (0, {})


def test_each_kind_of_change_reaches_the_list_as_what_it_is(scene: Scene) -> None:
    add = scene.planfix.add
    names = add(name="Anna", last_name="Berg", email="anna@example.com")
    address = add(name="Boris", email="boris@example.com")
    spelling = add(name="Clara", email="clara@example.com")
    gone = add(name="Daria", email="daria@example.com")
    emptied = add(name="Emil", email="emil@example.com")
    spoilt = add(name="Freja", email="freja@example.com")
    scene.run()
    scene.service.requests.clear()

    scene.planfix.edit(names, last_name="Lund")
    scene.planfix.edit(address, email="boris@example.org")
    scene.planfix.edit(spelling, email="Clara@Example.com")
    scene.planfix.delete(gone)
    scene.planfix.edit(emptied, email="")
    scene.planfix.edit(spoilt, email="freja@@example")
    add(name="Gerd", email="gerd@example.com")
    report = scene.run()

    assert report.exit_code == 0
    assert applied(report.links[0]) == {"add": 1, "update": 2, "rename": 1, "remove": 2}
    assert report.links[0].held == 1
    assert scene.members() == {
        "anna@example.com": ("Anna", "Lund"),
        "boris@example.org": ("Boris", ""),
        "clara@example.com": ("Clara", ""),
        "freja@example.com": ("Freja", ""),
        "gerd@example.com": ("Gerd", ""),
    }
    old = [r.fields["data"].get("oldEmail") for r in scene.service.requests]
    assert [address for address in old if address] == ["boris@example.com"]
    assert planned(scene.run().links[0]) == {}


def test_swapped_addresses_change_names_and_nobody_leaves(scene: Scene) -> None:
    anna = scene.planfix.add(name="Anna", email="one@example.com")
    boris = scene.planfix.add(name="Boris", email="two@example.com")
    scene.run()
    scene.service.requests.clear()

    scene.planfix.edit(anna, email="two@example.com")
    scene.planfix.edit(boris, email="one@example.com")
    report = scene.run()

    assert applied(report.links[0]) == {"update": 2}
    assert scene.members() == {"one@example.com": ("Boris", ""), "two@example.com": ("Anna", "")}
    assert set(scene.service.actions) == {"updateContact update"}


def test_a_chain_of_moves_runs_from_its_free_end(scene: Scene) -> None:
    ids = [scene.planfix.add(name=f"P{n}", email=f"p{n}@example.com") for n in range(4)]
    scene.run()

    for n, contact in enumerate(ids):
        scene.planfix.edit(contact, email=f"p{n + 1}@example.com")
    report = scene.run()

    assert applied(report.links[0]) == {"rename": 4}
    assert scene.members() == {f"p{n + 1}@example.com": (f"P{n}", "") for n in range(4)}


def test_the_next_contact_with_the_same_address_takes_over(scene: Scene) -> None:
    owner = scene.planfix.add(name="Anna", email="office@example.com")
    scene.planfix.add(name="Boris", email="Office@example.com")
    scene.run()
    assert scene.members() == {"office@example.com": ("Anna", "")}

    scene.planfix.delete(owner)
    report = scene.run()

    assert applied(report.links[0]) == {"update": 1}
    assert scene.members() == {"office@example.com": ("Boris", "")}


def test_two_runs_of_one_second_have_two_names(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = iter([FIRST, FIRST, FIRST, SECOND])
    monkeypatch.setattr("syncd.app.run.new_run_id", lambda: next(names))

    first, second = scene.run(), scene.run()

    assert (first.exit_code, first.run) == (0, FIRST)
    assert (second.exit_code, second.run) == (0, SECOND)


def test_the_run_document_is_what_was_promised(scene: Scene) -> None:
    for number in range(3):
        scene.planfix.add(name="Anna", email=f"a{number}@example.com")

    document = scene.run().document()

    assert re.fullmatch(r"\d{8}T\d{6}Z-[0-9a-f]{4}", document.pop("run"))
    for moment in ("started", "finished"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", document.pop(moment))
    assert document == {
        "dry_run": False,
        "outcome": "ok",
        "exit_code": 0,
        "error": None,
        "links": [
            {
                "link": "customers",
                "outcome": "ok",
                "error": None,
                "planfix_read": 3,
                "list_read": None,
                "certified": True,
                "planned": counts(add=3),
                "applied": counts(add=3),
                "withheld": 0,
                "held": 0,
                "quarantined": 0,
            }
        ],
    }


def test_a_dry_run_shows_the_plan_and_writes_to_neither_side(scene: Scene) -> None:
    anna = scene.planfix.add(name="Anna", email="anna@example.com")
    scene.run()
    scene.planfix.edit(anna, email="anna@example.org")
    boris = scene.planfix.add(name="Boris", email="boris@example.com")
    scene.service.requests.clear()

    document = scene.run(dry_run=True).document()

    assert document["dry_run"] is True
    [shown] = document["links"]
    assert shown["planned"] == counts(add=1, rename=1)
    assert shown["applied"] == counts()
    assert sorted(shown["operations"], key=lambda operation: str(operation["op"])) == [
        {
            "op": "add",
            "contact": boris,
            "email": "boris@example.com",
            "old_email": None,
            "why": "new in the selection",
        },
        {
            "op": "rename",
            "contact": anna,
            "email": "anna@example.org",
            "old_email": "anna@example.com",
            "why": "address changed in Planfix",
        },
    ]
    assert scene.service.requests == []
    assert {r.method for r in scene.planfix.requests} == {"contact.getList"}
    assert applied(scene.run().links[0]) == {"add": 1, "rename": 1}


def test_a_dry_run_before_the_first_run_makes_no_list(scene: Scene) -> None:
    scene.planfix.add(name="Anna", email="anna@example.com")

    report = scene.run(dry_run=True)

    assert planned(report.links[0]) == {"add": 1}
    assert scene.service.requests == []


def test_links_with_one_selection_share_its_sweep(make_scene: Callable[..., Scene]) -> None:
    scene = make_scene(links=[link("first"), link("second", backend="own")])
    for number in range(150):
        scene.planfix.add(name="Anna", email=f"a{number}@example.com")

    report = scene.run()

    assert [(done.link, applied(done)) for done in report.links] == [
        ("first", {"add": 150}),
        ("second", {"add": 150}),
    ]
    assert scene.planfix.calls("contact.getList") == 2
    assert scene.members("First") == scene.own_members()


def test_a_list_that_is_down_does_not_keep_the_other_from_being_served(
    make_scene: Callable[..., Scene],
) -> None:
    scene = make_scene(links=[link("first"), link("second", backend="own")])
    scene.planfix.add(name="Anna", email="anna@example.com")
    scene.service.fail(Fault.UNAVAILABLE, times=None)

    report = scene.run()

    assert report.exit_code == 69
    assert [done.outcome for done in report.links] == ["failed", "ok"]
    assert scene.own_members() == {"anna@example.com": ("Anna", "")}

    scene.service.recover()
    assert scene.run().exit_code == 0
    assert scene.members("First") == {"anna@example.com": ("Anna", "")}


def test_only_the_links_that_were_named_are_run(make_scene: Callable[..., Scene]) -> None:
    scene = make_scene(links=[link("first"), link("second", backend="own")])
    scene.planfix.add(name="Anna", email="anna@example.com")

    report = scene.run("second")

    assert [done.link for done in report.links] == ["second"]
    assert scene.service.requests == []


def test_a_filter_is_read_as_planfix_names_it(make_scene: Callable[..., Scene]) -> None:
    scene = make_scene(links=[link("customers", selection="filter:77")])
    inside = scene.planfix.add(name="Anna", email="anna@example.com")
    scene.planfix.add(name="Boris", email="boris@example.com")
    scene.planfix.add_filter("77", "Newsletter", [inside])

    scene.run()

    assert scene.members() == {"anna@example.com": ("Anna", "")}


def test_a_company_goes_on_its_list_by_its_name(make_scene: Callable[..., Scene]) -> None:
    scene = make_scene(links=[link("customers", selection="company")])
    scene.planfix.add(name="Acme", email="office@example.com", is_company=True)
    scene.planfix.add(name="Anna", email="anna@example.com")

    scene.run()

    assert scene.members() == {"office@example.com": ("Acme", "")}


def test_a_message_stays_in_the_store_for_a_month(scene: Scene) -> None:
    message = Text(
        login="acme", relay="gone", sender="", recipient=PhoneNumber("+70000000001"), text="Hi"
    )
    with scene.world() as world:
        now = clock.now()
        old = world.store.outbox.put(message, at=now - timedelta(days=30, minutes=1))
        new = world.store.outbox.put(message, at=now - timedelta(days=29))

    scene.run()

    with scene.world() as world:
        assert world.store.outbox.standing(old) is None
        assert world.store.outbox.standing(new) is not None
