"""SMS gateways: one file each, and the table of their types."""

from typing import Final

from syncd.sms.base import Gateway
from syncd.sms.kannel import Kannel
from syncd.sms.planfix_sms import PlanfixSms

GATEWAYS: Final[dict[str, type[Gateway]]] = {"planfix-sms": PlanfixSms, "kannel": Kannel}
"""The gateway of each `type` of `[[sms]]`."""
