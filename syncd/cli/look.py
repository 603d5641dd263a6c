"""Read and show: check, status, history; and the demo."""

import signal
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from syncd.cli.asked import Asked, json_option, pass_asked, show
from syncd.cli.render import json_array, table, to_json
from syncd.cli.render import status as status_lines
from syncd.cli.tell import worst

if TYPE_CHECKING:
    from syncd.app.look import Checked
    from syncd.app.world import World


@click.command()
@json_option
@pass_asked
def check(asked: Asked, *, as_json: bool) -> int:
    """Try everything that a run needs, changing nothing."""
    with asked.world() as world:
        from syncd.app import look  # noqa: PLC0415

        lines = look.check(world)
    if asked.as_json or as_json:
        show(
            json_array(
                {
                    "subject": line.subject, "ok": line.ok, "message": line.message,
                    "hint": line.hint,
                }
                for line in lines
            )
        )  # fmt: skip
    else:
        show(_told(line) for line in lines)
    return worst(line.exit_code for line in lines if not line.ok)


def _told(line: "Checked") -> str:
    mark = "FAIL" if not line.ok else "warn" if line.hint else "ok"
    hint = f"\n      Try: {line.hint}" if line.hint else ""
    return f"{mark:4}  {line.subject}: {line.message}{hint}"


@click.command()
@json_option
@pass_asked
def status(asked: Asked, *, as_json: bool) -> None:
    """Show for each link whether it is in step, and what waits."""
    with asked.world() as world:
        from syncd.app import look  # noqa: PLC0415

        chosen = {link.name for link in world.chosen(asked.links)}
        found = look.status(world)
        found["next_run"] = _next_run(world, found["last_run"])
    found["links"] = [link for link in found["links"] if link["link"] in chosen]
    show([to_json(found)] if asked.as_json or as_json else status_lines(found))


def _next_run(world: "World", last: dict[str, Any] | None) -> str | None:
    """Return when a daemon that is up runs next: by cron, or counted from its last whole run.

    Where none has run yet, what a single run left counts.
    """
    from syncd import clock  # noqa: PLC0415
    from syncd.cli.runs import timetable_of  # noqa: PLC0415
    from syncd.daemon import WHOLE  # noqa: PLC0415

    schedule = world.settings.schedule
    if schedule.cron is not None:
        start = clock.now()
    else:
        begun = world.store.runs.begun(WHOLE) or (last["finished"] if last is not None else None)
        if begun is None:
            return None
        start = datetime.fromisoformat(begun)
    return timetable_of(schedule).after(start).isoformat(timespec="seconds")


@click.command()
@click.argument("email")
@json_option
@pass_asked
def history(asked: Asked, email: str, *, as_json: bool) -> None:
    """Tell everything syncd did and saw for one person."""
    with asked.world() as world:
        from syncd.app import history as story  # noqa: PLC0415

        told = story.history(world, email)
    if asked.as_json or as_json:
        show(
            json_array(
                {"at": event.at, "run": event.run, "link": event.link, "what": event.what}
                for event in told
            )
        )
    elif told:
        rows = ((event.at, event.run, event.link, event.what) for event in told)
        show(table(("WHEN", "RUN", "LINK", "WHAT"), rows))
    else:
        show(["Nothing is known of that address."])


@click.command()
@click.option("--serve", is_flag=True, help="Then stay, with the operator's page, until Ctrl-C.")
def demo(*, serve: bool) -> int:
    """Show the whole thing against a simulated Planfix, on this machine alone."""
    from syncd import logs  # noqa: PLC0415
    from syncd.app.demo import demo as play  # noqa: PLC0415

    logs.configure("error", "auto")  # the story tells what the log would
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what it made goes, as by Ctrl-C
    if not serve:
        return play(lambda line: show([line]))

    from syncd.cli import runs  # noqa: PLC0415

    return play(lambda line: show([line]), runs.stay)
