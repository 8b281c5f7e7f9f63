"""CIM over WS-Management: Get, Put, Enumerate, Pull, Release and method calls on the modelled PC.

Resource URIs: ``…/wsman/1/wmi/<namespace>/<Class>``, or the DMTF one with a ``__cimnamespace`` selector
(MS-WSMV 2.2.4.27). With the first kind the selector may be there too, if it names the same namespace.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NoReturn
from xml.etree.ElementTree import Element

from provmode.lab.machine import CimError, Instance, Machine, Row
from provmode.lab.server import cim_faults, faults
from provmode.lab.server.enumeration import MAX_BATCH_ITEMS, Enumerations, Page
from provmode.lab.server.envelope import ENUMERATION, WSMAN, Request, Stack
from provmode.lab.server.faults import ExtendedStatus, Fault, SoapFault
from provmode.lab.server.objects import (
    WMI,
    class_uri,
    read_members,
    write_fragment,
    write_object,
    write_output,
    write_reference,
)

DMTF = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2"
WQL = "http://schemas.microsoft.com/wbem/wsman/1/WQL"
SELECTOR_FILTER = "http://schemas.dmtf.org/wbem/wsman/1/wsman/SelectorFilter"
_N = f"{{{ENUMERATION}}}"
_W = f"{{{WSMAN}}}"

WQL_NEEDS_STAR = Fault(
    2150859003,
    "w:CannotProcessFilter",
    "The WinRM client cannot process the request. The resource URI for an enumeration operation with WQL filter must "
    "not contain keys and the class name must be '*' (star). Use the following command to get more information in "
    'how to construct a resource URI: "winrm help uris". ',
)
NO_KEYS_ON_ENUMERATE = Fault(
    2150859016,
    "w:InvalidSelectors",
    "The WS-Management service cannot process the request. The resource URI for an Enumerate operation must not "
    "contain keys. ",
    detail="UnexpectedSelectors",
)
NAMESPACES_DIFFER = Fault(
    2150859067,
    "w:InternalError",
    "The WS-Management service cannot process the request. The resource URI and __cimnamespace selector attempted to "
    "use different namespaces. Try removing the __cimnamespace selector or using a DMTF resource URI. If a non-DMTF "
    "resource URI is used with a __cimnamespace selector, the namespaces must match. ",
    sender=False,
)
"""Code and text as published by users of Microsoft's client; the rest of its shape is by analogy."""


@dataclass(frozen=True)
class Target:
    """The class or instance a request addresses."""

    uri: str
    """As the client wrote it; answers repeat it."""
    namespace: str
    """``root/cimv2``."""
    class_name: str
    keys: Mapping[str, str]


def read_target(request: Request) -> Target | None:
    """Return the class or instance a request addresses; ``None`` if its URI is not a CIM URI.

    Raises:
        SoapFault: the ``__cimnamespace`` selector names another namespace than the URI.
    """
    uri = request.resource_uri
    keys = {name: value for name, value in request.selectors if name.lower() != "__cimnamespace"}
    given = request.selector("__cimnamespace")
    given = given.strip().replace("\\", "/").strip("/") if given is not None else None
    if uri.lower().startswith(WMI + "/"):
        namespace, slash, class_name = uri[len(WMI) + 1 :].rpartition("/")
        if given is not None and given.lower() != namespace.lower():
            raise SoapFault(NAMESPACES_DIFFER)
        return Target(uri, namespace, class_name, keys) if slash and class_name else None
    if uri.lower().startswith(DMTF + "/"):
        return Target(uri, given or "root/cimv2", uri[len(DMTF) + 1 :], keys)
    return None


