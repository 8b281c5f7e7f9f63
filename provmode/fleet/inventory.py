"""A pyinfra inventory as a fleet: the same files, names, groups and data, at a cost that grows linearly.

An `InventorySource` says where hosts come from; `source_of` chooses one for what a user wrote. To add a kind of
inventory, write a source and let `source_of` choose it.

pyinfra looks up all entry points anew for every ``@connector/host`` (1.4 ms each, twice), and pads every host's name
against every other's (quadratic). Here the connectors are looked up once, and hosts are made in shards, each with an
inventory of its own over the same data. Only pyinfra's public classes are subclassed; of its command line the two
functions that read inventory and group data files are called, here and nowhere else (pyinfra 3.10).
"""

from __future__ import annotations

import codecs
import os
import traceback
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pyinfra.api import Config, Host, Inventory, State
from pyinfra.api.connectors import get_all_connectors, get_execution_connectors
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.inventory import extract_name_data
from pyinfra.context import ctx_inventory, ctx_state
from typing_extensions import override

from provmode.connector.host_data import SITE, combined
from provmode.connector.host_names import check_host_name, look, spelling
from provmode.connector.sources.connectors import SOURCES
from provmode.connector.sources.found import Found, FoundHost, LeftOut
from provmode.connector.sources.reading import STANDARD_INPUT, is_file
from provmode.errors import UsageError
from provmode.fleet.host_lists import KeptHosts, file_of, kept_in, split_names
from provmode.fleet.ignored import refuse_ignored
from provmode.fleet.ownership import refuse_foreign
from provmode.fleet.plan_file import MadeFrom, Plan
from provmode.fleet.selection import Chosen, choose

SHARD = 250
"""Hosts that share one pyinfra state: few enough that its quadratic padding costs nothing."""


