"""What other clients send, octet by octet, where it differs from what pypsrp, pywinrm and provmode send."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from datetime import datetime, timezone
from functools import partial
from typing import Any
from xml.sax.saxutils import escape

import pytest

from provmode.lab.server.envelope import WINRM_2
from provmode.lab.server.hosting import USER, HostSpec
from provmode.lab.server.service import ServiceOptions
from provmode.lab.windows import cmd, configmgr
from provmode.lab.windows.clock import Clock
from provmode.lab.windows.pc import PC

START = datetime(2026, 3, 2, 8, 0, tzinfo=timezone.utc)
TRANSFER = "http://schemas.xmlsoap.org/ws/2004/09/transfer"
SHELL = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell"


@pytest.fixture
def lab(serve: Any) -> Iterator[Any]:
    """A lab of one whole PC."""
    pc = PC("PC-1", Clock(START, lambda: 0.0))
    configmgr.install(pc, "5.00.9128.1007")
    with serve([HostSpec("PC-1", pc, partial(cmd.start, pc))]) as served:
        yield served


@pytest.fixture
def client(lab: Any, raw: Any) -> Any:
    """A client that has logged on and can seal."""
    connected = raw(lab.host)
    assert connected.login(USER, lab.lab.account.password) == 200
    return connected


# -- WinRb's gem: Vagrant, Chef, InSpec ----------------------------------------------------------------------------


class WinRb:
    """WinRb/WinRM's messages: attributes without namespace, and every command line in quotes."""

    def __init__(self, client: Any) -> None:
        self._client = client
        created = self._send(TRANSFER + "/Create", "<rsp:Shell></rsp:Shell>", "")
        self._shell = re.findall("<rsp:ShellId>(.*?)</rsp:ShellId>", created)[0]

    def _send(self, action: str, body: str, options: str) -> str:
        shell = getattr(self, "_shell", "")
        selectors = f'<w:SelectorSet><w:Selector Name="ShellId">{shell}</w:Selector></w:SelectorSet>' if shell else ""
        message = (
            '<?xml version="1.0" encoding="UTF-8"?><env:Envelope xmlns:xsd="http://www.w3.org/2001/XMLSchema" '
            'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:env="http://www.w3.org/2003/05/soap-envelope" '
            'xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" '
            'xmlns:b="http://schemas.dmtf.org/wbem/wsman/1/cimbinding.xsd" '
            'xmlns:n="http://schemas.xmlsoap.org/ws/2004/09/enumeration" '
            f'xmlns:x="{TRANSFER}" xmlns:w="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd" '
            f'xmlns:p="http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd" xmlns:rsp="{SHELL}" '
            'xmlns:cfg="http://schemas.microsoft.com/wbem/wsman/1/config"><env:Header>'
            '<a:To>http://pc-1:5985/wsman</a:To><a:ReplyTo><a:Address mustUnderstand="true">'
            "http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</a:Address></a:ReplyTo>"
            '<w:MaxEnvelopeSize mustUnderstand="true">153600</w:MaxEnvelopeSize>'
            "<a:MessageID>uuid:3B4B1E1F-53B6-4E9A-9C6E-5B8E9F5D0A11</a:MessageID>"
            '<p:SessionId mustUnderstand="false">uuid:1F5A9C0E-0D5B-4C1B-8E0B-2D1B7A1F7C11</p:SessionId>'
            '<w:Locale xml:lang="en-US" mustUnderstand="false"/><p:DataLocale xml:lang="en-US" mustUnderstand="false"/>'
            f'<w:OperationTimeout>PT60S</w:OperationTimeout><w:ResourceURI mustUnderstand="true">{SHELL}/cmd'
            f'</w:ResourceURI><a:Action mustUnderstand="true">{action}</a:Action>{options}{selectors}</env:Header>'
            f"<env:Body>{body}</env:Body></env:Envelope>"
        )
        response, answer = self._client.sealed(message.encode())
        assert response.status == 200, answer
        return bytes(answer).decode()

    def run(self, line: str, *arguments: str) -> tuple[int, bytes, bytes]:
        """Run a line; return exit code, output and errors."""
        options = (
            '<w:OptionSet><w:Option Name="WINRS_CONSOLEMODE_STDIN">TRUE</w:Option>'
            '<w:Option Name="WINRS_SKIP_CMD_SHELL">FALSE</w:Option></w:OptionSet>'
        )
        quoted = escape(f'"{line}"', {'"': "&quot;"})
        given = "".join(f"<rsp:Arguments>{each}</rsp:Arguments>" for each in arguments)
        body = (
            '<rsp:CommandLine CommandId="5B3D6F0E-7A44-4E5D-9E1F-6D1F9C3B2A10">'
            f"<rsp:Command>{quoted}</rsp:Command>{given}</rsp:CommandLine>"
        )
        command = re.findall("<rsp:CommandId>(.*?)</rsp:CommandId>", self._send(SHELL + "/Command", body, options))[0]
        answer = self._send(
            SHELL + "/Receive",
            f'<rsp:Receive><rsp:DesiredStream CommandId="{command}">stdout stderr</rsp:DesiredStream></rsp:Receive>',
            "",
        )
        streams = {
            name: b"".join(map(base64.b64decode, re.findall(f'Name="{name}"[^>]*>([^<]*)<', answer)))
            for name in ("stdout", "stderr")
        }
        code = int(re.findall("<rsp:ExitCode>(.*?)</rsp:ExitCode>", answer)[0])
        self._send(
            SHELL + "/Signal",
            f'<rsp:Signal CommandId="{command}"><rsp:Code>{SHELL}/signal/terminate</rsp:Code></rsp:Signal>',
            "",
        )
        return code, streams["stdout"], streams["stderr"]


