"""A real Kannel with its fake SMS centre, on loopback ports, from a config made here."""

import os
import queue
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import unquote_to_bytes

from tests.needs import KANNEL

PATIENCE_S = 30

CONFIG = """
group = core
admin-port = {admin}
admin-interface = 127.0.0.1
admin-password = admin
smsbox-port = {boxes}
smsbox-interface = 127.0.0.1
box-allow-ip = 127.0.0.1

group = smsc
smsc = fake
smsc-id = fake
port = {centre}
connect-allow-ip = 127.0.0.1
denied-prefix = +999

group = smsbox
bearerbox-host = 127.0.0.1
sendsms-port = {sendsms}
sendsms-interface = 127.0.0.1

group = sendsms-user
username = acme
password = s3cret
default-sender = Kannel
max-messages = 10
concatenation = true
"""

_GOT = re.compile(r"Got message \d+: <(\S+) (\S+) (text|ucs-2) (.*)>$")


@dataclass(frozen=True)
class Arrived:
    """A message as the SMS centre got it; `kind` is text (7 bits) or ucs-2."""

    sender: str
    to: str
    kind: str
    text: str


class Program:
    """One of Kannel's programs, and the lines it writes."""

    def __init__(self, *command: str | Path) -> None:
        self._process = subprocess.Popen(
            [str(word) for word in command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        self._lines: queue.Queue[str] = queue.Queue()
        assert self._process.stderr is not None
        self._reader = threading.Thread(target=self._read, args=(self._process.stderr,))
        self._reader.start()

    def wait_for(self, words: str) -> str:
        """Return the next line that holds these words."""
        passed: list[str] = []
        while True:
            try:
                line = self._lines.get(timeout=PATIENCE_S)
            except queue.Empty:
                told = "\n".join(passed[-20:])
                raise AssertionError(f"Kannel never said {words!r}, but:\n{told}") from None
            if words in line:
                return line
            passed.append(line)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def end(self) -> None:
        """Stop it, however it feels about that."""
        self._process.kill()
        self._process.wait()
        self._reader.join()

    def _read(self, lines: IO[bytes]) -> None:
        with lines:
            for line in lines:
                self._lines.put(line.decode(errors="replace").rstrip())


class KannelServer:
    """A running Kannel."""

    def __init__(self, url: str, bearerbox: Program, centre: Program) -> None:
        self.url = url
        self._bearerbox = bearerbox
        self._centre = centre

    def freeze(self) -> None:
        """Let the bearerbox do nothing: the smsbox goes on, and waits for it."""
        self._bearerbox.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on where it was."""
        self._bearerbox.signal(signal.SIGCONT)

    def arrived(self) -> Arrived:
        """Wait for the next message at the SMS centre."""
        line = self._centre.wait_for("Got message")
        found = _GOT.search(line)
        assert found, line
        sender, to, kind, data = found.groups()
        if kind == "text":  # as it is, while the other kind is written like in an address
            return Arrived(sender, to, kind, data)
        raw = unquote_to_bytes(data.replace("+", " "))
        return Arrived(sender, to, kind, raw.decode("utf-16-be"))


@contextmanager
def kannel_server(folder: Path) -> Iterator[KannelServer]:
    """Start bearerbox, smsbox and fakesmsc, each when the one before is ready for it."""
    bearerbox_path, smsbox_path, fake_path = KANNEL.require()
    admin, boxes, centre, sendsms = _free_ports(4)
    config = folder / "kannel.conf"
    config.write_text(CONFIG.format(admin=admin, boxes=boxes, centre=centre, sendsms=sendsms))
    programs: list[Program] = []

    def start(*command: str | Path) -> Program:
        programs.append(Program(*command))
        return programs[-1]

    try:
        bearerbox = start(bearerbox_path, config)
        bearerbox.wait_for("Start-up done")
        start(smsbox_path, config)
        bearerbox.wait_for("Client connected from")
        # No message of its own: it only takes what Kannel sends.
        fake = start(fake_path, "-H", "127.0.0.1", "-r", str(centre), "-m", "0", "1 2 text -")
        bearerbox.wait_for("Fakesmsc client connected")
        yield KannelServer(f"http://127.0.0.1:{sendsms}/cgi-bin/sendsms", bearerbox, fake)
    finally:
        for program in reversed(programs):
            program.end()


def _free_ports(count: int) -> list[int]:
    """Return ports that nobody else gets before Kannel does.

    They are below those that the system hands out, and each process has ten of its own.
    """
    first = 20_000 + os.getpid() % 1_000 * 10
    found: list[int] = []
    for port in range(first, first + 10):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            found.append(port)
    assert len(found) >= count, "no ports left for Kannel"
    return found[:count]
