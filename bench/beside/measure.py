"""What one phase of a process costs: CPU seconds, and the memory it adds at its peak.

Uses nothing but the standard library: two environments import it.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path

_PROCESS = Path("/proc/self")


def phase(name: str, work: Callable[[], object]) -> None:
    """Do some work; print its name, CPU seconds and added bytes as a line of JSON."""
    (_PROCESS / "clear_refs").write_text("5")  # the peak counts from here (proc(5))
    before = _status("VmRSS")
    begin = time.process_time()
    work()
    spent_s = time.process_time() - begin
    print(json.dumps([name, spent_s, _status("VmHWM") - before]), flush=True)


def _status(key: str) -> int:
    """Return a figure of /proc/self/status in bytes."""
    for line in (_PROCESS / "status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(key)