class Fleet(Inventory):
    """All hosts of an inventory, by name. `shards` makes the pyinfra hosts."""

    connector_of: dict[str, Any]
    groups_of: dict[str, list[str]]
    found: list[Found]
    """What each source (``@csv``, ``@list``, ``@ad``) found that the inventory names, in order."""
    is_list: bool = False
    """Whether the inventory is names and sources alone: its hosts have no data that is not in the sources."""

    @override
    def make_hosts_and_groups(self, names: Iterable[Any], groups: Mapping[str, Any]) -> None:
        connectors, executing = {**get_all_connectors(), **SOURCES}, {**get_execution_connectors(), **SOURCES}
        data: dict[str, dict[str, Any]] = defaultdict(dict)
        self.connector_of, self.groups_of, self.hosts = {}, defaultdict(list), {}
        self.found: list[Found] = []
        self._spellings: dict[str, str] = {}
        member_of: dict[str, list[str]] = defaultdict(list)
        for group, (group_names, group_data) in groups.items():
            self.group_data[group] = group_data
            for name, host_data in extract_name_data(group_names):
                data[name] = combined((data[name], host_data))
                member_of[name].append(group)
        pairs = list(extract_name_data(list(names)))
        for name, host_data in pairs:
            data[name] = combined((data[name], host_data))
        for name, _ in pairs:
            self._add(name, data[name], member_of[name], connectors, executing)

    def _add(
        self, name: str, data: dict[str, Any], groups: list[str], connectors: Mapping[str, Any], executing: Any
    ) -> None:
        kind, _, argument = name[1:].partition("/") if name.startswith("@") else ("ssh", "", "")
        if kind not in connectors:
            near = f"write @{kind.lower()}" if kind.lower() in connectors else "use @winrm/NAME for Windows PCs"
            raise UsageError(f"{name}: there is no connector @{kind}", next_step=near)
        if not name.startswith("@"):
            expanded: Iterable[Any] = [(name, {}, [])]
        elif kind in SOURCES:
            expanded = self._find(kind, argument)
        else:
            if kind == "winrm" and not argument:
                raise UsageError(f"{name} has no name of a PC", next_step="write it as in @winrm/PC-0001")
            expanded = connectors[kind].make_names_data(argument or None)
        for host_name, connector_data, connector_groups in expanded:
            self._check_name(host_name)
            if host_name in self.connector_of:
                raise UsageError(
                    f"the inventory has {host_name.rpartition('/')[2]} twice, and {name} is one of the two places",
                    next_step="take it out of one of them",
                )
            self.host_data[host_name] = combined((connector_data, data))
            self.connector_of[host_name] = executing.get(kind, executing["ssh"])
            self.groups_of[host_name] = list(dict.fromkeys((*connector_groups, *groups)))

    def _find(self, kind: str, argument: str) -> Iterable[Any]:
        """Return the hosts that a source finds.

        Raises:
            UsageError: it cannot be used, or others can change what it says about the password.
        """
        found = SOURCES[kind].find(argument or None)
        if found.file is not None and not found.keys <= _HARMLESS:
            refuse_foreign(found.file, "says how the password is used")
        self.found.append(found)
        return found.expanded()

    def _check_name(self, name: str) -> None:
        """Refuse a name that could be mistaken for another: Windows ignores case, and reports omit the connector."""
        bare = name.removeprefix("@winrm/")
        if "/" in bare and bare != name:
            raise UsageError(f"{bare} is not a host name", next_step="set winrm_path if you mean the listener's path")
        if bare != name:
            check_host_name(bare)
        other = self._spellings.setdefault(look(bare), name)
        if other != name and spelling(other) != spelling(name):
            raise UsageError(
                f"the inventory has two names that look alike: {other!a} and {name!a}",
                next_step="take out the one that is not the PC's",
            )
        if other != name:
            raise UsageError(f"the inventory has one PC as {other} and as {name}", next_step="take one of them out")

    @property
    def names(self) -> list[str]:
        """All host names, in the inventory's order."""
        return list(self.connector_of)

    @property
    def left_out(self) -> list[LeftOut]:
        """What its sources could have found and left out."""
        return [left_out for found in self.found for left_out in found.left_out]

    @property
    def notes(self) -> list[str]:
        """What a person should know about what its sources found, a sentence each."""
        notes: list[str] = []
        for found in self.found:
            notes += found.notes
            notes += found.left_out_counted()
        return notes

    def kept(self, names: Sequence[str]) -> MadeFrom | None:
        """Return the hosts *names* as a plan keeps them, if sources found them; ``None`` for a program's hosts."""
        if not self.found or not self.is_list:
            return None
        hosts = {host.full_name: host for found in self.found for host in found.hosts}
        kept = tuple(hosts[name] if name in hosts else FoundHost(name.rpartition("/")[2]) for name in names)
        return MadeFrom(all(found.again for found in self.found), kept)

    def select(self, limits: Sequence[str], exclude: Sequence[str] = ()) -> list[str]:
        """Return the names that *limits* match (all, without any) and *exclude* does not: see `selection.choose`.

        Raises:
            UsageError: one of them matches no host, or no host is left.
        """
        return list(self.choose(limits, exclude).names)

    def choose(self, limits: Sequence[str], exclude: Sequence[str] = ()) -> Chosen:
        """Return the names that `select` returns, and those that *exclude* took away from them."""
        return choose(self.names, self.groups_of, limits, exclude)

    def data_of(self, name: str) -> dict[str, Any]:
        """Return a host's data: override, host, groups (the last wins), all. For keys that protect see `combined`."""
        layers = [self.get_data()]  # type: ignore[no-untyped-call]
        layers += [self.get_group_data(group) for group in self.groups_of[name]]  # type: ignore[no-untyped-call]
        return combined((*layers, self.get_host_data(name), self.get_override_data()))  # type: ignore[no-untyped-call]

    def shards(self, names: Sequence[str]) -> Iterator[list[Host]]:
        """Make the hosts of *names*, `SHARD` at a time, each shard in a pyinfra state of its own.

        Raises:
            UsageError: a host's data has a value of the wrong type.
        """
        for start in range(0, len(names), SHARD):
            shard = _Shard(self, names[start : start + SHARD])
            try:
                State(shard, Config(PARALLEL=1))
            except PyinfraError as error:
                raise UsageError(str(error)) from None
            yield list(shard)


