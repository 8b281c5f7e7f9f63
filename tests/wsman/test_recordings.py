"""Recorded answers of real machines, read by our decoder: the right result, and one clear error if cut at any byte.

The recordings are data of other projects (``tests/recordings``), each under its own licence. Those projects insert the
identifiers when they replay a recording; here the recorded ones stay, and gaps in a template get ours.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from provmode.wsman import (
    CommandLine,
    Completed,
    Enumerate,
    Fault,
    FaultKind,
    Get,
    Identify,
    Identity,
    Instance,
    Invoke,
    MalformedAnswer,
    Operation,
    Request,
    Resource,
    Response,
    UnexpectedAnswer,
    boolean,
    decode,
    encode,
    exchange,
    exchange_for,
    integer,
    strings,
    text,
    uris,
)

RECORDINGS = Path(__file__).parents[1] / "recordings"
OUR_ID = "uuid:5E6FD101-710A-4EEA-A50D-70C0BF863AA3"
COMMAND_ID = "5B8A3515-ADB4-4AE2-90A8-4665AE9E71A2"
SHELLS = Resource(uris.CMD_SHELL, (("ShellId", "62DE33F0-8674-43D9-B6A5-3298012CC4CD"),))

SPLICED = ("uuid:C6D0BB3D-5D04-44D6-ADC9-1DB2E445AB14", "uuid:52898947-C9BF-4DA9-9A9D-FAFB0CDB5566")
"""The answer to Delete in ``test_winrs_unicode`` is from another run; here it relates to the message it answers."""


@dataclass(frozen=True)
class Message:
    """One recorded message and its answer."""

    request: ET.Element
    answer: bytes

    @property
    def action(self) -> str:
        """Return the action that was asked."""
        return self.request.findtext(f".//{{{uris.ADDRESSING}}}Action", "")

    @property
    def id(self) -> str:
        """Return the id of the message that was answered."""
        return self.request.findtext(f".//{{{uris.ADDRESSING}}}MessageID", "")

    @property
    def body(self) -> ET.Element:
        """Return the body that was sent."""
        found = self.request.find(f"{{{uris.SOAP}}}Body")
        assert found is not None
        return found


def answer_in(name: str) -> bytes:
    """Return the recorded answer in a file, with the gaps of its template filled in."""
    data = (RECORDINGS / name).read_text(encoding="utf-8")
    data = re.sub(r"\{\{ xPath .*? \}\}", OUR_ID, data)
    data = data.replace("<%= command_id %>", COMMAND_ID)
    return re.sub(r"<%= test_data_\w+ %>", "aGkNCg==", data).encode()


def pypsrp(name: str) -> list[Message]:
    """Return a dialogue that pypsrp recorded."""
    document = yaml.safe_load((RECORDINGS / "pypsrp" / f"{name}.yml").read_text(encoding="utf-8"))
    return [
        Message(ET.fromstring(item["request"]), item["response"].replace(*SPLICED).encode())
        for item in document["messages"]
    ]


def winrm4j(name: str) -> list[Message]:
    """Return a dialogue that winrm4j recorded, with its gaps filled in."""
    whole = (RECORDINGS / "cloudsoft-winrm4j" / f"{name}.xml").read_text(encoding="utf-8")
    whole = whole.replace("${messageId}", OUR_ID).replace("${serviceUrl}", "http://pc-1:5985/wsman")
    return [Message(item[0][0], ET.tostring(item[1][0])) for item in ET.fromstring(whole)]


def winrmsharp(name: str) -> list[Message]:
    """Return a dialogue that WinRMSharp recorded."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    document = yaml.load((RECORDINGS / "adstep-WinRMSharp" / f"{name}.yml").read_text(encoding="utf-8"), loader)
    return [
        Message(
            ET.fromstring(re.sub(r"\A<\?xml[^>]*\?>", "", item["Request"]["Body"]).strip()),
            item["Response"]["Body"].encode(),
        )
        for item in document
    ]


