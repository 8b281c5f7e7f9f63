"""Requests recorded with real Windows, sent to the lab: the answers have the recorded shape.

The tests compare element names, attributes, the headers and their order, and every text that is not an identifier.
The recordings are data of other projects (``tests/recordings``), each under its own licence.
"""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml

from provmode.lab.server.cim_faults import INVALID_CLASS, query_fault
from provmode.lab.server.envelope import WINRM_2, WINRM_3, Partial, write_fault
from provmode.lab.server.faults import QUOTA_OPERATIONS, QUOTA_SHELLS, ExtendedStatus, FaultContext, quota
from provmode.lab.server.hosting import USER, HostSpec
from provmode.lab.server.service import ServiceOptions
from provmode.lab.windows import cmd
from provmode.lab.windows.clock import Clock
from provmode.lab.windows.pc import PC

RECORDINGS = Path(__file__).parents[1] / "recordings"
VARIES = re.compile(
    r"^(uuid:)?[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$|^\d+\.\d+\.\d+\.\d+$|"
    r"^(\S+\\)?(vagrant|provmode)\S*$|^winrm-vm-003\\\S*$"
)


def shape(element: ET.Element) -> Any:
    """Return an element as nested data, without the values that vary from run to run."""
    text = (element.text or "").strip()
    attributes = {name: "*" if VARIES.match(value) else value for name, value in sorted(element.attrib.items())}
    return (element.tag, attributes, "*" if VARIES.match(text) else text, [shape(child) for child in element])


def dialogue(name: str) -> list[dict[str, Any]]:
    document = yaml.safe_load((RECORDINGS / "pypsrp" / f"{name}.yml").read_text(encoding="utf-8"))
    return list(document["messages"])


def winrmsharp(name: str) -> list[dict[str, Any]]:
    """Return a dialogue with Windows 11 in the form of pypsrp's."""
    document = yaml.safe_load((RECORDINGS / "adstep-WinRMSharp" / f"{name}.yml").read_text(encoding="utf-8"))
    return [
        {
            "request": re.sub(r"\A<\?xml[^>]*\?>", "", item["Request"]["Body"]).strip(),
            "response": item["Response"]["Body"],
            "transport_error": {"code": item["Response"]["StatusCode"]},
        }
        for item in document
    ]


