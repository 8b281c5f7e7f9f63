"""A run of a configuration file's inventory that is going already is not begun again: see `provmode.fleet.run_lock`."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click

from provmode.cli.common import complain, configuration, made_by
from provmode.clock import utc_now


def alone(kind: str, inventory: str, limit: Sequence[str], exclude: Sequence[str]) -> None:
    """Hold the lock of a run, if it has one, until the command is over.

    Raises:
        StillGoing: the same run is going.
    """
    click.get_current_context().with_resource(_one_at_a_time(kind, inventory, limit, exclude))


@contextmanager
def _one_at_a_time(kind: str, inventory: str, limit: Sequence[str], exclude: Sequence[str]) -> Iterator[None]:
    """Hold the lock for a run of a *kind*, if it is one of all hosts of the inventory that the configuration names."""
    from provmode.fleet.run_lock import Holder, lock_file, one_run
    from provmode.fleet.state_folder import state_folder

    found = configuration()
    if found.path is None or limit or exclude or not _same(inventory, found.options.get("inventory")):
        yield
        return
    holder = Holder(typed(sys.argv[1:]), inventory, utc_now(), made_by(), os.getpid())
    try:
        file = lock_file(state_folder(), kind, str(found.options["inventory"]), found.path)
    except RuntimeError:
        complain("there is no home folder: the same run can be started twice")
        yield
        return
    with one_run(file, holder) as trouble:
        if trouble:
            complain(trouble)
        yield


def _same(inventory: str, of_configuration: str | None) -> bool:
    """Return whether two names mean one inventory: a file can be written in several ways."""
    if of_configuration is None or inventory.startswith("@") or of_configuration.startswith("@"):
        return inventory == of_configuration
    return os.path.realpath(inventory) == os.path.realpath(of_configuration)


def typed(words: Sequence[str]) -> str:
    """Return a command line of provmode. The values of ``--data`` are left out: a password could stand there."""
    shown = []
    for before, word in zip(["", *words], words, strict=False):
        option, equals, value = word.partition("=") if word.startswith("--data=") else ("", "", word)
        if before == "--data" or option:
            value = value.partition("=")[0] + "=..."
        shown.append(f"{option}{equals}{value}")
    return shlex.join(["provmode", *shown])
