"""SMS in the process that serves: relayed once, told how they stand, alerts without a storm."""

import json
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing

import httpx
import pytest

from tests.fakes.sms_service import Answer, SmsService, Taken
from tests.receiver.daemon import RECEIVER, Daemon
from tests.scene import CUSTOMERS, Scene

WHO = ("planfix", "s3cret-of-planfix")
FORM = {"login": WHO[0], "password": WHO[1], "from": "Acme", "to": "+70000000001", "text": "Привет"}


@pytest.fixture
def gateway() -> Iterator[SmsService]:
    with SmsService() as gateway:
        yield gateway


@pytest.fixture
def scene(make_scene: Callable[..., Scene], gateway: SmsService) -> Scene:
    more = f"""
[[receiver.sms]]
login = "{WHO[0]}"
password = "{WHO[1]}"
relay = "gateway"
[[sms]]
name = "gateway"
type = "planfix-sms"
url = "{gateway.url}"
login = "{gateway.login}"
password = "{gateway.password}"
[alerts]
sms = {{ via = "gateway", to = ["+4915112345678"] }}
"""
    return make_scene(links=(CUSTOMERS,), more=RECEIVER + more)


def send(daemon: Daemon) -> str:
    answer = httpx.post(f"{daemon.url}/planfix/sms", data=FORM)
    assert answer.status_code == 200
    return str(answer.json()["id"])


def standing(daemon: Daemon, message: str) -> tuple[str, int]:
    answer = httpx.get(f"{daemon.url}/planfix/sms/{message}", auth=WHO)
    return answer.json()["state"], answer.json()["attempts"]


def test_what_planfix_sends_is_relayed_once(scene: Scene, gateway: SmsService) -> None:
    with Daemon(scene) as daemon:
        message = send(daemon)
        closed = daemon.hear("sms.closed")
        told = standing(daemon, message)
        code = daemon.end()

    assert (closed["message"], told, code) == (message, ("done", 1), 0)
    assert gateway.taken == [Taken("Acme", "+70000000001", "Привет")]
    assert "Привет" not in json.dumps(daemon.told, ensure_ascii=False)


def test_what_may_have_arrived_is_not_sent_again_by_the_next_process(
    scene: Scene, gateway: SmsService
) -> None:
    gateway.answer(Answer.STALL)
    with Daemon(scene) as daemon:
        message = send(daemon)
        assert gateway.holding.wait(30)
        daemon.kill()
    with Daemon(scene) as daemon:
        later = send(daemon)
        daemon.hear("sms.closed")
        told = standing(daemon, message), standing(daemon, later)

    assert "sms.lost" in [each["event"] for each in daemon.told]
    assert told == (("unknown", 1), ("done", 1))
    assert gateway.requests == 2


def test_an_ending_process_ends_the_message_under_way(scene: Scene, gateway: SmsService) -> None:
    scene.write_config(timeout="2s")
    gateway.answer(Answer.STALL)
    with Daemon(scene) as daemon:
        send(daemon)
        assert gateway.holding.wait(30)
        code = daemon.end()

    [closed] = [told for told in daemon.told if told["event"] == "sms.closed"]
    assert (code, closed["state"]) == (0, "unknown")


def test_a_gateway_is_changed_by_sighup(scene: Scene, gateway: SmsService) -> None:
    with SmsService(login="other", password="other-secret") as other, Daemon(scene) as daemon:
        scene.write_config(
            more=scene.more.replace(gateway.url, other.url)
            .replace(f'login = "{gateway.login}"', 'login = "other"')
            .replace(f'password = "{gateway.password}"', 'password = "other-secret"')
        )
        daemon.signal(signal.SIGHUP)
        daemon.hear("config.read")
        send(daemon)
        daemon.hear("sms.closed")

        assert (len(gateway.taken), len(other.taken)) == (0, 1)


@pytest.mark.timeout(30)  # the pause of a relay that is not woken
def test_a_call_under_way_at_sighup_does_not_put_the_new_gateway_to_sleep(
    scene: Scene, gateway: SmsService
) -> None:
    scene.write_config(timeout="2s")
    gateway.answer(Answer.STALL)
    with (
        SmsService(login=gateway.login, password=gateway.password) as other,
        Daemon(scene) as daemon,
    ):
        send(daemon)
        assert gateway.holding.wait(30)
        scene.write_config(more=scene.more.replace(gateway.url, other.url))
        daemon.signal(signal.SIGHUP)
        daemon.hear("config.read")
        send(daemon)

        assert [daemon.hear("sms.closed")["state"] for _ in range(2)] == ["unknown", "done"]
        assert len(other.taken) == 1


