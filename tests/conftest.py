"""What every test may rely on: retries that do not wait, clean logs, a world to work in."""

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
import structlog

from syncd import logs
from syncd.simulator.planfix import SimulatedPlanfix
from syncd.transport import Transport
from tests.fakes.email_service import EmailService
from tests.fakes.mailman import DOMAIN, MailmanServer
from tests.needs import LEFT_OUT
from tests.scene import Scene

hypothesis.settings.register_profile("dev", deadline=None, max_examples=60)
hypothesis.settings.register_profile("ci", deadline=None, max_examples=200, derandomize=True)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one line each what could not be tested here, and how to have it."""
    reasons = {
        str(report.longrepr[2]).removeprefix("Skipped: ")
        for report in terminalreporter.getreports("skipped")
        if isinstance(report.longrepr, tuple)
    }
    for reason in sorted(reason for reason in reasons if reason.startswith(LEFT_OUT)):
        terminalreporter.write_line(reason)


@pytest.fixture(autouse=True)
def _retries_without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every retry come at once, as often as it was asked for."""
    monkeypatch.setattr(Transport, "_wait_s", lambda *_: 0.0)


@pytest.fixture(autouse=True)
def _clean_logs() -> Iterator[None]:
    """Leave no set-up of the log, and nothing bound to it, to the next test."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    logs._secrets.clear()


@pytest.fixture
def planfix() -> Iterator[SimulatedPlanfix]:
    with SimulatedPlanfix() as planfix:
        yield planfix


@pytest.fixture
def service() -> Iterator[EmailService]:
    with EmailService() as service:
        yield service


@pytest.fixture(scope="session")
def mailman_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MailmanServer]:
    with MailmanServer(tmp_path_factory.mktemp("mailman")) as server:
        yield server


@pytest.fixture
def mailman(mailman_process: MailmanServer) -> Iterator[MailmanServer]:
    """An empty Mailman with one domain; at its end, nobody may have been written to."""
    mailman_process.reset()
    mailman_process.ask("POST", "/domains", {"mail_host": DOMAIN})
    yield mailman_process
    assert mailman_process.mails == []


@pytest.fixture
def make_scene(
    tmp_path: Path, planfix: SimulatedPlanfix, service: EmailService
) -> Callable[..., Scene]:
    """Return what makes a scene; keywords are those of `Scene`."""

    def make(**keywords: object) -> Scene:
        return Scene(tmp_path, planfix, service, **keywords)  # type: ignore[arg-type]  # passed on

    return make


@pytest.fixture
def scene(make_scene: Callable[..., Scene]) -> Scene:
    """One link from all persons to a list that can only be written."""
    return make_scene()
