"""What the server needs of a modelled PC: the border between WS-Management and the Windows behind it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Union


@dataclass(frozen=True)
class Instance:
    """A CIM object, or a row of a projection."""

    class_name: str
    properties: Mapping[str, Value] = field(default_factory=dict)
    namespace: str = ""
    keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reference:
    """A reference to the instance of a class with certain keys."""

    namespace: str
    class_name: str
    keys: Mapping[str, Value]


Value = Union[None, bool, int, str, dt.datetime, dt.timedelta, Instance, Reference, Sequence["Value"]]  # noqa: UP007
Row = Union[Instance, Mapping[str, Value]]  # noqa: UP007


class CimError(Exception):
    """to be replaced"""

    def __init__(self, status: int, operation: str = "", parameter_info: str = "") -> None:
        super().__init__(status)
        self.status, self.operation, self.parameter_info = status, operation, parameter_info


class Machine(Protocol):
    """A PC."""

    computer_name: str
    os_version: str

    def get(self, namespace: str, class_name: str, keys: Mapping[str, str]) -> Instance: ...
    def put(self, namespace: str, class_name: str, keys: Mapping[str, str], changes: Mapping[str, Any]) -> Instance: ...
    def enumerate(self, namespace: str, class_name: str) -> Iterable[Row]: ...
    def query(self, namespace: str, wql: str) -> Iterable[Row]: ...
    def invoke(
        self, namespace: str, class_name: str, keys: Mapping[str, str], method: str, parameters: Mapping[str, Any]
    ) -> Mapping[str, Value]: ...
    def advance(self, seconds: float) -> None: ...
