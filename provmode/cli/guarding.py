"""The guards of a run, as its options and the configuration file ask for them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from provmode.ccm.verdict import Outcome, Verdict, outcome
from provmode.cli.common import complain, has_terminal
from provmode.cli.remembering import inventory_name, is_kept, reading_history
from provmode.errors import ProvmodeError
from provmode.text import visible

if TYPE_CHECKING:
    from provmode.fleet.guarding.brake import Usual
    from provmode.fleet.guards import Guard
    from provmode.fleet.plan_file import Plan


def guards_of(stop_file: Path | None) -> list[Guard]:
    """Return the guards of any run that changes PCs; without a *stop_file* it is that of the user."""
    from provmode.fleet.guarding.stop_file import StopFile, default_stop_file

    path = stop_file or default_stop_file()
    return [StopFile(path)] if path is not None else []


def guards_of_plan(plan: Plan, inventory: str, stop_file: Path | None, yes_many: int | None) -> list[Guard]:
    """Return the guards of a run that makes the changes of *plan*, which is for *inventory*."""
    from provmode.fleet.guarding.brake import Brake

    brake = Brake(yes_many, lambda: usual_of(plan, inventory), _ask if has_terminal() else None)
    return [*guards_of(stop_file), brake]


def usual_of(plan: Plan, inventory: str) -> Usual:
    """Return what the number of hosts of *plan* is compared with: what the history knows, else the plan itself."""
    from provmode.fleet.guarding.brake import Usual

    assessed, source, last = sum(host.verdict != Verdict.UNASSESSED for host in plan.hosts), "when it was planned", None
    if not is_kept():
        return Usual(assessed, source, last)
    try:
        from provmode.history.reader import History

        with reading_history() as connection:
            history, name = History(connection), inventory_name(inventory)
            for run in history.runs(kinds=("audit", "plan"), inventory=name, complete=True, limit=1):
                assessed = run.hosts - run.counts.get(Verdict.UNASSESSED.value, 0)
                source = f"by the last {run.kind} of all"
            plans = history.runs(kinds=("plan", "push"), inventory=name, until=plan.created, limit=2)
            for run in [each for each in plans if each.name != plan.id][:1]:
                pending = [each.value for each in Verdict if outcome(each) is Outcome.PENDING]
                last = sum(run.counts.get(each, 0) for each in pending)
    except ProvmodeError as error:
        complain(f"the number of hosts is compared with the plan alone: {error}")
    return Usual(assessed, source, last)


def _ask(question: str) -> str:
    print(f"{visible(question)} ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().replace(",", "")
