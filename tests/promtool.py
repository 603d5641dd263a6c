"""Prometheus' own checks of what we hand it."""

import subprocess

from tests.needs import PROMTOOL


def promtool(*arguments: str, text: bytes = b"") -> "subprocess.CompletedProcess[str]":
    """Run promtool to its end."""
    [program] = PROMTOOL.require()
    return subprocess.run(
        [program, *arguments], input=text.decode(), capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
