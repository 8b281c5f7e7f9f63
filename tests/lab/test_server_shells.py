"""Shells over WS-Management: refused requests, waiting, and the end of a shell."""

from __future__ import annotations

import base64
import threading
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from provmode.lab.server.envelope import WINRM_1, WINRM_2, WINRM_3, WINRM_3_2012, Stack
from provmode.lab.server.hosting import USER
from provmode.lab.server.service import ServiceOptions

SHELL = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell"
TRANSFER = "http://schemas.xmlsoap.org/ws/2004/09/transfer"
RSP = f"{{{SHELL}}}"


class ShellClient:
    """Sends the shell's messages one by one."""

    def __init__(self, client: Any, envelope: Any) -> None:
        self._client, self._envelope = client, envelope
        self.shell = ""

    def send(self, action: str, body: str, options: str = "", timeout: str = "PT60S") -> tuple[int, ET.Element]:
        selectors = f'<w:SelectorSet><w:Selector Name="ShellId">{self.shell}</w:Selector></w:SelectorSet>'
        message = self._envelope(
            action,
            SHELL + "/cmd",
            body.replace(">", f' xmlns:rsp="{SHELL}">', 1),
            (selectors if self.shell else "") + options,
            OperationTimeout=f"<w:OperationTimeout>{timeout}</w:OperationTimeout>",
        )
        response, answer = self._client.sealed(message)
        return response.status, ET.fromstring(answer)

    def create(self, body: str = "<rsp:Shell></rsp:Shell>") -> ET.Element:
        status, root = self.send(TRANSFER + "/Create", body)
        if status == 200:
            self.shell = root.findtext(f".//{RSP}ShellId") or ""
        return root

    def command(self, line: str, options: str = "") -> ET.Element:
        body = f"<rsp:CommandLine><rsp:Command>{line}</rsp:Command></rsp:CommandLine>"
        return self.send(SHELL + "/Command", body, options)[1]

    def run(self, line: str) -> str:
        return self.command(line).findtext(f".//{RSP}CommandId") or ""

    def receive(self, command: str, timeout: str = "PT60S") -> ET.Element:
        body = f'<rsp:Receive><rsp:DesiredStream CommandId="{command}">stdout stderr</rsp:DesiredStream></rsp:Receive>'
        return self.send(SHELL + "/Receive", body, timeout=timeout)[1]

    def signal(self, command: str, code: str) -> ET.Element:
        body = f'<rsp:Signal CommandId="{command}"><rsp:Code>{SHELL}/signal/{code}</rsp:Code></rsp:Signal>'
        return self.send(SHELL + "/Signal", body)[1]

    def stdin(self, command: str, data: str, end: bool) -> ET.Element:
        stream = f'<rsp:Stream Name="stdin" CommandId="{command}" End="{end}">{data}</rsp:Stream>'
        return self.send(SHELL + "/Send", f"<rsp:Send>{stream}</rsp:Send>")[1]


def code_of(root: ET.Element) -> int:
    fault = next(root.iter("{http://schemas.microsoft.com/wbem/wsman/1/wsmanfault}WSManFault"))
    return int(fault.get("Code", "0"))


def state_of(root: ET.Element) -> str:
    return next(root.iter(RSP + "CommandState")).get("State", "").rpartition("/")[2]


def output_of(root: ET.Element, name: str = "stdout") -> bytes:
    return b"".join(base64.b64decode(e.text or "") for e in root.iter(RSP + "Stream") if e.get("Name") == name)


@pytest.fixture
def connect(raw: Any, envelope: Any) -> Any:
    def make(served: Any) -> ShellClient:
        client = raw(served.host)
        assert client.login(USER, served.lab.account.password) == 200
        return ShellClient(client, envelope)

    return make


@pytest.fixture
def shell(served: Any, connect: Any) -> ShellClient:
    client: ShellClient = connect(served)
    client.create()
    return client


def test_a_shell_names_its_owner(served: Any, connect: Any) -> None:
    root = connect(served).create("<rsp:Shell><rsp:IdleTimeOut>PT90S</rsp:IdleTimeOut></rsp:Shell>")
    assert root.findtext(f".//{RSP}Owner") == USER
    assert root.findtext(f".//{RSP}ClientIP") == "127.0.0.1"
    assert root.findtext(f".//{RSP}IdleTimeOut") == "PT90.000S"
    identity = root.findtext(f".//{RSP}ShellId") or ""
    assert identity == identity.upper()
    assert len(identity) == 36


def test_output_then_the_end_of_both_streams_then_done(shell: ShellClient) -> None:
    root = shell.receive(shell.run("echo hi"))
    assert output_of(root) == b"hi\r\n"
    ends = [(e.get("Name"), e.get("End")) for e in root.iter(RSP + "Stream") if e.get("End")]
    assert ends == [("stdout", "true"), ("stderr", "true")]
    assert state_of(root) == "Done"
    assert root.findtext(f".//{RSP}ExitCode") == "0"


