"""The WS-Management service of one PC: it answers decrypted SOAP messages.

It gets the user from the connection, which has verified it, and knows nothing of HTTP, sockets or sealing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple
from xml.etree.ElementTree import Element

from provmode.lab.machine import Machine
from provmode.lab.server import faults
from provmode.lab.server.cim import CimOperations, Target, read_target
from provmode.lab.server.counters import Counters
from provmode.lab.server.envelope import (
    ACTION,
    ENUMERATION,
    RESOURCE_URI,
    SHELL,
    SOAP,
    TRANSFER,
    WINRM_3,
    Limits,
    Partial,
    Request,
    Stack,
    body_of,
    header_texts,
    partial,
    read_request,
    read_root,
    write_answer,
    write_fault,
)
from provmode.lab.server.faults import Fault, FaultContext, SoapFault
from provmode.lab.server.injection import Injection, Injections, Kind, RequestInfo
from provmode.lab.server.shells import CMD, Shells, StartCommand
from provmode.lab.server.xmltree import escape

IDENTITY = "http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd"
END = (
    "http://schemas.microsoft.com/wbem/wsman/1/wsman/End",
    "http://schemas.microsoft.com/wbem/wsman/1/wsman/FullDuplex",
)
"""The message with which a client says that an operation is over, and its resource (MS-WSMV 3.1.4.19)."""
_PROFILES = "http://schemas.dmtf.org/wbem/wsman/1/wsman/secprofile/"
_RECEIVE = "Receive"
"""The one operation that waits: for a command's output."""
_PREFIXES = {
    "CreateResponse": "s a x w rsp p",
    "CommandResponse": "s a x w rsp p",
    "SendResponse": "s a x w rsp p",
    "SignalResponse": "s a x w rsp p",
    "ReceiveResponse": "s a w rsp p",
    "EnumerateResponse": "s a n w p",
    "PullResponse": "s a n w p",
    "ReleaseResponse": "s a n w p",
    "GetResponse": "s a x w p",
    "PutResponse": "s a x w p",
}
"""The namespaces each kind of answer declares, as recorded; methods declare those of Get."""


@dataclass(frozen=True)
class ServiceOptions:
    """How one PC's service is set up."""

    stack: Stack = WINRM_3
    limits: Limits = field(default_factory=Limits)
    language: str = "en-US"
    codepage: int = 437
    """OEM code page: what cmd.exe writes unless a client asks for another."""
    chunk: int = 4096
    """Bytes of one piece of a command's output."""
    latency: float = 0.0
    """Seconds every answer takes."""
    basic: bool = False


class Caller(NamedTuple):
    """The client of a request."""

    user: str
    """Logon name; empty without authentication."""
    address: str = "127.0.0.1"


class ReceivedMessage(NamedTuple):
    """A message, parsed as far as possible; *fault* is the answer to a message that could not be parsed."""

    root: Element | None
    partial: Partial
    info: RequestInfo
    fault: Fault | None = None
    texts: Mapping[str, str] = MappingProxyType({})
    """Those of its headers."""

    @property
    def ends(self) -> bool:
        """Whether it is End, which has fewer headers than a request; older stacks do not know it."""
        return self.texts.get(ACTION) == END[0] and self.texts.get(RESOURCE_URI) == END[1]


class SoapAnswer(NamedTuple):
    """An answer: HTTP status and envelope."""

    status: int
    text: str
    last: bool = False
    """The answer is empty, and the connection is closed behind it."""


