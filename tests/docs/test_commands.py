"""The pages and the command line know the same commands and options."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from syncd.cli import syncd
from tests.docs.pages import PAGES, ROOT, code, name_of

CALL = re.compile(r"(?:\$ )?(?:sudo -u syncd )?(?:\S*/)?syncd(?: (.*))?$")
SHELL = {"&&", "|", ">"}


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, command in group.commands.items():
        yield (*path, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


def calls(page: Path) -> Iterator[list[str]]:
    """Yield the words after `syncd` of each call that a page shows."""
    for line in code(page):
        found = CALL.match(line)
        if found:
            words = shlex.split(found[1] or "", comments=True)
            until = next((at for at, word in enumerate(words) if word in SHELL), len(words))
            yield words[:until]


def unknown(words: list[str]) -> list[str]:
    """Return what the command line does not know of a call."""
    at: click.Command = syncd
    left = [word for word in words if word not in {"…", "[…]"}]
    faults = []
    while left:
        word = left.pop(0).strip("[]")
        if word.startswith("-"):
            option = next(
                (p for p in at.params if isinstance(p, click.Option) and word in p.opts), None
            )
            if option is None and word not in {"-h", "--help"}:
                faults.append(word)
            elif option is not None and not option.is_flag and left:
                left.pop(0)
        elif isinstance(at, click.Group):
            found = at.commands.get(word)
            if found is None:
                return [*faults, word]
            at = found
    return faults


def test_every_command_has_its_place_in_the_pages() -> None:
    told = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)

    missing = [
        " ".join(path)
        for path in commands(syncd)
        if not re.search(rf"syncd (?:\S+ )*?{' '.join(path)}\b", told)
    ]

    assert missing == []


def test_every_option_of_syncd_itself_has_its_place_in_the_pages() -> None:
    told = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    options = {name for option in syncd.params for name in option.opts if name.startswith("--")}

    assert {option for option in options if option not in told} == set()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_page_shows_no_call_that_syncd_does_not_know(page: Path) -> None:
    faults = {" ".join(words): unknown(words) for words in calls(page)}

    assert {call: found for call, found in faults.items() if found} == {}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_page_names_no_make_target_that_is_missing(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):.*##", makefile, re.MULTILINE))
    named = {found[1] for line in code(page) if (found := re.match(r"make ([a-z]+)", line))}

    assert named - targets == set()


def test_the_readme_shows_calls_at_all() -> None:
    readme = ROOT / "README.md"

    assert ["--dry-run"] in list(calls(readme))
    assert ["check"] in list(calls(readme))
