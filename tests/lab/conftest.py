"""A lab in a thread of the test process, with minimal PCs that show what the server asks of them."""

from __future__ import annotations

import asyncio
import base64
import http.client
import ssl
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import spnego
from pypsrp.wsman import WSMan

from provmode.lab.machine import CimError, Instance
from provmode.lab.server import sealing
from provmode.lab.server.hosting import HostSpec, Lab, LabHost

RECORDINGS = Path(__file__).parents[1] / "recordings"
WMI = "http://schemas.microsoft.com/wbem/wsman/1/wmi/"


class SmallCommand:
    """A command: ``echo``, ``cat`` (prints its input), ``exit N``, ``wait`` (for a signal); any other prints ``hi``."""

    def __init__(self, line: str, codepage: int) -> None:
        word, _, rest = line.partition(" ")
        self.exit_code: int | None = None
        self._out, self._err = b"", b""
        if word == "echo":
            encoding = "utf-8" if codepage == 65001 else f"cp{codepage}"
            self._out, self.exit_code = rest.encode(encoding, "replace") + b"\r\n", 0
        elif word not in ("exit", "cat", "wait"):
            self._out, self.exit_code = b"hi\r\n", 0
        elif word == "exit":
            self._err, self.exit_code = b"failed\r\n", int(rest)

    def feed(self, data: bytes, end: bool) -> None:
        self._out += data
        if end:
            self.exit_code = 0

    def read(self) -> tuple[bytes, bytes]:
        taken, self._out, self._err = (self._out, self._err), b"", b""
        return taken

    def signal(self, code: str) -> None:
        self.exit_code = 0xC000013A if code == "ctrl_c" else 1


class SmallPC:
    """A PC with enough CIM for every shape: an object, rows, a method, a failure."""

    def __init__(self, name: str = "PC-1") -> None:
        self.computer_name = name
        self.os_version = "10.0.20348"
        self.mutations: list[Any] = []
        self.calls: list[tuple[str, Any]] = []
        self.seconds = 0.0
        self.rows: list[Any] = [{"State": "Running", "Name": f"service{number:03}"} for number in range(5)]

    def advance(self, seconds: float) -> None:
        self.seconds += seconds

    def get(self, namespace: str, class_name: str, keys: Mapping[str, str]) -> Instance:
        self.calls.append(("get", (namespace, class_name, dict(keys))))
        if class_name == "Win32_Missing":
            raise CimError(0x80041002, "GetObject", "Win32_Missing")
        properties = {
            "Name": 'a<b>&"c\x01',
            "Absent": None,
            "Debug": False,
            "Started": datetime(2026, 1, 2, 3, 4, 5, 600000, timezone(timedelta(hours=1))),
            "Span": timedelta(days=1, seconds=3661),
            "Size": 2**63,
            "Addresses": ["10.0.0.1", "fe80::1"],
            "Nobody": [],
        }
        return Instance(class_name, properties, namespace, ("Name",))

    def put(self, namespace: str, class_name: str, keys: Mapping[str, str], changes: Mapping[str, Any]) -> Instance:
        self.calls.append(("put", dict(changes)))
        return Instance(class_name, {"Name": keys.get("Name"), **changes}, namespace, ("Name",))

    def enumerate(self, namespace: str, class_name: str) -> list[Instance]:
        return [
            Instance(class_name, {"Name": f"i{number}", "Index": number}, namespace, ("Name",)) for number in range(5)
        ]

    def query(self, namespace: str, wql: str) -> list[Any]:
        self.calls.append(("query", wql))
        if "Win32_Processa" in wql:
            raise CimError(0x80041010, "ExecQuery", wql)
        return self.rows

    def invoke(
        self, namespace: str, class_name: str, keys: Mapping[str, str], method: str, parameters: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        self.calls.append((method, dict(parameters)))
        if method == "NoSuchMethod":
            raise CimError(0x8004102E, "ExecMethod", f"{class_name}::{method}")
        if method == "EnumKey":
            return {"ReturnValue": 0, "sNames": ["AddressBook", "Branding"]}
        return {"sValue": str(parameters.get("sValueName")), "ReturnValue": 0}

    def start(
        self, line: str, *, codepage: int, environment: Mapping[str, str], directory: str | None, user: str
    ) -> SmallCommand:
        self.calls.append(("start", (line, codepage, dict(environment), directory, user)))
        return SmallCommand(line, codepage)


class Served:
    """A lab that listens in a thread."""

    def __init__(self, lab: Lab, loop: asyncio.AbstractEventLoop) -> None:
        self.lab = lab
        self._loop = loop

    @property
    def host(self) -> LabHost:
        """The first PC."""
        return self.lab.hosts[0]

    @property
    def service(self) -> Any:
        """The first PC's service."""
        return self.lab.services[self.host.name]

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call *function* in the lab's thread."""

        async def run() -> Any:
            return function(*arguments)

        return self.wait(run())

    def wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run *work* in the lab's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def client(self, name: str | None = None, **options: Any) -> WSMan:
        """Return pypsrp's client, authenticated by NTLM and sealed unless *options* say otherwise."""
        host = next(each for each in self.lab.hosts if name in (None, each.name))
        secure = host.scheme == "https"
        settings: dict[str, Any] = {
            "port": host.port,
            "ssl": secure,
            "username": "LAB\\provmode",
            "password": self.lab.account.password,
            "auth": "ntlm",
            "encryption": "auto" if secure else "always",
            "cert_validation": str(self.lab.authority.path) if secure else False,
            "no_proxy": True,
        }
        return WSMan("localhost" if secure else host.address, **{**settings, **options})


@contextmanager
def _served(specs: list[HostSpec], **options: Any) -> Iterator[Served]:
    loop = asyncio.new_event_loop()
    reports: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, report: reports.append(report))
    thread = threading.Thread(target=loop.run_forever, name="lab")
    thread.start()
    try:
        lab = Lab(specs, **options)
        served = Served(lab, loop)
        served.wait(lab.start())
        try:
            yield served
        finally:
            served.wait(lab.stop())
            served.wait(_finish(loop))
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
    assert reports == [], "the server itself failed"


