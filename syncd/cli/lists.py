"""The links' lists: show them, their members; take a person off; delete one."""

import click

from syncd.cli.asked import Asked, confirm, json_option, pass_asked, show
from syncd.cli.render import json_array, table
from syncd.cli.tell import tell_failure, worst

_LISTS = ("LINK", "BACKEND", "LIST", "ID", "PAIRS", "MEMBERS", "UNSUBSCRIBED", "BLOCKED")
_MEMBERS = ("E-MAIL", "FIRST NAME", "LAST NAME", "STATUS", "CONTACT", "WAITS FOR")


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def lists(context: click.Context, *, as_json: bool) -> int:
    """Show the links' lists, with counts where they can be read."""
    asked = context.ensure_object(Asked)
    asked.as_json = asked.as_json or as_json
    if context.invoked_subcommand is not None:
        return 0
    with asked.world() as world:
        from syncd.app import look  # noqa: PLC0415

        chosen = {link.name for link in world.chosen(asked.links)}
        found = [line for line in look.lists(world) if line.link in chosen]
    if asked.as_json:
        show(
            json_array(
                {
                    "link": line.link, "backend": line.backend, "name": line.name,
                    "list_id": line.list_id, "pairs": line.pairs, "members": line.members,
                    "unsubscribed": line.unsubscribed, "blocked": line.blocked,
                    "error": line.failure.message if line.failure else None,
                }
                for line in found
            )
        )  # fmt: skip
    else:
        rows = (
            (
                line.link, line.backend, line.name, line.list_id, line.pairs, line.members,
                line.unsubscribed, line.blocked,
            )
            for line in found
        )  # fmt: skip
        show(table(_LISTS, rows))
    failures = [(line.link, line.failure) for line in found if line.failure]
    for link, failure in failures:
        tell_failure(f"{link}: {failure.message}", failure.hint)
    return worst(failure.exit_code for _, failure in failures)


@lists.command()
@click.argument("link")
@json_option
@pass_asked
def members(asked: Asked, link: str, *, as_json: bool) -> None:
    """Show a readable list's members with their status."""
    with asked.world() as world:
        from syncd.app import look  # noqa: PLC0415

        found = look.members(world, link)
        if asked.as_json or as_json:
            show(
                json_array(
                    {
                        "email": member.person.address, "firstName": member.person.first,
                        "lastName": member.person.last, "status": member.status.value,
                        "reference": member.reference, "contact": listed.contact,
                        "waits": listed.waits or None,
                    }
                    for listed in found
                    for member in (listed.member,)
                )
            )  # fmt: skip
        else:
            rows = (
                (
                    member.person.address, member.person.first, member.person.last,
                    member.status, listed.contact, listed.waits,
                )
                for listed in found
                for member in (listed.member,)
            )  # fmt: skip
            show(table(_MEMBERS, rows))


@lists.command()
@click.argument("link")
@click.argument("email")
@pass_asked
def unsubscribe(asked: Asked, link: str, email: str) -> None:
    """Take a person off a list at their wish: latch, then tell the list."""
    with asked.world() as world:
        from syncd.app import decisions  # noqa: PLC0415

        done = decisions.unsubscribe(world, link, email)
    show([done])


@lists.command()
@click.argument("link")
@click.option("--yes", is_flag=True, help="Don't ask.")
@pass_asked
def delete(asked: Asked, link: str, *, yes: bool) -> None:
    """Delete a link's list on its service; the pairs end, consent stays."""
    confirm(f"Delete the list of {link}, with all its members, at its service?", yes=yes)
    with asked.world() as world:
        from syncd.app import decisions  # noqa: PLC0415

        done = decisions.delete_list(world, link)
    show([done])