class Replay:
    """Sends recorded requests with the identifiers of this run instead of the recorded ones."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._known: dict[str, str] = {}

    def exchange(self, message: dict[str, Any]) -> tuple[int, ET.Element, ET.Element]:
        request = message["request"]
        for recorded, ours in self._known.items():
            request = request.replace(recorded, ours)
        response, answer = self._client.sealed(request.encode())
        recorded_root, our_root = ET.fromstring(message["response"]), ET.fromstring(answer)
        for name in ("ShellId", "CommandId"):
            tag = f".//{{http://schemas.microsoft.com/wbem/wsman/1/windows/shell}}{name}"
            recorded, ours = recorded_root.findtext(tag), our_root.findtext(tag)
            if recorded and ours:
                self._known[recorded] = ours
        return response.status, recorded_root, our_root


def replay(
    served: Any, raw: Any, messages: list[dict[str, Any]]
) -> list[tuple[dict[str, Any], int, ET.Element, ET.Element]]:
    client = raw(served.host)
    client.login(USER, served.lab.account.password)
    run = Replay(client)
    return [(message, *run.exchange(message)) for message in messages]


def without_streams(root: ET.Element) -> ET.Element:
    """Remove the output itself: the small PC prints other output than the recorded PC."""
    stream = "{http://schemas.microsoft.com/wbem/wsman/1/windows/shell}Stream"
    for parent in root.iter():
        for child in [each for each in parent if each.tag == stream and not each.get("End")]:
            parent.remove(child)
    return root


@pytest.mark.parametrize("name", ["test_winrs_standard", "test_winrs_bad_cmd_id", "test_winrs_no_cmd_shell"])
def test_a_recorded_dialogue_is_answered_in_the_recorded_shape(serve: Any, spec: Any, raw: Any, name: str) -> None:
    recorded_stack = WINRM_3 if "ActivityId" in str(dialogue(name)) else WINRM_2
    with serve([spec(options=ServiceOptions(stack=recorded_stack))]) as served:
        exchanges = replay(served, raw, dialogue(name))
    assert len(exchanges) >= 5
    for message, status, recorded, ours in exchanges:
        assert status == message.get("transport_error", {}).get("code", 200)
        assert shape(without_streams(ours)) == shape(without_streams(recorded))


@pytest.mark.parametrize(
    "name",
    [
        "ClientRunCommandWithArgs",
        "ProtocolGetCommandState",
        "ProtocolGetCommandStateBeforeRun",
        "ProtocolOpenCloseShell",
        "ProtocolRunCommandWithEnv",
        "ProtocolRunCommandWithUnicode",
        "ProtocolRunCommandWithoutArgsAndCleanup",
    ],
)
def test_a_dialogue_recorded_with_windows_11_is_answered_in_its_shape(
    serve: Any, spec: Any, raw: Any, name: str
) -> None:
    stack = replace(WINRM_3, activity_id=False)  # that Windows sends no such header
    with serve([spec(options=ServiceOptions(stack=stack))]) as served:
        exchanges = replay(served, raw, winrmsharp(name))
    for message, status, recorded, ours in exchanges:
        assert status == message["transport_error"]["code"]
        assert shape(without_streams(ours)) == shape(without_streams(recorded))


def test_what_a_recorded_command_printed_is_printed_byte_for_byte(serve: Any, raw: Any) -> None:
    pc = PC("winrm-vm-003", Clock(datetime(2026, 3, 2, tzinfo=timezone.utc), lambda: 0.0))
    with serve([HostSpec("PC-1", pc, partial(cmd.start, pc))]) as served:
        printed = {
            name: [
                output(root)
                for message, _, *answers in replay(served, raw, winrmsharp(name))
                if "ReceiveResponse" in message["response"]
                for root in answers
            ]
            for name in ("ClientRunCommandWithArgs", "ProtocolGetCommandState", "ProtocolRunCommandWithEnv")
        }
    assert printed["ClientRunCommandWithArgs"] == [b"abc\r\n"] * 2
    assert printed["ProtocolRunCommandWithEnv"] == [b"hi mom another var\r\n"] * 2
    theirs, ours = printed["ProtocolGetCommandState"]
    assert theirs.startswith(ours)
    assert ours.endswith(b": winrm-vm-003\r\n")  # the lab has no network adapters to report


def output(root: ET.Element) -> bytes:
    """Return the standard output in an answer."""
    stream = "{http://schemas.microsoft.com/wbem/wsman/1/windows/shell}Stream"
    return b"".join(base64.b64decode(each.text or "") for each in root.iter(stream) if each.get("Name") == "stdout")


def test_the_fault_of_a_command_line_that_is_too_long_is_the_recorded_one(served: Any, raw: Any) -> None:
    messages = [
        {**message, "request": message["request"].replace(">echo<", f">echo {'x' * 33000}<")}
        for message in winrmsharp("ClientRunCommandWithArgs")[:2]
    ]
    ours = replay(served, raw, messages)[1][3]
    theirs = recorded("masterzen-winrm/executeCommandResponseWithError.xml")
    body = "{http://www.w3.org/2003/05/soap-envelope}Body"
    for root in (ours, theirs):
        next(root.iter("{http://www.w3.org/2003/05/soap-envelope}Text")).attrib.clear()  # recorded empty on that PC
    assert normal(ours.find(body)) == normal(theirs.find(body))


def recorded(path: str) -> ET.Element:
    return ET.parse(RECORDINGS / path).getroot()


def normal(element: ET.Element) -> Any:
    """Like `shape`, for files that were re-indented: white space in texts is collapsed."""
    text = " ".join((element.text or "").split())
    attributes = {name: "*" if name == "Machine" else " ".join(value.split()) for name, value in element.attrib.items()}
    return (
        element.tag,
        dict(sorted(attributes.items())),
        "*" if VARIES.match(text) else text,
        [normal(child) for child in element],
    )


def test_the_fault_of_an_unknown_class_is_the_recorded_one() -> None:
    extended = ExtendedStatus("root/cimv2", "ExecQuery", 'Select * from Win32_Processa where name="sshd.exe"')
    fault = query_fault(INVALID_CLASS, extended, WINRM_2)
    ours = write_fault(fault, Partial("uuid:0CB1C49A-5054-4C12-AF30-FC60BE995DD9", "localhost"), WINRM_2, CONTEXT)
    assert normal(ET.fromstring(ours)) == normal(recorded("winrb-winrm/soap_fault_v2.xml"))


CONTEXT = FaultContext("localhost", "vagrant-2008R2", "en-US")


@pytest.mark.parametrize(
    ("file", "fault", "limit", "noun", "language"),
    [
        ("winrb-winrm/wmi_error_v2.xml", QUOTA_SHELLS, 30, "shells", "en-US"),
        ("ianclegg-winrmlib/concurrent_operations_fault.xml", QUOTA_OPERATIONS, 1500, "operations", "en-GB"),
    ],
)
def test_the_quota_faults_are_the_recorded_ones(file: str, fault: Any, limit: int, noun: str, language: str) -> None:
    quota_fault = quota(fault, limit, noun, as_wmi_error=True)
    stack = WINRM_2  # these recordings predate the activity header
    ours = write_fault(quota_fault, Partial("uuid:1", "localhost"), stack, FaultContext("localhost", "X", language))
    assert normal(ET.fromstring(ours)) == normal(recorded(file))


def test_the_fault_of_a_timed_out_operation_is_the_recorded_one() -> None:
    from provmode.lab.server.faults import TIMED_OUT

    request = Partial("26ba4524-38c7-46fe-a31d-52c49d7df4f9", "bp1xeuap3221")
    ours = ET.fromstring(write_fault(TIMED_OUT, request, WINRM_2, FaultContext("x", "X", "en-GB")))
    theirs = recorded("ianclegg-winrmlib/operation_timeout.xml")
    for root in (ours, theirs):
        text = next(root.iter("{http://www.w3.org/2003/05/soap-envelope}Text"))
        text.attrib.clear()  # recorded empty on that PC
    assert normal(ours) == normal(theirs)


def test_a_method_answers_in_the_shape_of_the_recorded_enumkey(served: Any, raw: Any, envelope: Any) -> None:
    theirs = recorded("openwsman/EnumKey.xml")
    uri = "http://schemas.microsoft.com/wbem/wsman/1/wmi/root/default/StdRegProv"
    client = raw(served.host)
    client.login(USER, served.lab.account.password)
    body = f'<p:EnumKey_INPUT xmlns:p="{uri}"><p:hDefKey>2147483650</p:hDefKey></p:EnumKey_INPUT>'
    ours = ET.fromstring(client.sealed(envelope(uri + "/EnumKey", uri, body))[1])
    soap_body = "{http://www.w3.org/2003/05/soap-envelope}Body"
    output, recorded_output = ours.find(soap_body)[0], theirs.find(soap_body)[0]
    assert (output.tag, output.attrib) == (recorded_output.tag, recorded_output.attrib)
    assert [e.tag for e in output] == [recorded_output[each].tag for each in (0, 1, -1)]
    action = ".//{http://schemas.xmlsoap.org/ws/2004/08/addressing}Action"
    assert ours.findtext(action) == theirs.findtext(action)


def test_openwsmans_enumerate_request_is_accepted(served: Any, raw: Any) -> None:
    client = raw(served.host)
    client.login(USER, served.lab.account.password)
    response, answer = client.sealed((RECORDINGS / "openwsman" / "mu_002.xml").read_bytes())
    assert response.status == 200
    assert b"EnumerationContext>uuid:" in answer


@pytest.mark.parametrize("number", [1, 2])
def test_projections_come_in_the_shape_of_the_recorded_ones(
    serve: Any, spec: Any, raw: Any, number: int, envelope: Any
) -> None:
    theirs = ET.fromstring(
        (RECORDINGS / "opennms-wsman" / f"optimized-enum-response-with-fragments-{number}.xml").read_bytes()
    )
    rows = [{"Size": None, "Name": "A:", "FreeSpace": None}] * 4
    with serve([spec(options=ServiceOptions(stack=WINRM_2, language="de-DE"))]) as served:
        served.service.machine.rows = rows
        client = raw(served.host)
        client.login(USER, served.lab.account.password)
        n = "http://schemas.xmlsoap.org/ws/2004/09/enumeration"
        wql = "http://schemas.microsoft.com/wbem/wsman/1/WQL"
        uri = "http://schemas.microsoft.com/wbem/wsman/1/wmi/root/cimv2/*"
        begin = (
            f'<n:Enumerate xmlns:n="{n}"><w:OptimizeEnumeration/><w:MaxElements>100</w:MaxElements>'
            f'<w:Filter Dialect="{wql}">SELECT FreeSpace,Name,Size FROM Win32_LogicalDisk</w:Filter></n:Enumerate>'
        )
        ours = ET.fromstring(client.sealed(envelope(n + "/Enumerate", uri, begin))[1])
        if number == 2:
            context = ours.findtext(f".//{{{n}}}EnumerationContext")
            pull = (
                f'<n:Pull xmlns:n="{n}"><n:EnumerationContext>{context}</n:EnumerationContext>'
                "<n:MaxElements>100</n:MaxElements></n:Pull>"
            )
            ours = ET.fromstring(client.sealed(envelope(n + "/Pull", uri, pull))[1])

    def names(root: ET.Element) -> Any:
        return (root.tag, sorted(root.attrib), [names(child) for child in root if not child.tag.startswith("{m}")])

    def bare(tree: Any) -> Any:
        tag, attributes, children = tree
        keep = [] if not tag.startswith("{") else attributes
        return (tag, keep, [bare(child) for child in children])

    assert bare(names(ours)) == bare(names(theirs))
