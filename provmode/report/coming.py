"""What is about to happen, before the first host: the hosts, the waves, the limits, and what it sets off."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from rich.console import Console

from provmode.ccm.rules import duration
from provmode.fleet.begun import Coming
from provmode.fleet.guarding.consequences import all_set_off, impact_of
from provmode.fleet.guarding.worst_case import worst_case
from provmode.fleet.plan_file import PlannedHost
from provmode.fleet.waves import NONE, Limits
from provmode.reading import Known, Unknown
from provmode.report.lines import count_of, fold, line, names_of


def print_coming(coming: Coming, source: str, console: Console) -> None:
    """Print what a run of apply is about to do; *source* says where its limits come from."""
    finished = f"; {count_of(coming.finished)} finished before" if coming.finished else ""
    held = f"; {count_of(coming.held)} held by waivers" if coming.held else ""
    line(f"about to change {count_of(len(coming.hosts))}{finished}{held}", console, 0, "bold")
    steps = [(step, host) for host in coming.hosts for step in host.steps]
    for title, members in fold(steps, lambda pair: str(pair[0].properties[0])):
        line(f"{count_of(len(members))}: {title}", console, 2)
    _sets_off(coming.hosts, console)
    print_waves([[host.host for host in wave] for wave in coming.waves], coming.limits, source, console)
    if coming.retrying is not None:
        until, every = coming.retrying.until, duration(timedelta(seconds=coming.retrying.every))
        line(f"hosts that are not reached: tried again until {until:%Y-%m-%d %H:%M}, every {every}", console, 2)


def print_waves(waves: Sequence[Sequence[str]], limits: Limits, source: str, console: Console) -> None:
    """Print the hosts of each wave, and the limits of the run."""
    for number, names in enumerate(waves, 1):
        line(f"wave {number} of {len(waves)}: {count_of(len(names))}: {names_of(names, console)}", console, 2)
    line(f"limits: {limits_text(limits)} ({source})", console, 2)
    line(f"guards: {guards_text(limits)}", console, 2)
    worst = worst_case([len(wave) for wave in waves], limits.budget(), limits.parallel)
    if limits.budget() is None:
        line(f"at worst: all {count_of(worst.failed)} fail, because no number of failures ends the run", console, 2)
    elif worst.in_flight:
        line(
            f"at worst: {count_of(worst.failed)} fail{'s' if worst.failed == 1 else ''} before the run ends: "
            f"{worst.budget} within the failure budget, {worst.in_flight} worked on when it is exceeded",
            console,
            2,
        )


def limits_text(limits: Limits, shown: int | None = 8) -> str:
    """Return the limits as the options that name them; of chosen hosts the first few, or all."""
    words = limits.to_json()
    chosen = [f"--limit {name}" for name in limits.limit] + [f"--exclude {name}" for name in limits.exclude]
    return " ".join(
        (
            f"--wave {words['wave']}",
            f"--soak {limits.soak:g}",
            f"--max-failures {words['max_failures']}",
            f"--parallel {limits.parallel}",
            *(
                chosen[:shown]
                if shown is None or len(chosen) <= shown
                else [*chosen[:shown], f"and {len(chosen) - shown} more"]
            ),
        )
    )


def guards_text(limits: Limits) -> str:
    """Return what holds the run back, as the options that name it."""
    words = limits.to_json()
    caps = [
        f"--{name.replace('_', '-')} {words[name]}"
        for name in ("per_group", "per_site", "max_restarts")
        if words[name] != NONE
    ]
    names = ("ramp", "spread", *(["look_again"] if limits.soak else []))  # without a soak nothing is looked at again
    switches = [f"--{'' if getattr(limits, name) else 'no-'}{name.replace('_', '-')}" for name in names]
    return " ".join((f"--min-reached {words['min_reached']}", *caps, *switches))


def _sets_off(hosts: Sequence[PlannedHost], console: Console) -> None:
    """Print what leaving the mode starts at once."""
    leaving = [
        (host.host, impact_of(host.document)) for host in hosts if any(step.kind == "mode" for step in host.steps)
    ]
    found = [(name, impact) for name, impact in leaving if impact is not None]
    for words, names in (
        ("would start installing at once", [name for name, impact in found if impact.starts_installs]),
        (
            "could not tell what would start",
            [name for name, impact in leaving if impact is None or isinstance(impact.past_due, Unknown)],
        ),
        ("a restart is pending", [name for name, impact in found if impact.reboot_pending == Known(True)]),
        ("a maintenance window is open", [name for name, impact in found if impact.window_open == Known(True)]),
    ):
        if names:
            line(f"sets off: {count_of(len(names))}: {words}: {names_of(names, console)}", console, 2)
    if leaving:
        line(f"sets off at most: {all_set_off(hosts).words}", console, 2)
