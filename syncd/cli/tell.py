"""What went wrong, on standard error: what happened, and what to do."""

from collections.abc import Iterable

import click


def tell_failure(message: str, hint: str) -> None:
    """Write one failure for people."""
    click.echo(f"Error: {message}", err=True)
    if hint:
        click.echo(f"Try: {hint}", err=True)


def worst(codes: Iterable[int]) -> int:
    """Return the exit code of several that happened at once; 0 where nothing did."""
    from syncd.core.report import PRECEDENCE  # noqa: PLC0415

    met = set(codes)
    return next((code for code in PRECEDENCE if code in met), max(met, default=0))
