"""The page in a real browser: nothing forbidden, nothing from elsewhere, fit for every reader."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.page.browser import Browser, browser
from tests.page.picture import draw
from tests.page.serving import served

TAB = 9
ENTER = 13


@pytest.fixture(scope="module")
def home() -> Iterator[str]:
    with served() as url:
        yield f"{url}/"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


def names(chromium: Browser, role: str) -> list[str]:
    """Return the names that a screen reader says of everything with a role, in their order."""
    tree = {node["nodeId"]: node for node in chromium.ask("Accessibility.getFullAXTree")["nodes"]}
    found, waiting = [], [next(iter(tree.values()))]
    while waiting:
        node = waiting.pop()
        waiting += [tree[child] for child in reversed(node.get("childIds", ())) if child in tree]
        if not node["ignored"] and node["role"]["value"] == role:
            found.append(node.get("name", {}).get("value", ""))
    return found


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1000, 360], ids=["desk", "phone"])
def test_the_browser_finds_nothing_wrong_and_asks_nobody_else(
    chromium: Browser, home: str, width: int, *, dark: bool
) -> None:
    chromium.show(home, width=width, dark=dark)

    assert chromium.complaints == []
    assert set(chromium.requests) == {home, f"{home}icon.svg"}
    assert chromium.run("document.querySelector('h1').innerText") == "1 of 4 links are in step"


def test_what_the_policy_forbids_does_not_happen(chromium: Browser, home: str) -> None:
    chromium.show(home)

    chromium.run(
        "document.body.insertAdjacentHTML('beforeend',"
        ' \'<img id="bad" src="data:," onerror="document.title = 1" style="width: 99px">\')'
    )

    told = " ".join(chromium.complaints)
    assert "Content Security Policy" in told
    assert chromium.run("document.querySelector('#bad').offsetWidth") != 99
    assert chromium.run("document.title") != "1"


@pytest.mark.parametrize("width", [320, 360, 414, 768])
def test_a_narrow_window_never_scrolls_sideways(chromium: Browser, home: str, width: int) -> None:
    chromium.show(home, width=width)
    chromium.run("document.querySelectorAll('details').forEach(each => each.open = true)")

    assert chromium.run("document.documentElement.scrollWidth") == width


def test_light_and_dark_are_two_sets_of_colours(chromium: Browser, home: str) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"

    chromium.show(home)
    light = chromium.run(ground)
    chromium.show(home, dark=True)

    assert (light, chromium.run(ground)) == ("rgb(246, 246, 243)", "rgb(18, 23, 27)")


CONTRASTS = """
(() => {
  const channel = (value) => {
    const share = value / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  };
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = ([red, green, blue]) =>
    0.2126 * channel(red) + 0.7152 * channel(green) + 0.0722 * channel(blue);
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const found = parts(getComputedStyle(at).backgroundColor);
      if (found.length < 4 || found[3] === 1) return found;
    }
    return [255, 255, 255];
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || element.closest("svg")) continue;
    const [one, other] = [light(parts(getComputedStyle(element).color)), light(ground(element))];
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    found.push([Math.round(ratio * 100) / 100, walker.currentNode.data.trim()]);
  }
  return found;
})()
"""
"""The contrast of each text with what is behind it, as WCAG 2.2 reckons it."""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_word_stands_out_enough_to_be_read(
    chromium: Browser, home: str, *, dark: bool
) -> None:
    chromium.show(home, dark=dark)
    chromium.run("document.querySelectorAll('details').forEach(each => each.open = true)")

    found: list[tuple[float, str]] = chromium.run(CONTRASTS)

    assert len(found) > 100
    assert [line for line in found if line[0] < 4.5] == []


MARKS = """
[...document.querySelectorAll(
  "rect.put, rect.taken, rect.planfix, g.ok > *, g.partial > *, g.refused > *, g.failed > *")
].map(each => {
  const style = getComputedStyle(each);
  return [style.fill === "none" ? style.stroke : style.fill,
          getComputedStyle(each.closest(".card") ?? document.body).backgroundColor];
})
"""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_mark_of_a_picture_stands_out_enough(
    chromium: Browser, home: str, *, dark: bool
) -> None:
    chromium.show(home, dark=dark)

    pairs = {tuple(pair) for pair in chromium.run(MARKS)}

    assert len(pairs) >= 5
    assert [pair for pair in pairs if contrast(*pair) < 3] == []


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours, as WCAG 2.2 reckons it."""

    def light(colour: str) -> float:
        shares = [int(part) / 255 for part in colour[4:-1].split(", ")]
        red, green, blue = (
            share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4
            for share in shares
        )
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    dim, bright = sorted((light(one), light(other)))
    return (bright + 0.05) / (dim + 0.05)


