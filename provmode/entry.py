"""The command `provmode`: makes sockets cooperative first, then hands over to the command line.

gevent must patch before anything imports `ssl` or `requests`, which is why this module imports nothing. The lab is
an asyncio program and stays unpatched.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; ends the process with its exit code."""
    if sys.argv[1:2] != ["lab"]:
        from gevent import monkey

        monkey.patch_all()
    from provmode.cli import cli, exit_with

    exit_with(lambda: cli.main(prog_name="provmode", standalone_mode=False))


if __name__ == "__main__":
    main()
