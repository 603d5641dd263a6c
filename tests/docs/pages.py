"""Read the documentation: its pages, links, code and tables."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = tuple(
    sorted([*(ROOT / "docs").rglob("*.md"), *(ROOT / name for name in (
        "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "deploy/README.md",
    ))])
)  # fmt: skip

_FENCE: Final = re.compile(r"^( *)```(\w*)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
_SPAN: Final = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_LINK: Final = re.compile(r"\]\(([^)\s]+)\)")
_HEADING: Final = re.compile(r"^#+ (.+)$", re.MULTILINE)


def name_of(page: Path) -> str:
    """Return a page's path below the root, for messages."""
    return str(page.relative_to(ROOT))


def prose(page: Path) -> str:
    """Return a page without its fenced code."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def links(page: Path) -> list[str]:
    """Return where a page's links lead, those to other sites left out."""
    found = _LINK.findall(_SPAN.sub("code", prose(page)))
    return [target for target in found if "://" not in target]


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as a forge makes them."""
    titles = (re.sub(r"[`*]", "", title).strip().lower() for title in _HEADING.findall(prose(page)))
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in titles}


def code(page: Path) -> Iterator[str]:
    """Yield each line of shell and each inline piece of code."""
    text = page.read_text(encoding="utf-8")
    for _, language, body in _FENCE.findall(text):
        if language in {"", "sh", "console"}:
            yield from (line.partition("  #")[0].strip() for line in body.splitlines())
    for span in _SPAN.findall(_FENCE.sub("", text)):
        yield span.strip()


def section(page: Path, title: str) -> str:
    """Return what stands under a heading, up to the next of its depth or above."""
    text = page.read_text(encoding="utf-8")
    head = re.search(rf"^(#+) {re.escape(title)}$\n", text, re.MULTILINE)
    assert head, f"{name_of(page)} has no heading {title!r}"
    rest = text[head.end() :]
    after = re.search(rf"^#{{1,{len(head[1])}}} ", rest, re.MULTILINE)
    return rest[: after.start()] if after else rest


def first_cells(text: str) -> list[str]:
    """Return the first cell of each table row, heads and rulers left out."""
    rows = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("|")]
    rulers = [at for at, cell in enumerate(rows) if re.fullmatch(r":?-+:?", cell)]
    heads = {at - 1 for at in rulers}
    return [cell for at, cell in enumerate(rows) if at not in heads and at not in rulers]
