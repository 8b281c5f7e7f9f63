"""``provmode verify``: check that a journal was not changed, and list what is open."""

from __future__ import annotations

from pathlib import Path

import click

from provmode.cli.common import file_path, key_file_option, printing
from provmode.cli.keys import journal_keys
from provmode.fleet.results import EXIT_CODES


@click.command(epilog=EXIT_CODES["verify"].help)
@click.argument("journal", type=file_path())
@key_file_option
@click.option("--unsigned", is_flag=True, help="Accept an unsigned journal although there is a key.")
def verify(journal: Path, key_file: Path | None, unsigned: bool) -> int:
    """Check that no line of JOURNAL was changed, added or removed, and list what is open."""
    from provmode.fleet.verify import verify_journal
    from provmode.report.journal import verification_lines

    verification = verify_journal(journal, key=journal_keys(key_file), unsigned=unsigned)
    with printing():
        for line in verification_lines(verification, journal):
            print(line)
    return verification.exit_code()
