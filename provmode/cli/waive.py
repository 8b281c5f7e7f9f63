"""``provmode waive``: add a waiver to the file, or check the file."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import click

from provmode.cli.common import complain, configuration, printing
from provmode.cli.waiving import max_days, waivers_of, waivers_option
from provmode.clock import utc_now
from provmode.errors import UsageError
from provmode.fleet.results import COMPLIANT, EXIT_CODES
from provmode.text import visible
from provmode.waivers.model import RULES_OF, WAIVABLE, Effect


class Day(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """A date."""

    name = "date"

    def convert(self, value: object, param: object, ctx: object) -> date:
        """Read a date."""
        if isinstance(value, date):
            return value
        try:
            day = date.fromisoformat(str(value))
        except ValueError:
            day = None
        if day is None or day.isoformat() != value:  # later versions of Python also take 20261231 and 2026-W53-4
            raise UsageError(f"--expires {value} is not a date", next_step="write it as 2026-12-31")
        return day


@click.command(epilog=EXIT_CODES["waive"].help)
@click.option("--host", metavar="NAME", help="One PC, by its name in the inventory without @winrm/.")
@click.option("--hosts", metavar="PATTERN", help="PCs by a pattern, such as 'LAB-*'.")
@click.option("--group", metavar="GROUP", help="PCs by a group of the inventory.")
@click.option("--rule", metavar="RULE", help=f"Only findings by this rule: {', '.join(sorted(RULES_OF))}.")
@click.option("--verdict", metavar="VERDICT", help=f"Only this verdict: {', '.join(each.value for each in WAIVABLE)}.")
@click.option("--owner", metavar="WHO", help="Who answers for it.")
@click.option("--reason", metavar="TEXT", help="Why, in a sentence.")
@click.option("--ticket", metavar="NUMBER", help="Its number where you keep such things.")
@click.option("--expires", type=Day(), metavar="DATE", help="The last day on which it counts, such as 2026-12-31.")
@click.option("--hold", is_flag=True, help="Also let nothing be changed on these PCs.")
@click.option("--zone", default="", metavar="ZONE", help="In a new file: the time zone in which days end.")
@click.option("--check", is_flag=True, help="Add nothing: only check the file, and say how its waivers stand.")
@waivers_option
def waive(waivers: Path | None, zone: str, check: bool, expires: date | None, hold: bool, **texts: str | None) -> int:
    """Add a waiver to the file: who answers for a known finding, and until when. No PC is asked.

    The whole file is checked before and after. It is written whole or not at all, and what was in it stays as it is.
    """
    if waivers is None:
        raise UsageError("there is no file of waivers", next_step="give --waivers FILE, or write file under [waivers]")
    given = {name: text for name, text in texts.items() if text is not None}
    if check:
        if given or expires is not None or hold or zone:
            raise UsageError("--check adds nothing", next_step="leave the other options out")
        return _check(waivers)
    from provmode.fleet.waivers_file import add

    values: dict[str, str | date] = {**given, **({"effect": Effect.HOLD.value} if hold else {})}
    if expires is not None:
        values["expires"] = expires
    new = add(waivers, values, zone=zone, now=utc_now(), max_days=max_days())
    with printing():
        print(visible(f"{waivers}: added {new.place}: {new.about}: {new.words}"))
    if configuration().table("waivers").get("file") != str(waivers):
        complain(f"runs know of it with --waivers {waivers}, or file under [waivers] in provmode.toml")
    return COMPLIANT


def _check(path: Path) -> int:
    found, now = waivers_of(path), utc_now()
    with printing():
        for waiver in found.waivers:
            stands = "expired" if waiver.expired(now) else "ends soon" if waiver.ends_soon(now) else "counts"
            print(visible(f"{waiver.place}: {stands}: {waiver.about}: {waiver.words}"))
        many = f"{len(found.waivers):,} waiver{'s' if len(found.waivers) != 1 else ''}"
        print(visible(f"{path}: {many}" + (f"; days end in {found.zone}" if found.zone else "")))
    return COMPLIANT
