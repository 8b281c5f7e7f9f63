"""Waves and the failure budget. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from provmode.errors import UsageError

if TYPE_CHECKING:
    from provmode.fleet.apply import HostResult


def wave_sizes(text: str, hosts: int) -> list[int]:
    """Return how many hosts each wave has; the last wave takes the rest.

    ``10,100,25%`` on 1,000 hosts: 10, then 100, then 250 (a percentage is of all hosts), then the other 640.

    Raises:
        UsageError: something else than numbers and percentages.
    """
    sizes: list[int] = []
    left = hosts
    for part in (part.strip() for part in text.split(",")):
        found = re.fullmatch(r"([0-9]{1,7})(%?)", part)
        if found is None or int(found.group(1)) == 0 or (found.group(2) and int(found.group(1)) > 100):
            raise UsageError(f"--wave {text}: {part!r} is no number of hosts and no percentage", next_step="10,100,25%")
        size = -(-hosts * int(found.group(1)) // 100) if found.group(2) else int(found.group(1))
        size = min(size, left)
        if size:
            sizes.append(size)
        left -= size
    return [*sizes, left] if left else sizes


@dataclass(frozen=True)
class Budget:
    """How many failures a run may have; counted over hosts that were reached, unreachable ones never."""

    number: int | None = None
    percent: float | None = None

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Read ``5``, ``2%`` or ``5,2%`` (whichever is passed first ends the run).

        Raises:
            UsageError: something else.
        """
        number: int | None = None
        percent: float | None = None
        for part in (part.strip() for part in text.split(",")):
            if re.fullmatch(r"[0-9]{1,7}", part) and number is None:
                number = int(part)
            elif re.fullmatch(r"[0-9]{1,3}(\.[0-9]+)?%", part) and percent is None and float(part[:-1]) <= 100:
                percent = float(part[:-1])
            else:
                raise UsageError(f"--max-failures {text}: {part!r} is no number and no percentage", next_step="5,2%")
        return cls(number, percent)

    def spent(self, results: Sequence[HostResult]) -> str:
        """Return in words why the run has to end; empty where it may go on."""
        reached = [result for result in results if result.ended.value not in ("unreached", "not-started")]
        failed = sum(result.ended.value == "failed" for result in reached)
        if self.number is not None and failed > self.number:
            return f"{failed} hosts failed, more than the {self.number} of the failure budget"
        if self.percent is not None and reached and 100 * failed / len(reached) > self.percent:
            return (
                f"{failed} of {len(reached)} reached hosts failed, more than the failure budget of {self.percent:g} %"
            )
        return ""
