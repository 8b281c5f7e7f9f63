"""``provmode plan``, ``apply``, ``undo`` and ``verify``: the commands that prepare, make and take back changes."""

from __future__ import annotations

import getpass
import os
import platform
import sys
import uuid
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from provmode.atomic_file import check_output
from provmode.cli.common import (
    APPLY_EXIT_CODES,
    EXIT_CODES,
    UNDO_EXIT_CODES,
    VERIFY_EXIT_CODES,
    Finite,
    console_for,
    interruptible,
    parallel_option,
    print_json,
    progress_bar,
    read_override,
)
from provmode.errors import UsageError

if TYPE_CHECKING:
    from provmode.fleet.apply import Applied
    from provmode.fleet.journal import Journal
    from provmode.fleet.plan import Planned
    from provmode.fleet.plan_file import Plan

REFUSED = 3
NOT_ENDED = 2

_format = click.option(
    "--format",
    "output_format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Report as.",
)
_key_file = click.option(
    "--key-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File with the plan key; else $PROVMODE_PLAN_KEY.",
)
_unsigned = click.option("--unsigned", is_flag=True, help="Do without a signature.")


def now() -> datetime:
    """Return the controller's time, UTC."""
    return datetime.now(timezone.utc)


@click.command(epilog=EXIT_CODES)
@click.argument("inventory")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write the plan there.")
@click.option("--limit", multiple=True, metavar="NAME", help="Only this host, group or pattern; may be repeated.")
@click.option("--data", multiple=True, metavar="KEY=VALUE", help="Host data that overrides the inventory's.")
@click.option("--valid", type=Finite(0, 8784, min_open=True), default=24.0, show_default=True, help="Hours, to a year.")
@_key_file
@_unsigned
@_format
@parallel_option
def plan(
    inventory: str,
    output: Path | None,
    limit: tuple[str, ...],
    data: tuple[str, ...],
    valid: float,
    key_file: Path | None,
    unsigned: bool,
    output_format: str,
    parallel: int,
) -> int:
    """Say what would be changed on which host of a pyinfra INVENTORY, and why. Changes nothing."""
    from provmode.fleet.plan_file import key_from, sign, write

    key = None if unsigned else key_from(key_file)
    if output is not None and key is None and not unsigned:
        raise UsageError("there is no key to sign the plan with", next_step="give --key-file, or say --unsigned")
    if output is not None:
        check_output(output)
    planned = make_plan(inventory, limit=limit, override=read_override(data), parallel=parallel)
    document = sign(
        planned.document(
            plan_id=str(uuid.uuid4()),
            inventory=inventory,
            limit=limit,
            by=f"{_user()}@{platform.node()}",
            now=now(),
            valid=timedelta(hours=valid),
        ),
        key,
    )
    if output is not None and not planned.audit.interrupted:
        write(output, document)
    if output_format == "json":
        print_json(document)
    else:
        show_plan(planned)
    if output is not None and planned.audit.interrupted:
        print(f"provmode: interrupted; the plan {output} was not written", file=sys.stderr)
    return planned.audit.exit_code()


