"""What the provisioning engine (`provmode.lab.packages.engine`) tells Windows' programs.

DISM and the cmdlets of the module Provisioning hand on what they are asked; the engine does it and says how it went.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

PENDING = 0x02AB0003
"""``LastResult`` of a compiled file that is not done (read in a disassembly of Windows, not documented)."""


class ProvisioningFailed(Exception):
    """The engine did not do what it was asked."""

    def __init__(self, code: int) -> None:
        super().__init__(f"0x{code:08x}")
        self.code = code
        """An HRESULT."""


@dataclass(frozen=True)
class Outcome:
    """How one compiled file of a package went."""

    xml: str
    category: str
    code: int
    """An HRESULT; `PENDING` while it is not done."""
    failures: int
    node: str = ""


@dataclass(frozen=True)
class PackageFacts:
    """What Windows tells of a package."""

    id: str
    name: str
    version: str
    owner: str
    rank: int
    altitude: int
    path: str
    """Where its file is, or was."""
    description: str = ""
    notes: str = ""
    installed: bool = False
    outcomes: Sequence[Outcome] = field(default_factory=tuple)
