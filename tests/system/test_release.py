"""`syncd release`: a person's word that somebody who left may be subscribed again."""

from collections.abc import Callable

import pytest

from syncd.app import decisions
from syncd.app.history import history
from syncd.core.people import ContactId, Person
from syncd.errors import BusyError
from syncd.simulator.planfix import SimulatedPlanfix
from tests.scene import Scene, applied, link, planned

MAKE = Callable[..., Scene]
ANNA = "anna@example.com"
ELSEWHERE = "anna@example.org"
REASON = ("--reason", "asked us on the phone")
ACCOUNT = '[links.consent]\nscope = "account"\n'


def two_links(make_scene: MAKE, more: str = "") -> Scene:
    """Two lists in one file, which Anna is on."""
    names = ("customers", "letters")
    scene = make_scene(links=[link(name, backend="own", more=more) for name in names])
    scene.run()
    return scene


def leave(scene: Scene, *lists: str) -> None:
    """Let Anna leave lists by herself, and the run see it."""
    with scene.embedded() as own:
        for number in lists:
            own.leave(number, ANNA)
    scene.run()


def on_lists(scene: Scene) -> list[bool]:
    return [ANNA in scene.own_members(number) for number in ("1", "2")]


@pytest.mark.usefixtures("anna")
def test_who_is_released_on_one_link_stays_out_of_the_other(make_scene: MAKE) -> None:
    scene = two_links(make_scene)
    leave(scene, "1", "2")

    told = scene.syncd("release", ANNA, "--link", "letters", *REASON)
    report = scene.run()

    assert told.returncode == 0, told.stderr
    assert on_lists(scene) == [False, True]
    assert [applied(one) for one in report.links] == [{}, {"add": 1}]


@pytest.mark.usefixtures("anna")
def test_who_is_released_without_a_link_is_released_everywhere(make_scene: MAKE) -> None:
    scene = two_links(make_scene)
    leave(scene, "1", "2")

    scene.syncd("release", ANNA, *REASON)
    scene.run()

    assert on_lists(scene) == [True, True]
    assert [planned(one) for one in scene.run().links] == [{}, {}]


@pytest.mark.usefixtures("anna")
def test_in_an_account_a_release_is_for_every_list(make_scene: MAKE) -> None:
    scene = two_links(make_scene, ACCOUNT)
    leave(scene, "1")
    scene.run()
    out = on_lists(scene)

    scene.syncd("release", ANNA, *REASON)
    scene.run()
    scene.run()

    assert out == [False, False]
    assert on_lists(scene) == [True, True]
    assert [planned(one) for one in scene.run().links] == [{}, {}]


@pytest.mark.parametrize("by_herself", [False, True])
def test_in_an_account_who_is_back_on_one_list_stays_out_of_the_others(
    make_scene: MAKE, planfix: SimulatedPlanfix, anna: ContactId, by_herself: bool
) -> None:
    scene = two_links(make_scene, ACCOUNT)
    leave(scene, "1")
    scene.run()
    if by_herself:
        with scene.embedded() as own:
            own.join("2", Person.of(ANNA, "Anna", ""))
    else:
        assert scene.syncd("release", ANNA, "--link", "letters", *REASON).returncode == 0
    scene.run()
    assert on_lists(scene) == [False, True]
    with scene.world() as world:
        kept_off = [
            told.link for told in history(world, ANNA) if "not subscribed again" in told.what
        ]

    scene.rebase("customers")
    scene.run()
    planfix.edit(anna, email="anna.new@example.com")
    scene.run()
    planfix.edit(anna, email=ANNA)
    scene.run()

    assert "every link" not in kept_off
    assert on_lists(scene) == [False, True]
    assert [planned(one) for one in scene.run().links] == [{}, {}]


