"""No text of a PC, a plan or a journal controls the terminal, in any output; programs still read it as it is."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from pyinfra.connectors.util import OutputLine

from provmode.cli.common import complain, print_json
from provmode.connector.winrm import Printed
from provmode.errors import HostError
from provmode.fleet.history import history_of
from provmode.fleet.journal import Journal
from provmode.fleet.plan_file import as_text
from provmode.fleet.verify import verify_journal
from provmode.lab.process import Host, LabProcess
from provmode.process import VisibleFormatter
from provmode.report.history import print_history
from provmode.report.journal import verification_lines
from provmode.report.lines import Page
from provmode.text import json_text

Run = Callable[..., Any]
CCMEXEC = r"HKLM\SOFTWARE\Microsoft\CCM\CcmExec"
HOSTILE = (
    "\x1b[31mred",
    "\x9b2J",
    "\u202egpj.exe",
    "\x07",
    "\x1b]0;owned\x07",
    "\x9d0;owned\x9c",
    "\x7f",
    "\ud800",
    "\u200b",
)
ALL = "a" + "b".join(HOSTILE) + "c"
OVER_XML = "a\x9b2Jb\u202ec\x9d0,owned\x9cd\x7fe"
"""What a PC can say over CIM: XML has no ESC."""


def unprintable(text: str) -> list[str]:
    return sorted({character for character in text if not character.isprintable() and character != "\n"})


@pytest.mark.parametrize("text", [*HOSTILE, ALL, "Wärme – \U0001f600", 'quoted "\\" \t\r\n', "\U000e0001"])
@pytest.mark.parametrize("indent", [None, 1])
def test_json_is_printable_and_has_the_same_values(text: str, indent: int | None) -> None:
    document = {text: [text, {"a": text}], "n": [1, None, True, 1.5]}

    written = json_text(document, indent)

    assert unprintable(written) == []
    assert json.loads(written) == document
    written.encode("utf-8")


def test_what_can_be_printed_is_not_escaped() -> None:
    assert json_text("Wärme – \U0001f600") == '"Wärme – \U0001f600"'


def test_every_json_that_a_command_prints_or_writes_is_printable(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"host": ALL})
    printed = capsys.readouterr().out
    plan = as_text({"inventory": ALL, "hosts": [{"name": ALL}]})

    assert unprintable(printed) == unprintable(plan) == []
    assert json.loads(printed) == {"host": ALL}
    assert json.loads(plan) == {"inventory": ALL, "hosts": [{"name": ALL}]}


@pytest.mark.parametrize("text", HOSTILE)
def test_verify_prints_nothing_of_a_journal_raw(tmp_path: Path, text: str) -> None:
    path = tmp_path / f"journal-{text}" if text.isascii() else tmp_path / "journal"
    journal = Journal.create(path, f"plan{text}", lambda: datetime(2026, 1, 2, tzinfo=timezone.utc))
    journal.write("claim-begun", host=f"PC{text}", token=f"token{text}")
    journal.abandon()

    lines = list(verification_lines(verify_journal(path), path))

    assert "open: PC" in lines[-1]
    assert unprintable("\n".join(lines)) == []


@pytest.mark.parametrize("text", HOSTILE)
def test_show_prints_nothing_of_a_journal_raw(tmp_path: Path, text: str) -> None:
    journal = Journal.create(tmp_path / "journal", f"plan{text}", lambda: datetime(2026, 1, 2, tzinfo=timezone.utc))
    journal.write("claim-begun", host=f"PC{text}", token=f"token{text}")
    journal.write("host-ended", host=f"PC{text}", outcome=f"failed{text}", detail=f"it says {text}")
    journal.abandon()
    file = io.StringIO()

    print_history(history_of(tmp_path / "journal", None), Page(file=file, wide=True))

    assert "it says " in file.getvalue()
    assert unprintable(file.getvalue()) == []


@pytest.mark.parametrize("text", HOSTILE)
def test_errors_and_their_log_print_nothing_raw(capsys: pytest.CaptureFixture[str], text: str) -> None:
    error = HostError(f"the PC says {text}", next_step=f"do {text}")
    complain(f"cannot read {text}")
    try:
        raise ValueError(f"a value {text}")
    except ValueError as unforeseen:
        record = logging.getLogger("provmode").makeRecord(
            "provmode", logging.DEBUG, __file__, 1, "about %s", (text,), (type(unforeseen), unforeseen, None)
        )

    for shown in (str(error), capsys.readouterr().err, VisibleFormatter("%(message)s").format(record)):
        assert shown
        assert unprintable(shown) == []


def test_pyinfra_prints_clean_lines_and_facts_get_them_as_they_are() -> None:
    output = Printed([OutputLine("stdout", ALL), OutputLine("stderr", ALL)])

    assert unprintable("".join(line.line for line in output)) == []
    assert (output.stdout_lines, output.stderr_lines, output.output_lines) == ([ALL], [ALL], [ALL, ALL])


@pytest.fixture
def hostile(lab: LabProcess, healthy: Host) -> Any:
    """A PC with a registry value that controls terminals."""
    before = lab.registry(healthy.name, CCMEXEC, "SystemTaskExcludes")
    lab.set_registry(healthy.name, CCMEXEC, "SystemTaskExcludes", OVER_XML, "SZ")
    yield healthy
    lab.set_registry(healthy.name, CCMEXEC, "SystemTaskExcludes", before or "", "SZ")


@pytest.mark.parametrize("output_format", ["text", "json"])
def test_an_audit_prints_nothing_of_a_pc_raw(
    lab: LabProcess, hostile: Host, provmode: Run, data_of: Any, output_format: str
) -> None:
    ran = provmode("--debug", "audit", f"@winrm/{hostile.name}", *data_of(lab, hostile), "--format", output_format)

    assert ran.stdout, ran.stderr
    assert unprintable(ran.stdout + ran.stderr) == []
    if output_format == "json":
        assert OVER_XML in json.dumps(json.loads(ran.stdout), ensure_ascii=False)


@pytest.mark.parametrize("end", ["", " & exit 3"])
@pytest.mark.parametrize("flags", [(), ("-vvv",)])
def test_pyinfra_exec_prints_nothing_of_a_pc_raw(
    lab: LabProcess, hostile: Host, pyinfra: Run, data_of: Any, flags: tuple[str, ...], end: str
) -> None:
    command = f'reg query "{CCMEXEC}" /v SystemTaskExcludes{end}'

    ran = pyinfra(*flags, *data_of(lab, hostile), f"@winrm/{hostile.name}", "exec", "--", command)

    assert "owned" in ran.stderr
    assert ran.returncode == (1 if end else 0)
    assert set(unprintable(ran.stdout + ran.stderr)) <= set("\r\t")


def test_a_fact_prints_nothing_of_a_pc_raw(lab: LabProcess, hostile: Host, pyinfra: Run, data_of: Any) -> None:
    host = (*data_of(lab, hostile), f"@winrm/{hostile.name}")

    ran = pyinfra("-vvv", *host, "fact", "facts.client.SystemTaskExcludes")

    assert "owned" in ran.stdout + ran.stderr
    assert set(unprintable(ran.stdout + ran.stderr)) <= {
        "\t",
        "\x7f",
    }  # pyinfra's own JSON leaves DEL: harmless
