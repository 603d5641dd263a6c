"""Planfix's contact functions by hand; no run ever deletes a contact or touches an access."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from syncd.cli.asked import Asked, confirm, json_option, pass_asked, show
from syncd.cli.render import json_array, table, to_json
from syncd.errors import UsageError

if TYPE_CHECKING:
    from syncd.core.people import ContactId
    from syncd.planfix.contacts import Contacts

_HEAD = ("ID", "E-MAIL", "FIRST NAME", "LAST NAME")

# More than that, Planfix takes for no number at all.
contact_argument = click.argument("contact", type=click.IntRange(min=1, max=2**63 - 1))
yes_option = click.option("--yes", is_flag=True, help="Don't ask.")


@click.group()
@json_option
@pass_asked
def contacts(asked: Asked, *, as_json: bool) -> None:
    """Call Planfix's contact functions by hand; CONTACT is the XML API's id."""
    asked.as_json = asked.as_json or as_json


@contextmanager
def _planfix(asked: Asked) -> Iterator["Contacts"]:
    """Open Planfix with every function that an operator may call."""
    with asked.world() as world:
        yield world.contacts


@contacts.command("list")
@click.option("--target", default="contact", show_default=True,
              help="contact, company, template, or a filter: its id, or filter:ID.")  # fmt: skip
@click.option("--search", default="", metavar="TEXT", help="A part of the name or address.")
@click.option(
    "--email",
    "address",
    default="",
    metavar="TEXT",
    help="A part of the main or an additional address.",
)
@json_option
@pass_asked
def list_contacts(asked: Asked, target: str, search: str, address: str, *, as_json: bool) -> None:
    """List contacts, page by page."""
    target = target.removeprefix("filter:")
    with _planfix(asked) as planfix:
        found = (
            planfix.with_address(target, address, search=search)
            if address
            else planfix.listed(target, search=search)
        )
        if asked.as_json or as_json:
            show(
                json_array(
                    {
                        "id": contact.id, "email": contact.person.address,
                        "firstName": contact.person.first, "lastName": contact.person.last,
                    }
                    for contact in found
                )
            )  # fmt: skip
        else:
            show(
                table(
                    _HEAD,
                    (
                        (contact.id, contact.person.address, contact.person.first,
                         contact.person.last)
                        for contact in found
                    ),
                )
            )  # fmt: skip


@contacts.command()
@contact_argument
@json_option
@pass_asked
def get(asked: Asked, contact: "ContactId", *, as_json: bool) -> None:
    """Show one contact, with what only contact.get tells."""
    with _planfix(asked) as planfix:
        card = asdict(planfix.get(contact))
    if asked.as_json or as_json:
        show([to_json(card)])
        return
    custom, group = card.pop("custom"), card.pop("group")
    card["secondary_emails"] = ", ".join(card["secondary_emails"])
    card["group"] = f"{group['id']} {group['name']}" if group else None
    fields = [(f"{value['field']} {value['name']}", value["text"] or value["value"])
              for value in custom]  # fmt: skip
    show(table(("FIELD", "VALUE"), [*card.items(), *fields]))


@contacts.command()
@click.argument("email")
@click.option("--name", default="", help="First name; without one, what stands before the @.")
@click.option("--mid-name", default="", help="Patronymic.")
@click.option("--last-name", default="")
@click.option("--company", is_flag=True, help="A company, not a person.")
@click.option("--template", type=int, help="The template's number.")
@click.option("--group", type=int, help="The group's id.")
@pass_asked
def add(
    asked: Asked,
    *,
    email: str,
    name: str,
    mid_name: str,
    last_name: str,
    template: int | None,
    group: int | None,
    company: bool,
) -> None:
    """Add a contact and print its id."""
    with _planfix(asked) as planfix:
        added = planfix.add(
            address=email, name=name, mid_name=mid_name, last_name=last_name,
            is_company=company, template=template, group=group,
        )  # fmt: skip
    show([to_json({"id": added})] if asked.as_json else [str(added)])


@contacts.command()
@contact_argument
@click.option("--name", default="", help="First name alone.")
@click.option("--mid-name", default="", help="Patronymic.")
@click.option("--last-name", default="")
@click.option("--email", "address", default="")
@click.option("--group", type=int, help="The group's id.")
@click.option("--blank", multiple=True, metavar="FIELD", help="Empty this field; repeatable.")
@pass_asked
def update(
    asked: Asked,
    contact: "ContactId",
    *,
    name: str,
    mid_name: str,
    last_name: str,
    address: str,
    group: int | None,
    blank: tuple[str, ...],
) -> None:
    """Change what is given, and nothing else."""
    with _planfix(asked) as planfix:
        planfix.update(
            contact, name=name, mid_name=mid_name, last_name=last_name, address=address,
            group=group, blank=blank,
        )  # fmt: skip
    _done(asked, contact, "updated")


@contacts.command()
@contact_argument
@yes_option
@pass_asked
def delete(asked: Asked, contact: "ContactId", *, yes: bool) -> None:
    """Delete a contact in Planfix."""
    confirm(f"Delete contact {contact} in Planfix?", yes=yes)
    with _planfix(asked) as planfix:
        planfix.delete(contact)
    _done(asked, contact, "deleted")


@contacts.command()
@json_option
@pass_asked
def groups(asked: Asked, *, as_json: bool) -> None:
    """List the groups of contacts."""
    with _planfix(asked) as planfix:
        _named(planfix.groups(), as_json=asked.as_json or as_json)


@contacts.command("phone-types")
@json_option
@pass_asked
def phone_types(asked: Asked, *, as_json: bool) -> None:
    """List the kinds of phone numbers."""
    with _planfix(asked) as planfix:
        _named(planfix.phone_types(), as_json=asked.as_json or as_json)


@contacts.command()
@json_option
@pass_asked
def filters(asked: Asked, *, as_json: bool) -> None:
    """List the saved filters; `filter:ID` in the config selects one."""
    with _planfix(asked) as planfix:
        _named(planfix.filters(), as_json=asked.as_json or as_json)


def _named(items: Iterable[Any], *, as_json: bool) -> None:
    if as_json:
        show(json_array({"id": item.id, "name": item.name} for item in items))
    else:
        show(table(("ID", "NAME"), ((item.id, item.name) for item in items)))


@contacts.command()
@contact_argument
@click.argument("what", type=click.Choice(["grant", "revoke"]))
@yes_option
@pass_asked
def access(asked: Asked, contact: "ContactId", what: str, *, yes: bool) -> None:
    """Let a person into Planfix (they get a letter), or shut them out."""
    confirm(f"Really {what} contact {contact} access to Planfix?", yes=yes)
    with _planfix(asked) as planfix:
        planfix.manage_access(contact, grant=what == "grant")
    _done(asked, contact, "access granted" if what == "grant" else "access revoked")


@contacts.command("user-info")
@contact_argument
@click.option("--password", "with_password", is_flag=True,
              help="Read a new password: asked for, or a line of standard input.")  # fmt: skip
@click.option("--email", "address", default="", help="The address they log in with.")
@click.option("--active/--inactive", default=None)
@pass_asked
def user_info(
    asked: Asked, contact: "ContactId", address: str, *, with_password: bool, active: bool | None
) -> None:
    """Change how a person who has access logs in."""
    if not (with_password or address or active is not None):
        raise UsageError("Nothing to change.", hint="Give --password, --email or --active.")
    # Never an argument: every user of the machine can read those.
    password = _read_password() if with_password else ""
    with _planfix(asked) as planfix:
        planfix.update_user_info(contact, password=password, address=address, active=active)
    _done(asked, contact, "updated")


def _read_password() -> str:
    if sys.stdin.isatty():
        return str(
            click.prompt("New password", hide_input=True, confirmation_prompt=True, err=True)
        )
    password = sys.stdin.readline().rstrip("\r\n")
    if not password:
        raise UsageError("Standard input holds no password.")
    return password


@contacts.command()
@contact_argument
@click.option("--add", "added", type=int, multiple=True, metavar="COMPANY")
@click.option("--remove", "removed", type=int, multiple=True, metavar="COMPANY")
@pass_asked
def contractors(
    asked: Asked,
    contact: "ContactId",
    added: tuple["ContactId", ...],
    removed: tuple["ContactId", ...],
) -> None:
    """Say which companies a person belongs to, and to which no longer."""
    if not (added or removed):
        raise UsageError("Nothing to change.", hint="Give --add or --remove.")
    with _planfix(asked) as planfix:
        planfix.update_contractors(contact, add=added, remove=removed)
    _done(asked, contact, "updated")


@contacts.command("custom-data")
@contact_argument
@click.argument("values", nargs=-1, required=True, metavar="FIELD=VALUE...")
@pass_asked
def custom_data(asked: Asked, contact: "ContactId", values: tuple[str, ...]) -> None:
    """Set custom fields by their ids; an empty value blanks one."""
    fields = dict(_field(value) for value in values)
    with _planfix(asked) as planfix:
        planfix.update_custom_data(contact, fields)
    _done(asked, contact, "updated")


def _field(text: str) -> tuple[int, str]:
    field, equals, value = text.partition("=")
    if not equals or not field.isdecimal():
        raise UsageError("A custom field is set by its number, such as 1234=Yes.")
    return int(field), value


def _done(asked: Asked, contact: "ContactId", what: str) -> None:
    show([to_json({"id": contact, "done": what})] if asked.as_json else [f"{contact}: {what}"])
