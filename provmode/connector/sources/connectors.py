"""``@csv``, ``@list`` and ``@ad`` for pyinfra: connectors that find hosts, and speak to them as ``@winrm`` does.

pyinfra executes the hosts of an inventory connector by the connector that was typed. So these are connectors of WinRM,
and the hosts that they find are called ``@winrm/NAME`` whichever source found them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from pyinfra import logger
from typing_extensions import override

from provmode.connector.sources.checking import mistakes_of
from provmode.connector.sources.decoding import Mistake
from provmode.connector.sources.found import Found, FoundHost, LeftOut, SourceError
from provmode.connector.sources.names import read_names
from provmode.connector.sources.reading import Opened, read_source
from provmode.connector.sources.table import Row, read_table
from provmode.connector.sources.wanted import read_argument
from provmode.connector.winrm import WinRMConnector
from provmode.errors import UsageError
from provmode.text import shortened
from provmode.windows.names import is_address

_KEPT = "provmode.connector.sources"
"""Where a run of pyinfra's command line keeps what was found: in its click context, so that it ends with the run."""


class SourceConnector(WinRMConnector):
    """A connector that finds hosts."""

    kind: ClassVar[str]
    """What stands after ``@``."""

    @classmethod
    def find(cls, argument: str | None) -> Found:
        """Return the hosts that *argument*, the text after the connector's name, leads to.

        Raises:
            SourceError: it cannot be used: everything that is wrong with it, each with its place.
        """
        raise NotImplementedError

    @override
    @classmethod
    def make_names_data(cls, name: str | None = None) -> Iterator[tuple[str, dict[str, Any], list[str]]]:
        """Yield the hosts. pyinfra's command line asks for them twice; it gets what was found the first time."""
        import click  # which pyinfra's command line has loaded, and a program of one's own need not

        command = click.get_current_context(silent=True)
        kept: dict[tuple[str, str | None], Found] = command.meta.setdefault(_KEPT, {}) if command is not None else {}
        found = kept.get((cls.kind, name))
        if found is None:
            found = kept[cls.kind, name] = cls.find(name)
            for note in (*found.notes, *found.left_out_counted()):
                logger.warning(note)
        yield from found.expanded()


class CsvConnector(SourceConnector):
    """
    Finds PCs in a table with a heading: columns for name, address, groups and any ``winrm_`` key but the password.

    .. code:: shell

        pyinfra @csv/pcs.csv exec -- hostname
        pyinfra @csv/- exec -- hostname < pcs.csv
    """

    kind = "csv"

    @override
    @classmethod
    def find(cls, argument: str | None) -> Found:
        opened = read_source(argument, cls.kind)
        table = read_table(opened.data)
        left_out = tuple(
            LeftOut(shortened(what, 60), "commented out", _line(opened.name, line)) for line, what in table.left_out
        )
        return _found(opened, table.rows, table.mistakes, table.notes, left_out=left_out, keys=table.keys)


class ListConnector(SourceConnector):
    """
    Finds PCs in a list of names, one a line.

    .. code:: shell

        pyinfra @list/pcs.txt exec -- hostname
        printf 'pc-0001\\npc-0002\\n' | pyinfra -y @list/- exec -- hostname
    """

    kind = "list"

    @override
    @classmethod
    def find(cls, argument: str | None) -> Found:
        opened = read_source(argument, cls.kind)
        read = read_names(opened.data)
        rows = [Row(line, name, {}) for line, name in read.names]
        return _found(opened, rows, read.mistakes, read.notes)


class AdConnector(SourceConnector):
    """
    Finds PCs in Active Directory: those of a domain, an OU or a group that are enabled and in use.

    .. code:: shell

        pyinfra @ad/corp.example/Clients/Berlin exec -- hostname
        pyinfra '@ad/corp.example/Clients?group=Pilot&stale=0' exec -- hostname
    """

    kind = "ad"

    @override
    @classmethod
    def find(cls, argument: str | None) -> Found:
        try:
            wanted = read_argument(argument)
            try:
                import gssapi
                import krb5

                from provmode.connector.sources.active_directory import find
            except ModuleNotFoundError:
                raise UsageError(
                    "@ad needs libraries that are not installed here", next_step="in the checkout: pip install '.[ad]'"
                ) from None
            except ImportError as error:  # the system's library below them
                raise UsageError(
                    f"@ad cannot load this system's Kerberos library ({error})",
                    next_step="install MIT Kerberos (Debian: libgssapi-krb5-2)",
                ) from None
            del gssapi, krb5
            return find(wanted)
        except SourceError:
            raise
        except UsageError as error:
            raise SourceError(error) from None


SOURCES: Mapping[str, type[SourceConnector]] = {
    source.kind: source for source in (CsvConnector, ListConnector, AdConnector)
}
"""The sources by what stands after ``@``; their entry points are in ``pyproject.toml``."""
OF_FILES = ("csv", "list")
"""Those whose argument is a path."""


def _line(source: str, number: int) -> str:
    return f"{source}, line {number}"


def _found(
    opened: Opened,
    rows: list[Row],
    mistakes: Sequence[Mistake],
    notes: tuple[str, ...],
    *,
    left_out: tuple[LeftOut, ...] = (),
    keys: frozenset[str] = frozenset(),
) -> Found:
    """Return what a file holds.

    Raises:
        SourceError: it has mistakes, or no host.
    """
    errors = [(mistake.line or 0, _said(opened.name, mistake)) for mistake in mistakes]
    errors += mistakes_of(rows, partial(_line, opened.name))
    if errors:
        raise SourceError(*(error for _, error in sorted(errors, key=lambda pair: pair[0])))
    if not rows:
        raise SourceError(UsageError(f"{opened.name} names no PC", next_step="an empty run is never a success"))
    of_file = _group_of(opened.file)
    hosts = tuple(FoundHost(row.name, _data(row), (*of_file, *row.groups)) for row in rows)
    said = tuple(f"{opened.name}: {note}" for note in notes)
    return Found(opened.name, hosts, left_out, said, opened.file is not None, opened.file, keys)


def _group_of(file: Path | None) -> tuple[str, ...]:
    """Return the group of all hosts of a file, which is called like the file, as with pyinfra's inventory files."""
    stem = file.name.rsplit(".", 1)[0] if file is not None else ""
    return (stem,) if stem not in ("", "all") else ()


def _said(source: str, mistake: Mistake) -> UsageError:
    place = _line(source, mistake.line) if mistake.line is not None else source
    colon = ":" if mistake.what.startswith("winrm_") else ""
    return UsageError(f"{place}{colon} {mistake.what}", next_step=mistake.cure)


def _data(row: Row) -> dict[str, Any]:
    """Return the host's data. A row with an address says which PC is meant there: addresses go to other PCs."""
    meant = {"winrm_computer": row.name} if "winrm_address" in row.values and not is_address(row.name) else {}
    return {**meant, **row.values}
