"""Waves and the failure budget. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from provmode.errors import UsageError


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

    def spent(self, failed: int, reached: int, *, to_come: int = 0) -> str:
        """Return in words why the run has to end; empty where it may go on.

        The share is of the *reached* hosts and those *to_come* in the same wave: it is passed once it would be even if
        none of those failed.
        """
        if self.number is not None and failed > self.number:
            return f"{_hosts(failed)} failed, more than the {self.number} of the failure budget"
        if self.percent is not None and failed and 100 * failed / (reached + to_come) > self.percent:
            of = f"{failed} of {reached} reached hosts"
            return f"{of} failed, more than the failure budget of {self.percent:g} %"
        return ""


def _hosts(number: int) -> str:
    return f"{number} host{'s' if number != 1 else ''}"
