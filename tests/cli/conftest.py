import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from syncd.cli import run
from syncd.simulator.planfix import SimulatedPlanfix

CONFIG = """
[planfix]
url = "{url}"
account = "{account}"
api_key = "{api_key}"
token = "{token}"
requests_per_second = 1000.0

[retry]
attempts = 1

[store]
path = "syncd.db"

[[backends]]
name = "news"
type = "embedded"
path = "lists.db"

[[links]]
name = "customers"
selection = "contact"
backend = "news"
list = "Customers"

[[links]]
name = "firms"
selection = "company"
backend = "news"
list = "Firms"
"""


@dataclass
class Done:
    """How one command line ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class CommandLine:
    """syncd in a folder with a config: in this process, or as one of its own."""

    folder: Path

    def __call__(self, *arguments: str, stdin: str = "") -> Done:
        out, err = io.StringIO(), io.StringIO()
        with (
            pytest.MonkeyPatch.context() as patch,
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            patch.setenv("SYNCD_CONFIG", str(self.folder / "config.toml"))
            patch.setattr("sys.stdin", io.StringIO(stdin))
            code = run(list(arguments))
        return Done(code, out.getvalue(), err.getvalue())

    def start(self, *command: str, **streams: Any) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, *command],
            env={**os.environ, "SYNCD_CONFIG": str(self.folder / "config.toml")},
            stderr=subprocess.PIPE,
            text=True,
            **streams,
        )


@pytest.fixture
def planfix() -> Iterator[SimulatedPlanfix]:
    with SimulatedPlanfix() as planfix:
        planfix.add(name="Anna", last_name="Berg", email="anna@example.com")
        planfix.add(name="Boris", last_name="Lind", email="boris@example.com")
        yield planfix


@pytest.fixture
def syncd(tmp_path: Path, planfix: SimulatedPlanfix) -> CommandLine:
    config = tmp_path / "config.toml"
    config.touch(mode=0o600)
    config.write_text(
        CONFIG.format(
            url=planfix.url, account=planfix.account, api_key=planfix.api_key, token=planfix.token
        )
    )
    return CommandLine(tmp_path)


@pytest.fixture
def synced(syncd: CommandLine) -> CommandLine:
    """A world after its first run."""
    assert syncd("--once").code == 0
    return syncd