@pytest.mark.usefixtures("anna")
def test_in_an_account_who_leaves_again_leaves_every_list_again(make_scene: MAKE) -> None:
    scene = two_links(make_scene, ACCOUNT)
    leave(scene, "1")
    scene.run()
    scene.syncd("release", ANNA, "--link", "letters", *REASON)
    scene.run()
    assert on_lists(scene) == [False, True]
    scene.syncd("release", ANNA, "--link", "customers", *REASON)
    scene.run()
    assert on_lists(scene) == [True, True]

    leave(scene, "2")
    scene.run()
    scene.run()

    assert on_lists(scene) == [False, False]


def test_who_moved_after_leaving_is_released_by_the_present_address(
    make_scene: MAKE, planfix: SimulatedPlanfix, anna: ContactId
) -> None:
    scene = two_links(make_scene)
    leave(scene, "1", "2")
    planfix.edit(anna, email=ELSEWHERE)
    scene.run()

    told = scene.syncd("release", ELSEWHERE, *REASON)
    scene.run()
    scene.run()

    assert told.returncode == 0, told.stderr
    assert [ELSEWHERE in scene.own_members(number) for number in ("1", "2")] == [True, True]
    assert [planned(one) for one in scene.run().links] == [{}, {}]


@pytest.mark.usefixtures("anna")
def test_two_releases_for_the_same_reason_are_both_told(make_scene: MAKE) -> None:
    scene = make_scene(links=[link("customers", backend="own")])
    scene.run()
    for _ in range(2):
        leave(scene, "1")
        scene.syncd("release", ANNA, *REASON)
        scene.run()

    with scene.world() as world:
        told = [line.what for line in history(world, ANNA)]

    words = "released by an operator, so that syncd may subscribe them again: asked us on the phone"
    assert told.count(words) == 2
    assert ANNA in scene.own_members()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nobody@example.com", *REASON), "Nobody with that address is latched there."),
        (("ben@example.com", *REASON), "Nobody with that address is latched there."),
        ((ANNA, "--link", "nowhere", *REASON), "There is no link 'nowhere' in the config."),
        ((ANNA, "--link", "letters", *REASON), "Nobody with that address is latched there."),
        ((ANNA, "--reason", "  "), "A reason is needed"),
        ((ANNA,), "Missing option '--reason'"),
    ],
)
@pytest.mark.usefixtures("anna")
def test_a_wrong_release_lifts_nothing(
    make_scene: MAKE, arguments: tuple[str, ...], said: str
) -> None:
    scene = two_links(make_scene)
    leave(scene, "1")

    told = scene.syncd("release", *arguments)
    scene.run()

    assert told.returncode == 2
    assert said in told.stderr
    assert on_lists(scene) == [False, True]


@pytest.mark.parametrize("text", ["", " ", "none"])
@pytest.mark.parametrize(
    "command",
    [
        ("release", *REASON),
        ("forget",),
        ("history",),
        ("lists", "unsubscribe", "customers"),
    ],
)
def test_a_text_that_is_no_address_means_nobody(
    make_scene: MAKE,
    planfix: SimulatedPlanfix,
    anna: ContactId,
    command: tuple[str, ...],
    text: str,
) -> None:
    """A script's variable may be empty, as the address of many contacts is."""
    scene = two_links(make_scene)
    leave(scene, "1", "2")
    planfix.edit(anna, email=text.strip())
    scene.run()

    told = scene.syncd(*command, text)

    assert told.returncode == 2
    assert "no e-mail address" in told.stderr
    planfix.edit(anna, email=ELSEWHERE)
    assert [applied(one) for one in scene.run().links] == [{}, {}]
    with scene.world() as world:
        assert history(world, ANNA)


@pytest.mark.usefixtures("anna")
def test_nobody_is_released_while_a_run_is_under_way(make_scene: MAKE) -> None:
    scene = two_links(make_scene)
    leave(scene, "1")

    with scene.world() as world, world.store.lock(), pytest.raises(BusyError):
        decisions.release(world, ANNA, links=(), reason="asked us")

    assert scene.run().exit_code == 0
    assert on_lists(scene) == [False, True]
