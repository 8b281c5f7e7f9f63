"""What a package is compiled to: documents of configuration service providers, beside the source.

Windows applies these, not the source. `provmode.packages.matching` says which setting each of them is of.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

from provmode.packages.container import Container
from provmode.packages.errors import Budget, too_large
from provmode.packages.model import COMMANDS, Stage
from provmode.packages.secrets import kind_of
from provmode.packages.xml import read_xml
from provmode.wsman.xml import local_name

MAX_FILES = 4_000
"""Compiled files of one package that are read. Real packages have some hundreds at most."""
MAX_BYTES = 4 << 20
"""Bytes of them together."""
MAX_PARAMETERS = 50_000
MAX_NAMES = 8 << 20
"""Characters of the names above all values together. One long name above many values would be in each of them."""

_PROV = re.compile(r"^\$\(_prov\)[\\/]", re.IGNORECASE)
"""What paths of compiled files begin with."""
_NO_CONDITIONS = ("type", "settingsgroup", "data", "productid", "profileid", "uiname", "uiorder")
"""Attributes of a set that are no conditions."""

STAGES: tuple[tuple[str, Stage], ...] = (
    ("user", Stage.USER),
    ("uicc", Stage.UICC),
    ("static", Stage.STATIC),
    ("device_static", Stage.STATIC),
    ("update", Stage.UPDATE),
    ("runtime", Stage.SYSTEM),
    ("system", Stage.SYSTEM),
)
"""What the names of stages begin with, in lower case, and which of Microsoft's stages that is."""


def stage_of(name: str) -> Stage:
    """Return Microsoft's stage for the name of a stage in a package."""
    return next((stage for beginning, stage in STAGES if name.lower().startswith(beginning)), Stage.UNKNOWN)


@dataclass(frozen=True)
class Parameter:
    """A value in a compiled document."""

    file: str
    """The file of the package that it stands in."""
    stage: str
    names: tuple[str, ...]
    """The names above it, and its own."""
    value: str = field(repr=False)
    kind: str
    """Its data type, such as ``string``."""
    settings_path: str
    """The path of the setting, as newer designers write it; empty if it is not there."""
    secret: str | None
    """The kind of secret that it is, by its names."""
    conditional: bool | None
    """Whether it applies only under conditions; ``None`` if no stage names its file."""

    @property
    def is_command_line(self) -> bool:
        """Return whether it is a command line that Windows runs."""
        return self.names[0].lower() == COMMANDS.lower() and self.names[-1].lower() == "commandline"

    @property
    def place(self) -> str:
        """Return where it stands, for people."""
        return f"{self.file}: {'/'.join(self.names)}"


@dataclass(frozen=True)
class Compiled:
    """What a package is compiled to."""

    stages: tuple[str, ...]
    """The names of the stages, in their order."""
    parameters: tuple[Parameter, ...]
    files: tuple[str, ...]
    missing: tuple[str, ...]
    """Files that a stage names and that are not there."""
    unlisted: tuple[str, ...]
    """Files that no stage names."""


def read_compiled(container: Container, folder: str) -> Compiled:
    """Return what is compiled below *folder* of a package, such as ``Multivariant/0``.

    Raises:
        PackageUnreadable: it cannot be read, or is beyond the limits.
    """
    prov = f"{folder}/Prov/"
    by_name = {path.lower(): path for path in container.files}
    files = [path for path in container.files if _is_compiled(path, prov)]
    total = sum(container.files[path].size for path in files)
    if len(files) > MAX_FILES or total > MAX_BYTES:
        many = len(files) > MAX_FILES
        raise too_large(
            "compiled files:" if many else "bytes of its compiled files:",
            *((len(files), MAX_FILES) if many else (total, MAX_BYTES)),
        )
    master = by_name.get(f"{folder}/MasterDatastore.xml".lower())
    sources = [_inside(path, prov) for path, _ in _sets(container, master)]
    conditional: dict[str, bool] = {}
    for source in sources:
        for path, attributes in _sets(container, by_name.get(source.lower())):
            # of several sets with one file, one that always applies decides
            under = any(name.lower() not in _NO_CONDITIONS for name in attributes)
            conditional[_inside(path, prov)] = under and conditional.get(_inside(path, prov), True)
    missing = [path for path in (*sources, *conditional) if path.lower() not in by_name]
    lower = {path.lower(): under for path, under in conditional.items()}
    stages = [path.removeprefix(prov).removesuffix(".xml") for path in sources]
    found = dict.fromkeys(stages + [_stage(path, prov) for path in files])
    names = Budget("characters of the names of its compiled values:", MAX_NAMES)
    count = Budget("compiled values:", MAX_PARAMETERS)
    parameters: list[Parameter] = []
    for path in files:
        told = _Told(path, _stage(path, prov), lower.get(path.lower()))
        for each in _below(read_xml(container.content(path), path), (), told, names):
            count.spend(1)
            parameters.append(each)
    unlisted = [path for path in files if path.lower() not in lower]
    return Compiled(tuple(found), tuple(parameters), tuple(files), tuple(missing), tuple(unlisted))


def _is_compiled(path: str, prov: str) -> bool:
    return path.lower().startswith(prov.lower()) and path.lower().endswith(".provxml")


def _stage(path: str, prov: str) -> str:
    return path[len(prov) :].split("/")[0]


def _inside(path: str, prov: str) -> str:
    r"""Return where a path such as ``$(_prov)\RunTime.xml`` is in the package."""
    return prov + _PROV.sub("", path).replace("\\", "/")


def _sets(container: Container, path: str | None) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield what a file names of those in the same folder, with all attributes that stand there; nothing of no file."""
    if path is not None:
        for element in read_xml(container.content(path), path).iter():
            for value in element.attrib.values():
                if _PROV.match(value):
                    yield value, element.attrib


@dataclass(frozen=True)
class _Told:
    """What is known of a value by its file."""

    file: str
    stage: str
    conditional: bool | None


def _below(element: Element, above: tuple[str, ...], told: _Told, budget: Budget) -> Iterator[Parameter]:
    for child in element:
        attributes = child.attrib
        if local_name(child) == "characteristic":
            names = (*above, attributes.get("type", ""))
            budget.spend(sum(map(len, names)))
            yield from _below(child, names, told, budget)
        elif local_name(child) == "parm":
            names, path = (*above, attributes.get("name", "")), attributes.get("SettingsPath", "")
            budget.spend(sum(map(len, names)) + len(path))
            value, kind = attributes.get("value", ""), attributes.get("datatype", "").lower()
            secret = kind_of(names, value) or (kind_of(path.split("/"), value) if path else None)
            yield Parameter(told.file, told.stage, names, value, kind, path, secret, told.conditional)
