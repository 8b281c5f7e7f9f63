"""``provmode lab``: a fleet of simulated PCs. The command is the lab's own; here it only gets its place."""

from provmode.lab.command import lab

__all__ = ["lab"]
