"""The process that serves: what is pushed is kept, answered, and soon on the list."""

import json
import signal
import socket
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from syncd.app.serving import Serving
from syncd.cli.asked import Asked
from syncd.cli.runs import Configured
from syncd.daemon import PUSH
from syncd.wire.email_service import Change, CreateList
from tests.fakes.email_service import Fault
from tests.receiver.daemon import RECEIVER, TOKEN, Daemon
from tests.scene import CUSTOMERS, Scene

ANNA, BEN = "anna@example.com", "ben@example.com"


@pytest.fixture
def scene(make_scene: Callable[..., Scene]) -> Scene:
    return make_scene(links=(), more=RECEIVER, timeout="1s", attempts=1)


def test_what_is_pushed_is_on_the_list_soon_by_one_run(scene: Scene) -> None:
    with Daemon(scene) as daemon:
        list_id = daemon.create("News")
        daemon.bring(list_id, ANNA, BEN)
        daemon.update(list_id, 103, "cleo@example.com", Change.ADD)
        ran = daemon.hear("run.closed")
        code = daemon.end()

    assert (ran["link"], ran["applied"], code) == ("News", {"add": 3}, 0)
    assert scene.members("News").keys() == {ANNA, BEN, "cleo@example.com"}
    assert scene.planfix.requests == []
    assert [told["event"] for told in daemon.told].count("run.closed") == 1


def test_an_ending_process_answers_first_then_ends_its_batch(scene: Scene) -> None:
    scene.service.fail(Fault.STALL)
    with Daemon(scene) as daemon:
        daemon.bring(daemon.create("News"), ANNA)
        with socket.create_connection(("127.0.0.1", daemon.port)) as begun:
            begun.sendall(b"POST /planfix/email HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{")
            while not scene.service.requests:
                pass
            daemon.signal(signal.SIGTERM)
            begun.sendall(b"}")
            answer = begun.recv(65536)
        code = daemon.end()

    events = [told["event"] for told in daemon.told]
    assert answer.startswith(b"HTTP/1.1 200")
    assert code == 0
    assert events.index("server.stopped") < events.index("run.closed")


@pytest.mark.parametrize("death", [signal.SIGKILL, signal.SIGTERM])
def test_what_was_answered_outlives_the_process(scene: Scene, death: signal.Signals) -> None:
    with Daemon(scene) as daemon:
        list_id = daemon.create("News")
        daemon.bring(list_id, ANNA, BEN)
        daemon.update(list_id, 102, BEN, Change.DELETE)
        daemon.signal(death)
        daemon.kill()

    assert scene.run().exit_code == 0
    assert scene.members("News").keys() == {ANNA}


