"""What went wrong, on standard error: what happened, and what to do."""

import click


def tell_failure(message: str, hint: str) -> None:
    """Write one failure for people."""
    click.echo(f"Error: {message}", err=True)
    if hint:
        click.echo(f"Try: {hint}", err=True)
