"""A world whose Planfix is the simulated one, and whose list is the embedded one."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.planfix import Planfix
from syncd.app.run import run_once
from syncd.app.wiring import open_world
from syncd.app.world import World
from syncd.core.report import RunReport

_CONFIG = """
[planfix]
url = "{planfix.url}"
account = "{planfix.account}"
api_key = "{planfix.api_key}"
token = "{planfix.token}"
requests_per_second = 1000.0

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
"""


def config_in(folder: Path, planfix: Planfix, more: str = "") -> Path:
    """Write the config of such a world into a folder; `more` are further keys of its link."""
    config = folder / "config.toml"
    config.touch(mode=0o600)
    config.write_text(_CONFIG.format(planfix=planfix) + more, encoding="utf-8")
    return config


@contextmanager
def world_in(folder: Path, planfix: Planfix, more: str = "") -> Iterator[World]:
    """Open such a world."""
    with open_world(config_in(folder, planfix, more)) as world:
        yield world


def timed_run(world: World) -> tuple[float, RunReport]:
    """Do one run; return the CPU seconds that this process spent on it."""
    begin = time.process_time()
    report = run_once(world, trigger="bench")
    spent_s = time.process_time() - begin
    if report.exit_code:
        raise SystemExit(f"bench: the run ended with {report.exit_code}: {report.document()}")
    return spent_s, report