class CimOperations:
    """The CIM operations of one PC."""

    def __init__(self, machine: Machine, stack: Stack, clock: Callable[[], float]) -> None:
        self._machine = machine
        self._stack = stack
        self.enumerations = Enumerations(clock)

    def get(self, target: Target) -> str:
        """Read an instance or a singleton; return the body of GetResponse."""
        try:
            instance = self._machine.get(target.namespace, target.class_name, target.keys)
        except CimError as error:
            self._fail(error, target, cim_faults.object_fault)
        return write_object(instance, self._uri_of(target, instance))

    def put(self, target: Target, request: Request) -> str:
        """Write an instance's properties; return the body of PutResponse."""
        if request.body is None:
            raise SoapFault(faults.SCHEMA_VALIDATION)
        changes = read_members(request.body)
        try:
            instance = self._machine.put(target.namespace, target.class_name, target.keys, changes)
        except CimError as error:
            self._fail(error, target, cim_faults.object_fault)
        return write_object(instance, self._uri_of(target, instance))

    def invoke(self, target: Target, method: str, request: Request) -> str:
        """Call a method; return the body of its response. An empty SOAP body is a call without parameters."""
        body = request.body
        if body is not None and body.tag.lower() != f"{{{target.uri}}}{method}_INPUT".lower():
            raise SoapFault(faults.SCHEMA_VALIDATION)
        parameters = read_members(body) if body is not None else {}
        try:
            outputs = self._machine.invoke(target.namespace, target.class_name, target.keys, method, parameters)
        except CimError as error:
            self._fail(error, target, cim_faults.method_fault)
        return write_output(method, target.uri, outputs)

    def enumerate(self, target: Target, request: Request, owner: str) -> str:
        """Begin an enumeration; return the body of EnumerateResponse."""
        body = request.body
        if body is None or body.tag != _N + "Enumerate":
            raise SoapFault(faults.SCHEMA_VALIDATION)
        items = self._items(target, body)
        count = 0
        if body.find(_W + "OptimizeEnumeration") is not None:
            count = _max_elements(body.findtext(_W + "MaxElements"))
            first = self._stack.first_page
            count = min(count, first) if first else count
        page = self.enumerations.begin(items, owner, count, request.max_envelope)
        return _enumerate_response(page, optimized=count > 0)

    def pull(self, request: Request, owner: str) -> str:
        """Continue an enumeration; return the body of PullResponse."""
        body = request.body
        if body is None or body.tag != _N + "Pull":
            raise SoapFault(faults.SCHEMA_VALIDATION)
        context = (body.findtext(_N + "EnumerationContext") or "").strip()
        count = _max_elements(body.findtext(_N + "MaxElements"))
        page = self.enumerations.pull(context, owner, count, request.max_envelope)
        return _pull_response(page)

    def release(self, request: Request, owner: str) -> str:
        """End an enumeration early; return the empty body of ReleaseResponse."""
        body = request.body
        if body is None or body.tag != _N + "Release":
            raise SoapFault(faults.SCHEMA_VALIDATION)
        self.enumerations.release((body.findtext(_N + "EnumerationContext") or "").strip(), owner)
        return ""

    def _items(self, target: Target, body: Element) -> list[str]:
        """Return the XML of every item of an enumeration."""
        filters = body.find(_W + "Filter")
        if filters is not None and filters.get("Dialect", WQL) == SELECTOR_FILTER:
            return self._write(self._selected(target, filters), target, body)
        if filters is not None:
            return self._write(self._queried(target, filters), target, body)
        if target.keys:
            raise SoapFault(NO_KEYS_ON_ENUMERATE)
        try:
            rows = self._machine.enumerate(target.namespace, target.class_name)
        except CimError as error:
            self._fail(error, target, cim_faults.object_fault)
        return self._write(rows, target, body)

    def _queried(self, target: Target, filters: Element) -> Iterable[Row]:
        """Return the rows of a WQL query."""
        if filters.get("Dialect", WQL) != WQL:
            raise SoapFault(faults.UNKNOWN_DIALECT)
        if target.keys or target.class_name != "*":
            raise SoapFault(WQL_NEEDS_STAR)
        try:
            return self._machine.query(target.namespace, (filters.text or "").strip())
        except CimError as error:
            self._fail(error, target, cim_faults.query_fault)

    def _selected(self, target: Target, filters: Element) -> Iterable[Row]:
        """Return the instances whose properties have the values of a selector filter (MS-WSMV 4.9)."""
        wanted = {
            (item.get("Name") or "").lower(): (item.text or "").lower()
            for item in filters.iterfind(f"{_W}SelectorSet/{_W}Selector")
        }
        try:
            rows = self._machine.enumerate(target.namespace, target.class_name)
        except CimError as error:
            self._fail(error, target, cim_faults.object_fault)
        return [row for row in rows if _matches(row, wanted)]

    def _write(self, rows: Iterable[Row], target: Target, body: Element) -> list[str]:
        """Return rows as XML: objects, references, or both, by the enumeration's mode."""
        mode = (body.findtext(_W + "EnumerationMode") or "EnumerateObject").strip()
        if mode == "EnumerateObject":
            return [self._write_row(row, target) for row in rows]
        if mode == "EnumerateEPR":
            return [self._write_reference(row, target) for row in rows]
        if mode == "EnumerateObjectAndEPR":
            return [
                f"<w:Item>{self._write_row(row, target)}{self._write_reference(row, target)}</w:Item>" for row in rows
            ]
        raise SoapFault(faults.SCHEMA_VALIDATION)

    def _write_row(self, row: Row, target: Target) -> str:
        """Return a whole object or a projection's fragment."""
        if isinstance(row, Instance):
            return write_object(row, self._uri_of(target, row))
        return write_fragment(row)

    def _write_reference(self, row: Row, target: Target) -> str:
        """Return the reference to an object; the rows of a projection have no keys and cannot be referred to."""
        if not isinstance(row, Instance):
            raise SoapFault(faults.NOT_SUPPORTED)
        return write_reference(self._uri_of(target, row), {name: row.properties[name] for name in row.keys})

    @staticmethod
    def _uri_of(target: Target, instance: Instance) -> str:
        """Return the URI of an instance's own class, which may be derived from the one addressed."""
        if target.class_name.lower() == instance.class_name.lower():
            return target.uri
        return class_uri(target.namespace, instance.class_name)

    def _fail(
        self, error: CimError, target: Target, to_fault: Callable[[int, ExtendedStatus, Stack], Fault]
    ) -> NoReturn:
        """Raise the fault with which WinRM reports *error*."""
        extended = ExtendedStatus(target.namespace, error.operation, error.parameter_info)
        raise SoapFault(to_fault(error.status, extended, self._stack)) from error


