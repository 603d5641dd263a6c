"""What the README shows works."""

import re
import tempfile
from pathlib import Path

import pytest
from lxml import etree

from syncd.app.demo import demo
from syncd.app.wiring import read_config
from syncd.core.link import Direction
from tests.docs.pages import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def told(lines: list[str]) -> list[str]:
    """Return a demo's lines without what differs from one time to the next."""
    bare = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in lines]
    bare = [re.sub(r"\d{8}T\d{6}Z-[0-9a-f]{4}", "RUN", line) for line in bare]
    bare = [re.sub(r"\d{1,2} [A-Z][a-z]+ 20\d\d", "DAY", line) for line in bare]
    return [re.sub(r"\d\d:\d\d:\d\d", "TIME", line).strip() for line in bare if line.strip()]


def test_the_first_config_loads(tmp_path: Path) -> None:
    shown = re.search(r"```toml\n(.*?)```", README, re.DOTALL)
    assert shown
    config = tmp_path / "config.toml"
    config.write_text(shown[1], encoding="utf-8")
    for name in re.findall(r'\{ file = "([^"]+)" \}', shown[1]):
        (tmp_path / name).write_text("a secret\n", encoding="utf-8")

    (link,) = read_config(config).settings.links

    assert (link.name, link.direction) == ("customers", Direction.TO_LIST)


def test_the_demo_goes_as_its_picture_shows_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    picture = etree.parse(str(ROOT / "docs" / "demo.svg"))
    drawn = ["".join(map(str, text.itertext())) for text in picture.getroot().iter("{*}text")]
    printed: list[str] = []

    code = demo(printed.append)

    assert code == 0
    assert told(printed) == told(drawn[1:])  # its first line is the command
    assert list(tmp_path.iterdir()) == []
