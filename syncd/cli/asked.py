"""What the command line asked for, and what every command does alike: open, show, confirm."""

import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import click

from syncd.errors import SyncdError, UsageError

if TYPE_CHECKING:
    from syncd.app.world import World
    from syncd.config.load import Loaded
    from syncd.config.settings import Settings


@dataclass
class Asked:
    """The options of syncd itself; filled in as the command line is read."""

    config: str | None = None
    links: tuple[str, ...] = ()
    verbose: bool = False
    once: bool = False
    dry_run: bool = False
    as_json: bool = False

    def load(self) -> "Loaded":
        """Read the config, and log from now on as it says.

        Raises:
            ConfigurationError: the config is wrong.
        """
        from syncd import logs  # noqa: PLC0415
        from syncd.app.wiring import read_config  # noqa: PLC0415
        from syncd.config.load import find  # noqa: PLC0415

        logs.configure("debug" if self.verbose else "info", "auto")
        loaded = read_config(find(self.config, os.environ))
        log = loaded.settings.log
        logs.hide(_secrets(loaded.settings))
        logs.configure("debug" if self.verbose else log.level.value, log.format.value)
        for warning in loaded.warnings:
            click.echo(f"Warning: {warning}", err=True)
        return loaded

    def world(self) -> AbstractContextManager["World"]:
        """Load the config and open the store."""
        loaded = self.load()

        from syncd.app.wiring import open_world  # noqa: PLC0415

        return open_world(loaded)


def _secrets(settings: "Settings") -> Iterator[str]:
    from syncd.config.secrets import Secret  # noqa: PLC0415

    receiver = settings.receiver
    sections: list[Any] = [settings.planfix, *settings.sms]
    if receiver is not None:
        sections += [*receiver.email, *receiver.sms]
    for section in sections:
        for key in fields(section):
            value = getattr(section, key.name)
            if isinstance(value, Secret):
                yield value.reveal()
    for backend in settings.backends:
        for key in fields(backend.options):
            if key.metadata.get("secret"):
                yield str(getattr(backend.options, key.name) or "")


pass_asked = click.make_pass_decorator(Asked)


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Let a command take `--json` after its own name too."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def show(pieces: Iterable[str], end: str = "\n") -> None:
    """Write a result to standard output; a reader who has gone is no fault.

    The exit code stays the command's: `syncd status | head` is no failure. A letter that the
    terminal does not have becomes a question mark.

    Raises:
        SyncdError: it can't be written.
    """
    out = sys.stdout
    if isinstance(out, io.TextIOWrapper):
        out.reconfigure(errors="replace")
    try:
        for piece in pieces:
            out.write(piece + end)
        out.flush()
    except OSError as error:
        # What is still buffered would fail again when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())
        if not isinstance(error, BrokenPipeError):
            raise SyncdError(
                f"The result can't be written: {error.strerror}.",
                hint="The command itself was done; see: syncd status",
            ) from error


def confirm(question: str, *, yes: bool) -> None:
    """Ask before what can't be taken back (click.Abort where the answer is no).

    Raises:
        UsageError: there is nobody to ask, and no --yes.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("This can't be taken back, and nobody is there to ask.", hint="Add --yes.")
    click.confirm(question, abort=True, err=True)


@contextmanager
def progress() -> Iterator[Callable[[int, int], None] | None]:
    """Within, what is yielded shows the pages read and the time left, on a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    bar = _Bar()
    try:
        yield bar.tell
    finally:
        bar.end()


class _Bar:
    """One bar at a time; another number of pages is another read."""

    def __init__(self) -> None:
        self._bar: Any = None  # click's bar has no public name

    def tell(self, pages: int, of: int) -> None:
        """Show so many pages as read."""
        if self._bar is None or self._bar.length != of or pages < self._bar.pos:
            self.end()
            self._bar = click.progressbar(
                length=of, label="Reading pages", show_pos=True, file=sys.stderr
            )
        self._bar.update(pages - self._bar.pos)
        if pages >= of:
            self.end()

    def end(self) -> None:
        """Leave the bar as it is, on a line of its own."""
        if self._bar is not None:
            self._bar.render_finish()
            self._bar = None
