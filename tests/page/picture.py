"""Draw the picture of the page that the docs show: python -m tests.page.picture docs/page.png"""

import sys
import tempfile
from pathlib import Path

from tests.page.browser import browser
from tests.page.conftest import Shown
from tests.page.samples import WITHHELD_DAY
from tests.page.serving import served


def draw(target: Path) -> None:
    """Draw the page on a day on which something is withheld."""
    shown = Shown(found=WITHHELD_DAY, came_in={})
    with (
        tempfile.TemporaryDirectory() as folder,
        served(shown) as url,
        browser(Path(folder)) as opened,
    ):
        opened.show(f"{url}/", width=900, height=1240)
        target.write_bytes(opened.picture())


if __name__ == "__main__":
    draw(Path(sys.argv[1]))
