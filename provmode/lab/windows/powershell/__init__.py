"""A small PowerShell for the modelled PCs: it executes any script, it does not recognise known scripts.

It implements the part of the language that small file scripts need: assignment, ``if``/``else``, ``try``/``catch``,
``throw``, ``exit``, member access, .NET calls, hashtables, a few cmdlets. Anything else fails as in PowerShell: with
an error on standard error and exit code 1. .NET classes work on the PC's own files.
"""

from provmode.lab.windows.powershell.program import run

__all__ = ["run"]