def test_receive_waits_until_the_operation_times_out(shell: ShellClient) -> None:
    command = shell.run("wait")
    assert code_of(shell.receive(command, "PT0.1S")) == 2150858793
    assert code_of(shell.receive(command, "PT0.1S")) == 2150858793


def test_receive_is_answered_as_soon_as_another_connection_sends(served: Any, shell: ShellClient, connect: Any) -> None:
    command = shell.run("cat")
    other = connect(served)
    other.shell = shell.shell
    answers: list[ET.Element] = []
    waiting = threading.Thread(target=lambda: answers.append(shell.receive(command)))
    waiting.start()
    other.stdin(command, base64.b64encode(b"one").decode(), end=False)
    waiting.join(30)
    assert output_of(answers[0]) == b"one"
    assert state_of(answers[0]) == "Running"


def test_a_shell_and_its_output_survive_the_connection(served: Any, shell: ShellClient, connect: Any) -> None:
    command = shell.run("echo kept")
    shell._client.close()
    later = connect(served)
    later.shell = shell.shell
    assert output_of(later.receive(command)) == b"kept\r\n"


def test_ctrl_c_ends_a_command_and_terminate_frees_it(shell: ShellClient) -> None:
    command = shell.run("wait")
    shell.signal(command, "ctrl_c")
    assert shell.receive(command).findtext(f".//{RSP}ExitCode") == str(0xC000013A)
    other = shell.run("wait")
    shell.signal(other, "terminate")
    assert code_of(shell.receive(other)) == 2150858843


def test_a_second_command_waits_for_the_first_to_be_delivered(shell: ShellClient) -> None:
    first = shell.run("echo one")
    assert "concurrent commands per shell" in ET.tostring(shell.command("echo two"), encoding="unicode")
    shell.receive(first)
    assert output_of(shell.receive(shell.run("echo two"))) == b"two\r\n"


@pytest.mark.parametrize("line", ["", "  "])
def test_an_empty_command_is_an_invalid_parameter(shell: ShellClient, line: str) -> None:
    assert code_of(shell.command(line)) == 87


def test_unknown_shells_and_commands_have_their_codes(shell: ShellClient) -> None:
    assert code_of(shell.receive("00000000-0000-0000-0000-000000000000")) == 2150858843
    command = shell.run("echo x")
    shell.receive(command)
    assert code_of(shell.receive(command)) == 2150858843
    shell.shell = "00000000-0000-0000-0000-000000000000"
    root = shell.command("echo x")
    assert code_of(root) == 2150858843
    assert "ShellId 00000000-0000-0000-0000-000000000000" in ET.tostring(root, encoding="unicode")


def test_malformed_shell_messages_are_refused(shell: ShellClient) -> None:
    command = shell.run("cat")
    assert code_of(shell.send(SHELL + "/Receive", "<rsp:Receive></rsp:Receive>")[1]) == 87
    assert code_of(shell.send(SHELL + "/Receive", "<rsp:Other></rsp:Other>")[1]) == 2150858817
    assert code_of(shell.stdin(command, "not base64!", end=True)) == 87
    assert code_of(shell.signal(command, "nonsense")) == 87
    assert code_of(shell.send(SHELL + "/Dance", "<rsp:Dance></rsp:Dance>")[1]) == 2150858771


def test_a_command_line_too_long_for_a_process_is_refused(shell: ShellClient) -> None:
    assert code_of(shell.command("echo " + "x" * 32768)) == 2147942606


def test_a_deleted_shell_is_gone(served: Any, shell: ShellClient) -> None:
    command = shell.run("wait")
    status, root = shell.send(TRANSFER + "/Delete", "")
    assert status == 200
    assert len(root.find("{http://www.w3.org/2003/05/soap-envelope}Body")) == 0
    assert code_of(shell.receive(command)) == 2150858843


def test_an_idle_shell_ends_by_the_labs_clock(served: Any, shell: ShellClient) -> None:
    served.call(served.lab.advance, 7199)
    command = shell.run("echo x")
    served.call(served.lab.advance, 7201)
    assert code_of(shell.receive(command)) == 2150858843


def test_shells_over_the_quota_are_refused_until_one_is_closed(serve: Any, spec: Any, connect: Any) -> None:
    with serve([spec(options=ServiceOptions(stack=WINRM_3))]) as served:
        client = connect(served)
        for _ in range(30):
            client.shell = ""
            client.create()
        kept, client.shell = client.shell, ""
        text = ET.tostring(client.create(), encoding="unicode")
        assert "2150859173" in text
        assert "30 concurrent shells" in text
        assert "RelatesTo" not in text
        client.shell = kept
        client.send(TRANSFER + "/Delete", "")
        client.shell = ""
        client.create()
        assert client.shell