def test_the_lines_of_winrbs_own_tests_give_what_they_give_on_windows(client: Any) -> None:
    gem = WinRb(client)

    assert gem.run("") == (0, b"", b"")
    assert gem.run("echo 'hello world'") == (0, b"'hello world'\r\n", b"")
    assert gem.run('echo "string with trailing \\"') == (0, b'"string with trailing \\"\r\n', b"")
    assert gem.run("echo Hello & echo , world! 1>&2") == (0, b"Hello \r\n", b", world! \r\n")
    assert gem.run("ipconfig")[:2] == (0, b"\r\nWindows IP Configuration\r\n\r\n")
    assert gem.run("ipconfig", "/all")[0] == 0
    assert gem.run("ipconfig && echo error 1>&2")[2] == b"error \r\n"


# -- omicli, Microsoft's MI client for Linux ------------------------------------------------------------------------

NAMESPACE = '<w:SelectorSet><w:Selector Name="__cimnamespace">{}</w:Selector></w:SelectorSet>'
ENUMERATION = "http://schemas.xmlsoap.org/ws/2004/09/enumeration"
WMI = "http://schemas.microsoft.com/wbem/wsman/1/wmi/root/cimv2"
DMTF = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2"
QUERY = (
    f'<n:Enumerate xmlns:n="{ENUMERATION}"><w:OptimizeEnumeration/><w:MaxElements>10</w:MaxElements>'
    '<w:Filter Dialect="http://schemas.microsoft.com/wbem/wsman/1/WQL">SELECT CSName FROM Win32_OperatingSystem'
    "</w:Filter></n:Enumerate>"
)


@pytest.mark.parametrize("given", ["root/cimv2", "ROOT/CIMV2", "root\\cimv2"])
def test_a_namespace_beside_an_equal_one_in_the_uri_is_ignored(client: Any, envelope: Any, given: str) -> None:
    namespace = NAMESPACE.format(given)

    query = client.sealed(envelope(ENUMERATION + "/Enumerate", WMI + "/*", QUERY, namespace))
    get = client.sealed(envelope(TRANSFER + "/Get", WMI + "/Win32_OperatingSystem", "", namespace))

    assert (query[0].status, get[0].status) == (200, 200)
    assert b"<CSName>PC-1</CSName>" in query[1]


@pytest.mark.parametrize("action", [TRANSFER + "/Get", ENUMERATION + "/Enumerate"])
def test_a_namespace_that_differs_from_the_one_in_the_uri_is_a_fault(client: Any, envelope: Any, action: str) -> None:
    answer = client.sealed(envelope(action, WMI + "/*", QUERY, NAMESPACE.format("root/other")))[1]

    assert b'Code="2150859067"' in answer
    assert b"the namespaces must match. <" in answer


