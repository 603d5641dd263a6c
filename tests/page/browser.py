"""A headless Chromium, driven over its DevTools protocol on a pipe: no port, no other program.

The messages are those of the protocol's own documentation: JSON, ended by a zero byte, read by
the browser from descriptor 3 and written by it to descriptor 4.
"""

import base64
import fcntl
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from tests.needs import CHROMIUM

_FLAGS: Final = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--disable-extensions", "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--remote-debugging-pipe",
)  # fmt: skip
_STOP_S: Final = 15.0


class Browser:
    """One page of a browser, and everything that it said and fetched since it was opened."""

    def __init__(self, out: int, into: int) -> None:
        self._out = os.fdopen(out, "wb", buffering=0)
        self._into = os.fdopen(into, "rb", buffering=0)
        self._left = b""
        self._number = 0
        self._session = ""
        self._events: list[dict[str, Any]] = []

    def open(self) -> None:
        """Open the one page, and listen to it."""
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        attached = self.ask("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "Accessibility", "DOM"):
            self.ask(f"{domain}.enable")

    def show(self, url: str, *, width: int = 1000, height: int = 900, dark: bool = False) -> None:
        """Load an address in a window of this size, and wait until all of it is there."""
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[scheme])
        self._events.clear()
        self.ask("Page.navigate", url=url)
        while not self.events("Page.loadEventFired"):
            self._events.append(self._next())

    def ask(self, method: str, **parameters: object) -> dict[str, Any]:
        """Make a call and return its answer; events that come meanwhile are kept."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._out.write(json.dumps(message).encode() + b"\0")
        while True:
            found = self._next()
            if found.get("id") == self._number:
                assert "error" not in found, f"{method}: {found['error']}"
                return dict(found["result"])
            self._events.append(found)

    def run(self, script: str) -> Any:
        """Return what a script finds on the page; it is the protocol's, and minds no policy."""
        answer = self.ask("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def events(self, method: str) -> list[dict[str, Any]]:
        """Return what happened since the page was asked for."""
        return [event["params"] for event in self._events if event.get("method") == method]

    @property
    def complaints(self) -> list[str]:
        """Everything the browser found wrong: errors, warnings, and what a policy forbade."""
        self.run("0")  # what was said before this answer is read by now
        said = [event["entry"]["text"] for event in self.events("Log.entryAdded")]
        thrown = [
            str(event["exceptionDetails"]) for event in self.events("Runtime.exceptionThrown")
        ]
        printed = [str(event["args"]) for event in self.events("Runtime.consoleAPICalled")]
        return [*said, *thrown, *printed]

    @property
    def requests(self) -> list[str]:
        """The addresses that were asked for."""
        return [event["request"]["url"] for event in self.events("Network.requestWillBeSent")]

    def press(self, key: str, code: int) -> None:
        """Press and release a key."""
        for kind in ("rawKeyDown", "keyUp"):
            self.ask("Input.dispatchKeyEvent", type=kind, key=key, code=key,
                     windowsVirtualKeyCode=code)  # fmt: skip

    def picture(self) -> bytes:
        """Return what is in the window as PNG."""
        answer = self.ask("Page.captureScreenshot", format="png", optimizeForSpeed=False)
        return base64.b64decode(answer["data"])

    def close(self) -> None:
        """Ask the browser to end."""
        self._session = ""
        with suppress(OSError, AssertionError):
            self.ask("Browser.close")
        self._out.close()
        self._into.close()

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._left:
            piece = self._into.read(65_536)
            assert piece, "the browser ended"
            self._left += piece
        message, _, self._left = self._left.partition(b"\0")
        return dict(json.loads(message))


@contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """Start a browser with a profile of its own in an empty folder."""
    [program] = CHROMIUM.require()
    their_in, our_out = os.pipe()
    our_in, their_out = os.pipe()

    def hand_over() -> None:
        # To numbers further up first, since either pipe may have 3 or 4 itself.
        reading, writing = (fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (their_in, their_out))
        os.dup2(reading, 3)
        os.dup2(writing, 4)

    with (folder / "chromium.log").open("wb") as log:
        process = subprocess.Popen(
            [program, *_FLAGS, f"--user-data-dir={folder / 'profile'}"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, "HOME": str(folder)},
            close_fds=False,
            pass_fds=(),
            preexec_fn=hand_over,  # noqa: PLW1509  (it is four calls of the kernel)
        )
    os.close(their_in)
    os.close(their_out)
    opened = Browser(our_out, our_in)
    try:
        opened.open()
        yield opened
    finally:
        opened.close()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
