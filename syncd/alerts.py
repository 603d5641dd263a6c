"""Tell a person, by a command of the operator's, that something needs them."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any, Final

import structlog

log = structlog.get_logger()

_PATIENCE_S: Final = 30


class CommandAlert:
    """Runs the operator's command with the alert as JSON on its standard input."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = tuple(command)

    def tell(self, alert: Mapping[str, Any]) -> None:
        """Tell it; a command that fails is logged, since no run may fail for it."""
        if not self._command:
            return
        try:
            done = subprocess.run(  # noqa: S603  (the operator's own command, without a shell)
                self._command,
                input=json.dumps(alert, ensure_ascii=False).encode(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=_PATIENCE_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            log.warning("alert.failed", command=self._command[0], error=type(error).__name__)
            return
        if done.returncode:
            log.warning("alert.failed", command=self._command[0], exit_code=done.returncode)
        else:
            log.info("alert.sent", command=self._command[0])
