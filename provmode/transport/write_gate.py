"""The write gate decides which operations change a PC. When in doubt, an operation counts as a change.

A read-only session asks here before it sends a byte, so an audit or a dry run cannot change anything, whatever the
code above it does. Nothing else decides this.
"""

from __future__ import annotations

import re

from provmode.wsman.operations import CommandLine, Enumerate, Get, Identify, Invoke, Operation

READ_ONLY_METHODS: dict[str, frozenset[str]] = {
    # Microsoft, "StdRegProv class": the methods that read; CheckAccess only checks
    "stdregprov": frozenset(
        {
            "getstringvalue",
            "getexpandedstringvalue",
            "getmultistringvalue",
            "getdwordvalue",
            "getqwordvalue",
            "getbinaryvalue",
            "enumkey",
            "enumvalues",
            "checkaccess",
        }
    ),
    # Microsoft, "SMS_Client client WMI class" and "CCM_ClientUtilities client WMI class"
    "sms_client": frozenset({"getassignedsite"}),
    "ccm_clientutilities": frozenset({"determineifrebootpending"}),
}
"""Methods that only read, by class; every other method counts as a change."""

_READ_ONLY_COMMANDS = (
    r"type",
    r"reg(?:\.exe)?\s+query",
    r"sc(?:\.exe)?\s+(?:query|queryex|qc)",
    r"hostname(?:\.exe)?",
    r"ver",
    r"whoami(?:\.exe)?",
    r"echo\.?",
    r"dir",
)
_READ_ONLY = re.compile(rf"@?(?:{'|'.join(_READ_ONLY_COMMANDS)})(?=$|[\s/\"])", re.IGNORECASE)
_SEPARATOR = re.compile(r"&&|\|\||&")
_QUOTED = re.compile(r'"[^"]*"')
_SAFE_VARIABLE = re.compile(r"%(?:windir|systemroot|programdata|computername)%", re.IGNORECASE)
_NUL = re.compile(r"(?:[12]?>\s*nul|2>&1)(?=$|[\s&|])", re.IGNORECASE)
_HIDING = re.compile(r"[\r\n%!]")
"""What can hide a command even inside quotes: another line, and variables."""
_HIDING_OUTSIDE_QUOTES = re.compile(r"[<>^()|]")


def changes(operation: Operation, *, read_only_lines: frozenset[str] = frozenset()) -> bool:
    """Return whether *operation* changes the PC or might change it.

    *read_only_lines* are command lines that only read: our own static scripts, compared as a whole.
    """
    if isinstance(operation, (Identify, Get, Enumerate)):
        return False
    if isinstance(operation, Invoke):
        reading = READ_ONLY_METHODS.get(operation.resource.class_name.lower(), frozenset())
        return operation.method.lower() not in reading
    if isinstance(operation, CommandLine):
        return operation.line not in read_only_lines and not _reads(operation.line)
    return True


def _reads(line: str) -> bool:
    """Return whether every command of a cmd.exe line only reads, and nothing else is hidden in the line.

    Anything that could hide a command counts as a change: redirection to a file, pipes, ``^``, parentheses, ``for``,
    variables other than a few fixed ones (a variable may contain ``& del``).
    """
    commands = _SEPARATOR.split(_NUL.sub("", _QUOTED.sub('""', line)))
    hidden = (
        line.count('"') % 2
        or _HIDING.search(_SAFE_VARIABLE.sub("", line))
        or any(map(_HIDING_OUTSIDE_QUOTES.search, commands))
    )
    return not hidden and all(_READ_ONLY.match(command.strip()) for command in commands)
