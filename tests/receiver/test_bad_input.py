"""What a sender may do wrong: a clear answer or none, and others are still served."""

import json
import resource
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from http import HTTPStatus
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from syncd.receiver.limits import MOST_BODY_BYTES
from syncd.wire.email_service import CreateList, encode_request
from tests.receiver.daemon import RECEIVER, TOKEN, Daemon, Door, resident_bytes
from tests.scene import Scene

MB = 1_000_000
PLACES = ["/planfix/email", "/list-events"]
CREATE = encode_request(CreateList("News"), TOKEN)


@pytest.fixture
def scene(make_scene: Callable[..., Scene]) -> Scene:
    return make_scene(links=(), more=RECEIVER)


@pytest.fixture
def daemon(scene: Scene) -> Iterator[Daemon]:
    with Daemon(scene) as daemon:
        yield daemon
        assert daemon.end() == 0


@pytest.fixture
def door(scene: Scene) -> Iterator[Door]:
    """Yield our server; whatever came in, nothing went wrong inside, and others are served."""
    with capture_logs() as logs, Door(scene) as door:
        yield door
        assert door.push(CreateList("Others"))["success"] is True
    assert [told for told in logs if told["event"] == "push.failed"] == []


def error_of(answer: httpx.Response) -> str:
    fields = answer.json()
    assert fields.keys() == {"error"}
    assert answer.headers["content-type"] == "application/json"
    return str(fields["error"])


NOT_THE_PROTOCOL = {
    "nothing": b"",
    "a blank": b" ",
    "an array": b"[1]",
    "a form": b"listId=1&action=add",
    "wrong UTF-8": b'{"action":"\xff\xfe"}',
    "UTF-16": CREATE.decode().encode("utf-16"),
    "cut": CREATE[:-1],
    "two objects": CREATE + CREATE,
    "a name twice": b'{"authToken":"x","authToken":"y"}',
    "deep nesting": b'{"data":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
    "deep objects": b'{"a":' * 100_000,
    "a number of a megabyte": b'{"action":' + b"9" * MB + b"}",
    "a name of a megabyte": b'{"' + b"a" * MB + b'":1}',
    "a token of a megabyte": b'{"authToken":"' + b"a" * MB + b'"}',
}


def test_what_is_not_the_protocol_is_400_in_json(door: Door) -> None:
    told = {}
    for place in PLACES:
        for name, body in NOT_THE_PROTOCOL.items():
            answer = door.post(body, place)
            told[place, name] = (answer.status_code, bool(error_of(answer)))

    assert set(told.values()) == {(400, True)}, told


def test_what_the_protocol_can_refuse_is_200(door: Door) -> None:
    for body in (
        b"{}",
        b'{"authToken":null}',
        b'{"authToken":7,"action":[],"data":"x"}',
        json.dumps({"authToken": TOKEN}).encode(),
        json.dumps({"authToken": TOKEN, "action": "createList"}).encode(),
        json.dumps({"authToken": TOKEN, "action": "createList", "data": {"listName": 7}}).encode(),
        json.dumps(
            {"authToken": TOKEN, "action": "importContacts", "data": {"listId": "x"}}
        ).encode(),
    ):
        answer = door.post(body)
        assert (answer.status_code, bool(error_of(answer))) == (200, True)


def test_numbers_may_be_texts_and_texts_numbers(door: Door) -> None:
    list_id = door.create("News")
    contact = {"id": "101", "email": "anna@example.com", "firstName": 7, "lastName": None}
    data = {"listId": list_id, "action": "add", "contact": contact}
    body = json.dumps({"action": "updateContact", "authToken": TOKEN, "data": data}).encode()

    assert door.post(body).json() == {"success": True}


@pytest.mark.parametrize("count", [10, 3000])
def test_who_is_no_contact_is_passed_over_with_a_word(door: Door, count: int) -> None:
    list_id = door.create("News")
    people = [
        {"id": n if n % 2 else "x", "email": f"p{n}@example.com", "more": "x" * 50}
        for n in range(count)
    ]
    data = {"listId": list_id, "contacts": people}
    fields = {"action": "importContacts", "authToken": TOKEN, "data": data}

    with capture_logs() as logs:
        assert door.post(json.dumps(fields).encode()).json() == {"success": True}

    left_out = [told["contacts"] for told in logs if told["event"] == "push.left_out"]
    assert sum(left_out) == count / 2


