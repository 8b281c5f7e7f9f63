"""Files: contents, template, absent, restored; in a dry run, a first run and a second run."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest

from provmode.lab.process import Host, LabProcess
from provmode.transport.session import Session
from provmode.windows.files import read_file, sha256

PERSONAS = {"healthy": 3}
HEAD = "from io import StringIO\nfrom pyinfra import host\nfrom operations import files\n"
FOLDER = "C:\\Windows\\CCM"
ODD = bytes(range(256)) * 900  # more than the script transfers in one piece
Pcs = Callable[[str], list[Host]]
Read = Callable[[Host, str], "bytes | None"]

DEPLOY = (
    HEAD
    + r"""
CCM, ETC = 'C:\\Windows\\CCM\\', 'C:\\Windows\\System32\\drivers\\etc\\'
MAIL = '; for 16-bit app support\r\n[mail]\r\n[extensions]\r\n'
LINES = StringIO('[{{ host.name }}]\n{{ word }}\n')
files.contents(name='text', path=CCM + 'text.txt', data='eins\nzwei é\n')
files.contents(name='bytes', path='%windir%\\CCM\\odd.bin', data=bytes(range(256)) * 900)
files.contents(name='empty', path=CCM + 'empty.txt', data=b'')
files.contents(name='replaced', path='C:\\Windows\\win.ini', data=MAIL)
files.template(name='utf-8', path=CCM + 't8.ini', src=LINES, word='grün')
files.template(name='utf-16', path=CCM + 't16.ini', encoding='utf-16', src=host.data.template, word='€')
files.template(name='cp1252', path=CCM + 't1252.ini', encoding='cp1252', src=StringIO('{{ word }}'), word='€')
files.absent(name='gone', path=ETC + 'hosts')
files.absent(name='never was', path=CCM + 'never.txt')
"""
)
BACK = (
    HEAD
    + r"""
