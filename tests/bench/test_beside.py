"""What we are measured by beside others still runs."""

import json
import subprocess
import sys
from pathlib import Path


def test_a_run_in_memory_goes_through_its_three_phases(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench.beside.syncd", "200", str(tmp_path / "syncd.db")],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert [json.loads(line)[0] for line in done.stdout.splitlines()] == [
        "first",
        "quiet",
        "changed",
    ]
