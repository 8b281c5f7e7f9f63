"""The guards of a run, as its options and the configuration file ask for them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from provmode.fleet.guards import Guard


def guards_of(stop_file: Path | None) -> list[Guard]:
    """Return the guards of a run, those that cost the least first; without a *stop_file* it is that of the user."""
    from provmode.fleet.guarding.stop_file import StopFile, default_stop_file

    path = stop_file or default_stop_file()
    return [StopFile(path)] if path is not None else []
