"""Planfix's contact functions by hand, for `syncd contacts`."""

from typing import Any

from syncd.app.world import World


def planfix(world: World) -> Any:
    """Return the contact side with every function an operator may call."""
    return world.planfix
