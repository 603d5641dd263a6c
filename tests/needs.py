"""Parts from outside that tests run for real: what becomes of their tests where one is missing.

In CI (CI=true) they fail; elsewhere they are left out, and the summary says so in one line each.
"""

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

LEFT_OUT: Final = "left out: "
DEBIAN: Final = "apt-get install -y --no-install-recommends "


@dataclass(frozen=True)
class Part:
    """Something that has to be installed; `programs` are paths, or names to be looked up."""

    name: str
    programs: tuple[str, ...]
    how: str

    def paths(self) -> list[Path]:
        """Return where its programs are; those that are missing are left out."""
        places = f"{os.environ.get('PATH', '')}:/usr/sbin"
        found = [shutil.which(program, path=places) for program in self.programs]
        return [Path(path) for path in found if path]

    def require(self) -> list[Path]:
        """Return where its programs are; skip the test, or fail it in CI, where one is missing."""
        found = self.paths()
        if len(found) < len(self.programs):
            words = f"{LEFT_OUT}the tests of {self.name}; to have them: {self.how}"
            if os.environ.get("CI") == "true":
                pytest.fail(words)
            pytest.skip(words)
        return found


MAILMAN_BIN: Final = Path(sys.prefix) / "mailman" / "bin"

CHROMIUM: Final = Part("the page in a browser", ("chromium",), f"{DEBIAN}chromium")
KANNEL: Final = Part(
    "SMS through Kannel",
    ("bearerbox", "smsbox", "/usr/lib/kannel/test/fakesmsc"),
    f"{DEBIAN}kannel kannel-extras",
)
MAILMAN: Final = Part(
    "mailman3",
    tuple(str(MAILMAN_BIN / name) for name in ("master", "runner", "mailman")),
    "make test, where Python packages can be had",
)
PROMTOOL: Final = Part("metrics and alert rules by promtool", ("promtool",), f"{DEBIAN}prometheus")