PYPSRP = sorted(path.stem for path in (RECORDINGS / "pypsrp").glob("test_*.yml"))
WINRM4J = ("win7", "win12")
WINRMSHARP = sorted(path.stem for path in (RECORDINGS / "adstep-WinRMSharp").glob("*.yml"))
SINGLE = sorted(
    f"{folder}/{path.name}"
    for folder in ("ianclegg-winrmlib", "masterzen-winrm", "opennms-wsman", "openwsman", "winrb-winrm")
    for path in (RECORDINGS / folder).glob("*.xml*")
)
DIALOGUES = (
    {name: pypsrp(name) for name in PYPSRP}
    | {name: winrm4j(name) for name in WINRM4J}
    | {name: winrmsharp(name) for name in WINRMSHARP}
)
ANSWERS = {name: answer_in(name) for name in SINGLE} | {
    f"{name} {number}": message.answer
    for name, messages in DIALOGUES.items()
    for number, message in enumerate(messages)
}
"""Every recorded answer, by the name of its file and, in a dialogue, its number."""


def replay(operation: Operation, messages: list[Message]) -> tuple[list[Request], Any]:
    """Return the requests and the result of our exchange if each request gets the answer recorded for its action."""
    left = list(messages)
    running = exchange_for(operation)
    sent = [next(running)]
    try:
        while True:
            message = next(item for item in left if item.action == sent[-1].action)
            left.remove(message)
            try:
                response = decode(message.answer, message_id=message.id)
            except Fault as fault:
                sent.append(running.throw(fault))
            else:
                sent.append(running.send(response))
    except StopIteration as end:
        return sent, end.value


def single(operation: Operation, *names: str, message_id: str | None = None) -> Any:
    """Return the result of an exchange that gets the recorded answers called *names*."""
    running = exchange_for(operation)
    next(running)
    try:
        for name in names:
            running.send(decode(ANSWERS[name], message_id=message_id))
    except StopIteration as end:
        return end.value
    raise AssertionError("the exchange did not end")


def started() -> Any:
    """Return the exchange of a running command: shell and command id as recorded, waiting for output."""
    running = exchange_for(CommandLine("x"))
    next(running)
    running.send(decode(ANSWERS["winrb-winrm/open_shell_v2.xml"]))
    assert running.send(decode(ANSWERS["ianclegg-winrmlib/command_response.xml"])).shape == "Receive"
    return running


def fault_in(name: str) -> Fault:
    with pytest.raises(Fault) as caught:
        decode(ANSWERS[name], message_id="uuid:of-another-message")
    return caught.value


# -- whole dialogues ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("test_winrs_standard", Completed(0, b"hi\r\n")),
        ("test_winrs_stderr_rc", Completed(1, b"out \r\n", b"err \r\n")),
        ("test_winrs_unicode", Completed(0, "こんにちは\n".encode())),
        ("test_winrs_operation_timeout", Completed(0, b"hi\nhi again\n")),
        ("win7", Completed(0, b"myline\r\n")),
        ("win12", Completed(0, b"myline\r\n")),
        ("ClientRunCommandWithArgs", Completed(0, b"abc\r\n")),
        ("ProtocolRunCommandWithEnv", Completed(0, b"hi mom another var\r\n")),
        ("ProtocolRunCommandWithUnicode", Completed(0, "こんにちは\n".encode())),
        ("ProtocolRunCommandWithCommandTimeout", Completed(0)),
    ],
)
def test_a_recorded_command_has_the_recorded_outcome(name: str, expected: Completed) -> None:
    sent, completed = replay(CommandLine("x"), DIALOGUES[name])

    assert completed == expected
    assert [request.shape for request in sent][-1] == "ShellDelete"


def test_standard_input_is_sent_in_the_recorded_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "SEND_CHUNK", len(b'Write-Host "output 1";'))
    stdin = b'Write-Host "output 1";Write-Host "output 2";'
    sent, completed = replay(CommandLine("powershell.exe -", stdin), DIALOGUES["test_winrs_send"])
    recorded = [message.body[0][0] for message in DIALOGUES["test_winrs_send"] if message.action == uris.SEND]
    ours = [ET.fromstring(written(request)).findall(f".//{{{uris.SHELL}}}Stream")[0] for request in sent[2:4]]

    assert completed == Completed(0, b"output 1\noutput 2\n")
    assert [item.text for item in ours] == [item.text for item in recorded]
    assert [item.get("End", "false").lower() for item in ours] == [item.get("End", "").lower() for item in recorded]


