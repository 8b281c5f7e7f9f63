"""``python -m provmode.lab``: a lab fleet as a process of its own (see `provmode.lab.process`)."""

from __future__ import annotations

import sys

import click

from provmode.lab.command import lab


def main() -> int:
    """Run the lab; an error of the caller is one line on standard error and exit code 1."""
    try:
        code = lab.main(prog_name="python -m provmode.lab", standalone_mode=False)
    except click.ClickException as error:
        print(f"lab: {error.format_message()}", file=sys.stderr)
        return 1
    return code if isinstance(code, int) else 0


if __name__ == "__main__":
    sys.exit(main())