_HARMLESS = frozenset({"winrm_address", "winrm_port", "winrm_computer", "winrm_read_only", "winrm_codepage", SITE}) | {
    f"winrm_{what}_deadline" for what in ("connect", "read", "host")
}
"""Keys of a table that do not decide how the password is used."""


class _Shard(Inventory):
    """Some hosts of a fleet, with the fleet's data."""

    def __init__(self, fleet: Fleet, names: Sequence[str]) -> None:
        self._fleet, self._names = fleet, names
        data = (names, fleet.get_data())  # type: ignore[no-untyped-call]
        override_data = fleet.get_override_data()  # type: ignore[no-untyped-call]
        super().__init__(data, override_data=override_data)  # type: ignore[no-untyped-call]

    @override
    def make_hosts_and_groups(self, names: Any, groups: Any) -> None:
        fleet = self._fleet
        self.host_data, self.group_data = fleet.host_data, fleet.group_data
        self.hosts = {name: Host(name, self, fleet.groups_of[name], fleet.connector_of[name]) for name in self._names}
        for host in self.hosts.values():
            for group in host.groups:
                self.groups[group].append(host)


Groups = dict[str, Any]
"""Groups by name, as a pyinfra inventory file has them: a list of hosts, or a tuple of hosts and data. A host is a
name, or a tuple of name and data. The group ``all``, if there is one, has every host."""


class InventorySource(Protocol):
    """Where the hosts of a fleet come from."""

    @property
    def name(self) -> str:
        """Its name in errors and plans."""

    @property
    def path(self) -> Path | None:
        """The file it is read from: ``group_data/`` beside it counts. ``None`` if there is no file."""

    def read(self) -> Groups:
        """Return the groups. Whatever it raises becomes one line that names the source."""


@dataclass(frozen=True)
class PyinfraFile:
    """An inventory file as pyinfra reads it. It is a Python program: it can do whatever its author can."""

    path: Path

    @property
    def name(self) -> str:
        """The file's path, as it was given."""
        return str(self.path)

    def read(self) -> Groups:
        """Run the file and return its groups.

        Raises:
            UsageError: others can change it.
        """
        refuse_foreign(self.path)
        refuse_ignored(self.path)
        from pyinfra_cli.inventory import _get_groups_from_filename

        _compile(self.path)
        with ctx_state.use(State()), ctx_inventory.use(Inventory.empty()):
            groups: Groups = _get_groups_from_filename(str(self.path))
        return groups


@dataclass(frozen=True)
class HostNames:
    """Host names separated by commas, ``@winrm/PC-0001,@winrm/PC-0002``, and sources: ``@csv/FILE``, ``@list/FILE``."""

    name: str
    path: Path | None = None

    def read(self) -> Groups:
        """Return one group with all of them."""
        return {"all": (split_names(self.name), {})}


_BY_SUFFIX = {".csv": "csv", ".tsv": "csv", ".txt": "list", ".lst": "list", ".list": "list"}
_WORKBOOKS = frozenset({".xlsx", ".xls", ".xlsm", ".ods"})
_FORMS = "@csv/FILE for a table, @list/FILE for names, a pyinfra inventory (FILE.py), or @winrm/NAME,@winrm/NAME"


def source_of(inventory: str) -> InventorySource:
    """Return the source that *inventory* names: a file, or host names.

    Raises:
        UsageError: it is neither.
    """
    path = Path(inventory)
    kind = _BY_SUFFIX.get(path.suffix.lower()) if not inventory.startswith("@") else None
    if is_file(path):
        if path.suffix.lower() in _WORKBOOKS:
            raise UsageError(f"{inventory} is a workbook", next_step="save it as CSV UTF-8, and give FILE.csv")
        return HostNames(f"@{kind}/{inventory}", path) if kind is not None else PyinfraFile(path)
    if inventory.startswith("@plan/"):
        return kept_in(Path(os.path.expanduser(inventory.removeprefix("@plan/"))))
    if inventory.startswith("@"):
        names = split_names(inventory)
        file = file_of(names[0]) if len(names) == 1 else None
        found = Path(os.path.expanduser(file)) if file not in (None, STANDARD_INPUT) else None
        return HostNames(inventory, found if found is not None and is_file(found) else None)
    if kind is not None:
        return HostNames(f"@{kind}/{inventory}")  # which says why it cannot be read
    raise UsageError(f"there is no inventory {inventory}", next_step=f"give {_FORMS}")