def test_powershell_on_windows_11_hears_the_end_of_its_input() -> None:
    """The script ends at the end of its input. The client had declared a console: this Windows ignores that."""
    messages = DIALOGUES["ClientPutFile"]
    options = next(message for message in messages if message.action == uris.COMMAND).request
    declared = {item.get("Name"): item.text for item in options.iter(f"{{{uris.WSMAN}}}Option")}
    data = base64.b64decode(next(m for m in messages if m.action == uris.SEND).body[0][0].text or "")

    sent, completed = replay(CommandLine("powershell.exe -EncodedCommand ...", data), messages)

    assert declared["WINRS_CONSOLEMODE_STDIN"] == "TRUE"
    assert [request.shape for request in sent].count("Send") == 1
    assert completed.exit_code == 0
    assert completed.stdout == b"32d10c7b8cf96570ca04ce37f2a19d84240d3a89\r\n"
    assert completed.stderr.startswith(b"#< CLIXML\r\n<Objs ")


def test_a_command_that_fails_on_windows_11_has_its_exit_code_and_its_errors() -> None:
    _, completed = replay(CommandLine("x"), DIALOGUES["ClientFetchFileFailDir"])

    assert (completed.exit_code, completed.stdout) == (1, b"")
    assert completed.stderr.startswith(b"#< CLIXML\r\n<Objs ")


def test_standard_output_of_windows_11_is_put_together_from_all_pieces() -> None:
    _, completed = replay(CommandLine("x"), DIALOGUES["ProtocolGetCommandState"])

    assert completed.stdout.startswith(
        b"\r\nWindows IP Configuration\r\n\r\n   Host Name . . . . . . . . . . . . : winrm-vm-003\r\n"
    )


def test_receive_is_repeated_after_every_recorded_time_out() -> None:
    sent, _ = replay(CommandLine("x"), DIALOGUES["test_winrs_operation_timeout"])

    assert [request.shape for request in sent].count("Receive") == 4


def test_an_unknown_command_gives_the_recorded_fault_and_the_shell_is_freed() -> None:
    sent: list[str] = []
    running = exchange_for(CommandLine("x"))
    answers = {message.action: message for message in DIALOGUES["test_winrs_bad_cmd_id"]}
    request = next(running)
    with pytest.raises(Fault) as caught:  # noqa: PT012 - any step may raise
        while True:
            sent.append(request.shape)
            message = answers[request.action]
            try:
                response = decode(message.answer, message_id=message.id)
            except Fault as fault:
                request = running.throw(fault)
            else:
                request = running.send(response)

    assert sent == ["ShellCreate", "Command", "Receive", "Signal", "ShellDelete"]
    assert (caught.value.code, caught.value.subcode) == (2150858843, "InvalidSelectors")
    assert caught.value.kind is FaultKind.INVALID


def test_a_missing_program_gives_the_recorded_fault() -> None:
    with pytest.raises(Fault) as caught:
        replay(CommandLine("x"), DIALOGUES["test_winrs_no_cmd_shell"])

    assert caught.value.code == 2147942402
    assert caught.value.reason == "The system cannot find the file specified."
    assert caught.value.kind is FaultKind.NOT_FOUND


def test_the_recorded_configuration_is_read_with_its_nested_values() -> None:
    name = "test_wsman_update_envelope_size_150"
    _, config = replay(Get(Resource("http://schemas.microsoft.com/wbem/wsman/1/config")), DIALOGUES[name])
    service = config.properties["Service"]

    assert (config.class_name, integer(config, "MaxEnvelopeSizekb")) == ("Config", 150)
    assert integer(config, "MaxBatchItems") == exchange.MAX_ELEMENTS
    assert integer(service, "MaxConcurrentOperations") == 2**32 - 1
    assert boolean(service, "AllowUnencrypted") is False
    assert text(service.properties["Auth"], "CbtHardeningLevel") == "Relaxed"
    assert text(service, "CertificateThumbprint") == ""