def _max_elements(text: str | None) -> int:
    """Return how many items a page may hold: 1 if the client does not say (DSP0226 8.2.3)."""
    if text is None or not text.strip():
        return 1
    if not text.strip().isdigit() or int(text) < 1:
        raise SoapFault(faults.SCHEMA_VALIDATION)
    return min(int(text), MAX_BATCH_ITEMS)


def _matches(row: Row, wanted: Mapping[str, str]) -> bool:
    """Return whether a row's properties have the *wanted* values, ignoring case."""
    properties = row.properties if isinstance(row, Instance) else row
    texts = {name.lower(): str(value).lower() for name, value in properties.items() if value is not None}
    return all(texts.get(name) == value for name, value in wanted.items())


def _enumerate_response(page: Page, *, optimized: bool) -> str:
    """Return an EnumerateResponse; its items and end of sequence are in WS-Management's namespace."""
    items = f"<w:Items>{''.join(page.items)}</w:Items>" if optimized else ""
    end = "" if page.context else "<w:EndOfSequence/>"
    return (
        f"<n:EnumerateResponse><n:EnumerationContext>{page.context}</n:EnumerationContext>{items}{end}"
        "</n:EnumerateResponse>"
    )


def _pull_response(page: Page) -> str:
    """Return a PullResponse; the last one carries no context."""
    context = f"<n:EnumerationContext>{page.context}</n:EnumerationContext>" if page.context else ""
    end = "" if page.context else "<n:EndOfSequence/>"
    return f"<n:PullResponse>{context}<n:Items>{''.join(page.items)}</n:Items>{end}</n:PullResponse>"