class WinRMService:
    """WS-Management of one PC."""

    def __init__(
        self, machine: Machine, start: StartCommand, options: ServiceOptions, clock: Callable[[], float]
    ) -> None:
        self.machine = machine
        self.options = options
        self.counters = Counters()
        self.injections = Injections()
        self.shells = Shells(start, clock, options.stack, codepage=options.codepage, chunk=options.chunk)
        self.cim = CimOperations(machine, options.stack, clock)
        self._in_flight = 0
        self._number = 0

    def read(self, message: bytes, charset: str) -> ReceivedMessage:
        """Parse *message* as far as its action."""
        self._number += 1
        try:
            root = read_root(message, charset)
        except SoapFault as fault:
            return ReceivedMessage(None, Partial(), RequestInfo(self._number, "", ""), fault.fault)
        texts = header_texts(root)
        by_name = texts if ACTION in texts and RESOURCE_URI in texts else _without_namespaces(texts)
        action = by_name.get(ACTION, "").rpartition("/")[2] or ("Identify" if _identifies(root) else "")
        self.counters.actions[action] += 1
        info = RequestInfo(self._number, action, by_name.get(RESOURCE_URI, ""))
        return ReceivedMessage(root, partial(texts), info, texts=texts)

    def answer_at_once(self, received: ReceivedMessage, caller: Caller) -> SoapAnswer | None:
        """Do as `answer` if there is nothing to wait for; otherwise do nothing and return ``None``."""
        if self.options.latency > 0 or received.info.action == _RECEIVE:
            return None
        self._in_flight += 1
        try:
            request = self._accept(received, caller)
            if isinstance(request, SoapAnswer):
                return request
            return self._written(request, *self._perform_at_once(request, caller))
        except SoapFault as fault:
            return self.fault_answer(fault.fault, received.partial)
        finally:
            self._in_flight -= 1

    async def answer(self, received: ReceivedMessage, caller: Caller) -> SoapAnswer:
        """Carry out *received* and return the answer; a bad request gives a fault, not an exception."""
        self._in_flight += 1
        try:
            return await self._answer(received, caller)
        except SoapFault as fault:
            return self.fault_answer(fault.fault, received.partial)
        finally:
            self._in_flight -= 1

    async def _answer(self, received: ReceivedMessage, caller: Caller) -> SoapAnswer:
        """Carry out *received*; raise faults."""
        request = self._accept(received, caller)
        if isinstance(request, SoapAnswer):
            await self._wait(0 if request.last else self.options.latency)
            return request
        await self._wait(min(self.options.latency, request.timeout))
        return self._written(request, *await self._perform(request, caller))

    def _accept(self, received: ReceivedMessage, caller: Caller) -> Request | SoapAnswer:
        """Return the request in *received*, or the answer to a message that is not a request; raise faults."""
        if received.fault:
            raise SoapFault(received.fault)
        assert received.root is not None
        if _identifies(received.root):
            return SoapAnswer(200, self.identify(authenticated=bool(caller.user)))
        if not caller.user:
            raise SoapFault(faults.ACCESS_DENIED)
        if received.ends and self.options.stack.version >= "3":
            return SoapAnswer(200, "", last=True)
        request = read_request(received.root, self.options.limits, received.texts)
        if not (request.action == TRANSFER + "/Delete" and request.resource_uri.lower() == CMD):
            self._check_quota(caller.user)
        return request

    @staticmethod
    async def _wait(seconds: float) -> None:
        """Wait as long as a slow PC takes."""
        if seconds > 0:
            await asyncio.sleep(seconds)

    def _written(self, request: Request, body: str, prefixes: str) -> SoapAnswer:
        """Return the answer in its envelope, or a fault if it is late, or too large for the client."""
        if self.options.latency >= request.timeout:
            raise SoapFault(faults.TIMED_OUT)  # the request was carried out: only its answer is lost
        action = request.action + "Response"
        text = write_answer(action, body, request, self.options.stack, self.options.language, prefixes)
        if len(text) * 2 > request.max_envelope:
            raise SoapFault(faults.ENVELOPE_EXCEEDED)
        return SoapAnswer(200, text)

    def _check_quota(self, user: str) -> None:
        """Reject more concurrent operations than a user may have (MaxConcurrentOperationsPerUser).

        To delete a shell is always possible: that ends operations.
        """
        stack = self.options.stack
        if self._in_flight + len(self.cim.enumerations) + self.shells.operations(user) > stack.max_operations:
            raise SoapFault(self._quota(faults.QUOTA_OPERATIONS, stack.max_operations, "operations"))

    def _quota(self, fault: Fault, limit: int, noun: str) -> Fault:
        """Return a quota fault in the shape of this PC's stack."""
        return faults.quota(fault, limit, noun, as_wmi_error=self.options.stack.wmi_errors)

    async def _perform(self, request: Request, caller: Caller) -> tuple[str, str]:
        """Do as `_perform_at_once`, and wait for the output of a command."""
        if request.action == SHELL + "/Receive" and request.resource_uri.lower() == CMD:
            return await self.shells.receive(request, caller.user), _PREFIXES["ReceiveResponse"]
        return self._perform_at_once(request, caller)

    def _perform_at_once(self, request: Request, caller: Caller) -> tuple[str, str]:
        """Carry out *request*; return the body of the answer and the namespaces its envelope declares."""
        target = read_target(request)
        if target is not None:
            body = self._perform_cim(request, target, caller.user)
        elif request.resource_uri.lower() == CMD:
            body = self._perform_shell(request, caller)
        else:
            raise SoapFault(faults.RESOURCE_NOT_FOUND)
        name = request.action.rpartition("/")[2] + "Response"
        default = "s a w p" if name == "DeleteResponse" else "s a x w p"
        return body, _PREFIXES.get(name, default)

    def _perform_cim(self, request: Request, target: Target, owner: str) -> str:
        """Carry out a CIM operation."""
        cim = self.cim
        action = request.action
        if action == TRANSFER + "/Get":
            return cim.get(target)
        if action == TRANSFER + "/Put":
            return cim.put(target, request)
        if action == ENUMERATION + "/Enumerate":
            return cim.enumerate(target, request, owner)
        if action == ENUMERATION + "/Pull":
            return cim.pull(request, owner)
        if action == ENUMERATION + "/Release":
            return cim.release(request, owner)
        prefix, _, method = action.rpartition("/")
        if prefix.lower() != target.uri.lower() or not method:
            raise SoapFault(faults.INVALID_ACTION)
        return cim.invoke(target, method, request)

    def _perform_shell(self, request: Request, caller: Caller) -> str:
        """Carry out a shell operation."""
        shells = self.shells
        action = request.action
        if action == TRANSFER + "/Create":
            return shells.create(request, caller.user, caller.address)
        if action == TRANSFER + "/Delete":
            return shells.delete(request, caller.user)
        if action == SHELL + "/Command":
            body, line = shells.command(request, caller.user)
            self.counters.commands.append(line)
            return body
        if action == SHELL + "/Send":
            return shells.send(request, caller.user)
        if action == SHELL + "/Signal":
            return shells.signal(request, caller.user)
        raise SoapFault(faults.ACTION_NOT_SUPPORTED)

    def fault_answer(self, fault: Fault, request: Partial) -> SoapAnswer:
        """Return *fault* in its envelope."""
        context = FaultContext(request.machine, self.machine.computer_name, self.options.language)
        return SoapAnswer(500, write_fault(fault, request, self.options.stack, context))

    def injected_fault(self, injection: Injection, request: Partial) -> SoapAnswer:
        """Return the fault that *injection* asks for."""
        stack = self.options.stack
        if injection.kind is Kind.QUOTA:
            fault = self._quota(faults.QUOTA_OPERATIONS, stack.max_operations, "operations")
        elif injection.kind is Kind.SHELL_QUOTA:
            fault = self._quota(faults.QUOTA_SHELLS, stack.max_shells, "shells")
        elif injection.kind is Kind.ACCESS_DENIED:
            fault = faults.ACCESS_DENIED
        else:
            fault = faults.by_code(injection.code, injection.text)
        return self.fault_answer(fault, request)

    def identify(self, *, authenticated: bool) -> str:
        """Return the answer to Identify (MS-WSMV 3.1.4.1.23): without authentication only the stack."""
        stack = self.options.stack
        system, profiles = "OS: 0.0.0 SP: 0.0", ""
        if authenticated:
            system = f"OS: {self.machine.os_version} SP: 0.0"
            profiles = self._security_profiles()
        return (
            f'<s:Envelope xml:lang="{self.options.language}" xmlns:s="{SOAP}"><s:Header/><s:Body>'
            f'<wsmid:IdentifyResponse xmlns:wsmid="{IDENTITY}">'
            "<wsmid:ProtocolVersion>http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd</wsmid:ProtocolVersion>"
            "<wsmid:ProductVendor>Microsoft Corporation</wsmid:ProductVendor>"
            f"<wsmid:ProductVersion>{escape(system)} Stack: {stack.version}</wsmid:ProductVersion>{profiles}"
            "</wsmid:IdentifyResponse></s:Body></s:Envelope>"
        )

    def _security_profiles(self) -> str:
        """Return the authentication mechanisms, which WinRM 3.0 and later report (MS-WSMV note <73>)."""
        if self.options.stack.version < "3":
            return ""
        kinds = (["http/basic", "https/basic"] if self.options.basic else []) + [
            "http/spnego-kerberos",
            "https/spnego-kerberos",
        ]
        names = "".join(f"<wsmid:SecurityProfileName>{_PROFILES}{kind}</wsmid:SecurityProfileName>" for kind in kinds)
        return f"<wsmid:SecurityProfiles>{names}</wsmid:SecurityProfiles>"


def _without_namespaces(texts: Mapping[str, str]) -> dict[str, str]:
    """Return action and resource of a message that has them in other namespaces."""
    local = {tag.rpartition("}")[2]: text for tag, text in texts.items()}
    return {ACTION: local.get("Action", ""), RESOURCE_URI: local.get("ResourceURI", "")}


def _identifies(root: Element) -> bool:
    """Return whether a message is an Identify request (DSP0226 section 11), which needs no header."""
    try:
        body = body_of(root)
    except SoapFault:
        return False
    return body is not None and body.tag == f"{{{IDENTITY}}}Identify"
