"""The page on loopback, as a daemon serves it."""

from collections.abc import Iterator
from contextlib import contextmanager

from syncd.receiver.server import Server
from tests.page.conftest import Shown, app


@contextmanager
def served(shown: Shown | None = None) -> Iterator[str]:
    """Yield the page's address while it is served."""
    server = Server(app(shown), key="admin_listen", host="127.0.0.1", port=0)
    server.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.stop()
