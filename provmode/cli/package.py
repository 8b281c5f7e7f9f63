"""``provmode package``: what is in provisioning packages, what is wrong with them, and which setting wins."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from provmode.cli.common import console_for, format_option, print_json, printing
from provmode.cli.package_fleet import package_fleet
from provmode.clock import utc_now
from provmode.fleet.results import COMPLIANT, EXIT_CODES, FAILED, PENDING

if TYPE_CHECKING:
    from provmode.report.packages.files import ReadFile


@click.group(epilog=EXIT_CODES["package"].help)
def package() -> None:
    """Say what is in provisioning packages (.ppkg), what is wrong with them, and which setting wins."""


package.add_command(package_fleet)
_files = click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")


@package.command(epilog=EXIT_CODES["package"].help)
@_files
@format_option
def show(files: tuple[Path, ...], output_format: str) -> int:
    """Say what is in each package FILE: settings, commands, files, signature; secrets by place only. Asks no PC."""
    from provmode.report.packages.files import print_packages
    from provmode.report.packages.files_document import shown

    read = _read(dict.fromkeys(files))
    with printing():
        if output_format == "json":
            print_json(shown(read))
        else:
            print_packages(read, console_for(None))
    return _code(read, findings=any(file.counts for file in read))


@package.command(epilog=EXIT_CODES["package"].help)
@_files
@click.option("--strict", is_flag=True, help="Let hints count as findings for the exit code.")
@format_option
def lint(files: tuple[Path, ...], strict: bool, output_format: str) -> int:
    """Say what is wrong with each package FILE before it is shipped, and what to do about it. Asks no PC."""
    from provmode.report.packages.files import print_lint
    from provmode.report.packages.files_document import linted

    read = _read(dict.fromkeys(files))
    with printing():
        if output_format == "json":
            print_json(linted(read))
        else:
            print_lint(read, console_for(None))
    return _code(read, findings=any(file.counts or (strict and file.findings) for file in read))


@package.command(epilog=EXIT_CODES["package"].help)
@click.argument("old", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
@format_option
def diff(old: Path, new: Path, output_format: str) -> int:
    """Say what the packages OLD and NEW differ in; secrets are compared and not shown. Asks no PC."""
    from provmode.packages.diff import Change
    from provmode.packages.diff import diff as differences
    from provmode.packages.model import Package
    from provmode.report.packages.files_compared import print_diff
    from provmode.report.packages.files_document import differing

    first, second = read = _read((old, new))
    changes: tuple[Change, ...] = ()
    if isinstance(first.found, Package) and isinstance(second.found, Package):
        changes = differences(first.found, second.found)
    with printing():
        if output_format == "json":
            print_json(differing(first, second, changes))
        else:
            print_diff(first, second, changes, console_for(None))
    return _code(read, findings=bool(changes))


@package.command(epilog=EXIT_CODES["package"].help)
@_files
@format_option
def resolve(files: tuple[Path, ...], output_format: str) -> int:
    """Say which value holds for each setting if the packages FILE are on one PC, and why. Asks no PC."""
    from provmode.packages.model import Package
    from provmode.packages.precedence import resolve as resolved_by
    from provmode.packages.versions import Given
    from provmode.report.packages.files_compared import print_resolved
    from provmode.report.packages.files_document import resolving

    read = _read(dict.fromkeys(files))
    resolved = resolved_by([Given(file.found, file.name) for file in read if isinstance(file.found, Package)])
    with printing():
        if output_format == "json":
            print_json(resolving(read, resolved))
        else:
            print_resolved(read, resolved, console_for(None))
    return _code(read, findings=bool(resolved.findings))


def _read(paths: Iterable[Path]) -> list[ReadFile]:
    """Read each file once, whatever is wrong with the others.

    Raises:
        Mistakes: some are not there, are no files, or must not be read.
    """
    from provmode.errors import Mistakes, UsageError
    from provmode.packages.errors import PackageUnreadable
    from provmode.packages.lint import lint as look_over
    from provmode.packages.read import read_package
    from provmode.regular_file import opened
    from provmode.report.packages.files import ReadFile

    key, now = os.urandom(32), utc_now()
    read: list[ReadFile] = []
    mistakes: list[UsageError] = []
    for path in paths:
        try:
            with opened(path) as file:
                found = read_package(file, key=key)
            read.append(ReadFile(str(path), found, look_over(found, now=now)))
        except PackageUnreadable as error:
            read.append(ReadFile(str(path), error))
        except UsageError as error:
            mistakes.append(error)
        except OSError as error:
            mistakes.append(UsageError(f"cannot read {path}: {error.strerror or error}"))
    if mistakes:
        raise Mistakes(mistakes)
    return read


def _code(read: Sequence[ReadFile], *, findings: bool) -> int:
    from provmode.packages.errors import PackageUnreadable

    unread = any(isinstance(file.found, PackageUnreadable) for file in read)
    return (PENDING if findings else COMPLIANT) | (FAILED if unread else COMPLIANT)
