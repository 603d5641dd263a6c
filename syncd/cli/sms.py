"""SMS by hand: one message, to try a gateway."""

from typing import TYPE_CHECKING

import click

from syncd.cli.asked import Asked, pass_asked, show
from syncd.errors import (
    AmbiguousError,
    AuthenticationError,
    ConfigurationError,
    SyncdError,
    TemporaryError,
    UsageError,
)

if TYPE_CHECKING:
    from syncd.core.sms import Sending


@click.command("send-test-sms")
@click.argument("to")
@click.argument("text")
@pass_asked
def send_test_sms(asked: Asked, to: str, text: str) -> None:
    """Send one message through the first gateway, and print its raw answer."""
    from syncd.app.wiring import open_gateways  # noqa: PLC0415
    from syncd.core.sms import phone_number  # noqa: PLC0415

    settings = asked.load().settings
    try:
        number = phone_number(to)
    except ValueError as error:
        raise UsageError(f"TO is {error}.") from error
    if not text.strip():
        raise UsageError("TEXT is empty.")
    try:
        text.encode()
    except UnicodeEncodeError as error:  # bytes of the shell's that are no UTF-8
        raise UsageError("TEXT is not in UTF-8.") from error
    if not settings.sms:
        raise ConfigurationError(
            "The config names no SMS gateway.", hint="Add one as [[sms]]; see docs/sms.md."
        )
    with open_gateways(settings) as gateways:
        name, gateway = next(iter(gateways.items()))
        sending = gateway.send("", number, text)
    if sending.answer:
        show([sending.answer])
    fault = _fault_of(sending, name)
    if fault is not None:
        raise fault


def _fault_of(sending: "Sending", name: str) -> SyncdError | None:
    """Return what to tell of a sending that is not known to have worked."""
    from syncd.core.sms import Fate  # noqa: PLC0415

    what = f"[[sms]] {name}: {sending.why}."
    match sending.fate:
        case Fate.TAKEN:
            return None
        case Fate.LATER if sending.credentials_refused:
            return AuthenticationError(what, hint="Check login, password or key of [[sms]].")
        case Fate.LATER:
            return TemporaryError(what, hint="Nothing was sent; try again later.")
        case Fate.UNKNOWN:
            return AmbiguousError(what, hint="It may have been sent; look before repeating it.")
        case Fate.REFUSED:
            return ConfigurationError(what, hint="Nothing was sent. Check url, sender and number.")
