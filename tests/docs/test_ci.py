"""What tests run for real: installed in CI, where nothing may be missing; elsewhere left out."""

import shlex

import pytest

from tests import needs
from tests.docs.pages import ROOT
from tests.needs import DEBIAN, LEFT_OUT, Part

MISSING = Part("a thing", ("no-such-program",), "apt-get install thing")
PARTS = [part for part in vars(needs).values() if isinstance(part, Part)]


def test_ci_installs_every_package_that_a_test_asks_for() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    asked = {
        package
        for part in PARTS
        if part.how.startswith(DEBIAN)
        for package in shlex.split(part.how.removeprefix(DEBIAN))
    }

    [line] = [line for line in script.splitlines() if line.startswith("packages=(")]

    assert set(line.removeprefix("packages=(").removesuffix(")").split()) == asked


def test_a_part_that_is_missing_is_left_out_with_a_word_how_to_have_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CI", raising=False)

    with pytest.raises(pytest.skip.Exception) as skipped:
        MISSING.require()

    assert str(skipped.value) == (
        f"{LEFT_OUT}the tests of a thing; to have them: apt-get install thing"
    )


def test_in_ci_a_part_that_is_missing_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")

    with pytest.raises(pytest.fail.Exception, match="a thing"):
        MISSING.require()