@pytest.mark.parametrize("name", DIALOGUES)
def test_every_recorded_answer_relates_only_to_its_message(name: str) -> None:
    for message in DIALOGUES[name]:
        try:
            decode(message.answer, message_id=message.id)
        except Fault:
            continue  # decode does not check what a fault relates to
        with pytest.raises(UnexpectedAnswer, match="another message"):
            decode(message.answer, message_id="uuid:FFFFFFFF-0000-0000-0000-000000000000")


# -- recorded requests, compared with ours -----------------------------------------------------------------------


def written(request: Request) -> bytes:
    return encode(request, to="http://pc-1:5985/wsman", message_id=OUR_ID, operation_timeout=60)


def shape(element: ET.Element) -> Any:
    """Return names, attributes and texts, with identifiers left out."""
    varies = re.compile(r"^[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}$")
    attributes = {key.rpartition("}")[2]: "*" if varies.match(value) else value for key, value in element.items()}
    return (element.tag, attributes, (element.text or "").strip(), [shape(item) for item in element])


@pytest.mark.parametrize("name", ["test_winrs_standard", "win7", "win12"])
@pytest.mark.parametrize("kind", ["ShellCreate", "Receive", "ShellDelete"])
def test_our_request_has_the_body_of_the_recorded_request(name: str, kind: str) -> None:
    sent, _ = replay(CommandLine("x"), DIALOGUES[name])
    request = next(item for item in sent if item.shape == kind)
    recorded = next(message for message in DIALOGUES[name] if message.action == request.action)
    body = ET.fromstring(written(request)).find(f"{{{uris.SOAP}}}Body")

    assert body is not None
    for shell in body.iterfind(f"{{{uris.SHELL}}}Shell"):
        shell.remove(one_idle_timeout(shell))  # of which only answers are recorded
    assert shape(body) == shape(recorded.body)


def one_idle_timeout(shell: ET.Element) -> ET.Element:
    """Return the ``IdleTimeOut`` of a shell, which is written as in the answers of Windows."""
    asked = shell.findall(f"{{{uris.SHELL}}}IdleTimeOut")
    duration = re.compile(r"PT[0-9]+(\.[0-9]+)?S")
    assert len(asked) == 1
    assert duration.fullmatch(asked[0].text or "")
    assert b"<rsp:IdleTimeOut>PT7200.000S</rsp:IdleTimeOut>" in ANSWERS["masterzen-winrm/createShellResponse.xml"]
    return asked[0]


def options_of(request: ET.Element) -> list[tuple[str | None, str]]:
    """Return the options of a request, their values without case (``xs:boolean`` and Windows take both)."""
    found = request.iterfind(f".//{{{uris.WSMAN}}}Option")
    return [(item.get("Name"), (item.text or "").lower()) for item in found]


@pytest.mark.parametrize("name", sorted({*PYPSRP} - {"test_winrs_no_cmd_shell", "test_wsman_update_envelope_size_150"}))
def test_our_command_has_the_options_of_the_recorded_commands(name: str) -> None:
    recorded = next(message.request for message in DIALOGUES[name] if message.action == uris.COMMAND)
    running = exchange_for(CommandLine("powershell.exe -", b"1"))
    next(running)
    command = running.send(decode(ANSWERS["winrb-winrm/open_shell_v2.xml"]))

    assert options_of(ET.fromstring(written(command))) == options_of(recorded)
    assert [name for name, _ in options_of(recorded)] == ["WINRS_SKIP_CMD_SHELL"]  # standard input is not a console


