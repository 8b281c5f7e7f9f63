"""``--waivers``: the file of waivers of a run, and what there is to say of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from provmode.cli.common import complain, configuration, file_path
from provmode.clock import utc_now
from provmode.waivers.model import MAX_DAYS, NONE, Waivers

if TYPE_CHECKING:
    from provmode.fleet.audit import Audit

waivers_option = click.option(
    "--waivers",
    type=file_path(),
    metavar="FILE",
    help="File of waivers: findings that are known, who answers for them, and until when.",
)


def max_days() -> int:
    """Return how many days after it was made a waiver ends at the latest."""
    return int(configuration().table("waivers").get("max_days", MAX_DAYS))


def waivers_of(path: Path | None) -> Waivers:
    """Return the waivers of a file; none without one.

    Raises:
        UsageError: it cannot be read, or others can change it.
        Mistakes: everything that is wrong with it.
    """
    if path is None:
        return NONE
    from provmode.fleet.waivers_file import read

    return read(path, now=utc_now(), max_days=max_days())


def again_from(path: Path | None) -> Callable[[], Waivers] | None:
    """Return a function that returns the waivers of a file as it is when it is asked; ``None`` without a file."""
    if path is None:
        return None
    from provmode.fleet.waivers_file import Rereading

    return Rereading(path, now=utc_now, max_days=max_days())


def say_waivers(found: Audit) -> None:
    """Say on standard error which waivers have expired, end soon, or match nothing."""
    for sentence in found.waived.sentences:
        complain(sentence)
