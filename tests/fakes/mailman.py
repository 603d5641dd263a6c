"""A real Mailman on loopback: its core and REST API, with nobody on it, and no mail going out.

It runs from an environment of its own, which `make test` installs: Mailman needs an SQLAlchemy
older than ours.
"""

import ctypes
import os
import secrets
import signal
import socket
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import httpx
import pytest

from tests.needs import MAILMAN, MAILMAN_BIN

USER: Final = "restadmin"
API: Final = "/3.1"
DOMAIN: Final = "lists.example.com"

_START_S: Final = 60.0
_STOP_S: Final = 15.0
_TERM_WITH_PARENT: Final = 1  # PR_SET_PDEATHSIG

# Nothing runs but the REST API, so what Mailman would mail stays where it can be counted.
_IDLE: Final = (
    "archive", "bounces", "command", "digest", "in", "lmtp", "nntp", "out", "pipeline", "retry",
    "task", "virgin",
)  # fmt: skip
_CONFIG: Final = """\
[mailman]
site_owner: root@example.com
layout: test

[paths.test]
var_dir: {folder}/var
bin_dir: {programs}

[webservice]
hostname: 127.0.0.1
port: {port}
admin_user: {user}
admin_pass: {password}
workers: 1
show_tracebacks: no
configuration: {folder}/gunicorn.cfg

[database]
class: mailman.database.sqlite.SQLiteDatabase
url: sqlite:///{folder}/var/data/mailman.db

[mta]
incoming: mailman.mta.null.NullMTA
smtp_host: 127.0.0.1
smtp_port: 1
lmtp_host: 127.0.0.1
lmtp_port: 1
"""
# The control socket would be in the home directory, where two servers fight for it.
_GUNICORN: Final = "[gunicorn]\ncontrol_socket_disable = true\ngraceful_timeout = 2\n"


class MailmanServer:
    """One server in a folder of its own, made with the first test and emptied by `reset`."""

    def __init__(self, folder: Path) -> None:
        self.password = secrets.token_hex(8)
        self.port = 0
        self._var = folder / "var"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._http = httpx.Client(auth=(USER, self.password), trust_env=False, timeout=60)

    def request(self, method: str, path: str, fields: object = None) -> tuple[int, Any]:
        """Make a request by hand; return its status and what the answer holds."""
        url = f"http://127.0.0.1:{self.port}{API}{path}"
        reply = self._http.request(method, url, json=fields)
        return reply.status_code, reply.json() if reply.content else None

    def ask(self, method: str, path: str, fields: object = None) -> Any:
        """Make a request that has to succeed; return what the answer holds."""
        status, answer = self.request(method, path, fields)
        assert status < 300, f"{method} {path}: {status} {answer}"
        return answer

    @property
    def mails(self) -> list[str]:
        """The letters that Mailman would have sent by now."""
        return sorted(path.name for path in self._var.glob("queue/virgin/*"))

    def reset(self) -> None:
        """Forget every list, person and letter; behind the server's back, which is idle."""
        with closing(sqlite3.connect(self._var / "data" / "mailman.db")) as db, db:
            for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'"):
                if name != "alembic_version":
                    db.execute(f'DELETE FROM "{name}"')
        for path in self._var.glob("queue/virgin/*"):
            path.unlink()

    def kept(self) -> Callable[[], None]:
        """Make a backup; what is returned puts it back, behind the server's back too."""
        path = self._var / "data" / "mailman.db"
        with closing(sqlite3.connect(path)) as db:
            tables = [
                name
                for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
                if name != "alembic_version"
            ]
            then = {name: db.execute(f'SELECT * FROM "{name}"').fetchall() for name in tables}

        def restore() -> None:
            with closing(sqlite3.connect(path)) as db, db:
                for name, rows in then.items():
                    db.execute(f'DELETE FROM "{name}"')
                    for row in rows:
                        marks = ",".join("?" * len(row))
                        db.execute(f'INSERT INTO "{name}" VALUES ({marks})', row)

        return restore

    def __enter__(self) -> Self:
        MAILMAN.require()
        self._start(_free_port())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._http.close()
        if self._process is None:
            return
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_STOP_S)
        with suppress(ProcessLookupError):  # whoever is left of its group
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _start(self, port: int) -> None:
        self.port = port
        (self._var / "data").mkdir(parents=True)
        (self._folder / "gunicorn.cfg").write_text(_GUNICORN)
        config = self._folder / "mailman.cfg"
        filled = _CONFIG.format(
            folder=self._folder, programs=MAILMAN_BIN, port=port, user=USER, password=self.password
        )
        config.write_text(filled + "".join(f"\n[runner.{name}]\nstart: no\n" for name in _IDLE))
        # To a file: its runners inherit a pipe, and whoever reads that would wait for all of them.
        with (self._folder / "output").open("wb") as output:
            self._process = subprocess.Popen(
                [MAILMAN_BIN / "master", "--force", "-C", config],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
                env={**os.environ, "PYTHONWARNINGS": "ignore"},
                start_new_session=True,
                preexec_fn=_end_with_parent,  # noqa: PLW1509 - it is one call of the kernel
            )
        for _ in range(int(_START_S * 10)):
            with suppress(httpx.TransportError):
                if self.request("GET", "/system/versions")[0] == 200:
                    return
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(0.1)
                break
        pytest.fail(f"Mailman did not start:\n{(self._folder / 'output').read_text()[-2000:]}")


def _end_with_parent() -> None:
    """Have the kernel end this process with the tests, however they end."""
    ctypes.CDLL(None).prctl(_TERM_WITH_PARENT, signal.SIGTERM, 0, 0, 0)


def _free_port() -> int:
    """Return a port below those that the system hands out, so that nobody else gets it first."""
    for port in range(30_000 + os.getpid() % 2_000, 32_700):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("no port left for Mailman")
