"""Mailing-list services. The table of what a config may name as a backend's `type`."""

from collections.abc import Mapping
from typing import Final

from syncd.backends.base import Backend, Retry
from syncd.backends.embedded import Embedded
from syncd.backends.listmonk import Listmonk
from syncd.backends.mailman3 import Mailman3
from syncd.backends.planfix_json import PlanfixJson

__all__ = ["BACKENDS", "Backend", "Retry"]

BACKENDS: Final[Mapping[str, type[Backend]]] = {
    "embedded": Embedded,
    "listmonk": Listmonk,
    "mailman3": Mailman3,
    "planfix-json": PlanfixJson,
}
