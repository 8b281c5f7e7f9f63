"""The options of the guards of a run that changes PCs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from provmode.fleet.waves import NONE, SAFE

LIMITS = ("min_reached", "per_group", "per_site", "max_restarts", "ramp", "spread", "look_again")
"""Those that are limits: fields of `provmode.fleet.waves.Limits`, which a journal keeps."""


yes_many_option = click.option(
    "--yes-many",
    type=click.IntRange(min=1),
    metavar="N",
    help="Change exactly this many hosts; needed for unusually many where there is no terminal.",
)


def guard_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give *command* the options of the guards; their defaults are the safe ones."""
    options = (
        click.option(
            "--min-reached",
            metavar="50%|5|none",
            default=SAFE.min_reached,
            show_default=True,
            help="Begin no further wave after one of which less was reached. none: always.",
        ),
        click.option(
            "--per-group",
            metavar="N|none",
            default=NONE,
            show_default=True,
            help="At most this many hosts of one group in a wave; the rest go to later ones.",
        ),
        click.option(
            "--per-site",
            metavar="N|none",
            default=NONE,
            show_default=True,
            help="At most this many hosts of one site in a wave; the rest go to later ones.",
        ),
        click.option(
            "--max-restarts",
            metavar="N|none",
            default=NONE,
            show_default=True,
            help="Refuse to begin if leaving the mode sets off more installs and restarts than this.",
        ),
        click.option(
            "--ramp/--no-ramp",
            default=SAFE.ramp,
            show_default=True,
            help="Begin with one host at a time, and go on with 2, 4 and so on, as they end well.",
        ),
        click.option(
            "--spread/--no-spread",
            default=SAFE.spread,
            show_default=True,
            help="Take hosts of as many kinds as possible into the first wave.",
        ),
        click.option(
            "--look-again/--no-look-again",
            default=SAFE.look_again,
            show_default=True,
            help="After each soak, look again at what apply has changed; a relapse counts as a failure.",
        ),
        click.option(
            "--stop-file",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="Stop if this file is there; else the file `stop` in the state folder.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command