def test_a_screen_reader_has_a_name_for_everything(chromium: Browser, home: str) -> None:
    chromium.show(home)

    assert names(chromium, "heading") == [
        "1 of 4 links are in step",
        "What is wrong",
        "Waits for a person", "customers",
        "Links", "newsletter to Newsletter", "customers to Kunden & Freunde",
        "partners to Partners", "press to Press",
        "Who waits", "Consent", "What comes in",
    ]  # fmt: skip
    assert names(chromium, "region") == [
        "What is wrong", "Waits for a person", "Links", "Who waits", "Consent", "What comes in",
    ]  # fmt: skip
    for role in ("banner", "main", "contentinfo"):
        assert len(names(chromium, role)) == 1, role
    assert names(chromium, "table") == [
        "customers",
        "People who left, and are not subscribed again by syncd",
        "Requests since syncd was started",
        "SMS",
    ]
    pictures = names(chromium, "image")
    assert len(pictures) == 3
    assert all(" runs, " in name and "the last run: " in name for name in pictures)
    for role in ("link", "article", "DisclosureTriangle", "columnheader", "rowheader"):
        found = names(chromium, role)
        assert found, role
        assert all(found), (role, found)


def test_the_headings_leave_no_level_out(chromium: Browser, home: str) -> None:
    chromium.show(home)

    levels: list[int] = chromium.run(
        "[...document.querySelectorAll('h1, h2, h3, h4')].map(each => +each.tagName[1])"
    )

    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def focused(chromium: Browser) -> Any:
    return chromium.run(
        "(({tagName, textContent}) => [tagName, textContent.trim()])(document.activeElement)"
    )


def test_the_keyboard_reaches_everything_in_the_order_in_which_it_is_read(
    chromium: Browser, home: str
) -> None:
    chromium.show(home)

    order = []
    for _ in range(6):
        chromium.press("Tab", TAB)
        order.append(focused(chromium))

    assert order == [
        ["A", "Look again"],
        ["SUMMARY", "The runs of newsletter as a table"],
        ["SUMMARY", "The runs of customers as a table"],
        ["SUMMARY", "The runs of partners as a table"],
        ["A", "health"],
        ["A", "metrics"],
    ]


def test_the_keyboard_opens_the_table_of_a_picture_and_sees_where_it_is(
    chromium: Browser, home: str
) -> None:
    chromium.show(home)
    for _ in range(2):
        chromium.press("Tab", TAB)

    assert chromium.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    chromium.ask("Input.dispatchKeyEvent", type="keyDown", key="Enter", text="\r",
                 windowsVirtualKeyCode=ENTER)  # fmt: skip

    assert chromium.run("document.querySelector('details').open") is True
    assert len(names(chromium, "row")) > 48


def test_nobody_needs_a_pointer_of_five_pixels(chromium: Browser, home: str) -> None:
    chromium.show(home, width=360)

    small: list[str] = chromium.run(
        "[...document.querySelectorAll('a, summary')]"
        ".filter(each => each.getBoundingClientRect().height < 16).map(each => each.textContent)"
    )

    assert small == []


@pytest.mark.parametrize("width", [320, 360, 1000])
def test_how_a_run_ended_is_told_by_a_shape_that_can_be_seen(
    chromium: Browser, home: str, width: int
) -> None:
    chromium.show(home, width=width)

    marks: list[list[float]] = chromium.run(
        "[...document.querySelectorAll('.chart')].map(chart =>"
        " [...chart.querySelectorAll('g > g > *')].map(each => each.getBoundingClientRect()))"
        ".map(all => [Math.min(...all.map(each => each.width)), all.at(-1).right])"
    )

    assert [smallest for smallest, _ in marks if smallest < 5] == []
    assert all(0 < last < width for _, last in marks)  # the latest run is in sight


def test_the_picture_for_the_docs_is_drawn_by_its_command(tmp_path: Path) -> None:
    drawn = tmp_path / "page.png"

    draw(drawn)

    assert drawn.read_bytes().startswith(b"\x89PNG")
    assert drawn.stat().st_size < 300_000