@dataclass(frozen=True)
class WithDefaults:
    """An inventory, with data of every host that is weaker than all it says itself."""

    inventory: str | InventorySource
    data: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The inventory's name, as it was given."""
        return self.inventory if isinstance(self.inventory, str) else self.inventory.name

    @property
    def source(self) -> InventorySource:
        """Where its hosts come from.

        Raises:
            UsageError: there is no such inventory.
        """
        return source_of(self.inventory) if isinstance(self.inventory, str) else self.inventory

    @property
    def path(self) -> Path | None:
        """The file of its source."""
        return self.source.path

    def read(self) -> Groups:
        """Return the groups of its source."""
        return self.source.read()


def inventory_of(plan: Plan, file: Path) -> str | InventorySource:
    """Return the inventory to apply a *plan* with that was read from *file*, if the user names none.

    That is the inventory that it was made with, as it is now. If that was read from standard input or a pipe, it is
    gone, and the hosts count that the plan keeps.

    Raises:
        UsageError: the inventory is not there.
    """
    if plan.made_from is not None and not plan.made_from.again:
        return KeptHosts(plan.inventory, plan.made_from.hosts)
    return planned_inventory(plan.inventory, file)


def planned_inventory(inventory: str, plan: Path) -> str:
    """Return where the *inventory* is that a plan names: in the working directory, else beside the *plan*'s file.

    Raises:
        UsageError: it is in neither.
    """
    if not inventory.startswith("@"):
        return _here_or_beside(inventory, plan)
    names = []
    for name in split_names(inventory):
        file = file_of(name)
        if file is None or file == STANDARD_INPUT:
            names.append(name)
        else:
            names.append(name.removesuffix(file) + _here_or_beside(file, plan))
    return ",".join(names)


def _here_or_beside(file: str, plan: Path) -> str:
    if is_file(Path(file)) or is_file(Path(os.path.expanduser(file))):
        return file
    beside = plan.parent / file
    if is_file(beside):
        return str(beside)
    raise UsageError(
        f"there is no inventory {file} here or beside {plan}, which was made with it",
        next_step="give --inventory FILE",
    )


def load(inventory: str | InventorySource, *, override: Mapping[str, Any] | None = None) -> Fleet:
    """Return the fleet of an inventory: a source, or what `source_of` takes, or either `WithDefaults`.

    ``group_data/`` beside the file and in the working directory counts, as with pyinfra's own command line. *override*
    is data that comes before all other data of a host.

    Raises:
        UsageError: the source cannot be read, others can change it or the group data, or it has no host.
    """
    defaults: Mapping[str, Any] = {}
    if isinstance(inventory, WithDefaults):
        defaults, inventory = inventory.data, inventory.source
    source = source_of(inventory) if isinstance(inventory, str) else inventory
    try:
        groups = source.read()
        with ctx_state.use(State()):
            fleet = _fleet(groups, source.path, dict(override or {}), defaults)
    except UsageError:
        raise
    except SystemExit as error:  # its exit code must not become ours: 0 would look like "all compliant"
        said = error.code if isinstance(error.code, str) else "it ends the program"
        raise UsageError(f"cannot read the inventory {source.name}: {said}{_place(error)}") from None
    except Exception as error:  # noqa: BLE001 - an inventory is the user's own code: it can raise anything
        raise UsageError(
            f"cannot read the inventory {source.name}: {_reason(error)}", next_step=_other_form(source)
        ) from None
    fleet.is_list = isinstance(source, HostNames)
    if not fleet.names:
        raise UsageError(f"the inventory {source.name} has no hosts", next_step="an empty run is never a success")
    return fleet


