"""What the README shows works."""

import re
from pathlib import Path

from syncd.app.wiring import read_config
from syncd.core.link import Direction
from tests.docs.pages import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_first_config_loads(tmp_path: Path) -> None:
    shown = re.search(r"```toml\n(.*?)```", README, re.DOTALL)
    assert shown
    config = tmp_path / "config.toml"
    config.write_text(shown[1], encoding="utf-8")
    for name in re.findall(r'\{ file = "([^"]+)" \}', shown[1]):
        (tmp_path / name).write_text("a secret\n", encoding="utf-8")

    (link,) = read_config(config).settings.links

    assert (link.name, link.direction) == ("customers", Direction.TO_LIST)


def test_the_picture_shows_what_the_demo_prints() -> None:
    picture = (ROOT / "docs" / "demo.svg").read_text(encoding="utf-8")
    story = (ROOT / "syncd" / "app" / "demo.py").read_text(encoding="utf-8")
    titles = re.findall(r'act\("(\d\. [^"]+)"', story)

    assert titles
    assert [title for title in titles if title not in picture] == []
