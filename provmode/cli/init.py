"""``provmode init``: write a configuration file with every key in a comment."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import click

from provmode.atomic_file import check_output, write_output
from provmode.cli.common import complain, file_path
from provmode.errors import UsageError
from provmode.fleet.configuration import commented
from provmode.fleet.results import COMPLIANT, EXIT_CODES


@click.command(epilog=EXIT_CODES["init"].help)
@click.argument("file", type=file_path(), default=Path("provmode.toml"))
def init(file: Path) -> int:
    """Write a configuration file with every key in a comment: FILE, or provmode.toml here. An existing one stays."""
    from provmode.fleet.configuration_file import refuse_changeable

    if os.path.lexists(file):
        raise UsageError(f"there is a file {file} already", next_step="give another name, or edit it")
    check_output(file)
    write_output(file, commented())
    file.chmod(stat.S_IMODE(file.stat().st_mode) & ~(stat.S_IWGRP | stat.S_IWOTH))
    complain(f"written: {file}; provmode config shows what holds")
    refuse_changeable(file)
    return COMPLIANT
