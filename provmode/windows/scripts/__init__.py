"""The only PowerShell of the project: static scripts. Four read, swap, remove and delete a file; three are for
provisioning packages, for which Windows has nothing but cmdlets.

The scripts get their parameters as JSON on standard input. So nothing is ever inserted into script text, and the
command lines below are the same for every file and every PC. The scripts run on Windows PowerShell 3.0 and later. They
call .NET, so a PC in constrained language mode refuses them. Nothing else in the project needs PowerShell.
"""

from __future__ import annotations

import base64
from importlib import resources


def command_line(script: str) -> str:
    """Return the command line that runs a script of this folder.

    The script is encoded (UTF-16, base64), so that cmd.exe finds nothing to interpret in it.
    """
    text = resources.files(__name__).joinpath(script).read_text("utf-8")
    encoded = base64.b64encode(text.encode("utf-16-le")).decode("ascii")
    return f"powershell.exe -NoLogo -NoProfile -NonInteractive -ExecutionPolicy Bypass -EncodedCommand {encoded}"


READ_BYTES = command_line("read_bytes.ps1")
"""Reads part of a file, and the hash of the whole file."""
SWAP_BYTES = command_line("swap_bytes.ps1")
"""Replaces the expected file by new bytes."""
REMOVE_FILE = command_line("remove_file.ps1")
"""Moves the expected file to its backup."""
DELETE_FILE = command_line("delete_file.ps1")
"""Deletes the expected file, and keeps no backup."""
REMOVE_PACKAGE = command_line("remove_package.ps1")
"""Removes a provisioning package by its id."""
TRUST_CERTIFICATE = command_line("trust_certificate.ps1")
"""Makes Windows trust the provisioning packages that a certificate signs; the certificate is in a file on the PC."""
DISTRUST_CERTIFICATE = command_line("distrust_certificate.ps1")
"""Takes that trust back, by the certificate's thumbprint."""
