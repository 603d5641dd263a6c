"""The demo that stays: a daemon of its own world, with everything it has to show."""

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest


def test_the_demo_stays_until_ctrl_c_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "syncd", "demo", "--serve"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    ) as process:
        assert process.stdout is not None
        told: dict[str, str] = {}
        while "curl" not in told:
            line = process.stdout.readline()
            assert line, told
            found = re.match(r" +(page|metrics|health|curl) +(.*)$", line)
            if found:
                told[found[1]] = found[2]
        _, request, pushes = shlex.split(told["curl"])

        page, metrics, health = (httpx.get(told[key]) for key in ("page", "metrics", "health"))
        pushed = httpx.post(pushes, content=request)
        after = httpx.get(told["metrics"]).text
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()

    assert "newsletter" in page.text
    assert re.search(r"syncd_link_pairs\{link=\"newsletter\"\} 2\d\d", metrics.text)
    assert health.json()["status"] == "ok"
    assert pushed.json()["success"] is True
    assert 'syncd_pushes_total{place="planfix/email",result="taken"} 1.0' in after
    assert "now removed" in rest
    assert process.returncode == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_demo_ended_in_its_midst_leaves_nothing_behind(
    tmp_path: Path, number: signal.Signals
) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "syncd", "demo"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        process.send_signal(number)
        _, told = process.communicate(timeout=60)

    assert (process.returncode, told.strip()) == (75, "")
    assert list(tmp_path.iterdir()) == []
