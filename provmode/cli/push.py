"""``provmode push``: plan, show, ask and apply, in one breath, for a few PCs."""

from __future__ import annotations

import shlex
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from provmode.atomic_file import check_output
from provmode.cli.apply import run_apply_of, show_apply
from provmode.cli.audit import say_what_was_not_learned
from provmode.cli.common import (
    NAMED,
    complain,
    configured,
    confirmed,
    console_for,
    data_option,
    file_path,
    format_option,
    inventory_argument,
    key_file_option,
    limits_by_name,
    limits_options,
    made_by,
    print_json,
    printing,
    refused_logons,
    run_options,
    running,
    say,
    usual_limits,
    yes_option,
)
from provmode.cli.guard_options import yes_many_option
from provmode.cli.guarding import guards_of_plan
from provmode.cli.keys import approving, is_named, journal_key_option, journal_keys, signing_keys
from provmode.cli.remembering import remember_journal, remember_plan
from provmode.cli.waiving import again_from, waivers_of, waivers_option
from provmode.cli.windows import Guarding, change_option, guard_options
from provmode.clock import utc_now
from provmode.errors import UsageError
from provmode.fleet.results import EXIT_CODES, INTERRUPTED, PUSH, REFUSED, counted
from provmode.fleet.waves import ALL
from provmode.waivers.model import NONE, Waivers

if TYPE_CHECKING:
    from provmode.fleet.apply import ApplyResult
    from provmode.fleet.begun import Settled
    from provmode.fleet.guards import Guard
    from provmode.fleet.inventory import Fleet
    from provmode.fleet.plan import Planned
    from provmode.fleet.plan_file import Plan
    from provmode.fleet.selection import Chosen
    from provmode.signing.keys import Keys

FEW = 25
"""PCs that are looked at before an eye loses them: for more, a plan is read first, and applied later."""
VALID = timedelta(hours=1)
"""How long the plan can be applied, or resumed."""


@click.command(epilog=EXIT_CODES["push"].help)
@inventory_argument
@click.option(
    "--max-hosts", metavar="N|all", default=str(FEW), show_default=True, help="Refuse to look at more hosts than this."
)
@limits_options
@waivers_option
@yes_many_option
@guard_options
@change_option
@yes_option
@click.option("--output", type=file_path(), help="Plan file; else push-TIME.json here. The journal is FILE.journal.")
@data_option
@key_file_option
@click.option("--unsigned", is_flag=True, help="Write plan and journal without a signature.")
@journal_key_option
@format_option
@run_options
def push(
    inventory: str,
    max_hosts: str,
    limit: tuple[str, ...],
    exclude: tuple[str, ...],
    waivers: Path | None,
    yes: bool,
    output: Path | None,
    data: tuple[str, ...],
    key_file: Path | None,
    unsigned: bool,
    journal_key: Path | None,
    output_format: str,
    retry: bool,
    parallel: int,
    stop_file: Path | None,
    yes_many: int | None,
    change: str | None,
    **_: Any,
) -> int:
    """Bring a few PCs of an INVENTORY into compliance: plan, show the plan, ask, and apply it.

    This is what plan and apply do, with a plan file, a journal, the lease and safe limits. For many PCs use plan and
    apply: somebody reads the plan before. --yes applies without a question.
    """
    from provmode.connector.host_data import read_override
    from provmode.fleet.begun import Settled
    from provmode.fleet.inventory import load

    if approving().needed:
        complain("nothing was changed: plans need an approval here; use plan, approve and apply")
        return REFUSED
    guarding = Guarding("push")
    key = None if unsigned else signing_keys(key_file)
    if key is None and not unsigned:
        raise UsageError("there is no key to sign the plan with", next_step="give --key-file or --unsigned")
    file = output or Path(f"push-{utc_now():%Y%m%dT%H%M%SZ}.json")
    journal = file.with_name(file.name + ".journal")
    check_output(file)
    if journal.exists():
        raise UsageError(f"there is a journal {journal} of an earlier run", next_step="give another --output")
    usual = usual_limits()
    limits = usual.limits.changed(
        {**limits_by_name(), "limit": (), "exclude": ()}
    )  # the plan has only the chosen hosts
    limits.check()
    override = read_override(data)
    known = waivers_of(waivers)
    fleet = load(configured(inventory), override=override)
    for note in fleet.notes:
        complain(note)
    chosen = _few(fleet, limit, exclude, max_hosts)
    limits.sizes(len(chosen.names))
    keys = _KeysOfPush(key, None if unsigned else journal_keys(key_file, journal_key))
    again = _again(data, key_file, journal_key, unsigned=unsigned)

    def guards(plan: Plan) -> list[Guard]:
        return guards_of_plan(plan, inventory, stop_file, yes_many)

    pushing = _Push(
        *(inventory, fleet, chosen, file, journal, keys, override, again, guards),
        as_text=output_format == "text",
    )
    pushing.take(known, waivers)
    pushing.guarding, pushing.change = guarding, change or ""
    with refused_logons(retry=retry):
        return pushing.run(Settled(limits, usual.source), limit=limit, exclude=exclude, yes=yes)