def option(name: str, value: str) -> str:
    return f'<w:OptionSet><w:Option Name="{name}">{value}</w:Option></w:OptionSet>'


SKIP = option("WINRS_SKIP_CMD_SHELL", "TRUE")
CONSOLE = option("WINRS_CONSOLEMODE_STDIN", "TRUE")
PIPE = option("WINRS_CONSOLEMODE_STDIN", "FALSE")


@pytest.mark.parametrize("stack", [WINRM_2, WINRM_3_2012], ids=["2008R2", "2012"])
def test_only_old_windows_skips_cmd_and_then_needs_a_path(serve: Any, spec: Any, connect: Any, stack: Stack) -> None:
    with serve([spec(options=ServiceOptions(stack=stack))]) as served:
        client = connect(served)
        client.create()
        assert code_of(client.command("powershell.exe", SKIP)) == 2147942402
    with serve([spec()]) as served:
        client = connect(served)
        client.create()
        assert client.command("echo x", SKIP).findtext(f".//{RSP}CommandId")


@pytest.mark.parametrize(
    ("stack", "options", "ends"),
    [
        (WINRM_1, CONSOLE, False),
        (WINRM_2, CONSOLE, False),
        (WINRM_3_2012, CONSOLE, False),
        (WINRM_3, CONSOLE, True),
        *((stack, options, True) for stack in (WINRM_2, WINRM_3_2012, WINRM_3) for options in ("", PIPE)),
    ],
)
def test_standard_input_that_is_declared_a_console_never_ends_on_old_windows(
    serve: Any, spec: Any, connect: Any, stack: Stack, options: str, ends: bool
) -> None:
    with serve([spec(options=ServiceOptions(stack=stack))]) as served:
        client = connect(served)
        client.create()
        command = client.command("cat", options).findtext(f".//{RSP}CommandId")
        client.stdin(command, base64.b64encode(b"all").decode(), end=True)
        answer = client.receive(command)

        assert output_of(answer) == b"all"
        assert state_of(answer) == ("Done" if ends else "Running")
        if not ends:
            assert code_of(client.receive(command, "PT0.5S")) == 2150858793
            client.signal(command, "terminate")


def test_output_larger_than_the_envelope_comes_in_several_answers(served: Any, connect: Any) -> None:
    client = connect(served)
    client.create()
    command = client.run("echo " + "x" * 30000)
    envelope = client._envelope
    small = "<w:MaxEnvelopeSize>16384</w:MaxEnvelopeSize>"
    client._envelope = lambda *positional, **named: envelope(*positional, **{**named, "MaxEnvelopeSize": small})
    received, answers = b"", 0
    while True:
        root = client.receive(command)
        received += output_of(root)
        answers += 1
        if state_of(root) == "Done":
            break
    assert received == b"x" * 30000 + b"\r\n"
    assert answers > 3


def test_a_shell_is_not_idle_while_a_receive_waits_in_it(served: Any, shell: ShellClient, connect: Any) -> None:
    command, other = shell.run("cat"), connect(served)
    other.shell = shell.shell
    answers: list[ET.Element] = []
    waiting = threading.Thread(target=lambda: answers.append(shell.receive(command)))
    waiting.start()
    while not any(each.waiting for each in next(iter(served.lab.services.values())).shells._shells.values()):
        pass
    served.call(served.lab.advance, 7201)
    other.stdin(command, base64.b64encode(b"one").decode(), end=True)
    waiting.join(30)

    assert output_of(answers[0]) == b"one"


def test_open_shells_are_counted_until_they_are_deleted_or_idle(served: Any, connect: Any) -> None:
    shells = next(iter(served.lab.services.values())).shells
    client = connect(served)
    client.create("<rsp:Shell><rsp:IdleTimeOut>PT90S</rsp:IdleTimeOut></rsp:Shell>")
    client.shell = ""
    client.create()
    assert shells.open == 2

    served.call(served.lab.advance, 91)
    assert shells.open == 1

    client.send(TRANSFER + "/Delete", "")
    assert shells.open == 0


def test_commands_that_have_ended_are_operations_of_the_user_until_their_shell_is_deleted(
    serve: Any, spec: Any, connect: Any
) -> None:
    with serve([spec(options=ServiceOptions(stack=WINRM_2))]) as served:
        client = connect(served)
        client.create()
        for _ in range(14):
            command = client.run("echo x")
            assert output_of(client.receive(command)) == b"x\r\n"
            client.signal(command, "terminate")
        client.run("echo x")

        assert code_of(client.command("echo x")) == 2150859174
        assert client.send(TRANSFER + "/Delete", "")[0] == 200
        client.shell = ""
        client.create()
        assert client.run("echo x")