files.restored(name='replaced', path='C:\\Windows\\win.ini')
files.restored(name='gone', path='C:\\Windows\\System32\\drivers\\etc\\hosts')
"""
)
WIN_INI = b"; for 16-bit app support\r\n[fonts]\r\n[extensions]\r\n"
MAIL_INI = b"; for 16-bit app support\r\n[mail]\r\n[extensions]\r\n"
HOSTS = "C:\\Windows\\System32\\drivers\\etc\\hosts"


@pytest.fixture
def read(fleet: LabProcess, connect: Callable[..., Session]) -> Read:
    """Read a file of a PC in a read-only session."""
    return lambda host, path: connect(fleet, host, read_only=True).converse(read_file(path))


@pytest.fixture(scope="module")
def runs(pyinfra: Any, pcs: Pcs, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, list[str]]]:
    """A dry run, a first and a second run: the output, and the changes."""
    template = tmp_path_factory.mktemp("templates") / "t.j2"
    template.write_text("{{ word }} for {{ host.name }}\r\n", "utf-8", newline="")
    pc, results, before = pcs("healthy")[0], {}, 0
    for name, run in (("dry", pyinfra.dry), ("first", pyinfra.apply), ("second", pyinfra.apply)):
        ran, changed = run(DEPLOY, pc, template=str(template)), pyinfra.mutations(pc)
        results[name] = (ran, changed[before:])
        before = len(changed)
    return results


def test_a_dry_run_detects_what_would_change_and_changes_nothing(runs: Any) -> None:
    ran, changed = runs["dry"]

    assert changed == []
    assert [name for name, hosts in ran.pending.items() if hosts == 0] == ["never was"], ran.output
    assert len(ran.pending) == 9


def test_a_dry_run_shows_a_files_hash_and_a_unified_diff(runs: Any, pcs: Pcs) -> None:
    ran, pc = runs["dry"][0], pcs("healthy")[0]

    assert ran.block(pc, "C:\\Windows\\win.ini") == [
        f"- SHA-256 {sha256(WIN_INI)[:12]}",
        f"+ SHA-256 {sha256(MAIL_INI)[:12]}",
        "--- C:\\Windows\\win.ini",
        "+++ C:\\Windows\\win.ini",
        "@@ -1,3 +1,3 @@",
        " ; for 16-bit app support",
        "-[fonts]",
        "+[mail]",
        " [extensions]",
    ]
    assert ran.block(pc, f"{FOLDER}\\text.txt")[0] == "- absent"
    assert ran.block(pc, f"{FOLDER}\\text.txt")[-1].startswith("+zwei")
    assert ran.block(pc, HOSTS)[1] == "+ absent"
    assert "-127.0.0.1 localhost" in ran.block(pc, HOSTS)


def test_a_dry_run_shows_a_template_as_it_would_be_written(runs: Any, pcs: Pcs) -> None:
    ran, pc = runs["dry"][0], pcs("healthy")[0]

    assert ran.block(pc, f"{FOLDER}\\t16.ini")[-1] == f"+€ for @winrm/{pc.name}"
    assert f"+[@winrm/{pc.name}]" in ran.block(pc, f"{FOLDER}\\t8.ini")


@pytest.mark.parametrize(
    ("path", "contents"),
    [
        (f"{FOLDER}\\text.txt", "eins\nzwei é\n".encode()),
        (f"{FOLDER}\\odd.bin", ODD),
        (f"{FOLDER}\\empty.txt", b""),
        (f"{FOLDER}\\t1252.ini", b"\x80"),
        ("%windir%\\never.txt", None),
    ],
)
def test_the_first_run_writes_the_bytes(runs: Any, pcs: Pcs, read: Read, path: str, contents: bytes | None) -> None:
    assert read(pcs("healthy")[0], path) == contents


def test_a_template_is_rendered_for_the_host_in_its_encoding(runs: Any, pcs: Pcs, read: Read) -> None:
    pc = pcs("healthy")[0]

    assert read(pc, f"{FOLDER}\\t8.ini") == f"[@winrm/{pc.name}]\ngrün\n".encode()
    assert read(pc, f"{FOLDER}\\t16.ini") == b"\xff\xfe" + f"€ for @winrm/{pc.name}\r\n".encode("utf-16-le")


def test_the_pc_itself_shows_the_text(runs: Any, pcs: Pcs, at: Callable[[Host, str], str]) -> None:
    assert at(pcs("healthy")[0], f"type {FOLDER}\\text.txt") == "eins\nzwei é\n"


def test_the_first_run_succeeds_and_leaves_no_temporary_files(runs: Any) -> None:
    ran, changed = runs["first"]

    assert [result.changed for result in ran.results.values()] == [1] * 8 + [0], ran.output
    beside = [line for line in changed if ".provmode-" in line and ".provmode-backup" not in line]
    written = [line for line in beside if " written" in line]
    gone = [line for line in beside if " deleted" in line or " renamed" in line]
    assert len(written) == len(gone) == 7
    assert f"file {HOSTS} renamed to {HOSTS}.provmode-backup" in changed


def test_the_second_run_changes_nothing(runs: Any) -> None:
    ran, changed = runs["second"]

    assert changed == []
    assert [result.unchanged for result in ran.results.values()] == [1] * 9, ran.output


def test_a_backup_is_restored_and_the_second_run_changes_nothing(runs: Any, pyinfra: Any, pcs: Pcs, read: Read) -> None:
    pc = pcs("healthy")[0]
    assert read(pc, "C:\\Windows\\win.ini") == MAIL_INI
    assert read(pc, "C:\\Windows\\win.ini.provmode-backup") == WIN_INI
    before = pyinfra.mutations(pc)

    dry = pyinfra.dry(BACK, pc)
    assert pyinfra.mutations(pc) == before
    assert "+[fonts]" in dry.block(pc, "C:\\Windows\\win.ini")
    assert dry.block(pc, HOSTS)[0] == "- absent"
    first = pyinfra.apply(BACK, pc)
    after = pyinfra.mutations(pc)
    second = pyinfra.apply(BACK, pc)

    assert [result.changed for result in first.results.values()] == [1, 1], first.output
    assert [result.unchanged for result in second.results.values()] == [1, 1], second.output
    assert pyinfra.mutations(pc) == after
    assert read(pc, "C:\\Windows\\win.ini") == WIN_INI
    assert read(pc, "C:\\Windows\\win.ini.provmode-replaced") == MAIL_INI
    assert b"localhost" in (read(pc, HOSTS) or b"")
    assert read(pc, "C:\\Windows\\win.ini.provmode-backup") == WIN_INI


WRONG = [
    ("contents", "path='C:\\\\x.txt', data=None", "data for C:\\x.txt is neither bytes nor text: NoneType"),
    ("contents", "path='C:\\\\x.txt', data=5", "is neither bytes nor text: int"),
    ("contents", "path='C:\\\\x.txt', data='\\ud800'", "surrogates not allowed"),
    ("contents", "path='x.txt', data='x'", "path 'x.txt' is not a full path such as C:\\folder\\file"),
    ("contents", "path='C:x.txt', data='x'", "is not a full path"),
    ("absent", "path='\\\\Windows\\\\win.ini'", "is not a full path"),
    ("contents", "path='C:\\\\no\\\\folder.txt', data='x'", "there is no such folder on the PC"),
    (
        "template",
        "path='C:\\\\x.txt', src=StringIO('{{ nobody }}')",
        "the template for C:\\x.txt: 'nobody' is undefined",
    ),
    ("template", "path='C:\\\\x.txt', src=StringIO('{% if %}')", "the template for C:\\x.txt: Expected an expression"),
    ("template", "path='C:\\\\x.txt', src=StringIO('{{ 1 / 0 }}')", "ZeroDivisionError"),
    ("template", "path='C:\\\\x.txt', src='missing.j2'", "No such file or directory: 'missing.j2'"),
    ("template", "path='C:\\\\x.txt', src=StringIO('x'), encoding='ebcdic'", "there is no encoding 'ebcdic'"),
    ("template", "path='C:\\\\x.txt', src=StringIO('€'), encoding='ascii'", "codec can't encode"),
    ("restored", "path='C:\\\\Windows\\\\win.ini'", "there is no backup C:\\Windows\\win.ini.provmode-backup"),
    ("restored", "path='win.ini'", "is not a full path"),
]


@pytest.fixture(scope="module")
def refused(pyinfra: Any, pcs: Pcs) -> tuple[Any, list[str]]:
    """The run with impossible operations, on a PC that no other test changes, and its changes."""
    pc = pcs("healthy")[1]
    calls = (
        f"files.{operation}(_ignore_errors=True, name='wrong {number}', {arguments})\n"
        for number, (operation, arguments, _) in enumerate(WRONG)
    )
    return pyinfra.apply(HEAD + "".join(calls), pc), pyinfra.work(pc)


@pytest.mark.parametrize(("number", "message"), list(enumerate(message for *_, message in WRONG)))
def test_an_impossible_operation_is_an_error_in_one_line(
    refused: tuple[Any, list[str]], pcs: Pcs, number: int, message: str
) -> None:
    ran, _ = refused

    assert any(message in line for line in ran.lines(pcs("healthy")[1])), ran.output
    assert ran.results[f"wrong {number}"].failed == 1, ran.output
    assert "Traceback" not in ran.output


def test_an_impossible_operation_changes_nothing(refused: tuple[Any, list[str]]) -> None:
    assert refused[1] == []


def test_a_file_that_changes_in_between_is_left_as_it_is(pyinfra: Any, pcs: Pcs, read: Read) -> None:
    pc = pcs("healthy")[2]
    path = f"{FOLDER}\\raced.txt"
    deploy = HEAD + (
        "from operations.step import StepCommand\n"
        "from provmode.remediation.steps import SetFile\n"
        "from provmode.windows.files import sha256\n"
        "from pyinfra.api import operation\n"
        f"PATH = {path!r}\n"
        "@operation()\n"
        "def as_it_was_seen():\n"
        "    yield StepCommand(SetFile(PATH, sha256(b'seen'), sha256(b'new')), data=b'new')\n"
        "files.contents(name='somebody', path=PATH, data='newer')\n"
        "as_it_was_seen(name='too late', _ignore_errors=True)\n"
    )

    ran = pyinfra.apply(deploy, pc)

    assert ran.results["too late"].failed == 1, ran.output
    assert any("raced.txt is another file, not what it was" in line for line in ran.lines(pc)), ran.output
    assert read(pc, path) == b"newer"


def test_one_hosts_fault_does_not_affect_others_and_a_lost_answer_is_read_back(
    fleet: LabProcess, pyinfra: Any, pcs: Pcs, read: Read, refused: object, runs: object
) -> None:
    denied, lost, wrong = pcs("healthy")
    fleet.inject(denied.name, kind="access-denied", action="Command", times=None)
    fleet.inject(lost.name, kind="drop-after", action="Send", skip=2)  # after fact and step have read the file
    deploy = HEAD + "files.contents(name='own', path=host.data.path, data=host.data.text)\n"
    texts = {denied.name: "x", lost.name: "y", wrong.name: 5}
    try:
        ran = pyinfra.apply(deploy, denied, lost, wrong, text=texts, path=f"{FOLDER}\\own.txt")
    finally:
        fleet.heal(denied.name)
        fleet.heal(lost.name)

    assert (ran.results["own"].changed, ran.results["own"].failed) == (1, 2), ran.output
    assert [read(pc, f"{FOLDER}\\own.txt") for pc in (denied, lost, wrong)] == [None, b"y", None]
    assert any("could not be read (access-denied)" in line for line in ran.lines(denied)), ran.output
    assert "Traceback" not in ran.output


def test_only_the_static_scripts_run_on_the_pc(runs: Any, fleet: LabProcess, pcs: Pcs) -> None:
    commands = set(fleet.counters(pcs("healthy")[1].name)["commands"])

    scripts = [line for line in commands if line.startswith("powershell.exe")]
    assert scripts
    assert len(scripts) <= 3
    for line in scripts:
        assert b"win.ini" not in base64.b64decode(line.rpartition(" ")[2]).replace(b"\0", b"")
