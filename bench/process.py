"""What a process of `syncd --once` needs: memory, and time to start."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.figures import Figure
from bench.planfix import Planfix, planfix
from bench.world import config_in

_LOADED = "import click, email_validator, httpx, idna, lxml.etree, structlog"
_LIBRARIES = f"{_LOADED}, sqlmodel"


def figures(few: int, many: int) -> list[Figure]:
    """Measure processes over a small and a large account."""
    with planfix(few) as side, tempfile.TemporaryDirectory(prefix="syncd-bench-") as folder:
        small = [_peak_bytes(side, Path(folder)) for _ in ("first", "quiet")]
    with planfix(many) as side, tempfile.TemporaryDirectory(prefix="syncd-bench-") as folder:
        large = [_peak_bytes(side, Path(folder)) for _ in ("first", "quiet")]
    with planfix(0) as side, tempfile.TemporaryDirectory(prefix="syncd-bench-") as folder:
        config = config_in(Path(folder), side)
        once = ["-m", "syncd", "--config", str(config), "--once"]
        _spent(once)
        starts = [_spent(once)[0] / _spent(["-c", _LIBRARIES])[0] for _ in range(5)]
        loaded = [_spent(once)[0] / _spent(["-c", _LOADED])[0] for _ in range(5)]
    sizes = f"{many:,} / {few:,} contacts"
    return [
        Figure(f"memory of the first run, {sizes}", 1.2, [large[0] / small[0]]),
        Figure(f"memory of a run without changes, {sizes}", 1.2, [large[1] / small[1]]),
        Figure("CPU of --once with no contacts / importing its libraries", 1.25, starts),
        Figure("the same / importing those that it loads, so without SQLModel", None, loaded),
    ]


def _peak_bytes(side: Planfix, folder: Path) -> float:
    config = config_in(folder, side)
    return _spent(["-m", "syncd", "--config", str(config), "--once"])[1]


def _spent(arguments: list[str]) -> tuple[float, float]:
    """Run Python to its end; return its CPU seconds and its largest memory in bytes."""
    process = subprocess.Popen(
        [sys.executable, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"bench: python {arguments} ended with {process.returncode}")
    return used.ru_utime + used.ru_stime, used.ru_maxrss * 1024.0
