"""The only PowerShell of the project: three static scripts that read, swap and remove a file.

They carry no parameter: those come as JSON on standard input, so nothing is ever put into script text, and the command
lines below are the same for every file and every PC. They keep to what Windows PowerShell 3.0 and later know. They
call .NET, so a PC in constrained language mode refuses them; nothing else here needs PowerShell.
"""

from __future__ import annotations

import base64
from importlib import resources


def command_line(script: str) -> str:
    """Return the command line that runs a script of this folder.

    It is handed over encoded (UTF-16, base64), so that cmd.exe has nothing to interpret in it.
    """
    text = resources.files(__name__).joinpath(script).read_text("utf-8")
    encoded = base64.b64encode(text.encode("utf-16-le")).decode("ascii")
    return f"powershell.exe -NoLogo -NoProfile -NonInteractive -ExecutionPolicy Bypass -EncodedCommand {encoded}"


READ_BYTES = command_line("read_bytes.ps1")
"""Reads part of a file and the hash of the whole."""
SWAP_BYTES = command_line("swap_bytes.ps1")
"""Puts new bytes in place of expected ones."""
REMOVE_FILE = command_line("remove_file.ps1")
"""Moves an expected file to its backup."""
