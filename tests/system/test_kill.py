"""Killed at any step, the next run ends where an undisturbed one would have."""

from collections import Counter
from collections.abc import Callable

from syncd.core.address import key_of
from tests.fakes.email_service import EmailService, Fault
from tests.scene import Scene, link, planned
from tests.system.killing import Kept, Killer


def added_singly(service: EmailService) -> Counter[str]:
    """Count the `add`s of each address."""
    return Counter(
        request.fields["data"]["contact"]["email"]
        for request in service.requests
        if request.action == "updateContact add"
    )


def a_busy_day(scene: Scene) -> None:
    """Fill the list; then change people in every way, and let one be latched."""
    add, edit = scene.planfix.add, scene.planfix.edit
    ids = [add(name=f"P{n}", last_name="Berg", email=f"p{n}@example.com") for n in range(24)]
    assert scene.run().exit_code == 0
    scene.unsubscribe("p9@example.com")
    scene.service.opted_out.add(key_of("p9@example.com"))
    edit(ids[0], last_name="Lund")
    edit(ids[1], email="p1@example.org")
    edit(ids[2], email="p3@example.com")  # a chain: 2 → 3 → a free address
    edit(ids[3], email="p3@example.org")
    edit(ids[4], email="p5@example.com")  # a swap
    edit(ids[5], email="p4@example.com")
    scene.planfix.delete(ids[6])
    edit(ids[7], email="")
    edit(ids[9], email="p9@example.org")  # the latched one moves
    add(name="Heir", email="p8@example.com")
    scene.planfix.delete(ids[8])  # and somebody else has the address
    for number in range(12):
        add(name=f"N{number}", email=f"n{number}@example.com")
    add(name="Back", email="p9@example.com")  # the latched address, under a new id


def test_a_run_killed_at_any_step_is_made_good_by_the_next(scene: Scene, killer: Killer) -> None:
    a_busy_day(scene)
    begin = Kept(scene)
    assert scene.run().exit_code == 0
    expected = scene.members(), scene.ids()
    assert len(expected[0]) == 33
    for step in killer.at_each_step(scene, begin):
        report = scene.run()

        assert report.exit_code == 0, step
        assert (scene.members(), scene.ids()) == expected, step
        assert scene.service.resubscribed == 0, step
    assert step > 20


def test_an_add_that_was_killed_is_never_sent_as_an_add_again(scene: Scene, killer: Killer) -> None:
    scene.run()
    for number in range(2):
        scene.planfix.add(name="Anna", email=f"a{number}@example.com")
    begin = Kept(scene)
    for step in killer.at_each_step(scene, begin):
        assert scene.run().exit_code == 0, step
        assert len(scene.members()) == 2, step
        assert max(added_singly(scene.service).values(), default=1) == 1, step
        assert planned(scene.run(dry_run=True).links[0]) == {}, step


def test_a_first_run_killed_at_any_step_makes_one_list(scene: Scene, killer: Killer) -> None:
    for number in range(12):
        scene.planfix.add(name="Anna", email=f"a{number}@example.com")
    begin = Kept(scene)
    unknown = 0
    for step in killer.at_each_step(scene, begin):
        report = scene.run()

        assert scene.service.actions.count("createList") <= 1, step
        if report.exit_code == 78:
            unknown += 1
            scene.rebase()
            report = scene.run()
        assert report.exit_code == 0, step
        assert len(scene.members()) == 12, step
    assert unknown > 0


def test_a_first_run_on_a_readable_list_killed_at_any_step_needs_nobody(
    make_scene: Callable[..., Scene], killer: Killer
) -> None:
    scene = make_scene(links=[link("customers", backend="own")])
    for number in range(12):
        scene.planfix.add(name="Anna", email=f"a{number}@example.com")
    begin = Kept(scene)
    for step in killer.at_each_step(scene, begin):
        assert scene.run().exit_code == 0, step
        assert len(scene.own_members()) == 12, step


def test_a_wish_to_leave_that_was_not_told_is_told_after_a_kill(
    scene: Scene, killer: Killer
) -> None:
    ids = [scene.planfix.add(name="A", email=f"a{n}@example.com") for n in range(3)]
    scene.run()
    scene.service.fail(Fault.ERROR, times=None)
    scene.unsubscribe("a1@example.com")
    scene.service.recover()
    assert "a1@example.com" in scene.members()
    scene.planfix.edit(ids[1], last_name="Lund")
    begin = Kept(scene)
    for step in killer.at_each_step(scene, begin):
        assert scene.run().exit_code == 0, step
        assert set(scene.members()) == {"a0@example.com", "a2@example.com"}, step