def test_with_a_dmtf_uri_the_selector_is_the_namespace(client: Any, envelope: Any) -> None:
    uri = DMTF + "/Win32_OperatingSystem"

    statuses = [
        client.sealed(envelope(TRANSFER + "/Get", uri, "", extra))[0].status
        for extra in (NAMESPACE.format("root/cimv2"), "", NAMESPACE.format("root/other"))
    ]

    assert statuses == [200, 200, 500]


def test_nuls_behind_the_envelope_are_ignored(client: Any, envelope: Any) -> None:
    """The client omicli seals its message with twelve of them, and its ``Length`` counts them."""
    message = envelope(TRANSFER + "/Get", WMI + "/Win32_OperatingSystem")

    response, answer = client.sealed(message + bytes(12))

    assert response.status == 200
    assert b"GetResponse" in answer


def test_a_nul_inside_of_the_envelope_is_refused(client: Any, envelope: Any) -> None:
    message = envelope(TRANSFER + "/Get", WMI + "/Win32_OperatingSystem")

    for broken in (message.replace(b"<s:Body>", b"\0<s:Body>"), bytes(12), b"\0" + message, message + b"\0x"):
        response, answer = client.sealed(broken)

        assert response.status == 500
        assert b'Code="2150858817"' in answer


def test_a_method_without_parameters_may_have_an_empty_body(client: Any, envelope: Any) -> None:
    uri = WMI.replace("cimv2", "ccm/ClientSDK") + "/CCM_ClientUtilities"

    response, answer = client.sealed(envelope(uri + "/DetermineIfRebootPending", uri))

    assert response.status == 200
    assert b":DetermineIfRebootPending_OUTPUT " in answer


def test_a_method_with_the_body_of_another_is_refused(client: Any, envelope: Any) -> None:
    uri = WMI.replace("cimv2", "ccm/ClientSDK") + "/CCM_ClientUtilities"

    answer = client.sealed(envelope(uri + "/DetermineIfRebootPending", uri, f'<p:Other_INPUT xmlns:p="{uri}"/>'))[1]

    assert b'Code="2150858817"' in answer


# -- GLPI agent ---------------------------------------------------------------------------------------------------

END = (
    b'<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" '
    b'xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" '
    b'xmlns:w="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd" '
    b'xmlns:p="http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd"><s:Header>'
    b"<a:To>http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</a:To>"
    b'<w:ResourceURI s:mustUnderstand="true">http://schemas.microsoft.com/wbem/wsman/1/wsman/FullDuplex</w:ResourceURI>'
    b'<a:Action s:mustUnderstand="true">http://schemas.microsoft.com/wbem/wsman/1/wsman/End</a:Action>'
    b"<a:MessageID>uuid:467C64F4-FC51-4433-80F2-7D9F04E9CEC8</a:MessageID>"
    b'<p:OperationID s:mustUnderstand="false">uuid:CEB310A6-FB0B-441D-83E6-8B0C416192CF</p:OperationID>'
    b"</s:Header><s:Body></s:Body></s:Envelope>"
)
"""Sent after each operation; it is the message of MS-WSMV 3.2.4.2.1.1."""


def test_the_end_of_an_operation_is_answered_empty_and_the_connection_is_closed(lab: Any, client: Any) -> None:
    response, answer = client.sealed(END)

    assert (response.status, answer, response.headers["Content-Length"]) == (200, b"", "0")
    assert response.headers["Connection"] == "close"
    assert lab.service.counters.actions["End"] == 1


def test_an_older_stack_does_not_know_the_end_of_an_operation(serve: Any, spec: Any, raw: Any) -> None:
    with serve([spec(options=ServiceOptions(stack=WINRM_2))]) as served:
        client = raw(served.host)
        client.login(USER, served.lab.account.password)

        response, answer = client.sealed(END)

    assert response.status == 500
    assert b'Code="2150858769"' in answer  # a request has to say where its answer goes
