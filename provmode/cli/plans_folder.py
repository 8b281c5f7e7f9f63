"""``provmode apply FOLDER``: takes the next plan of a folder, and says which, and why none that is newer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from provmode.cli.common import complain
from provmode.cli.keys import approving, keys_of_journal, plan_keys
from provmode.clock import utc_now
from provmode.errors import UsageError

if TYPE_CHECKING:
    from provmode.fleet.plan_file import Plan
    from provmode.fleet.plans_folder import Taken
    from provmode.signing.keys import Keys


def next_plan(
    folder: Path,
    key_file: Path | None,
    journal: Path | None,
    journal_key: Path | None,
    *,
    resume: bool,
    unsigned_journal: bool,
) -> Taken | None:
    """Return the plan of a folder that is applied next, if there is one; says which on standard error.

    Raises:
        UsageError: an option goes only with a single plan, or the folder cannot be used.
        RunRefused: somebody has to look first at what the last run did.
    """
    from provmode.fleet.plans_folder import choose

    for option, given in (("--journal", journal is not None), ("--resume", resume)):
        if given:
            raise UsageError(
                f"{option} goes with one plan, and {folder} is a folder: each plan there has its journal beside it",
                next_step=f"leave out {option}, or give the plan",
            )

    found: list[Keys | None] = []

    def keys_of(plan: Plan) -> Keys | None:
        if not found:  # they are the same for every signed plan
            found.append(keys_of_journal(plan, key_file, journal_key, unsigned=unsigned_journal))
        return found[0]

    keys = plan_keys(key_file)
    choice = choose(folder, keys, approving=approving(), keys_of_journal=keys_of, now=utc_now())
    for line in choice.lines():
        complain(line)
    return choice.taken
