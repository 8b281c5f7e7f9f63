"""``provmode lab``: a fleet of simulated PCs. The command itself is in `provmode.lab.command`."""

from provmode.lab.command import lab

__all__ = ["lab"]
