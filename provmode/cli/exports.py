"""``--write FORMAT=FILE`` and ``--junit-all``: what a run writes beside its report."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from provmode.cli.common import complain, configuration
from provmode.errors import UsageError
from provmode.fleet.export import FORMATS, FORMATS_LISTED, Export

if TYPE_CHECKING:
    from provmode.fleet.audit import Audit
    from provmode.report.exports import Exports
    from provmode.report.prometheus import Changes


class ExportText(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """A format and a file."""

    name = "FORMAT=FILE"

    def convert(self, value: Any, param: Any, ctx: Any) -> Export:
        """Read ``FORMAT=FILE``."""
        return value if isinstance(value, Export) else Export.parse(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the formats that *incomplete* can become."""
        return [CompletionItem(f"{word}=") for word in FORMATS if word.startswith(incomplete)]


write_option = click.option(
    "--write",
    "exports",
    type=ExportText(),
    multiple=True,
    metavar="FORMAT=FILE",
    help=f"Write the audit to this file too, as {FORMATS_LISTED}; may be repeated.",
)
_junit_all = click.option(
    "--junit-all", is_flag=True, help="With --write junit=FILE: a case for every host, also if it needs nothing."
)


FIGURES = "prometheus"
"""The one format of changes."""
figures_option = click.option(
    "--write",
    "figures",
    type=ExportText(),
    metavar=f"{FIGURES}=FILE",
    help="Write figures of the changes to this file, for Prometheus.",
)


def check_figures(figures: Export | None, **others: Path) -> None:
    """Refuse, before a run that changes PCs, a file that cannot be written; *others* are the run's own.

    Raises:
        UsageError: says why.
    """
    from provmode.report.exports import check_files

    if figures is None:
        return
    if figures.format != FIGURES:
        raise UsageError(f"--write {figures}: changes are written as {FIGURES} only")
    check_files([figures], {f"the {name}": path for name, path in others.items()})


def write_figures(figures: Export | None, changes: Changes) -> None:
    """Write the figures of changes that were made; if that goes wrong, say why. The run's exit code stays."""
    from provmode.atomic_file import write_output
    from provmode.report.prometheus import change_metrics

    if figures is None:
        return
    try:
        write_output(figures.path, change_metrics(changes))
    except UsageError as error:
        complain(str(error))


def export_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give *command* the options; its argument ``exports`` is the `Exports` to write, which were checked."""

    @functools.wraps(command)
    def with_exports(*, exports: tuple[Export, ...], junit_all: bool, **options: Any) -> Any:
        from provmode.report.exports import Exports

        configured = click.get_current_context().get_parameter_source("exports") is ParameterSource.DEFAULT_MAP
        why = _not_the_whole(options)
        if exports and configured and why:
            if not options.get("only"):  # a retry is never about the whole: in a journal the line would be noise
                complain(
                    f"the files of [report] write stay as they are, because {why}; --write names files for this run"
                )
            exports = ()
        if exports and options.get("remove_traces"):
            raise UsageError("--write is about verdicts, and a plan with --remove-traces has none")
        wanted = Exports(exports, junit_all)
        output = options.get("output")
        wanted.check({"--output": output} if output is not None else {})
        return command(exports=wanted, **options)

    return write_option(_junit_all(with_exports))


def _not_the_whole(options: Mapping[str, Any]) -> str:
    """Say why a run is not about the whole inventory of the configuration file; nothing if it is.

    Its files hold figures of that inventory. A look at one PC must not replace them.
    """
    if options.get("limit") or options.get("exclude") or options.get("only"):
        return "the run is about some hosts only"
    if options.get("remove_traces"):
        return "the plan is about traces"
    inventory = configuration().options.get("inventory")
    if inventory is not None and os.path.abspath(inventory) != os.path.abspath(options["inventory"]):
        return "the inventory is another one"
    return ""


def write_exports(exports: Exports, audit: Audit) -> bool:
    """Write the files of a run, say of each that cannot be written why, and return whether all were."""
    failed = exports.write(audit)
    for error in failed:
        complain(str(error))
    return not failed