@pytest.mark.parametrize("name", WINRM4J)
def test_our_command_and_signal_are_the_recorded_ones(name: str) -> None:
    dialogue = {message.action: message for message in DIALOGUES[name]}
    running = exchange_for(CommandLine("echo myline"))
    next(running)
    command = running.send(decode(dialogue[uris.CREATE].answer))
    running.send(decode(dialogue[uris.COMMAND].answer))
    signal = running.throw(Fault(code=5))

    for request in (command, signal):
        ours, recorded = ET.fromstring(written(request)), dialogue[request.action].request
        assert set(options_of(ours)) <= set(options_of(recorded))  # theirs has WINRS_CONSOLEMODE_STDIN besides
        for path in (f".//{{{uris.WSMAN}}}SelectorSet", f"{{{uris.SOAP}}}Body"):
            one, other = ours.find(path), recorded.find(path)
            assert (one is None) == (other is None)
            if one is not None and other is not None:
                assert [shape(item) for item in one] == [shape(item) for item in other]


@pytest.mark.parametrize("name", DIALOGUES)
def test_our_header_has_every_header_of_the_recorded_requests(name: str) -> None:
    optional = {f"{{{uris.WSMV}}}SessionId", f"{{{uris.WSMAN}}}OptionSet"}
    for message in DIALOGUES[name]:
        header = message.request.find(f"{{{uris.SOAP}}}Header")
        assert header is not None
        resource = SHELLS if header.find(f"{{{uris.WSMAN}}}SelectorSet") is not None else Resource(uris.CMD_SHELL)
        ours = ET.fromstring(written(Request("Get", message.action, resource, "", "x")))[0]

        assert {item.tag for item in header} - optional <= {item.tag for item in ours}


def test_the_enumeration_another_client_sent_has_our_address_and_action() -> None:
    recorded = ET.fromstring(ANSWERS["openwsman/mu_002.xml"])
    ours = ET.fromstring(written(next(exchange_for(Enumerate(Resource.cim("root/cimv2", "Win32_Service"))))))

    for path in (f"{{{uris.ADDRESSING}}}Action", f"{{{uris.WSMAN}}}ResourceURI", f"{{{uris.ADDRESSING}}}Address"):
        assert ours.findtext(f".//{path}") == recorded.findtext(f".//{path}")
    assert recorded.find(f".//{{{uris.ENUMERATION}}}Enumerate") is not None


# -- single answers ----------------------------------------------------------------------------------------------


def test_the_recorded_keys_of_the_registry_are_read() -> None:
    asked = Invoke(Resource.cim("root/default", "StdRegProv"), "EnumKey")
    output = single(asked, "openwsman/EnumKey.xml", message_id="uuid:357dee93-b5a1-15a1-8004-4b73f7201300")
    names = strings(output, "sNames")

    assert (output.class_name, output.uri) == ("EnumKey_OUTPUT", asked.resource.uri)
    assert (len(names), names[0], names[-1]) == (26, "AddressBook", "{F8FBDC28-C265-4F0D-8B91-6E92913E19F6}")
    assert integer(output, "ReturnValue") == 0


def test_the_recorded_identity_is_read() -> None:
    identity = single(Identify(), "opennms-wsman/identify-response.xml", message_id=OUR_ID)

    assert identity == Identity("Openwsman Project", "2.0.0", uris.WSMAN)


def test_the_recorded_object_is_read_with_its_arrays_and_nils() -> None:
    found = single(Get(Resource("u")), "opennms-wsman/get-response.xml", message_id=OUR_ID)

    assert found.class_name == "DCIM_ComputerSystem"
    assert found.properties["Caption"] is None
    assert text(found, "Name") == "srv:system"
    assert strings(found, "OperationalStatus") == ("2", "3")
    assert strings(found, "OtherIdentifyingInfo") == ("ANONYMIZED01", "mainsystemchassis", "ANONYMIZED02")
    assert len(found.properties) == 31


def test_the_recorded_projection_of_a_german_windows_is_read_over_two_answers() -> None:
    fragments = "opennms-wsman/optimized-enum-response-with-fragments-{}.xml"
    found = single(
        Enumerate.query("root/cimv2", "SELECT ..."), fragments.format(1), fragments.format(2), message_id=OUR_ID
    )

    assert [(text(item, "Name"), integer(item, "FreeSpace")) for item in found] == [
        ("A:", None),
        ("C:", 44_395_380_736),
        ("D:", 30_545_928_192),
        ("E:", None),
    ]
    assert {item.class_name for item in found} == {"XmlFragment"}


