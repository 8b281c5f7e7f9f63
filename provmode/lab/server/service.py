"""The WS-Management service of one PC: takes SOAP messages in clear and answers them.

It knows who asks (the connection has verified that) and nothing of HTTP, sockets or sealing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

from provmode.lab.machine import Machine
from provmode.lab.server import faults
from provmode.lab.server.cim import CimOperations, Target, read_target
from provmode.lab.server.counters import Counters
from provmode.lab.server.envelope import (
    ENUMERATION,
    SHELL,
    SOAP,
    TRANSFER,
    WINRM_3,
    Limits,
    Partial,
    Request,
    Stack,
    body_of,
    header_elements,
    partial,
    read_request,
    read_root,
    write_answer,
    write_fault,
)
from provmode.lab.server.faults import Fault, FaultSite, SoapFault
from provmode.lab.server.injection import Injection, Injections, Kind, RequestInfo
from provmode.lab.server.shells import CMD, Shells, StartCommand
from provmode.lab.server.xmltree import escape

IDENTITY = "http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd"
_PROFILES = "http://schemas.dmtf.org/wbem/wsman/1/wsman/secprofile/"
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
"""The namespaces each kind of answer declares, as recorded; method calls like Get."""


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


@dataclass(frozen=True)
class Caller:
    """Who asks."""

    user: str
    """Logon name; empty where nobody has authenticated."""
    address: str = "127.0.0.1"


@dataclass(frozen=True)
class Incoming:
    """A message that was read as far as it goes; whatever was wrong with it is answered in its turn."""

    root: Element | None
    partial: Partial
    info: RequestInfo
    fault: Fault | None = None


@dataclass(frozen=True)
class SoapAnswer:
    """What goes back: HTTP status and envelope."""

    status: int
    text: str


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

    def read(self, message: bytes, charset: str) -> Incoming:
        """Read *message* as far as is needed to say what it asks."""
        self._number += 1
        try:
            root = read_root(message, charset)
        except SoapFault as fault:
            return Incoming(None, Partial(), RequestInfo(self._number, "", ""), fault.fault)
        texts = {element.tag.rpartition("}")[2]: element.text or "" for element in header_elements(root)}
        action = texts.get("Action", "").strip().rpartition("/")[2] or ("Identify" if _identifies(root) else "")
        self.counters.actions[action] += 1
        return Incoming(root, partial(root), RequestInfo(self._number, action, texts.get("ResourceURI", "").strip()))

    async def answer(self, incoming: Incoming, caller: Caller) -> SoapAnswer:
        """Carry out what *incoming* asks and return the answer; never raises for what a client can send."""
        self._in_flight += 1
        try:
            return await self._answer(incoming, caller)
        except SoapFault as fault:
            return self.fault_answer(fault.fault, incoming.partial)
        finally:
            self._in_flight -= 1

    async def _answer(self, incoming: Incoming, caller: Caller) -> SoapAnswer:
        """Carry out what *incoming* asks; faults are raised."""
        if incoming.fault:
            raise SoapFault(incoming.fault)
        assert incoming.root is not None
        if _identifies(incoming.root):
            await self._wait(self.options.latency)
            return SoapAnswer(200, self.identify(authenticated=bool(caller.user)))
        if not caller.user:
            raise SoapFault(faults.ACCESS_DENIED)
        request = read_request(incoming.root, self.options.limits)
        self._check_quota()
        late = self.options.latency >= request.timeout
        await self._wait(min(self.options.latency, request.timeout))
        body, prefixes = await self._perform(request, caller)
        if late:
            raise SoapFault(faults.TIMED_OUT)  # carried out all the same: an answer that is lost, not a refusal
        return self._written(request, body, prefixes)

    @staticmethod
    async def _wait(seconds: float) -> None:
        """Let a slow PC be slow."""
        if seconds > 0:
            await asyncio.sleep(seconds)

    def _written(self, request: Request, body: str, prefixes: str) -> SoapAnswer:
        """Return the answer in its envelope, unless that is larger than the client takes."""
        action = request.action + "Response"
        text = write_answer(action, body, request, self.options.stack, self.options.language, prefixes)
        if len(text) * 2 > request.max_envelope:
            raise SoapFault(faults.ENVELOPE_EXCEEDED)
        return SoapAnswer(200, text)

    def _check_quota(self) -> None:
        """Refuse more operations at a time than a user may have (MaxConcurrentOperationsPerUser)."""
        stack = self.options.stack
        if self._in_flight + len(self.cim.enumerations) > stack.max_operations:
            raise SoapFault(self._quota(faults.QUOTA_OPERATIONS, stack.max_operations, "operations"))

    def _quota(self, fault: Fault, limit: int, noun: str) -> Fault:
        """Return a quota fault in the shape of this PC's stack."""
        return faults.quota(fault, limit, noun, as_wmi_error=self.options.stack.wmi_errors)

    async def _perform(self, request: Request, caller: Caller) -> tuple[str, str]:
        """Carry out *request*; return the body of the answer and the namespaces its envelope declares."""
        target = read_target(request)
        if target is not None:
            body = self._perform_cim(request, target, caller.user)
        elif request.resource_uri.lower() == CMD:
            body = await self._perform_shell(request, caller)
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

    async def _perform_shell(self, request: Request, caller: Caller) -> str:
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
        if action == SHELL + "/Receive":
            return await shells.receive(request, caller.user)
        if action == SHELL + "/Send":
            return shells.send(request, caller.user)
        if action == SHELL + "/Signal":
            return shells.signal(request, caller.user)
        raise SoapFault(faults.ACTION_NOT_SUPPORTED)

    def fault_answer(self, fault: Fault, request: Partial) -> SoapAnswer:
        """Return *fault* in its envelope."""
        site = FaultSite(request.machine, self.machine.computer_name, self.options.language)
        return SoapAnswer(500, write_fault(fault, request, self.options.stack, site))

    def injected_fault(self, injection: Injection, request: Partial) -> SoapAnswer:
        """Return the fault that *injection* asks for."""
        stack = self.options.stack
        if injection.kind is Kind.QUOTA:
            fault = self._quota(faults.QUOTA_OPERATIONS, stack.max_operations, "operations")
        elif injection.kind is Kind.SHELL_QUOTA:
            fault = self._quota(faults.QUOTA_SHELLS, stack.max_shells, "shells")
        elif injection.kind is Kind.ACCESS_DENIED:
            fault = faults.ACCESS_DENIED if stack.wmi_errors else faults.ACCESS_DENIED_OLD
        else:
            fault = faults.by_code(injection.code, injection.text)
        return self.fault_answer(fault, request)

    def identify(self, *, authenticated: bool) -> str:
        """Return the answer to Identify (MS-WSMV 3.1.4.1.23): who is not authenticated learns the stack alone."""
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
        """Return the authentication mechanisms, which WinRM 3.0 and later tell (MS-WSMV note <73>)."""
        if self.options.stack.version < "3":
            return ""
        kinds = (["http/basic", "https/basic"] if self.options.basic else []) + [
            "http/spnego-kerberos",
            "https/spnego-kerberos",
        ]
        names = "".join(f"<wsmid:SecurityProfileName>{_PROFILES}{kind}</wsmid:SecurityProfileName>" for kind in kinds)
        return f"<wsmid:SecurityProfiles>{names}</wsmid:SecurityProfiles>"


def _identifies(root: Element) -> bool:
    """Tell whether a message is an Identify request (DSP0226 section 11): it needs no header."""
    try:
        body = body_of(root)
    except SoapFault:
        return False
    return body is not None and body.tag == f"{{{IDENTITY}}}Identify"