@dataclass(frozen=True)
class _KeysOfPush:
    """What signs the plan, and the journal; ``None``: nothing does."""

    plan: Keys | None
    journal: Keys | None


def _again(data: tuple[str, ...], key_file: Path | None, journal_key: Path | None, *, unsigned: bool) -> list[str]:
    """Return the options with which another command is given the same data and keys."""
    words = [word for pair in data for word in ("--data", pair)]
    if key_file is not None:
        words += ["--key-file", str(key_file)]
    if journal_key is not None and is_named("journal_key"):
        words += ["--journal-key", str(journal_key)]
    named = click.get_current_context().meta.get(NAMED)
    if named is not None:
        words += ["--config", str(named)]
    return [*words, "--unsigned"] if unsigned else words


def _few(fleet: Fleet, limit: tuple[str, ...], exclude: tuple[str, ...], max_hosts: str) -> Chosen:
    """Return the chosen hosts.

    Raises:
        UsageError: there are too many for a push.
    """
    if max_hosts != ALL and not (max_hosts.isascii() and max_hosts.isdigit() and int(max_hosts) > 0):
        raise UsageError(f"--max-hosts {max_hosts} is not a number of hosts", next_step="give 25, or all")
    chosen = fleet.choose(limit, exclude)
    many = len(chosen.names)
    if max_hosts != ALL and many > int(max_hosts):
        raise UsageError(
            f"a push is for a few PCs, at most {int(max_hosts)}, and this would be {many}",
            next_step=f"choose some (--limit), use plan and apply, or give --max-hosts {many}",
        )
    return chosen


