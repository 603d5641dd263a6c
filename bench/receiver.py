"""What a durable push costs, beside one fdatasync of the same disk."""

import multiprocessing
import os
import select
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from multiprocessing.connection import Connection
from pathlib import Path

from bench.figures import Figure
from syncd.core.people import Contact, ContactId, Person
from syncd.receiver.app import application
from syncd.receiver.intake import Intake
from syncd.receiver.pushes import Token, Tokens
from syncd.receiver.server import Server
from syncd.store.store import Store
from syncd.wire.email_service import (
    Accepted,
    Change,
    CreateList,
    Request,
    UpdateContact,
    encode_reply,
    encode_request,
    read_reply,
)

TOKEN = "token-of-the-bench"
_SENDERS = 64
_CONTACTS = 5000
_DONE = encode_reply(Accepted())
_BLOCK = bytes(4096)


def figures(rounds: int, seconds: float) -> list[Figure]:
    """Push for a while from one sender and from many, and write to the disk in between."""
    one, many = [], []
    with tempfile.TemporaryDirectory(prefix="syncd-bench-") as folder, receiver(folder) as port:
        pushes = _pushes(port)
        sync_s = _seconds_of_sync(Path(folder), seconds)
        for _ in range(rounds):
            alone_s = _seconds_of_push(port, pushes, 1, seconds)
            together_s = _seconds_of_push(port, pushes, _SENDERS, seconds)
            before_s, sync_s = sync_s, _seconds_of_sync(Path(folder), seconds)
            one.append(alone_s * 2 / (before_s + sync_s))
            many.append(together_s * 2 / (before_s + sync_s))
    return [
        Figure("time of a durable push / of one fdatasync, one sender", 1 / 0.45, one),
        Figure(f"the same, {_SENDERS} senders at once", 1 / (5 * 0.45), many),
    ]


@contextmanager
def receiver(folder: str) -> Iterator[int]:
    """Yield the port of a receiver in a process of its own."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there, folder), daemon=True)
    process.start()
    try:
        yield here.recv()
    finally:
        here.send(None)
        process.join()


def _serve(pipe: Connection, folder: str) -> None:
    intake = Intake(lambda: Store(Path(folder) / "syncd.db"), "bench", stored=lambda: None)
    pushes, lists = Tokens([Token(TOKEN, "news")]), Tokens([])
    app = application(intake=intake, pushes=pushes, lists=lists, links=(), taken={})
    server = Server(app, key="listen", host="127.0.0.1", port=0)
    intake.start()
    server.start()
    pipe.send(server.port)
    pipe.recv()
    server.stop()
    intake.stop()


def _pushes(port: int) -> Iterator[bytes]:
    """Make a list; return updates of its contacts, each of which changes what the last one wrote.

    They are made beforehand, since what the sender does is no part of the figure.
    """
    with socket.create_connection(("127.0.0.1", port)) as sender:
        sender.sendall(_http(CreateList("Customers")))
        reply = read_reply(_answer(sender).partition(b"\r\n\r\n")[2])
    if not isinstance(reply, Accepted) or reply.list_id is None:
        raise SystemExit(f"bench: no list was made: {reply}")
    updates = []
    for number in range(4 * _CONTACTS):
        person = Person.of(f"anna{number}@example.com", "Анна", "Белова")
        contact = Contact(ContactId(number % _CONTACTS), person)
        update = UpdateContact(reply.list_id, Change.UPDATE, contact, "anna@example.com")
        updates.append(_http(update))
    return cycle(updates)


def _http(request: Request) -> bytes:
    body = encode_request(request, TOKEN)
    head = f"POST /planfix/email HTTP/1.1\r\nHost: bench\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _answer(sender: socket.socket) -> bytes:
    answer = b""
    while not answer.endswith(b"}"):
        answer += sender.recv(4096) or b"}"
    return answer


def _seconds_of_push(port: int, pushes: Iterator[bytes], senders: int, seconds: float) -> float:
    """Push from so many connections, each sending when its last push was answered."""
    waiting = select.epoll()
    by_number = {}
    for _ in range(senders):
        sender = socket.create_connection(("127.0.0.1", port))
        sender.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        by_number[sender.fileno()] = sender
        waiting.register(sender, select.EPOLLIN)
        sender.sendall(next(pushes))
    done, begin = 0, time.perf_counter()
    while (spent_s := time.perf_counter() - begin) < seconds:
        for number, _ in waiting.poll():
            sender = by_number[number]
            answer = _answer(sender)
            if not answer.endswith(_DONE):
                raise SystemExit(f"bench: a push was not taken: {answer!r}")
            done += 1
            sender.sendall(next(pushes))
    for sender in by_number.values():
        sender.close()
    waiting.close()
    return spent_s / done


def _seconds_of_sync(folder: Path, seconds: float) -> float:
    """Append a block and sync it, again and again."""
    file = os.open(folder / "blocks", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    done, begin = 0, time.perf_counter()
    while (spent_s := time.perf_counter() - begin) < seconds:
        os.write(file, _BLOCK)
        os.fdatasync(file)
        done += 1
    os.close(file)
    return spent_s / done