_QUOTABLE = (OSError, LookupError, NameError, ImportError, AttributeError)
"""Errors with a text that quotes only names. The text of any other error could contain a value, such as a password; so
could the key of a KeyError, which is a LookupError."""


def _other_form(source: InventorySource) -> str:
    """Return what to write if the file is no program."""
    if not isinstance(source, PyinfraFile) or source.path.suffix == ".py":
        return ""
    return f"if it is no pyinfra inventory, write @csv/{source.name} for a table, @list/{source.name} for names"


def _reason(error: Exception) -> str:
    cause = error.args[0] if error.args and isinstance(error.args[0], Exception) else error
    if isinstance(cause, SyntaxError):
        return f"{cause.msg} (line {cause.lineno})"
    quoted = isinstance(cause, _QUOTABLE) and not isinstance(cause, KeyError)
    return (f"{type(cause).__name__}: {cause}" if quoted else type(cause).__name__) + _place(cause)


def _place(error: BaseException) -> str:
    """Return the file and the line of the user's own code from which *error* came, if it came from there."""
    frames = traceback.extract_tb(error.__traceback__)
    callers = [number for number, frame in enumerate(frames) if frame.name == "exec_file"]
    own_frames = frames[callers[-1] + 1 :] if callers else []
    return f" ({Path(own_frames[0].filename).name}, line {own_frames[0].lineno})" if own_frames else ""


def _fleet(groups: dict[str, Any], path: Path | None, override: dict[str, Any], defaults: Mapping[str, Any]) -> Fleet:
    """Combine groups and group data by pyinfra's rules: ``all`` has every host, and the file's name is a group.

    *defaults* are the weakest data of all.
    """
    pairs = {name: group if isinstance(group, tuple) else (group, {}) for name, group in groups.items()}
    all_group = pairs.pop("all", None) or ([host for hosts, _ in pairs.values() for host in hosts], {})
    names = list(dict.fromkeys(host if isinstance(host, str) else host[0] for host in all_group[0]))
    own: dict[str, dict[str, Any]] = defaultdict(dict)
    for name, data in (host for host in all_group[0] if not isinstance(host, str)):
        own[name] = combined((own[name], data))
    hosts = [(name, own[name]) if name in own else name for name in names]
    if path is not None:
        pairs.setdefault(path.name.rsplit(".", 1)[0], (hosts, {}))
    pairs["all"] = (hosts, all_group[1])
    for name, data in _group_data(path).items():
        members, own = pairs.get(name, ([], {}))
        pairs[name] = (members, combined((own, data)))
    hosts, data = pairs.pop("all")
    return Fleet((hosts, combined((defaults, data))), override_data=override, **pairs)  # type: ignore[no-untyped-call]


def _compile(path: Path) -> None:
    """Compile a file that begins with a byte order mark, as editors on Windows write it: pyinfra refuses it as text."""
    from pyinfra_cli.util import PYTHON_CODES

    source = path.read_bytes()
    if source.startswith(codecs.BOM_UTF8):
        PYTHON_CODES[str(path)] = compile(source, str(path), "exec")


def _group_data(path: Path | None) -> dict[str, dict[str, Any]]:
    folders = [Path.cwd() / "group_data"]
    if path is not None and path.parent.resolve() != Path.cwd():
        folders.append(path.parent.resolve() / "group_data")
    folders = [folder for folder in folders if folder.exists()]
    found: dict[str, dict[str, Any]] = defaultdict(dict)
    if not folders:
        return found
    from pyinfra_cli.inventory import _get_group_data

    with ctx_inventory.use(Inventory.empty()):
        for folder in folders:
            refuse_foreign(folder)
            for file in folder.glob("*.py"):
                refuse_foreign(file)
            for name, data in _get_group_data(str(folder)).items():
                found[name] = combined((found[name], data))
    return found
