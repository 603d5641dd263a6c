"""Commands to copy: whatever a list is called, a shell does what is meant."""

import shlex
import subprocess

import click
import pytest
from click.testing import CliRunner

from syncd.core.commands import command

NAMES = ("customers", "Kunden & Freunde", "$(touch x)", "a'b\"c", "--yes", "Клиенты", "a\\b `c`")


@pytest.mark.parametrize("name", NAMES)
def test_a_name_reaches_syncd_as_it_is(name: str) -> None:
    @click.command()
    @click.argument("link")
    @click.option("--yes", is_flag=True)
    def rebase(link: str, *, yes: bool) -> None:
        click.echo(f"{link} {yes}", nl=False)

    program, verb, *arguments = shlex.split(command("rebase", name))

    assert (program, verb) == ("syncd", "rebase")
    assert CliRunner().invoke(rebase, arguments).output == f"{name} False"


@pytest.mark.parametrize("name", NAMES)
def test_a_shell_runs_nothing_of_a_name(name: str) -> None:
    typed = command("rebase", name).replace("syncd", "printf '%s|'", 1)

    done = subprocess.run(["/bin/sh", "-c", typed], capture_output=True, text=True, check=True)

    assert done.stdout.endswith(f"|{name}|")


def test_plain_names_stand_plain() -> None:
    assert command("lists unsubscribe", "customers", "EMAIL") == (
        "syncd lists unsubscribe customers EMAIL"
    )