@pytest.mark.parametrize(
    ("names", "voltages"),
    [
        (["optimized-enum-response"], [120]),
        (["enum-response", "pull-response"], [120]),
        (["enum-response", "recursive-pull-response-2"], [121]),
    ],
)
def test_the_recorded_enumerations_are_read_to_their_end(names: list[str], voltages: list[int]) -> None:
    found = single(Enumerate(Resource("u")), *(f"opennms-wsman/{name}.xml" for name in names), message_id=OUR_ID)

    assert [integer(item, "InputVoltage") for item in found] == voltages
    assert {item.class_name for item in found} == {"DCIM_PowerSupplyView"}


def test_a_page_with_neither_end_nor_context_is_refused() -> None:
    # recorded from a management board and cut by its authors: Windows always sends one of the two
    with pytest.raises(UnexpectedAnswer, match="neither EndOfSequence nor a context"):
        single(
            Enumerate(Resource("u")), "opennms-wsman/enum-response.xml", "opennms-wsman/recursive-pull-response-1.xml"
        )


@pytest.mark.parametrize(
    ("name", "shell"),
    [
        ("open_shell_v1.xml", ("ShellId", "uuid:739990FF-1492-4CDD-80BB-6E07ADB06D85")),
        ("open_shell_v2.xml", ("ShellId", "62DE33F0-8674-43D9-B6A5-3298012CC4CD")),
    ],
)
def test_the_recorded_shells_are_addressed_by_their_id(name: str, shell: tuple[str, str]) -> None:
    running = exchange_for(CommandLine("x"))
    next(running)
    command = running.send(decode(ANSWERS[f"winrb-winrm/{name}"]))

    assert (command.shape, command.resource) == ("Command", Resource(uris.CMD_SHELL, (shell,)))


def test_a_shell_of_another_server_is_addressed_by_its_uri() -> None:
    running = exchange_for(CommandLine("x"))
    next(running)
    resource = running.send(decode(ANSWERS["winrb-winrm/open_shell_omi.xml"])).resource

    assert resource is not None
    assert resource.uri == "http://schemas.microsoft.com/powershell/Microsoft.PowerShell"
    assert [(name, value.strip()) for name, value in resource.selectors] == [
        ("ShellId", "74142DC5-E14D-4FCC-86ED-63DA3EE8407E")
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("get_command_output_response.xml.erb", Completed(0, b"hi\r\n", b"hi\r\n")),
        ("get_powershell_output_response.xml.erb", Completed(0, b"hi\r\n")),
    ],
)
def test_a_command_ends_with_its_recorded_last_answer(name: str, expected: Completed) -> None:
    running = started()
    assert running.send(decode(ANSWERS[f"winrb-winrm/{name}"])).shape == "ShellDelete"

    with pytest.raises(StopIteration) as caught:
        running.send(Response("", None))
    assert caught.value.value == expected


@pytest.mark.parametrize(
    "name",
    [
        "get_command_output_response_not_done.xml.erb",
        "get_omi_command_output_response_not_done.xml.erb",
        "get_omi_powershell_keepalive_response.xml.erb",
        "get_powershell_keepalive_response.xml.erb",
        "get_powershell_output_response_not_done.xml.erb",
    ],
)
def test_more_output_is_received_after_the_recorded_answer_of_a_running_command(name: str) -> None:
    assert started().send(decode(ANSWERS[f"winrb-winrm/{name}"])).shape == "Receive"


