"""CIM classes of the modelled PCs: their properties and methods, and the providers of their instances.

A method's parameters arrive as text, as over WS-Man, and are coerced to the types of the method; a value that does not
fit fails as in WMI.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from provmode.lab.machine import CimError
from provmode.lab.windows.state import PcState

# WMI's return codes: Microsoft, "WMI Error Constants"
FAILED, NOT_FOUND, DENIED = 0x80041001, 0x80041002, 0x80041003
UNSPECIFIED = 0x80004005
"""E_FAIL: no error of WMI's own, but of the provider below it."""
TYPE_MISMATCH, INVALID_PARAMETER, INVALID_NAMESPACE = 0x80041005, 0x80041008, 0x8004100E
PROVIDER_LOAD_FAILURE, INVALID_CLASS, INVALID_QUERY = 0x80041013, 0x80041010, 0x80041017
PROVIDER_NOT_CAPABLE, INVALID_METHOD, INVALID_METHOD_PARAMETERS = 0x80041024, 0x8004102E, 0x8004102F
SHUTTING_DOWN = 0x80041033
SERVER_UNAVAILABLE = 0x800706BA
"""RPC_S_SERVER_UNAVAILABLE: the process behind a provider does not run."""

_INTEGERS = {
    **{"uint8": (0, 2**8 - 1), "uint16": (0, 2**16 - 1), "uint32": (0, 2**32 - 1), "uint64": (0, 2**64 - 1)},
    **{"sint8": (-(2**7), 2**7 - 1), "sint16": (-(2**15), 2**15 - 1), "sint32": (-(2**31), 2**31 - 1)},
    "sint64": (-(2**63), 2**63 - 1),
}

_NUMBER = re.compile(r"0[xX][0-9a-fA-F]{1,40}|[+-]?[0-9]{1,40}")

Properties = dict[str, Any]


@dataclass(frozen=True)
class Method:
    """One method: the types of its parameters, and what it does."""

    parameters: Mapping[str, str]
    """Types by name: ``uint32``, ``string``, ``boolean``, ``uint8[]``. A trailing ``?`` makes it optional."""
    call: Callable[[PcState, Properties, dict[str, Any]], dict[str, Any]]
    """Called with the PC, the instance's properties (empty for a static method) and the arguments."""
    static: bool = False


@dataclass(frozen=True)
class CimClass:
    """One class."""

    namespace: str
    """Lower case, with slashes."""
    name: str
    types: Mapping[str, str]
    """The type of each property, by name."""
    instances: Callable[[PcState], Iterable[Properties]]
    keys: tuple[str, ...] = ()
    """Empty: a singleton, or a class without instances."""
    methods: Mapping[str, Method] = field(default_factory=dict)
    class_of: Callable[[Properties], str] | None = None
    """Returns the class of an instance; ``None``: no instance is of a derived class."""
    put: Callable[[PcState, Properties, dict[str, Any]], None] | None = None
    """Writes changed properties; ``None``: read-only."""
    lookup: Callable[[PcState, Mapping[str, str]], Properties | None] | None = None
    """Finds one instance by its keys without listing all."""


def coerce(method: str, types: Mapping[str, str], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a method's arguments in their types; names ignore case.

    Raises:
        CimError: an argument is missing, unknown, or of the wrong type.
    """
    by_name = {name.lower(): name for name in types}
    arguments: dict[str, Any] = {}
    for name, value in given.items():
        spelled = by_name.get(name.lower())
        if spelled is None:
            raise CimError(INVALID_METHOD_PARAMETERS, "ExecMethod", f"{method}({name})")
        arguments[spelled] = _typed(types[spelled].rstrip("?"), value, method)
    for name, kind in types.items():
        if name not in arguments:
            if not kind.endswith("?"):
                raise CimError(INVALID_PARAMETER, "ExecMethod", method)
            arguments[name] = None
    return arguments


def _typed(kind: str, value: Any, method: str) -> Any:
    if kind.endswith("[]"):
        items = value if isinstance(value, (list, tuple)) else [] if value is None else [value]
        return [_typed(kind[:-2], item, method) for item in items]
    if isinstance(value, (list, tuple)):
        raise CimError(TYPE_MISMATCH, "ExecMethod", method)
    if value is None or kind == "string":
        return value
    text = str(value).strip()
    if kind == "boolean":
        if text.lower() not in ("true", "false", "0", "1"):
            raise CimError(TYPE_MISMATCH, "ExecMethod", method)
        return text.lower() in ("true", "1")
    low, high = _INTEGERS[kind]
    if not _NUMBER.fullmatch(text):
        raise CimError(TYPE_MISMATCH, "ExecMethod", method)
    number = int(text, 16) if text.lower().startswith("0x") else int(text)
    if not low <= number <= high:
        raise CimError(TYPE_MISMATCH, "ExecMethod", method)
    return number


def matches(properties: Properties, keys: Mapping[str, str]) -> bool:
    """Return whether an instance has these keys; comparison ignores case."""
    lowered = {name.lower(): value for name, value in properties.items()}
    return all(
        name.lower() in lowered and str(lowered[name.lower()]).lower() == str(value).lower()
        for name, value in keys.items()
    )


def unix(moment: datetime) -> int:
    """Return a time as Unix seconds."""
    return int(moment.timestamp())
