"""The typed operations: what can be asked of a PC over WS-Management.

Plain values. Encoding is in `provmode.wsman.messages`, the text form in `provmode.wsman.notation`, and
`provmode.transport.write_gate` decides which operations change a PC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Union

WMI = "http://schemas.microsoft.com/wbem/wsman/1/wmi"
"""Root of the resource URIs of WMI classes. MS-WSMV 3.1.4.1.1."""


@dataclass(frozen=True)
class Resource:
    """The target of an operation: a class, a singleton or (with selectors) one instance."""

    uri: str
    """The full resource URI, such as ``http://schemas.microsoft.com/wbem/wsman/1/wmi/root/ccm/SMS_Client``."""
    selectors: tuple[tuple[str, str], ...] = ()
    """Key properties as ``(name, value)``; names and values compare without regard to case."""

    @classmethod
    def cim(cls, namespace: str, class_name: str, selectors: Mapping[str, str] | None = None) -> Resource:
        """Address *class_name* in the WMI *namespace* (``root/ccm`` or ``root\\ccm``)."""
        path = namespace.replace("\\", "/").strip("/")
        return cls(f"{WMI}/{path}/{class_name}", tuple((selectors or {}).items()))

    @property
    def class_name(self) -> str:
        """The last part of the URI: the class, or ``*``."""
        return self.uri.rpartition("/")[2]

    @property
    def namespace(self) -> str | None:
        """The WMI namespace (``root/ccm``), or ``None`` if the URI is not one of WMI."""
        if not self.uri.lower().startswith(WMI + "/"):
            return None
        return self.uri[len(WMI) + 1 :].rpartition("/")[0]


@dataclass(frozen=True)
class Instance:
    """A CIM object: an instance, a method's answer, or a row of a WQL projection."""

    class_name: str
    """The element's name: the class, ``<Method>_OUTPUT``, or ``XmlFragment`` for a projection."""
    properties: Mapping[str, Value] = field(default_factory=dict)
    """Properties by name as on the wire. Scalars arrive as text: WS-Man transfers no types (DSP0230 section 9)."""
    uri: str = ""
    """The namespace of the element: the resource URI of the class; empty for a projection."""

    def to_json(self) -> dict[str, Any]:
        """Return the properties by name."""
        return dict(self.properties)


@dataclass(frozen=True)
class Reference:
    """A property or selector that refers to another object (an endpoint reference)."""

    resource: Resource

    def to_json(self) -> dict[str, Any]:
        """Return ``{"resource": URI, "selectors": {...}}``."""
        return {"resource": self.resource.uri, "selectors": dict(self.resource.selectors)}


Value = Union[None, bool, int, str, datetime, timedelta, Instance, Reference, "tuple[Value, ...]"]
"""A CIM value. ``datetime`` has a time zone. Arrays are tuples. Parsed scalars are ``str`` (or ``None`` for nil)."""


@dataclass(frozen=True)
class Identify:
    """Ask which service answers: DSP0226 section 11."""


@dataclass(frozen=True)
class Get:
    """Read one instance or a singleton. DSP0226 7.3; the answer is an `Instance`."""

    resource: Resource


@dataclass(frozen=True)
class Enumerate:
    """Read all instances of a class, or the result of a WQL query. DSP0226 8; the answer is ``list[Instance]``."""

    resource: Resource
    wql: str | None = None
    """For a query the resource has the class ``*`` and no selectors (MS-WSMV 3.1.4.1.13, fault 2150859003)."""

    @classmethod
    def query(cls, namespace: str, wql: str) -> Enumerate:
        """Ask the WQL query *wql* in *namespace* (``root/cimv2``)."""
        return cls(Resource.cim(namespace, "*"), wql)


@dataclass(frozen=True)
class Invoke:
    """Call a method of a class, a singleton or an instance; the answer is the ``_OUTPUT`` `Instance`."""

    resource: Resource
    method: str
    parameters: tuple[tuple[str, Value], ...] = ()
    """``(name, value)`` in order; names are case-sensitive. A tuple value is an array: one element each."""
    at_once: bool = field(default=False, compare=False)
    """True: if the PC cannot perform the call just now, the session does not repeat it: the caller looks first."""


@dataclass(frozen=True)
class Put:
    """Write an instance's properties. DSP0226 7.4; the answer is the `Instance` as it is afterwards."""

    resource: Resource
    properties: tuple[tuple[str, Value], ...]


@dataclass(frozen=True)
class CommandLine:
    """A command line for ``cmd.exe`` in a WinRS shell (MS-WSMV 3.1.4.5 onward); the answer is a `Completed`."""

    line: str
    """At most 8,191 characters, no line break."""
    stdin: bytes = b""
    codepage: int = 65001
    """The console's code page, for output and input: 65001 is UTF-8."""
    environment: tuple[tuple[str, str], ...] = ()
    directory: str | None = None
    """Working directory."""
    timeout: float | None = None
    """Seconds after which the command is terminated; ``None``: the session's own deadline."""
    max_output: int | None = field(default=None, compare=False)
    """Octets of output after which the command is terminated, and what came until then is the answer; ``None``: much
    more output than any command here has is an error."""


@dataclass(frozen=True)
class Completed:
    """A command line that ended."""

    exit_code: int
    """Unsigned 32 bits as WinRS gives it: 0xC0000005 is 3221225477."""
    stdout: bytes = b""
    stderr: bytes = b""
    cut: bool = False
    """Whether the command was terminated because its output reached `CommandLine.max_output`."""


Operation = Union[Identify, Get, Enumerate, Invoke, Put, CommandLine]
"""Any operation that a session performs."""