def test_nothing_that_was_answered_is_lost_to_a_kill_among_many_senders(scene: Scene) -> None:
    answered: list[int] = []
    lock = threading.Lock()

    def send(first: int) -> None:
        with httpx.Client(base_url=daemon.url) as planfix:
            for number in range(first, first + 1000):
                body = body_of(list_id, number)
                try:
                    answer = planfix.post("/planfix/email", content=body)
                except httpx.TransportError:
                    return
                assert answer.json() == {"success": True}
                with lock:
                    answered.append(number)
                    if len(answered) == 200:
                        daemon.kill()

    with Daemon(scene) as daemon:
        list_id = daemon.create("News")
        senders = [threading.Thread(target=send, args=(10_000 * n,)) for n in range(1, 9)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()

    assert scene.run().exit_code == 0
    kept = set(scene.ids("News").values())
    assert set(answered) <= kept
    assert len(kept) <= len(answered) + len(senders)


def body_of(list_id: str, number: int) -> bytes:
    who = {"id": number, "email": f"p{number}@example.com", "firstName": "", "lastName": ""}
    data = {"listId": list_id, "action": "add", "contact": who}
    fields = {"action": "updateContact", "authToken": TOKEN, "data": data}
    return json.dumps(fields).encode()


def standing(daemon: Daemon) -> dict[str, Any]:
    """Return what it tells of itself when no run is under way."""
    while True:
        daemon.signal(signal.SIGUSR2)
        told = daemon.hear("status.told")
        if not told["running"]:
            return told


def test_a_run_that_finds_another_process_at_work_is_made_when_that_has_ended(
    scene: Scene,
) -> None:
    scene.write_config(links=(CUSTOMERS,), more=f'{RECEIVER}[schedule]\nevery = "24h"\n')
    with scene.world() as world, world.store.lock(), Daemon(scene) as daemon:
        busy = daemon.heard("run.busy")
        due = datetime.fromisoformat(standing(daemon)["next_run"])

    assert (busy["level"], "run.failed" in [told["event"] for told in daemon.told]) == (
        "info",
        False,
    )
    assert due - datetime.now(UTC) < timedelta(minutes=1)


def test_the_status_by_hand_names_the_run_that_the_daemon_does(scene: Scene) -> None:
    scene.write_config(links=(CUSTOMERS,))
    with Daemon(scene) as daemon:
        daemon.heard("run.closed")
        daemon.create("News")
        daemon.hear("run.closed")  # one for what was pushed, which the timetable doesn't count
        theirs = datetime.fromisoformat(standing(daemon)["next_run"])
        scene.run()  # nor one by hand
        by_hand = datetime.fromisoformat(
            json.loads(scene.syncd("status", "--json").stdout)["next_run"]
        )

    assert abs(theirs - by_hand) < timedelta(seconds=2)


def test_a_push_of_no_pushed_link_leaves_a_run_to_do_that_waits_for_calls(scene: Scene) -> None:
    scene.write_config(links=(CUSTOMERS,))
    scene.planfix.faults.error_code("0007")
    work = Configured(Asked(config=str(scene.config)), Serving(lambda: None, lambda: None))

    whole = work.run("start", lambda: False)
    pushed = work.run(PUSH, lambda: False)

    assert whole is not None
    assert (whole.rest_s, whole.error, whole.busy) == (3600.0, "", False)
    assert pushed is None


def test_it_answers_while_a_run_is_under_way(scene: Scene) -> None:
    with Daemon(scene) as daemon:
        list_id = daemon.create("News")
        daemon.bring(list_id, ANNA)
        daemon.hear("run.closed")
        scene.service.fail(Fault.STALL)
        daemon.update(list_id, 102, BEN, Change.ADD)
        while "updateContact add" not in scene.service.actions[-1:]:
            pass  # the run is waiting for the list now

        answer = daemon.push(CreateList("More"))

    assert answer["success"] is True


def test_sighup_changes_tokens_under_an_open_socket(scene: Scene) -> None:
    with Daemon(scene) as daemon:
        with httpx.Client(base_url=daemon.url) as planfix:
            before = planfix.post("/planfix/email", content=create("old-token"))
            scene.write_config(more=RECEIVER.replace(TOKEN, "old-token"))
            daemon.signal(signal.SIGHUP)
            daemon.hear("config.read")
            after = planfix.post("/planfix/email", content=create("old-token"))
            here = planfix.post("/planfix/email", content=create(TOKEN))
        events = [told["event"] for told in daemon.told]

    assert before.json() == here.json() == {"error": "authToken not accepted"}
    assert after.json()["success"] is True
    assert (events.count("server.started"), events.count("server.stopped")) == (2, 0)


def create(token: str) -> bytes:
    return json.dumps(
        {"action": "createList", "authToken": token, "data": {"listName": "News"}}
    ).encode()


def test_a_port_that_is_taken_leaves_all_as_it_was(scene: Scene) -> None:
    with Daemon(scene) as daemon, socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        scene.write_config(
            more=RECEIVER.replace('\nlisten = "127.0.0.1:0"', f'\nlisten = "127.0.0.1:{port}"')
        )
        daemon.signal(signal.SIGHUP)
        refused = daemon.hear("config.refused")
        answer = daemon.push(CreateList("News"))

    assert "can't be listened at" in refused["why"]
    assert answer["success"] is True


def test_a_port_that_is_taken_is_told_at_the_start(scene: Scene) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        scene.write_config(
            more=RECEIVER.replace('\nlisten = "127.0.0.1:0"', f'\nlisten = "127.0.0.1:{port}"')
        )
        done = scene.syncd()

    assert done.returncode == 78
    assert f"127.0.0.1:{port} can't be listened at" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_single_run_brings_pushed_links_in_step_beside_the_configs(scene: Scene) -> None:
    with Daemon(scene) as daemon:
        daemon.bring(daemon.create("News"), ANNA)
        daemon.kill()
    scene.write_config(links=(CUSTOMERS,))
    scene.planfix.add(name="Vera", email="vera@example.org")

    done = scene.syncd("--once", "--json")

    links = json.loads(done.stdout)["links"]
    assert [(link["link"], link["applied"]["add"]) for link in links] == [
        ("customers", 1),
        ("News", 1),
    ]
