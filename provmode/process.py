"""What every process of provmode sets up for itself."""

from __future__ import annotations

import gc
import logging
import sys

from provmode.text import visible

ALLOCATIONS = 50_000
"""Objects that Python makes before it looks for garbage: its 700 cost a twentieth of a run, which makes few circles."""


def collect_rarely() -> None:
    """Let Python look for garbage less often."""
    gc.set_threshold(ALLOCATIONS, 20, 50)


class VisibleFormatter(logging.Formatter):
    """Writes a log in which no text of a PC can control the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record, with its traceback, as text that is safe to print."""
        return visible(super().format(record))


def log_to_standard_error(*, debug: bool) -> None:
    """Write provmode's own log to standard error; without *debug* nothing.

    Only our own log: pyspnego logs whole NTLM tokens, from which a weak password can be guessed.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(VisibleFormatter("%(name)s: %(message)s"))
    logging.basicConfig(level=logging.CRITICAL, handlers=[handler])
    set_debug(debug)
    logging.getLogger("pyinfra").setLevel(logging.CRITICAL)


def set_debug(debug: bool) -> None:
    """Say in the log what is asked of each PC, or not."""
    logging.getLogger("provmode").setLevel(logging.DEBUG if debug else logging.CRITICAL)


def debugging() -> bool:
    """Return whether the log says what is asked of each PC."""
    return logging.getLogger("provmode").isEnabledFor(logging.DEBUG)
