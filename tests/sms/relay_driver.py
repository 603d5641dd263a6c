"""One pass of a relay: `python -m tests.sms.relay_driver STORE URL`; a test kills it."""

import sys
from pathlib import Path

from syncd import clock
from syncd.app.relay import relay_due
from syncd.sms.base import Options
from syncd.sms.planfix_sms import PlanfixSms
from syncd.store.store import Store

if __name__ == "__main__":
    options = Options(url=sys.argv[2], login="acme-sms", password="s3cret")
    relay_due(Store(Path(sys.argv[1])).outbox, {"gateway": PlanfixSms(options)}, clock.now)
