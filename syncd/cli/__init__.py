"""The command line: the options of syncd itself, the one `except`, and the exit codes."""

import os
import sys
from pathlib import Path
from typing import NoReturn

import click

from syncd.cli.asked import Asked, show
from syncd.cli.contacts import contacts
from syncd.cli.decide import approve, backup, forget, rebase, release, undo
from syncd.cli.lists import lists
from syncd.cli.look import check, demo, history, status
from syncd.cli.sms import send_test_sms
from syncd.cli.tell import tell_failure
from syncd.errors import SyncdError, UsageError

_STOPPED = 75
_TAKES_LINKS = (None, "status", "lists")


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--config", metavar="FILE", help="Else $SYNCD_CONFIG, else /etc/syncd/config.toml.")
@click.option("--link", "links", metavar="NAME", multiple=True, help="Only this link; repeatable.")
@click.option("-v", "--verbose", is_flag=True, help="Log single operations and retries too.")
@click.option("--once", is_flag=True, help="Do one run and exit.")
@click.option("--dry-run", is_flag=True, help="Show what one run would do, and do nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.version_option(package_name="syncd")
@click.pass_context
def syncd(
    context: click.Context,
    config: str | None,
    links: tuple[str, ...],
    *,
    verbose: bool,
    once: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Keep Planfix contacts and mailing lists in step.

    Without a command: the daemon, or with --once a single run.
    """
    asked = context.find_object(Asked)
    if asked is None:
        raise RuntimeError("syncd is to be started through main()")
    asked.config, asked.links, asked.verbose = config, links, verbose
    asked.once, asked.dry_run, asked.as_json = once or dry_run, dry_run, as_json
    command = context.invoked_subcommand
    _refuse_contradictions(asked, command)
    if command is not None:
        return 0
    # A run needs nearly everything, and everything takes its time to import.
    from syncd.cli import runs  # noqa: PLC0415

    return runs.once(asked) if asked.once else runs.daemon(asked)


def _refuse_contradictions(asked: Asked, command: str | None) -> None:
    if command is not None and asked.once:
        raise UsageError("--once and --dry-run are for runs and go with no command.")
    if command not in _TAKES_LINKS and asked.links:
        raise UsageError(f"The command {command} takes no --link.")
    if command is None and asked.as_json and not asked.once:
        raise UsageError("The daemon prints no JSON.", hint="Add --once; for its log: [log] format")


for _command in (
    check, status, approve, history, release, undo, forget, rebase, lists, contacts, send_test_sms,
    backup, demo,
):  # fmt: skip
    syncd.add_command(_command)


def main() -> NoReturn:
    """Run the command line and exit with its code."""
    with Path(os.devnull).open("w") as nowhere:
        # Whoever closes an output wants none.
        sys.stdout, sys.stderr = sys.stdout or nowhere, sys.stderr or nowhere
        sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code; whatever happens is told here."""
    asked = Asked()
    try:
        return syncd.main(arguments, prog_name="syncd", standalone_mode=False, obj=asked) or 0
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return _STOPPED
    except SyncdError as error:
        tell_failure(str(error), error.hint)
        return _never_ran(asked, error)
    except Exception:  # noqa: BLE001  (the border of the process; logged by the function)
        fault = SyncdError("A fault of syncd's own; the traceback is in the log.")
        _log_fault()
        tell_failure(str(fault), fault.hint)
        return _never_ran(asked, fault)


def _log_fault() -> None:
    import structlog  # noqa: PLC0415

    from syncd import logs  # noqa: PLC0415

    if not structlog.is_configured():
        logs.configure("info", "auto")
    structlog.get_logger().exception("fault.met")


def _never_ran(asked: Asked, error: SyncdError) -> int:
    """Return the error's code, after a run document for whoever waits for one."""
    if asked.once and asked.as_json:
        from syncd.app.run import never_ran  # noqa: PLC0415
        from syncd.cli import render  # noqa: PLC0415

        show(render.run_document(never_ran(error, dry_run=asked.dry_run)), end="")
        show([""])
    return error.exit_code