def test_masterzens_answers_are_those_of_one_command() -> None:
    def answer(name: str) -> Response:
        return decode(ANSWERS[f"masterzen-winrm/{name}.xml"])

    running = exchange_for(CommandLine("x"))
    next(running)
    command = running.send(answer("createShellResponse"))
    shapes = [running.send(answer("executeCommandResponse")).shape, running.send(answer("outputResponse")).shape]
    shapes.append(running.send(answer("singleOutputResponse")).shape)
    shapes.append(running.throw(fault_in("masterzen-winrm/operationTimeoutResponse.xml")).shape)

    assert command.resource == Resource(uris.CMD_SHELL, (("ShellId", "67A74734-DD32-4F10-89DE-49A060483810"),))
    assert shapes == ["Receive"] * 4
    running.close()


@pytest.mark.parametrize(("name", "code"), [("doneCommandExitCode0Response", 0), ("doneCommandResponse", 123)])
def test_masterzens_last_answers_have_no_streams_and_an_exit_code(name: str, code: int) -> None:
    body = decode(ANSWERS[f"masterzen-winrm/{name}.xml"]).body

    assert body is not None
    assert [item.tag.rpartition("}")[2] for item in body] == ["CommandState"]
    assert body.findtext(f".//{{{uris.SHELL}}}ExitCode") == str(code)


def test_another_servers_end_of_a_command_without_an_exit_code_is_refused() -> None:
    running = started()
    assert running.send(decode(ANSWERS["winrb-winrm/get_omi_command_output_response.xml.erb"])).shape == "Signal"
    running.send(Response("", None))
    with pytest.raises(UnexpectedAnswer, match="exit code"):
        running.send(Response("", None))


def test_output_is_received_with_the_recorded_command_id() -> None:
    running = exchange_for(CommandLine("x"))
    next(running)
    running.send(decode(ANSWERS["winrb-winrm/open_shell_v2.xml"]))
    receive = running.send(decode(ANSWERS["ianclegg-winrmlib/command_response.xml"]))

    assert f'CommandId="{COMMAND_ID}"' in receive.body
    assert receive.resource == SHELLS


def test_the_recorded_empty_answer_is_empty() -> None:
    assert decode(ANSWERS["ianclegg-winrmlib/empty_response.xml"], message_id=OUR_ID) == Response("", None)


# -- faults ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "code", "subcode", "kind"),
    [
        ("ianclegg-winrmlib/concurrent_operations_fault.xml", 2150859174, "InternalError", FaultKind.QUOTA),
        ("ianclegg-winrmlib/operation_timeout.xml", 2150858793, "TimedOut", FaultKind.TIMED_OUT),
        ("opennms-wsman/get-response-fault.xml", 2150858752, "DestinationUnreachable", FaultKind.NOT_FOUND),
        ("masterzen-winrm/operationTimeoutResponse.xml", 2150858793, "TimedOut", FaultKind.TIMED_OUT),
        ("ProtocolRunCommandExceedingOperationTimeout 2", 2150858793, "TimedOut", FaultKind.TIMED_OUT),
        ("ProtocolGetCommandStateBeforeRun 1", 2150858843, "InvalidSelectors", FaultKind.INVALID),
        ("winrb-winrm/soap_fault_v1.xml", 2150858778, "CannotProcessFilter", FaultKind.INVALID),
        ("winrb-winrm/soap_fault_v2.xml", 2150858778, "CannotProcessFilter", FaultKind.NOT_FOUND),
        ("winrb-winrm/wmi_error_v2.xml", 2150859173, "QuotaLimit", FaultKind.QUOTA),
        ("winrb-winrm/soap_fault_omi.xml", None, "InternalError", FaultKind.UNKNOWN),
        ("winrb-winrm/get_omi_config_response.xml", None, "InternalError", FaultKind.UNKNOWN),
    ],
)
def test_the_recorded_faults_have_their_number_and_kind(
    name: str, code: int | None, subcode: str, kind: FaultKind
) -> None:
    fault = fault_in(name)

    assert (fault.code, fault.subcode, fault.kind) == (code, subcode, kind)


def test_the_recorded_fault_of_a_command_line_that_is_too_long_has_its_number_and_text() -> None:
    fault = fault_in("masterzen-winrm/executeCommandResponseWithError.xml")

    assert (fault.code, fault.subcode) == (2147942606, "InternalError")
    assert fault.reason == "The filename or extension is too long."