def test_an_import_of_any_number_of_contacts_is_taken(door: Door) -> None:
    list_id = door.create("News")
    people = [{"id": n} for n in range(100_001)]
    fields = {"action": "importContacts", "authToken": TOKEN}

    told = door.post(
        json.dumps(fields | {"data": {"listId": list_id, "contacts": people}}).encode()
    )
    wrong = door.post(json.dumps(fields | {"data": {"listId": "x", "contacts": people}}).encode())

    assert told.json() == {"success": True}
    assert error_of(wrong) == "unknown list"


@pytest.mark.parametrize("place", PLACES)
def test_another_method_is_405(door: Door, place: str) -> None:
    for method in ("GET", "HEAD", "PUT", "DELETE", "OPTIONS"):
        answer = httpx.request(method, f"{door.url}{place}")
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_another_address_is_404(door: Door) -> None:
    for place in ("/", "/planfix/email/", "/planfix/email/../x", "//", "/health"):
        assert door.post(CREATE, place).status_code == HTTPStatus.NOT_FOUND


def test_a_body_of_50_mb_is_413_whether_its_length_is_told_or_not(door: Door) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(50):
            yield b" " * MB

    for body in (b" " * 50 * MB, pieces()):
        answer = door.post(body)
        assert answer.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        assert "more than 20000000 bytes" in error_of(answer)


def test_a_body_without_end_is_cut_off(door: Door) -> None:
    piece = b"10000\r\n" + b" " * 65536 + b"\r\n"
    with socket.create_connection(("127.0.0.1", door.port)) as sender:
        sender.sendall(
            b"POST /planfix/email HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        sent = 0
        with suppress(ConnectionError):
            while sent < 1000 * MB:
                sender.sendall(piece)
                sent += len(piece)

    assert sent < 200 * MB


def test_what_is_no_http_gets_an_answer_and_is_cut_off(door: Door) -> None:
    for begun in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20, b"HELLO\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", door.port)) as sender:
            sender.sendall(begun)
            answer = b""
            while piece := sender.recv(4096):
                answer += piece
        assert answer.startswith(b"HTTP/1.1 400")
        assert json.loads(answer.partition(b"\r\n\r\n")[2]) == {"error": "not HTTP"}


def test_a_head_without_end_is_cut_off(door: Door) -> None:
    with socket.create_connection(("127.0.0.1", door.port)) as sender:
        with suppress(ConnectionError):
            sender.sendall(b"POST / HTTP/1.1\r\n")
            for number in range(100_000):
                sender.sendall(b"x-%d: %s\r\n" % (number, b"a" * 100))
        with suppress(ConnectionError):
            assert b"HTTP/1.1 200" not in sender.recv(4096)


def test_wrong_tokens_are_slowed_down_and_right_ones_are_not(door: Door) -> None:
    wrong = encode_request(CreateList("News"), "guess")
    with ThreadPoolExecutor(12) as pool:
        guesses = [pool.submit(door.post, wrong) for _ in range(12)]
        right = door.post(CREATE)
        waiting = [guess for guess in guesses if not guess.done()]
    assert right.json()["success"] is True
    assert waiting
    assert {guess.result().json()["error"] for guess in guesses} == {"authToken not accepted"}


@pytest.mark.parametrize(
    ("told", "sender"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("spoofed, 2001:DB8::1", "2001:db8::1"),
        ("fe80::1%" + "a" * 5000, "fe80::1"),
        ("a" * 5000, "127.0.0.1"),
        ("192.0.2.7, somebody", "127.0.0.1"),
    ],
)
def test_a_sender_is_an_address_and_nothing_else(door: Door, told: str, sender: str) -> None:
    wrong = encode_request(CreateList("News"), "guess")

    with capture_logs() as logs:
        httpx.post(f"{door.url}/planfix/email", content=wrong, headers={"X-Forwarded-For": told})

    assert [told["sender"] for told in logs if told["event"] == "push.refused"] == [sender]


@pytest.mark.timeout(300)  # much to send, for a machine that is busy
def test_500_connections_that_send_slowly_keep_nobody_from_being_served(daemon: Daemon) -> None:
    head = b"POST /planfix/email HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{"
    with ExitStack() as open_ones:
        for _ in range(500):
            sender = socket.create_connection(("127.0.0.1", daemon.port))
            open_ones.enter_context(sender)
            sender.sendall(head)
        list_id = daemon.create("News")
        daemon.bring(list_id, "anna@example.com")

        with ThreadPoolExecutor(50) as pool:
            answers = list(pool.map(lambda _: daemon.post(CREATE).status_code, range(200)))

    assert set(answers) == {200}