@pytest.mark.timeout(300)  # eight runs, in two processes
def test_an_alert_storm_is_one_message_and_a_summary(scene: Scene, gateway: SmsService) -> None:
    people = [scene.planfix.add(name="P", email=f"p{n}@example.com") for n in range(20)]
    scene.run()

    def refused(daemon: Daemon) -> None:
        for contact in [people.pop() for _ in range(4)]:
            scene.planfix.delete(contact)
        daemon.signal(signal.SIGUSR1)
        run = daemon.hear("run.closed")["run"]
        daemon.hear("link.withheld")
        scene.approve(run)
        daemon.signal(signal.SIGUSR1)
        daemon.hear("run.closed")

    with Daemon(scene) as daemon:
        daemon.hear("run.closed")
        refused(daemon)
        refused(daemon)
        refused(daemon)
        assert daemon.end() == 0
    at_first = list(gateway.taken)
    with closing(sqlite3.connect(scene.store)) as db, db:
        db.execute("UPDATE alert SET at = '2026-01-01T00:00:00.000000+00:00'")  # hours go by
    with Daemon(scene) as daemon:
        daemon.heard("sms.closed")  # perhaps before the servers had started

    summary = gateway.taken[len(at_first) :]
    assert [told.text.partition(",")[0][:10] for told in at_first] == ["syncd: run"]
    assert "refused, exit code 4" in at_first[0].text
    assert len(summary) == 1
    assert "refused 2 times more" in summary[0].text


def await_a_refusal(scene: Scene) -> None:
    """Let the next run withhold removals."""
    people = [scene.planfix.add(name="P", email=f"p{n}@example.com") for n in range(20)]
    scene.run()
    for contact in people[:10]:
        scene.planfix.delete(contact)


def hours_go_by(scene: Scene, sql: str) -> None:
    with closing(sqlite3.connect(scene.store)) as db, db:
        assert db.execute(sql).rowcount == 1


def test_a_gateway_that_hangs_holds_up_no_run(scene: Scene, gateway: SmsService) -> None:
    scene.write_config(timeout="2s")
    await_a_refusal(scene)
    gateway.always(Answer.STALL)

    with scene.start("--once") as once:
        assert gateway.holding.wait(30)
        beside = scene.run()
        once.send_signal(signal.SIGTERM)
        code = once.wait(30)

    assert (beside.outcome.value, code) == ("refused", 4)
    assert gateway.requests == 1


def test_a_gateway_that_hangs_holds_up_no_run_of_the_daemon(
    scene: Scene, gateway: SmsService
) -> None:
    scene.write_config(timeout="2s")
    await_a_refusal(scene)
    gateway.always(Answer.STALL)

    with Daemon(scene) as daemon:
        assert gateway.holding.wait(30)
        beside = scene.run()

        assert (beside.outcome.value, daemon.end()) == ("refused", 0)


def test_a_single_run_tries_again_what_an_earlier_one_could_not_send(
    scene: Scene, gateway: SmsService
) -> None:
    await_a_refusal(scene)
    gateway.answer(Answer.AWAY)
    scene.syncd("--once")
    assert gateway.taken == []

    hours_go_by(scene, "UPDATE sms SET next_at = '2026-01-01T00:00:00.000000+00:00'")
    scene.syncd("--once")

    assert len(gateway.taken) == 1


def test_a_single_run_sums_up_what_was_counted(scene: Scene, gateway: SmsService) -> None:
    scene.run()
    hours_go_by(
        scene, "INSERT INTO alert VALUES ('refused', '2026-01-01T00:00:00.000000+00:00', 3)"
    )

    assert scene.syncd("--dry-run").returncode == 0
    assert gateway.taken == []
    assert scene.syncd("--once").returncode == 0

    [summary] = gateway.taken
    assert "refused 3 times more since 2026-01-01 00:00 UTC" in summary.text
