"""Third-party WinRM clients use the lab: pypsrp and pywinrm."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import requests
import winrm
from pypsrp.exceptions import AuthenticationError, WSManFaultError
from pypsrp.shell import Process, SignalCode, WinRS
from pypsrp.wsman import SelectorSet

from provmode.lab.server.certificates import CertificateAuthority
from provmode.lab.server.envelope import WINRM_1, WINRM_2, WINRM_3
from provmode.lab.server.logon import Logon
from provmode.lab.server.service import ServiceOptions

WMI = "http://schemas.microsoft.com/wbem/wsman/1/wmi/root/cimv2/"
N = "http://schemas.xmlsoap.org/ws/2004/09/enumeration"
W = "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"
XSI = "{http://www.w3.org/2001/XMLSchema-instance}"


def selectors(**keys: str) -> SelectorSet:
    found = SelectorSet()
    for name, value in keys.items():
        found.add_option(name, value)
    return found


def enumerate_request(
    wql: str | None, mode: str = "", elements: int | None = 32000, optimize: bool = True
) -> ET.Element:
    element = ET.Element(f"{{{N}}}Enumerate")
    if optimize:
        ET.SubElement(element, f"{{{W}}}OptimizeEnumeration")
    if elements:
        ET.SubElement(element, f"{{{W}}}MaxElements").text = str(elements)
    if mode:
        ET.SubElement(element, f"{{{W}}}EnumerationMode").text = mode
    if wql:
        filters = ET.SubElement(element, f"{{{W}}}Filter", Dialect="http://schemas.microsoft.com/wbem/wsman/1/WQL")
        filters.text = wql
    return element


def pull_request(context: str, elements: int = 32000) -> ET.Element:
    element = ET.Element(f"{{{N}}}Pull")
    ET.SubElement(element, f"{{{N}}}EnumerationContext").text = context
    ET.SubElement(element, f"{{{N}}}MaxElements").text = str(elements)
    return element


def enumerate_all(client: Any, uri: str, request: ET.Element) -> tuple[list[ET.Element], list[str], list[int]]:
    """Return the items, the contexts, and the number of items in each answer."""
    body = client.enumerate(uri, request)
    items, contexts, sizes = [], [], []
    while True:
        holder = next((e for e in body.iter() if e.tag in (f"{{{W}}}Items", f"{{{N}}}Items")), None)
        page = [] if holder is None else list(holder)
        items += page
        sizes.append(len(page))
        if any(e.tag.endswith("}EndOfSequence") for e in body.iter()):
            return items, contexts, sizes
        contexts.append(body.findtext(f".//{{{N}}}EnumerationContext"))
        body = client.pull(uri, pull_request(contexts[-1]))


def fault_of(action: Any) -> WSManFaultError:
    with pytest.raises(WSManFaultError) as raised:
        action()
    return raised.value


def test_pypsrp_gets_an_instance_in_the_recorded_shape(served: Any) -> None:
    body = served.client().get(WMI + "Win32_Thing", None, selector_set=selectors(Name="one"))
    thing = body[0]
    ns = f"{{{WMI}Win32_Thing}}"
    assert thing.tag == ns + "Win32_Thing"
    assert thing.get(XSI + "type") == "p:Win32_Thing_Type"
    names = [child.tag.removeprefix(ns) for child in thing]
    assert names == sorted(names)
    assert thing.findtext(ns + "Name") == 'a<b>&"c?'
    assert thing.find(ns + "Absent").get(XSI + "nil") == "true"
    assert thing.find(ns + "Nobody").get(XSI + "nil") == "true"
    assert thing.findtext(ns + "Debug") == "false"
    assert thing.findtext(ns + "Size") == str(2**63)
    assert [each.text for each in thing.findall(ns + "Addresses")] == ["10.0.0.1", "fe80::1"]
    cim = "{http://schemas.dmtf.org/wbem/wscim/1/common}"
    assert thing.findtext(f"{ns}Started/{cim}Datetime") == "2026-01-02T03:04:05.6+01:00"
    assert thing.findtext(f"{ns}Span/{cim}Interval") == "P1DT1H1M1S"
    assert served.service.machine.calls == [("get", ("root/cimv2", "Win32_Thing", {"Name": "one"}))]


def test_pypsrp_calls_a_method_with_every_kind_of_parameter(served: Any) -> None:
    uri = WMI + "StdRegProv"
    body = ET.fromstring(
        f'<p:GetStringValue_INPUT xmlns:p="{uri}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
        "<p:hDefKey>2147483650</p:hDefKey><p:sSubKeyName>SOFTWARE\\A &amp; B</p:sSubKeyName>"
        '<p:sValueName xsi:nil="true"/><p:many>1</p:many><p:many>2</p:many><p:empty/></p:GetStringValue_INPUT>'
    )
    answer = served.client().invoke(uri + "/GetStringValue", uri, body)
    output = answer[1][0]  # `invoke` returns the whole envelope
    assert output.tag == f"{{{uri}}}GetStringValue_OUTPUT"
    assert output.get(XSI + "type") is None
    assert [child.tag.rpartition("}")[2] for child in output] == ["sValue", "ReturnValue"]
    parameters = {"hDefKey": "2147483650", "sSubKeyName": "SOFTWARE\\A & B", "sValueName": None}
    assert served.service.machine.calls == [("GetStringValue", {**parameters, "many": ["1", "2"], "empty": ""})]


def test_pypsrp_puts_an_instance(served: Any) -> None:
    uri = WMI + "Win32_Thing"
    body = ET.fromstring(f'<p:Win32_Thing xmlns:p="{uri}"><p:Size>5</p:Size></p:Win32_Thing>')
    answer = served.client().put(uri, body, selector_set=selectors(Name="one"))
    assert answer[0].findtext(f"{{{uri}}}Size") == "5"
    assert served.service.machine.calls == [("put", {"Size": "5"})]


@pytest.mark.parametrize(
    ("stack", "sizes"), [(WINRM_1, [5]), (WINRM_2, [1, 4]), (WINRM_3, [5])], ids=["2003", "2008R2", "modern"]
)
def test_pypsrp_enumerates_until_the_end_of_sequence(serve: Any, spec: Any, stack: Any, sizes: list[int]) -> None:
    with serve([spec(options=ServiceOptions(stack=stack))]) as served:
        items, contexts, seen = enumerate_all(served.client(), WMI + "*", enumerate_request("SELECT Name,State FROM X"))
    assert [item.findtext("Name") for item in items] == [f"service{number:03}" for number in range(5)]
    assert {item.tag for item in items} == {f"{{{W}}}XmlFragment"}
    assert [child.tag for child in items[0]] == ["Name", "State"]
    assert seen == sizes
    assert len(set(contexts)) == len(contexts)


def test_pages_stop_at_the_envelope_size_counted_in_utf16(served: Any) -> None:
    served.service.machine.rows = [{"Name": "x" * 1000} for _ in range(100)]
    client = served.client()
    client.max_envelope_size = 153600
    items, contexts, sizes = enumerate_all(client, WMI + "*", enumerate_request("SELECT Name FROM X"))
    assert len(items) == 100
    assert 1 < len(sizes) < 4
    assert max(sizes) < 77
    assert len(set(contexts)) == len(sizes) - 1


def test_an_item_larger_than_the_envelope_is_a_fault(served: Any) -> None:
    served.service.machine.rows = [{"Name": "x" * 10000}]
    client = served.client()
    client.max_envelope_size = 8192
    fault = fault_of(lambda: client.enumerate(WMI + "*", enumerate_request("SELECT Name FROM X")))
    assert fault.code == 2150858824


def test_without_optimisation_the_first_answer_is_empty_and_a_pull_has_one_item(served: Any) -> None:
    client = served.client()
    body = client.enumerate(WMI + "*", enumerate_request("SELECT Name FROM X", elements=None, optimize=False))
    assert body.find(f".//{{{W}}}Items") is None
    context = body.findtext(f".//{{{N}}}EnumerationContext")
    pull = pull_request(context)
    pull.remove(pull[1])
    assert len(client.pull(WMI + "*", pull).find(f".//{{{N}}}Items")) == 1


def test_a_context_is_valid_once_and_until_it_is_released_or_idle(serve: Any, spec: Any) -> None:
    with serve([spec(options=ServiceOptions(stack=WINRM_2))]) as served:
        client = served.client()

        def begin() -> str:
            return client.enumerate(WMI + "*", enumerate_request("SELECT Name FROM X")).findtext(
                f".//{{{N}}}EnumerationContext"
            )

        used = begin()
        client.pull(WMI + "*", pull_request(used))
        assert fault_of(lambda: client.pull(WMI + "*", pull_request(used))).code == 2150858779
        released = begin()
        release = ET.Element(f"{{{N}}}Release")
        ET.SubElement(release, f"{{{N}}}EnumerationContext").text = released
        client.invoke(N + "/Release", WMI + "*", release)
        assert fault_of(lambda: client.pull(WMI + "*", pull_request(released))).code == 2150858779
        idle = begin()
        served.call(served.lab.advance, 61)
        assert fault_of(lambda: client.pull(WMI + "*", pull_request(idle))).code == 2150858779


def test_enumeration_modes_give_references_objects_or_both(served: Any) -> None:
    client = served.client()
    a = "{http://schemas.xmlsoap.org/ws/2004/08/addressing}"
    both, _, _ = enumerate_all(client, WMI + "Win32_Thing", enumerate_request(None, "EnumerateObjectAndEPR"))
    assert [child.tag.rpartition("}")[2] for child in both[0]] == ["Win32_Thing", "EndpointReference"]
    alone, _, _ = enumerate_all(client, WMI + "Win32_Thing", enumerate_request(None, "EnumerateEPR"))
    assert [item.tag for item in alone] == [a + "EndpointReference"] * 5
    assert alone[1].findtext(f".//{{{W}}}Selector") == "i1"


@pytest.mark.parametrize(
    ("uri", "wql", "keys", "code"),
    [
        (WMI + "Win32_Service", "SELECT * FROM Win32_Service", {}, 2150859003),
        (WMI + "*", "SELECT * FROM X", {"Name": "x"}, 2150859003),
        (WMI + "Win32_Service", None, {"Name": "x"}, 2150859016),
        (WMI + "*", "SELECT * FROM Win32_Processa", {}, 2150858778),
    ],
)
def test_bad_enumerations_have_their_codes(served: Any, uri: str, wql: str, keys: Any, code: int) -> None:
    client = served.client()
    fault = fault_of(lambda: client.enumerate(uri, enumerate_request(wql), selector_set=selectors(**keys)))
    assert fault.code == code


def test_a_missing_instance_a_missing_method_and_a_foreign_uri_have_their_codes(served: Any) -> None:
    client = served.client()
    assert fault_of(lambda: client.get(WMI + "Win32_Missing", None)).code == 2150858752
    uri = WMI + "StdRegProv"
    body = ET.Element(f"{{{uri}}}NoSuchMethod_INPUT")
    assert fault_of(lambda: client.invoke(uri + "/NoSuchMethod", uri, body)).code == 2150858753
    assert fault_of(lambda: client.invoke("urn:x/NoSuchMethod", uri, body)).code == 2150858753
    assert fault_of(lambda: client.get("http://schemas.example/other", None)).code == 2150858752


def test_a_wrong_password_is_an_authentication_error_for_pypsrp(served: Any) -> None:
    with pytest.raises(AuthenticationError):
        served.client(password="wrong").get(WMI + "X")


@pytest.mark.parametrize("https", [False, True])
def test_pypsrp_runs_commands_with_output_exit_codes_and_unicode(serve: Any, spec: Any, https: bool) -> None:
    with serve([spec(https=https)]) as served:
        with WinRS(served.client(), codepage=65001, environment={"A": "1"}, working_directory="C:\\x") as shell:
            results = []
            for program, arguments in (("echo", ["grüße ☃"]), ("exit", ["3221225477"])):
                process = Process(shell, program, arguments)
                process.invoke()
                process.signal(SignalCode.CTRL_C)
                results.append((process.rc, process.stdout.decode(), process.stderr))
        assert results == [(0, "grüße ☃\r\n", b""), (3221225477, "", b"failed\r\n")]
        user = "LAB\\provmode"
        assert served.service.machine.calls[0] == ("start", ("echo grüße ☃", 65001, {"A": "1"}, "C:\\x", user))
        assert served.service.counters.commands == ["echo grüße ☃", "exit 3221225477"]


@pytest.mark.parametrize("chunk", [1, 7, 4096])
def test_pypsrp_sends_standard_input_and_puts_the_pieces_together(serve: Any, spec: Any, chunk: int) -> None:
    text = "äöü☃ standard input\n" * 20
    with serve([spec(options=ServiceOptions(chunk=chunk))]) as served:
        with WinRS(served.client(), codepage=65001) as shell:
            process = Process(shell, "cat")
            process.begin_invoke()
            process.send(text[:100].encode(), end=False)
            process.send(text[100:].encode(), end=True)
            process.end_invoke()
            process.signal(SignalCode.CTRL_C)
        assert process.stdout.decode() == text
        assert process.rc == 0


def test_pywinrm_runs_a_command_over_sealed_ntlm(served: Any) -> None:
    protocol = winrm.Protocol(
        f"http://127.0.0.1:{served.host.port}/wsman",
        transport="ntlm",
        username="LAB\\provmode",
        password=served.lab.account.password,
        message_encryption="always",
        proxy=None,
        ca_trust_path=None,
    )
    shell = protocol.open_shell(codepage=65001)
    command = protocol.run_command(shell, "echo", ["grüße"])
    assert protocol.get_command_output(shell, command) == ("grüße\r\n".encode(), b"", 0)
    protocol.cleanup_command(shell, command)
    protocol.close_shell(shell)


def test_pywinrm_is_refused_with_a_wrong_password(served: Any) -> None:
    protocol = winrm.Protocol(
        f"http://127.0.0.1:{served.host.port}/wsman",
        transport="ntlm",
        username="LAB\\provmode",
        password="wrong",
        proxy=None,
        ca_trust_path=None,
    )
    with pytest.raises(winrm.exceptions.InvalidCredentialsError):
        protocol.open_shell()


def test_the_code_page_travels_to_the_command(served: Any) -> None:
    with WinRS(served.client(), codepage=850) as shell:
        process = Process(shell, "echo", ["ü"])
        process.invoke()
        process.signal(SignalCode.CTRL_C)
    assert process.stdout == "ü\r\n".encode("cp850")


# -- client certificates ------------------------------------------------------------------------------------------


def _with_certificate(served: Any, path: Any, name: str | None = None) -> Any:
    options = {"auth": "certificate", "certificate_pem": str(path), "certificate_key_pem": str(path)}
    return served.client(name, username=None, password=None, **options)


def test_a_certificate_of_the_accounts_principal_name_logs_on(serve: Any, spec: Any) -> None:
    with serve([spec(https=True, logon=Logon(certificate=True))]) as served:
        path = served.lab.user_certificate
        mode = path.stat().st_mode & 0o777
        with WinRS(_with_certificate(served, path)) as shell:
            owner = shell.owner
        protocol = winrm.Protocol(
            f"https://localhost:{served.host.port}/wsman",
            transport="certificate",
            cert_pem=str(path),
            cert_key_pem=str(path),
            ca_trust_path=str(served.lab.authority.path),
            proxy=None,
        )
        protocol.close_shell(protocol.open_shell())

    assert (owner, mode) == ("LAB\\provmode", 0o600)


@pytest.mark.parametrize("principal", ["nobody@corp.example", "provmode@other.example", "provmode"])
def test_a_certificate_of_another_principal_name_is_not_mapped(
    serve: Any, spec: Any, tmp_path: Path, principal: str
) -> None:
    with serve([spec(https=True, logon=Logon(certificate=True))]) as served:
        served.lab.authority.issue_to_user(principal, tmp_path / "user.pem")

        with pytest.raises(AuthenticationError):
            _with_certificate(served, tmp_path / "user.pem").get(WMI + "X", None)


def test_a_certificate_is_no_logon_where_that_is_off_and_one_of_a_stranger_ends_tls(
    serve: Any, spec: Any, tmp_path: Path
) -> None:
    specs = [spec("PC-1", https=True), spec("PC-2", https=True, logon=Logon(certificate=True))]
    (tmp_path / "stranger").mkdir()
    CertificateAuthority(tmp_path / "stranger").issue_to_user("provmode@corp.example", tmp_path / "user.pem")
    with serve(specs) as served:
        with pytest.raises(AuthenticationError):
            _with_certificate(served, served.lab.user_certificate).get(WMI + "X", None)

        with pytest.raises(requests.exceptions.ConnectionError):
            _with_certificate(served, tmp_path / "user.pem", "PC-2").get(WMI + "X", None)
        counters = served.lab.services["PC-2"].counters

    assert counters.requests == 0