def _user() -> str:
    """Return who runs this; in a container without a user database the number."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def make_plan(
    inventory: str, *, limit: tuple[str, ...] = (), override: dict[str, Any] | None = None, parallel: int
) -> Planned:
    """Look at the hosts and return the plan."""
    from provmode.fleet.inventory import load
    from provmode.fleet.plan import run_plan

    fleet = load(inventory, override=override)
    names = fleet.select(limit)
    with interruptible() as stopped, progress_bar("planning", len(names)) as tell:
        return run_plan(fleet, names, now=now, progress=tell, stop=stopped, working=parallel)


def show_plan(planned: Planned) -> None:
    """Print a plan on standard output."""
    from provmode.report.changes import print_plan

    print_plan(planned, console_for(None))


@click.command(epilog=APPLY_EXIT_CODES)
@click.argument("plan_file", metavar="PLAN", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--inventory", help="Another place of the same inventory.")
@click.option("--data", multiple=True, metavar="KEY=VALUE", help="Host data that overrides the inventory's.")
@click.option("--wave", metavar="10,100,25%", help="Hosts of each wave; the last takes the rest.")
@click.option("--soak", type=Finite(0, 604800), default=0.0, show_default=True, help="Seconds between waves.")
@click.option("--max-failures", metavar="5,2%", help="End the run when more of the reached hosts fail.")
@click.option("--journal", type=click.Path(dir_okay=False, path_type=Path), help="The journal; else PLAN.journal.")
@click.option("--resume", is_flag=True, help="Go on with the journal of a run that did not come to its end.")
@_key_file
@_unsigned
@_format
@parallel_option
def apply(
    plan_file: Path,
    inventory: str | None,
    data: tuple[str, ...],
    wave: str | None,
    soak: float,
    max_failures: str | None,
    journal: Path | None,
    resume: bool,
    key_file: Path | None,
    unsigned: bool,
    output_format: str,
    parallel: int,
) -> int:
    """Make exactly the changes of PLAN. A host that has changed since is refused, alone."""
    from provmode.fleet.plan_file import PlanRefused, key_from, load

    try:
        key = key_from(key_file)
        plan = load(plan_file, key, unsigned=unsigned, now=now())
        applied = apply_plan(
            plan,
            inventory or plan.inventory,
            override=read_override(data),
            wave=wave,
            soak=soak,
            max_failures=max_failures,
            journal=journal or plan_file.with_name(plan_file.name + ".journal"),
            resume=resume,
            parallel=parallel,
            key=key if plan.signed else None,
        )
    except PlanRefused as error:
        print(f"provmode: {error}", file=sys.stderr)
        return REFUSED
    show_applied(applied, output_format)
    return applied.exit_code()


def apply_plan(
    plan: Plan,
    inventory: str,
    *,
    journal: Path,
    override: dict[str, Any] | None = None,
    wave: str | None = None,
    soak: float = 0.0,
    max_failures: str | None = None,
    resume: bool = False,
    parallel: int = 64,
    key: bytes | None = None,
) -> Applied:
    """Apply a plan that was accepted.

    Raises:
        PlanRefused: the inventory has none of its hosts; one that has some of them no more leaves those alone.
        UsageError: the inventory or the journal cannot be used; nothing was changed.
    """
    from provmode.fleet.apply import Application
    from provmode.fleet.inventory import load
    from provmode.fleet.journal import Journal
    from provmode.fleet.plan_file import PlanRefused
    from provmode.fleet.visit import policies_of
    from provmode.fleet.waves import Budget, wave_sizes

    names = [host.name for host in plan.changing]
    sizes = wave_sizes(wave, len(names)) if wave is not None else [len(names)]
    budget = Budget.parse(max_failures) if max_failures is not None else None
    fleet = load(inventory, override=override)
    known = set(fleet.names)
    there = [name for name in names if name in known]
    if names and not there:
        raise PlanRefused(
            f"the plan is of another fleet: {inventory} has no {names[0]}", next_step="give the inventory it is of"
        )
    policies = policies_of(fleet, there)
    told, nonce = None, uuid.uuid4().hex
    if resume:
        book, read = Journal.resume(journal, plan.id, now, key=key, nonce=nonce)
        told = read.hosts
    else:
        book = Journal.create(journal, plan.id, now, key, nonce=nonce)
    try:
        with interruptible() as stopped, progress_bar("applying", len(names)) as tell:
            application = Application(
                plan,
                fleet,
                book,
                now=now,
                told=told,
                policies=policies,
                working=parallel,
                stop=stopped,
                progress=tell,
            )
            applied = application.run(sizes, soak=soak, budget=budget)
    except BaseException:
        book.abandon()
        raise
    _finish(book, whole=not (applied.interrupted or application.halted))
    return applied


def _finish(book: Journal, event: str = "run-ended", *, whole: bool) -> None:
    """Close a journal, with a word where the run came to its end; that the word is missing is no failure of the run."""
    if not whole:
        book.abandon()
        return
    try:
        book.close(event)
    except OSError as error:
        print(f"provmode: the journal's last line could not be written: {error.strerror}", file=sys.stderr)


def show_applied(applied: Applied, output_format: str = "text") -> None:
    """Print how every host ended on standard output."""
    from provmode.report.changes import print_applied

    if output_format == "text":
        print_applied(applied, console_for(None))
        return
    print_json(applied_document(applied))


def applied_document(applied: Applied) -> dict[str, Any]:
    """Return how every host ended, as JSON-able data."""
    from provmode.fleet.apply import Ended

    summary: dict[str, Any] = {ended.value: applied.count(ended) for ended in Ended}
    return {
        "summary": {**summary, "total": len(applied.results)},
        "interrupted": applied.interrupted,
        "ended_early": applied.over_budget,
        "hosts": [result.to_json() for result in applied.results],
    }


@click.command(epilog=UNDO_EXIT_CODES)
@click.argument("journal", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--inventory", required=True, help="The inventory that the run was over.")
@click.option("--host", "hosts", multiple=True, metavar="NAME", help="Only this host; may be repeated.")
@click.option("--data", multiple=True, metavar="KEY=VALUE", help="Host data that overrides the inventory's.")
@_key_file
@_unsigned
@_format
@parallel_option
def undo(
    journal: Path,
    inventory: str,
    hosts: tuple[str, ...],
    data: tuple[str, ...],
    key_file: Path | None,
    unsigned: bool,
    output_format: str,
    parallel: int,
) -> int:
    """Restore what a JOURNAL tells was there before: files, start modes, registry. A mode that was left stays left."""
    from provmode.fleet.inventory import load
    from provmode.fleet.journal import Journal, read
    from provmode.fleet.plan_file import key_from
    from provmode.fleet.undo import run_undo
    from provmode.fleet.visit import policies_of, short
    from provmode.report.changes import print_undone

    key = key_from(key_file)
    told = read(journal, key)
    if not told.signed and not unsigned:
        raise UsageError(
            f"the journal {journal} is not signed: whoever wrote it decides what is restored",
            next_step="say --unsigned if you know who wrote it",
        )
    wanted = dict.fromkeys([short(host) for host in hosts] or told.hosts)
    for host in wanted:
        if host not in told.hosts:
            raise UsageError(f"the journal {journal} tells nothing about {host}")
    fleet = load(inventory, override=read_override(data))
    names = [name for name in fleet.names if short(name) in wanted]
    there = {short(name) for name in names}
    for host in wanted:
        if host not in there:
            raise UsageError(f"{inventory} has no host {host}", next_step="give the inventory that the run was over")
    policies = policies_of(fleet, names)
    book, told = Journal.resume(journal, told.plan_id, now, event="undo-begun", key=key, unsigned=unsigned)
    try:
        with interruptible() as stopped, progress_bar("undoing", len(names)) as tell:
            run = run_undo(
                fleet,
                names,
                told.hosts,
                book,
                now=now,
                policies=policies,
                stop=stopped,
                working=parallel,
                progress=tell,
            )
    except BaseException:
        book.abandon()
        raise
    _finish(book, "undo-ended", whole=not run.interrupted)
    if output_format == "json":
        document = {"interrupted": run.interrupted, "hosts": [result.to_json() for result in run.results]}
        print_json(document)
    else:
        print_undone(run, console_for(None))
    return run.exit_code()


@click.command(epilog=VERIFY_EXIT_CODES)
@click.argument("journal", type=click.Path(dir_okay=False, path_type=Path))
@_key_file
def verify(journal: Path, key_file: Path | None) -> int:
    """Check that no line of a JOURNAL was changed, added or taken out, and say what is open."""
    from provmode.fleet.journal import read
    from provmode.fleet.plan_file import key_from

    told = read(journal, key_from(key_file))
    open_steps = [
        f"{name}: {record.step.properties[0]}"
        for name, host in told.hosts.items()
        for record in host.steps
        if record.ending is None and not record.undone
    ]
    claims = [f"{name}: claim {host.claim}" for name, host in told.hosts.items() if host.claim is not None]
    changed = sum(record.ending == "changed" for host in told.hosts.values() for record in host.steps)
    print(f"{journal}: {told.lines} lines, each follows the one before it")
    undone = sum(record.undone for host in told.hosts.values() for record in host.steps)
    signed = "signed with the plan's key" if told.signed else "not signed"
    print(f"plan {told.plan_id}; {signed}; hosts: {len(told.hosts)}, changes: {changed}, undone: {undone}")
    if told.torn:
        print("the last line was torn by a crash; what it announced had not begun")
    if not told.closed:
        what, how = ("undo", "undo again") if told.undoing else ("run", "go on with --resume")
        print(f"the {what} did not come to its end, or its last lines were cut off: {how}")
    for line in open_steps:
        print(f"open: {line}: it may have happened")
    for line in claims:
        print(f"open: {line}: it may still be on the PC")
    return 0 if told.closed else NOT_ENDED


COMMANDS: tuple[click.Command, ...] = (plan, apply, undo, verify)
