"""One bad contact is found, set aside and tried again, and keeps nobody else waiting."""

from datetime import UTC, datetime, timedelta

from freezegun import freeze_time

from syncd.core.address import key_of
from tests.scene import Scene, applied, planned

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
BAD = "a77@example.com"


def an_import_with_a_bad_contact(scene: Scene) -> list[int]:
    """Run a first import of 600 of whom the service takes one never; return their ids."""
    ids = [
        scene.planfix.add(name="Anna", last_name="Berg", email=f"a{number}@example.com")
        for number in range(600)
    ]
    scene.service.poisoned.add(key_of(BAD))
    report = scene.run()

    [done] = report.links
    assert (report.exit_code, done.outcome, done.quarantined) == (1, "partial", 1)
    assert planned(done) == {"add": 600}
    assert applied(done) == {"add": 599}
    scene.service.requests.clear()
    return ids


def test_halving_finds_the_bad_contact_and_adds_the_others(scene: Scene) -> None:
    an_import_with_a_bad_contact(scene)

    assert len(scene.members()) == 599
    assert BAD not in scene.members()


def test_the_bad_contact_is_tried_again_with_growing_delay(scene: Scene) -> None:
    with freeze_time(NOON, tick=True) as clock:
        an_import_with_a_bad_contact(scene)
        tried = []
        for minute in range(5, 48 * 60, 5):
            clock.move_to(NOON + timedelta(minutes=minute))
            if minute in {10, 20, 70, 90, 320, 400, 1765, 1780}:
                assert scene.run().exit_code == 1
                tried.append((minute, len(scene.service.actions)))

    assert tried == [
        (10, 0), (20, 1), (70, 1), (90, 2), (320, 2), (400, 3), (1765, 3), (1780, 3),
    ]  # fmt: skip


def test_the_bad_contact_is_tried_at_once_when_its_data_change(scene: Scene) -> None:
    ids = an_import_with_a_bad_contact(scene)

    scene.planfix.edit(ids[77], last_name="Lund")
    report = scene.run()
    assert scene.service.actions == ["updateContact add"]
    assert report.exit_code == 1

    scene.planfix.edit(ids[77], email="a77@example.org")
    report = scene.run()

    assert (report.exit_code, report.links[0].quarantined) == (0, 0)
    assert scene.members()["a77@example.org"] == ("Anna", "Lund")


def test_a_success_frees_the_bad_contact(scene: Scene) -> None:
    with freeze_time(NOON, tick=True) as clock:
        an_import_with_a_bad_contact(scene)
        scene.service.poisoned.clear()
        assert scene.run().exit_code == 1  # it is not its turn yet
        clock.tick(timedelta(minutes=16))
        report = scene.run()

    assert (report.exit_code, report.links[0].quarantined) == (0, 0)
    assert len(scene.members()) == 600


def test_a_bad_contact_that_left_planfix_is_in_quarantine_no_longer(scene: Scene) -> None:
    ids = an_import_with_a_bad_contact(scene)

    scene.planfix.delete(ids[77])
    report = scene.run()

    assert (report.exit_code, report.links[0].quarantined) == (0, 0)


def test_a_bad_contact_without_an_address_is_in_quarantine_no_longer(scene: Scene) -> None:
    ids = an_import_with_a_bad_contact(scene)

    scene.planfix.edit(ids[77], email="")

    assert scene.run().exit_code == 0


def test_a_bad_contact_who_unsubscribed_is_in_quarantine_no_longer(scene: Scene) -> None:
    an_import_with_a_bad_contact(scene)

    scene.unsubscribe(BAD)

    assert scene.run().exit_code == 0


def test_a_bad_change_taken_back_is_in_quarantine_no_longer(scene: Scene) -> None:
    ids = [scene.planfix.add(name="A", email=f"a{number}@example.com") for number in range(5)]
    scene.run()
    scene.planfix.edit(ids[0], email="bad@example.com")
    scene.planfix.edit(ids[1], name="B")
    scene.service.poisoned.add(key_of("bad@example.com"))
    report = scene.run()
    assert (report.exit_code, applied(report.links[0])) == (1, {"update": 1})
    assert "a0@example.com" in scene.members()

    scene.planfix.edit(ids[0], email="a0@example.com")
    report = scene.run()

    assert (report.exit_code, planned(report.links[0])) == (0, {})


def test_whoever_waits_for_the_address_of_a_bad_contact_is_held(scene: Scene) -> None:
    first = scene.planfix.add(name="First", email="first@example.com")
    second = scene.planfix.add(name="Second", email="second@example.com")
    third = scene.planfix.add(name="Third", email="third@example.com")
    scene.run()
    scene.planfix.edit(first, email="bad@example.com")
    scene.planfix.edit(second, email="first@example.com")
    scene.planfix.edit(third, name="Drei")
    scene.service.poisoned.add(key_of("bad@example.com"))

    report = scene.run()

    assert (report.exit_code, report.links[0].quarantined, report.links[0].held) == (1, 1, 1)
    assert set(scene.members()) == {
        "first@example.com", "second@example.com", "third@example.com",
    }  # fmt: skip
    report = scene.run()
    assert (report.exit_code, report.links[0].held) == (1, 1)
    scene.service.poisoned.clear()
    scene.planfix.edit(first, email="good@example.com")

    assert scene.run().exit_code == 0
    assert scene.members() == {
        "good@example.com": ("First", ""),
        "first@example.com": ("Second", ""),
        "third@example.com": ("Drei", ""),
    }
