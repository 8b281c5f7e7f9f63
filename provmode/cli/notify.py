"""Telling a command what changed: JSON on its standard input."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from provmode.errors import ProvmodeError
from provmode.text import json_text

LIMIT = 60
"""Seconds that the command may take."""


class NotTold(ProvmodeError):
    """The command could not be run, or failed."""


def run_command(command: Sequence[str], document: Mapping[str, Any], *, limit: float = LIMIT) -> None:
    """Run *command* with *document* as JSON on its standard input. No shell reads it, and it gets no secret of ours.

    Raises:
        NotTold: it cannot be started, takes too long, or ends with another exit code than 0.
    """
    from provmode.fleet.gate import without_secrets

    try:
        ran = subprocess.run(
            list(command),
            input=json_text(document).encode(),
            stdout=subprocess.DEVNULL,
            timeout=limit,
            check=False,
            env=without_secrets(os.environ),
        )
    except subprocess.TimeoutExpired:
        raise NotTold(
            f"{command[0]} was told what changed and took longer than {limit:.0f} s", next_step=_STEP
        ) from None
    except OSError as error:
        raise NotTold(f"{command[0]} cannot be run: {error.strerror or error}", next_step=_STEP) from None
    if ran.returncode != 0:
        raise NotTold(f"{command[0]} was told what changed and ended with exit code {ran.returncode}", next_step=_STEP)


_STEP = "look at command under [notify]; provmode drift shows what changed"