def test_the_recorded_faults_have_the_text_of_the_provider_and_the_name_of_the_pc() -> None:
    missing = fault_in("winrb-winrm/soap_fault_v2.xml")
    unreachable = fault_in("opennms-wsman/get-response-fault.xml")
    quota = fault_in("winrb-winrm/wmi_error_v2.xml")

    assert missing.name == "ERROR_WSMAN_ENUMERATE_CANNOT_PROCESS_FILTER"
    assert missing.provider_text == "The specified class does not exist in the given namespace."
    assert (missing.operation, missing.machine, missing.wmi_status) == ("ExecQuery", "vagrant-2008R2", None)
    assert unreachable.machine == "WIN-PHTGQ0P3OAO"
    assert "maximum number of 30 concurrent shells" in str(quota)
    assert (quota.cim_status, quota.name) == (27, "ERROR_WSMAN_QUOTA_MAX_SHELLS")


# -- all of them -------------------------------------------------------------------------------------------------


def test_every_recording_is_read_by_these_tests() -> None:
    read = {*SINGLE, *(f"pypsrp/{name}.yml" for name in PYPSRP), *(f"cloudsoft-winrm4j/{name}.xml" for name in WINRM4J)}
    read |= {f"adstep-WinRMSharp/{name}.yml" for name in WINRMSHARP}
    kept = {
        str(path.relative_to(RECORDINGS)) for path in RECORDINGS.glob("*/*") if path.suffix in (".xml", ".yml", ".erb")
    }

    assert kept == {*read, "pypsrp/_template.yml"}


def test_every_source_has_its_licence_beside_it_and_a_line_in_the_list() -> None:
    listed = (RECORDINGS / "README.md").read_text(encoding="utf-8")
    for folder in (path for path in RECORDINGS.iterdir() if path.is_dir()):
        assert any((folder / name).is_file() for name in ("LICENSE", "LICENSE.txt", "COPYING"))
        assert f"`{folder.name}" in listed


def outcome(read: Callable[[], Response]) -> Any:
    """Return an answer or fault as something that can be compared."""
    try:
        response = read()
    except Fault as fault:
        return vars(fault)
    body = response.body
    return response.action, None if body is None else ET.tostring(body), len(response.rest)


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-8-sig"])
def test_a_recorded_answer_means_the_same_in_every_encoding(name: str, encoding: str) -> None:
    whole = re.sub(r"\A<\?xml[^>]*\?>", "", ANSWERS[name].decode()).lstrip()

    assert outcome(lambda: decode(whole.encode(encoding))) == outcome(lambda: decode(ANSWERS[name]))


@pytest.mark.parametrize("name", ANSWERS)
@settings(max_examples=25)
@given(data=st.data())
def test_a_recorded_answer_cut_at_any_byte_is_refused(name: str, data: st.DataObject) -> None:
    whole = ANSWERS[name].rstrip()

    with pytest.raises(MalformedAnswer):
        decode(whole[: data.draw(st.integers(0, len(whole) - 1))])


OPERATIONS: tuple[Operation, ...] = (
    Identify(),
    Get(SHELLS),
    Enumerate(SHELLS),
    Invoke(SHELLS, "EnumKey"),
    CommandLine("x"),
)


@pytest.mark.parametrize("name", ANSWERS)
@settings(max_examples=25)
@given(data=st.data())
def test_a_recorded_answer_with_a_piece_missing_raises_only_the_documented_errors(
    name: str, data: st.DataObject
) -> None:
    whole = ANSWERS[name]
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, len(whole)))
    running = exchange_for(data.draw(st.sampled_from(OPERATIONS)))
    next(running)
    if data.draw(st.booleans()):
        running = started()
    result: Any = None
    try:
        running.send(decode(whole[:start] + whole[end:]))
    except StopIteration as finished:
        result = finished.value
    except (Fault, MalformedAnswer, UnexpectedAnswer):
        return
    assert result is None or isinstance(result, (Identity, Instance, list))
    running.close()