def test_many_who_connect_and_send_nothing_make_way_for_who_does(daemon: Daemon) -> None:
    resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (1024, 1024))
    with ExitStack() as open_ones:
        for _ in range(900):
            sender = socket.create_connection(("127.0.0.1", daemon.port))
            open_ones.enter_context(sender)
            files = len(list(Path(f"/proc/{daemon.pid}/fd").iterdir()))
            assert files < 1000
        list_id = daemon.create("News")
        daemon.bring(list_id, "anna@example.com")

        assert daemon.look("/").status_code == 200


@pytest.mark.timeout(300)  # much to send, for a machine that is busy
def test_memory_stays_below_200_mb_whatever_is_sent(daemon: Daemon) -> None:
    people = [
        {"id": n, "email": f"p{n}@example.com", "firstName": "Анна", "lastName": "Белова"}
        for n in range(100_000)
    ]
    odd = {"id": 1, "email": "\U0001f600" * 9, "firstName": "\U0001f600" * 9, "x": "\U0001f600" * 9}
    list_id = daemon.create("News")
    data = {"listId": list_id, "contacts": people}
    long = {"action": "importContacts", "authToken": TOKEN, "data": data}
    bodies = [
        json.dumps(long, ensure_ascii=False).encode(),
        b'{"data":{"contacts":[' + b"[" * (MOST_BODY_BYTES - 100),
        b'{"data":{"contacts":[' + b"{}," * ((MOST_BODY_BYTES - 100) // 3),
        b'{"data":' + b'{"a":' * ((MOST_BODY_BYTES - 100) // 5),
        b"\xff" * MOST_BODY_BYTES,
        b'{"authToken":"' + "я".encode() * ((MOST_BODY_BYTES - 100) // 2) + b'"}',
        b" " * 50 * MB,
        json.dumps({"data": {"contacts": [odd] * 98_000}}, ensure_ascii=False).encode(),
    ]
    statuses: set[int] = set()
    done = threading.Event()

    def send(body: bytes) -> None:
        statuses.add(daemon.post(body).status_code)

    def half_sent() -> None:
        head = b"POST /planfix/email HTTP/1.1\r\nHost: x\r\nContent-Length: 19000000\r\n\r\n"
        with ExitStack() as open_ones:
            for sent in [200_000] * 200 + [65_000] * 600:
                sender = socket.create_connection(("127.0.0.1", daemon.port))
                open_ones.enter_context(sender)
                with suppress(ConnectionError):
                    sender.sendall(head + b" " * sent)
            done.wait()

    others = threading.Thread(target=half_sent)
    others.start()
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(send, bodies * 3))
    done.set()
    others.join()
    assert daemon.post(bodies[0]).json() == {"success": True}

    assert statuses <= {200, 400, 413, 503}
    assert resident_bytes(daemon.pid) < 200 * MB


def test_with_the_disk_full_the_answer_is_503_and_nothing_is_half_stored(scene: Scene) -> None:
    with Daemon(scene) as daemon:
        list_id = daemon.create("News")
        daemon.bring(list_id, "anna@example.com")
        daemon.hear("run.closed")
        size = (scene.folder / "syncd.db-wal").stat().st_size
        full = max(size, scene.store.stat().st_size) + 4096
        unlimited = resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (full, unlimited[1]))
        people = [{"id": n, "email": f"p{n}@example.com"} for n in range(1000, 3000)]
        data = {"listId": list_id, "contacts": people}
        fields = {"action": "importContacts", "authToken": TOKEN, "data": data}
        body = json.dumps(fields).encode()

        refused = daemon.post(body)
        resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, unlimited)
        scene.run()
        kept = set(scene.members("News"))
        accepted = daemon.post(body)
        daemon.kill()
        scene.run()

    assert (refused.status_code, int(refused.headers["retry-after"]) > 0) == (503, True)
    assert error_of(refused) == "can't be stored now; try again"
    assert kept == {"anna@example.com"}
    assert accepted.json() == {"success": True}
    assert len(scene.members("News")) == 2001