class _Push:
    """One push: its plan, and what came of it."""

    def __init__(
        self,
        inventory: str,
        fleet: Fleet,
        chosen: Chosen,
        file: Path,
        journal: Path,
        keys: _KeysOfPush,
        override: dict[str, Any] | None,
        again: list[str],
        guards: Callable[[Plan], list[Guard]],
        *,
        as_text: bool,
    ) -> None:
        self._inventory, self._fleet, self._chosen = inventory, fleet, chosen
        self._file, self._journal, self._keys, self._override = file, journal, keys, override
        self._again, self._guards = again, guards
        self._as_text = as_text
        self.guarding: Guarding | None = None
        self.change = ""
        """Number of the change that the push is part of."""
        self._waivers: Waivers = NONE
        self._waivers_file: Path | None = None

    def take(self, waivers: Waivers, file: Path | None) -> None:
        """Take the waivers that were read from a *file*."""
        self._waivers, self._waivers_file = waivers, file

    def run(self, settled: Settled, *, limit: tuple[str, ...], exclude: tuple[str, ...], yes: bool) -> int:
        """Plan, show, ask, apply and show; return the exit code."""
        from provmode.fleet.guarding.of_limits import waves_of
        from provmode.fleet.guards import RunRefused
        from provmode.fleet.plan import run_plan, take_waivers
        from provmode.fleet.plan_file import load, sign, write
        from provmode.report.coming import print_waves
        from provmode.report.lines import count_of

        with running("planning", settled.limits.parallel) as options:
            planned = run_plan(self._fleet, self._chosen.names, **options)
        planned.audit.about(self._inventory, limit, exclude, self._chosen)
        take_waivers(planned, self._fleet, self._waivers, utc_now())
        planned.audit.change = self.change
        plan_id = str(uuid.uuid4())
        document = sign(
            planned.document(
                plan_id=plan_id,
                inventory=self._inventory,
                limit=limit,
                exclude=exclude,
                by=made_by(),
                now=utc_now(),
                valid=VALID,
                change=self.change,
            ),
            self._keys.plan,
        )
        self._show_plan(planned)
        if planned.audit.interrupted or not planned.changing:
            self._show(document, None)
            say_what_was_not_learned(planned.audit)
            return remember_plan(planned, plan_id, planned.audit.exit_code(), kind="push")
        write(self._file, document)
        plan = load(self._file, self._keys.plan, unsigned=self._keys.plan is None, now=utc_now())
        if not yes:
            waves = waves_of(plan.changing, self._fleet, settled.limits)
            say(lambda console: print_waves(waves, settled.limits, settled.source, console))
        if self.guarding is not None:
            inventory = self._inventory
            self.guarding.about(change=self.change, journal=self._journal, inventory=inventory, plan=plan_id)
        if not confirmed(f"Change {count_of(len(plan.changing))}?", yes=yes):
            known = ["--waivers", str(self._waivers_file)] if self._waivers_file is not None else []
            apply = shlex.join(["provmode", "apply", str(self._file), *self._again, *known])
            complain(f"the plan is kept in {self._file}: {apply} makes its changes")
            self._show(document, None)
            return remember_plan(planned, plan_id, REFUSED, kind="push")
        try:
            result = run_apply_of(
                plan,
                configured(self._inventory),
                settled=settled,
                journal=self._journal,
                override=self._override,
                key=self._keys.plan,
                journal_key=self._keys.journal,
                said=not yes,
                waivers=again_from(self._waivers_file),
                guards=[*(self.guarding.guards if self.guarding is not None else ()), *self._guards(plan)],
                change=self.change,
            )
        except RunRefused as error:
            complain(str(error))
            self._show(document, None)
            return remember_plan(planned, plan_id, REFUSED, kind="push")
        self._show(document, result)
        gone = plan.made_from is not None and not plan.made_from.again
        inventory = f"@plan/{self._file}" if gone else self._inventory
        undo = shlex.join(["provmode", "undo", str(self._journal), "--inventory", inventory, *self._again])
        complain(f"the journal is {self._journal}; what can be restored from it: {undo} --dry")
        code = remember_plan(planned, plan_id, _code(planned, result), kind="push")
        return remember_journal(self._journal, self._keys.journal, code, inventory=self._inventory, kind="push")

    def _show_plan(self, planned: Planned) -> None:
        from provmode.report.changes import print_plan

        if self._as_text:
            with printing():
                print_plan(planned, console_for(None))
                print()
        else:
            say(lambda console: print_plan(planned, console))

    def _show(self, document: dict[str, Any], result: ApplyResult | None) -> None:
        """Print what was done, as text or as one JSON object."""
        if self._as_text:
            if result is not None:
                show_apply(result)
            return
        with printing(changes=result is not None):
            print_json({"plan": document, "applied": result.to_json() if result is not None else None})


def _code(planned: Planned, result: ApplyResult) -> int:
    """Return the exit code: of the hosts that were to change how they ended, of the others what was found."""
    if result.interrupted:
        return INTERRUPTED
    changing = {item.name for item in planned.changing}
    ends = counted(result.hosts, result.by_name)
    left = [item.report for item in planned.proposals if item.name not in changing and item.report.waived is None]
    found = [report.assessment.outcome for report in left]
    return PUSH.code([*ends, *found])
