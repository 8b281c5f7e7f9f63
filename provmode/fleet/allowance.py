"""How many hosts of a run may be unassessed before the run counts as failed. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from provmode.fleet.waves import number_and_share


@dataclass(frozen=True)
class Allowance:
    """A number of hosts, a share of them, or both: whichever is exceeded first."""

    number: int | None = None
    percent: float | None = None

    @classmethod
    def parse(cls, text: str) -> Allowance:
        """Read ``5``, ``2%`` or ``5,2%``.

        Raises:
            UsageError: *text* is none of these.
        """
        return cls(*number_and_share(text, "--max-unassessed"))

    def __str__(self) -> str:
        """Return it as `parse` reads it."""
        parts = ("" if self.number is None else str(self.number), "" if self.percent is None else f"{self.percent:g}%")
        return ",".join(filter(None, parts))

    def exceeded(self, unassessed: int, total: int) -> str:
        """Return in words that more of *total* hosts are unassessed than allowed; empty if not."""
        share = f"{unassessed:,} of {total:,} hosts could not be assessed, more than the"
        if self.number is not None and unassessed > self.number:
            return f"{share} {self.number:,} of --max-unassessed"
        if self.percent is not None and total and 100 * unassessed / total > self.percent:
            return f"{share} {self.percent:g} % of --max-unassessed"
        return ""
