"""The command group ``provmode``. Every error of the user is one line and exit code 1."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import click

from provmode import __version__
from provmode.cli.apply import apply
from provmode.cli.approve import approve
from provmode.cli.audit import audit
from provmode.cli.common import complain, config_option, give_up_output, name_configuration, read_configuration
from provmode.cli.config import config
from provmode.cli.demo import demo
from provmode.cli.drift import drift
from provmode.cli.history import history
from provmode.cli.init import init
from provmode.cli.inventory import inventory
from provmode.cli.key import key
from provmode.cli.lab import lab
from provmode.cli.package import package
from provmode.cli.plan import plan
from provmode.cli.push import push
from provmode.cli.report import report
from provmode.cli.show import show
from provmode.cli.systemd import systemd
from provmode.cli.traces import traces
from provmode.cli.undo import undo
from provmode.cli.verify import verify
from provmode.cli.waive import waive
from provmode.errors import Mistakes, ProvmodeError
from provmode.fleet.guards import RunRefused
from provmode.fleet.results import BAD_USAGE, EXIT_CODES, INTERRUPTED, REFUSED
from provmode.fleet.run_lock import StillGoing
from provmode.process import log_to_standard_error, set_debug


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=EXIT_CODES["audit"].help,
)
@click.version_option(__version__, prog_name="provmode")
@click.option("--debug", is_flag=True, help="Say on standard error what is asked of each PC, and never a secret.")
def cli(debug: bool) -> None:
    """Find ConfigMgr clients stuck in provisioning mode, over WinRM."""
    log_to_standard_error(debug=debug)


def _debug_too(_: click.Context, __: click.Parameter, debug: bool) -> None:
    if debug:
        set_debug(True)


_groups = (inventory, history, key, package)
_commands = (
    *(audit, plan, approve, apply, push, undo, verify, show, traces),
    *(waive, key, history, drift, report, inventory, package, config, init, systemd, demo, lab),
)
_parts = [part for group in _groups for part in group.commands.values()]
for _command in (*_commands, *_parts):
    _command.params.append(
        click.Option(
            ["--debug"],
            is_flag=True,
            expose_value=False,
            callback=_debug_too,
            help="Say on standard error what is asked of each PC.",
        )
    )
for _command in (
    audit,
    plan,
    approve,
    apply,
    push,
    undo,
    verify,
    show,
    traces,
    waive,
    drift,
    report,
    config,
    systemd,
    *_parts,
):
    _command.params.append(config_option(read_configuration))
for _command in (cli, *_groups):
    _command.params.append(config_option(name_configuration))
for _command in _commands:
    cli.add_command(_command)


def exit_with(run: Callable[[], Any]) -> NoReturn:
    """Run the command line and end the process; errors become one line on standard error and exit code 1."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name that the terminal cannot print must not end the run
    try:
        code = run()
        if sys.stdout is not None:
            sys.stdout.flush()
    except click.exceptions.Exit as done:
        code = done.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.format_message(), file=sys.stderr)
        code = BAD_USAGE
    except click.UsageError as error:
        helped = error.ctx.command_path if error.ctx is not None else "provmode"
        complain(f"{error.format_message().rstrip('.')}; {helped} --help says more")
        code = BAD_USAGE
    except click.ClickException as error:
        complain(error.format_message())
        code = BAD_USAGE
    except (KeyboardInterrupt, click.Abort):
        code = INTERRUPTED
    except (StillGoing, RunRefused) as error:
        complain(str(error))
        code = REFUSED
    except ProvmodeError as error:
        for line in error.lines if isinstance(error, Mistakes) else [str(error)]:
            complain(line)
        code = BAD_USAGE
    except OSError as error:
        give_up_output(f"the output cannot be written: {error.strerror or error}")
        code = BAD_USAGE
    sys.exit(code if isinstance(code, int) else 0)
