"""The modelled ``cmd.exe``: its language, its built-in commands, and the tools an admin looks with.

`start` runs a line on a PC. Everything reads and writes the PC's own state; nothing is recognised by its text. What is
not modelled is answered as cmd.exe answers an unknown command.
"""

from provmode.lab.windows.cmd.shell import Running, start

__all__ = ["Running", "start"]
