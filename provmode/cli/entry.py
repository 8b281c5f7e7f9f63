"""The command `provmode`: makes sockets cooperative first, then runs the command line.

gevent must patch before anything imports `ssl` or `requests`, which is why this module imports neither at its head. The
lab is an asyncio program and stays unpatched.
"""

from __future__ import annotations

import os
import sys

from provmode.process import collect_rarely


def _open_streams() -> None:
    """Open closed standard streams (``>&-``) on ``/dev/null``, before a socket gets their file number."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 - to the end


def main() -> None:
    """Run the command line; ends the process with its exit code."""
    _open_streams()
    if sys.argv[1:2] != ["lab"]:
        from gevent import monkey

        monkey.patch_all()
    from provmode.cli.main import cli, exit_with

    collect_rarely()
    exit_with(lambda: cli.main(prog_name="provmode", standalone_mode=False))


if __name__ == "__main__":
    main()
