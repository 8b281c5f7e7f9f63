"""The modelled ``cmd.exe``: its language, its built-in commands, and the tools of an admin.

`start` runs a line on a PC. Commands are parsed and executed on the PC's own state; no line is recognised by its text.
A command that is not modelled fails like an unknown command of cmd.exe.
"""

from provmode.lab.windows.cmd.shell import Running, start

__all__ = ["Running", "start"]
