"""``provmode lab``: a fleet of simulated PCs. The command itself is in `provmode.lab.command`."""

from provmode.fleet.results import EXIT_CODES
from provmode.lab.command import lab

__all__ = ["lab"]

lab.epilog = EXIT_CODES["lab"].help