async def _finish(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel all tasks and wait until they have ended."""
    tasks = [task for task in asyncio.all_tasks(loop) if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
def serve() -> Callable[..., Any]:
    """Return the context manager that runs a lab of the given PCs."""
    return _served


@pytest.fixture
def spec() -> Callable[..., HostSpec]:
    """Return a function that makes the `HostSpec` of a small PC."""

    def make(name: str = "PC-1", **fields: Any) -> HostSpec:
        machine = SmallPC(name)
        return HostSpec(name, machine, machine.start, **fields)

    return make


@pytest.fixture
def served(spec: Callable[..., HostSpec]) -> Iterator[Served]:
    """A lab of one small PC."""
    with _served([spec()]) as running:
        yield running


class RawClient:
    """A client of raw requests, for requests that a correct client never sends."""

    def __init__(self, host: LabHost, context: ssl.SSLContext | None = None) -> None:
        if context:
            self.http: http.client.HTTPConnection = http.client.HTTPSConnection("localhost", host.port, context=context)
        else:
            self.http = http.client.HTTPConnection(host.address, host.port)
        self.context: Any = None

    def post(self, body: bytes = b"", path: str = "/wsman", method: str = "POST", **headers: str) -> Any:
        """Send one request and return (response, body)."""
        self.http.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        response = self.http.getresponse()
        return response, response.read()

    def login(self, user: str, password: str, protocol: str = "ntlm", **options: Any) -> int:
        """Authenticate; return the status of the last answer."""
        choice = spnego.NegotiateOptions.use_ntlm if protocol == "ntlm" else spnego.NegotiateOptions.use_negotiate
        self.context = spnego.client(user, password, hostname="pc", protocol=protocol, options=choice, **options)
        token = self.context.step()
        while True:
            response, _ = self.post(Authorization="Negotiate " + base64.b64encode(token).decode())
            offered = response.headers.get("WWW-Authenticate", "").removeprefix("Negotiate").strip()
            if response.status == 200 and offered:
                self.context.step(base64.b64decode(offered))  # SPNEGO's closing token
            if response.status != 401 or not offered:
                return int(response.status)
            token = self.context.step(base64.b64decode(offered))

    def sealed(self, message: bytes) -> Any:
        """Send *message* sealed; return (response, opened body)."""
        body = sealing.seal(self.context, message, "application/soap+xml;charset=UTF-8")
        response, answer = self.post(body, Content_Type=sealing.CONTENT_TYPE)
        if sealing.is_sealed(response.headers.get("Content-Type", "")):
            _, _, signature, data = sealing.split(answer)
            answer = self.context.unwrap_winrm(signature, data)
        return response, answer

    def close(self) -> None:
        self.http.close()


@pytest.fixture
def raw() -> Iterator[Callable[..., RawClient]]:
    """Return a function that makes raw clients; they are closed at the end."""
    clients: list[RawClient] = []

    def make(host: LabHost, context: ssl.SSLContext | None = None) -> RawClient:
        clients.append(RawClient(host, context))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


ENVELOPE = (
    '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"'
    ' xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing"'
    ' xmlns:w="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"'
    ' xmlns:p="http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd">'
    "<s:Header>{headers}</s:Header><s:Body>{body}</s:Body></s:Envelope>"
)


@pytest.fixture
def envelope() -> Callable[..., bytes]:
    """Return a function that writes a request: headers by name, ``None`` omits a header, ``extra`` is more XML."""

    def write(action: str, uri: str, body: str = "", extra: str = "", **changes: str | None) -> bytes:
        anonymous = "http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous"
        headers: dict[str, str | None] = {
            "To": "<a:To>http://pc-1:5985/wsman</a:To>",
            "ResourceURI": f'<w:ResourceURI s:mustUnderstand="true">{uri}</w:ResourceURI>',
            "ReplyTo": f"<a:ReplyTo><a:Address>{anonymous}</a:Address></a:ReplyTo>",
            "Action": f'<a:Action s:mustUnderstand="true">{action}</a:Action>',
            "MaxEnvelopeSize": '<w:MaxEnvelopeSize s:mustUnderstand="true">153600</w:MaxEnvelopeSize>',
            "MessageID": "<a:MessageID>uuid:5E6FD101-710A-4EEA-A50D-70C0BF863AA3</a:MessageID>",
            "OperationTimeout": "<w:OperationTimeout>PT60S</w:OperationTimeout>",
        }
        headers.update(changes)
        text = "".join(value for value in headers.values() if value is not None)
        return ENVELOPE.format(headers=text + extra, body=body).encode()

    return write
