"""A world whose Planfix is the simulated one, and whose list, if nothing else is said, our own."""

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
{list_keys}

[[links]]
name = "customers"
selection = "contact"
backend = "news"
list = "Customers"
"""


EMBEDDED = 'type = "embedded"\npath = "lists.db"'


def config_in(folder: Path, planfix: Planfix, more: str = "", *, list_keys: str = EMBEDDED) -> Path:
    """Write the config of such a world into a folder.

    `more` are further keys of its link, `list_keys` those of its list service.
    """
    config = folder / "config.toml"
    config.touch(mode=0o600)
    text = _CONFIG.format(planfix=planfix, list_keys=list_keys)
    config.write_text(text + more, encoding="utf-8")
    return config


@contextmanager
def world_in(
    folder: Path, planfix: Planfix, more: str = "", *, list_keys: str = EMBEDDED
) -> Iterator[World]:
    """Open such a world."""
    with open_world(config_in(folder, planfix, more, list_keys=list_keys)) as world:
        yield world


def timed_run(world: World) -> tuple[float, RunReport]:
    """Do one run; return the CPU seconds that this process spent on it."""
    begin = time.process_time()
    report = run_once(world, trigger="bench")
    spent_s = time.process_time() - begin
    if report.exit_code:
        raise SystemExit(f"bench: the run ended with {report.exit_code}: {report.document()}")
    return spent_s, report


def forget_comparison(world: World) -> None:
    """Have the next run read our own list whole, as if it told nothing of what changed."""
    number = world.store.links.number(world.links[0].name)
    if number is not None:
        world.store.comparisons.begin(number)
