"""What the server needs of a modelled PC: the interface between WS-Management and the Windows behind it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Union

NETBIOS_DOMAIN, DNS_DOMAIN = "LAB", "corp.example"
"""The two names of the domain that every PC of the lab is a member of."""


@dataclass(frozen=True)
class Instance:
    """A CIM object."""

    class_name: str
    properties: Mapping[str, Value] = field(default_factory=dict)
    namespace: str = ""
    """``root/cimv2``; empty for an embedded object in the namespace of the object around it."""
    keys: tuple[str, ...] = ()
    """Names of its key properties."""


@dataclass(frozen=True)
class Reference:
    """A reference to the instance of a class with certain keys."""

    namespace: str
    class_name: str
    keys: Mapping[str, Value]


Value = Union[None, bool, int, str, dt.datetime, dt.timedelta, Instance, Reference, Sequence["Value"]]
"""A CIM value; datetimes are aware, arrays are lists or tuples."""
Row = Union[Instance, Mapping[str, Value]]
"""One result of a query: a whole object, or the properties of a projection."""


class CimError(Exception):
    """WMI failed.

    *status* is WMI's own code (``WBEM_E_*``, such as 0x80041002), *operation* WMI's name of what it was doing
    (``ExecQuery``, ``GetObject``, ``ExecMethod``), *parameter_info* the query, class or method.
    """

    def __init__(self, status: int, operation: str = "", parameter_info: str = "") -> None:
        super().__init__(f"{operation} {parameter_info}: 0x{status:08x}")
        self.status = status
        self.operation = operation
        self.parameter_info = parameter_info


class Machine(Protocol):
    """A PC; every operation raises `CimError` as WMI fails. Namespaces are written ``root/cimv2``."""

    computer_name: str
    mutations: list[Any]
    """What was changed on it; each change has a ``to_json``."""
    os_version: str
    """``10.0.22631``."""

    def get(self, namespace: str, class_name: str, keys: Mapping[str, str]) -> Instance:
        """Return one instance, or a singleton if *keys* is empty."""

    def put(self, namespace: str, class_name: str, keys: Mapping[str, str], changes: Mapping[str, Any]) -> Instance:
        """Write properties of an instance; return the instance afterwards."""

    def enumerate(self, namespace: str, class_name: str) -> Sequence[Row]:
        """Return all instances of a class and of the classes derived from it."""

    def query(self, namespace: str, text: str, /) -> Sequence[Row]:
        """Return what a WQL query finds."""

    def invoke(
        self, namespace: str, class_name: str, keys: Mapping[str, str], method: str, parameters: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Call a method with parameters as text; return the out-parameters, ``ReturnValue`` among them."""

    def advance(self, seconds: float) -> None:
        """Let *seconds* of its clock pass at once."""
