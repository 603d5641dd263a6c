"""A person's word: approve, release, undo, forget, rebase; and the backup."""

import sys
from pathlib import Path

import click

from syncd.cli import render
from syncd.cli.asked import Asked, confirm, pass_asked, show
from syncd.core.commands import command
from syncd.errors import UsageError

_PARTLY = 1


@click.command()
@click.argument("run")
@pass_asked
def approve(asked: Asked, run: str) -> None:
    """Release what a run withheld: at the next run, within 24 hours."""
    with asked.world() as world:
        from syncd.app import decisions  # noqa: PLC0415

        released = decisions.approve(world, run)
    show([f"{released} operations released: the next run within 24 hours carries them out."])


@click.command()
@click.argument("email")
@click.option("--link", "links", metavar="NAME", multiple=True, help="Only there; repeatable.")
@click.option("--reason", metavar="TEXT", required=True, help="Why; kept in the history.")
@pass_asked
def release(asked: Asked, email: str, links: tuple[str, ...], reason: str) -> None:
    """Lift a consent latch: the person wants the mails again."""
    if not reason.strip():
        raise UsageError("A reason is needed: it is what history tells later.")
    with asked.world() as world:
        from syncd.app import decisions  # noqa: PLC0415

        lifted = decisions.release(world, email, links=links, reason=reason.strip())
    show([f"{lifted} latches lifted: the next run may subscribe them again."])


@click.command()
@click.argument("run")
@pass_asked
def undo(asked: Asked, run: str) -> int:
    """Put back in Planfix what a run wrote over there, where nobody changed it since."""
    with asked.world() as world:
        from syncd.app.undo import Fate  # noqa: PLC0415
        from syncd.app.undo import undo as put_back  # noqa: PLC0415

        undone = put_back(world, run)
    show(render.undone(undone, run))
    return _PARTLY if any(value.fate is Fate.REFUSED for value in undone.values) else 0


@click.command()
@click.argument("email")
@pass_asked
def forget(asked: Asked, email: str) -> None:
    """Erase a person's data; a latch stays, as a keyed hash."""
    # A script that erases on request has nobody to ask.
    confirm("Erase everything that is known of this person?", yes=not sys.stdin.isatty())
    with asked.world() as world:
        from syncd.app import decisions  # noqa: PLC0415

        forgotten = decisions.forget(world, email)
    show([f"Erased; contacts concerned: {forgotten.contacts}."])
    if forgotten.latched:
        show(["They unsubscribed: a hash is kept, so that syncd never subscribes them again."])
    for link in forgotten.still_on:
        taking_off = command("lists unsubscribe", link, "EMAIL")
        show([f"Still on the list of {link}; to take them off: {taking_off}"])
    if forgotten.contacts:
        show(["As long as Planfix has the contact, the next run reads it again: delete it there."])


@click.command()
@click.argument("link")
@pass_asked
def rebase(asked: Asked, link: str) -> None:
    """Forget the pairs of a link that now points elsewhere; consent stays."""
    with asked.world() as world:
        from syncd.app import decisions  # noqa: PLC0415

        forgotten = decisions.rebase(world, link)
    show([f"{forgotten} pairs of {link} forgotten; consent stays. The next run adopts again."])


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@pass_asked
def backup(asked: Asked, file: Path) -> None:
    """Copy the store to a new file, while the daemon runs."""
    with asked.world() as world:
        from syncd.app import decisions  # noqa: PLC0415

        size_bytes = decisions.backup(world, file)
    show([f"{file}: {size_bytes} bytes"])
