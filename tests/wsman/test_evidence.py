"""`docs/evidence.md` gives the evidence for every message, fault and class, and names only files that exist."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from provmode.ccm import client
from provmode.remediation import lease
from provmode.windows import scripts, system
from provmode.windows.registry import get_value
from provmode.wsman import CommandLine, FaultKind, Instance, Operation
from provmode.wsman.exchange import SHAPES
from provmode.wsman.notation import format_operation

ROOT = Path(__file__).parents[2]
RECORDINGS = ROOT / "tests" / "recordings"
DOCUMENT = (ROOT / "docs" / "evidence.md").read_text(encoding="utf-8")
LABELS = ("recorded", "published", "specified", "documented", "by analogy", "not read")
QUESTIONS: tuple[Operation, ...] = (
    client.SMS_CLIENT,
    client.TASK_SEQUENCES,
    client.HEALTH_TASK,
    system.service_query("CcmExec"),
    system.PROCESSES,
    system.CLOCK,
    get_value(client.CCMEXEC, "ProvisioningMode"),
    client.CCMEXEC.invoke("EnumValues"),
    system.SETUP.invoke("EnumValues"),
)


def rows(heading: str) -> dict[str, list[str]]:
    """Return the rows of the table under *heading*, by the name in their first column."""
    sections = re.split(r"^## ", DOCUMENT, flags=re.MULTILINE)
    text = next(section for section in sections if section.startswith(heading + "\n"))
    lines = [line for line in text.splitlines() if line.startswith("|")][2:]
    cells = [[cell.strip() for cell in line.replace("||", "  ").strip("|").split("|")] for line in lines]
    return {cell[0].strip("`"): cell[1:] for cell in cells}


@pytest.mark.parametrize("heading", ["The header", "The messages", "The values", "The classes", "The faults"])
def test_every_row_names_its_kind_of_evidence_and_a_trial(heading: str) -> None:
    for name, cells in rows(heading).items():
        assert any(label in cells[-2].lower() for label in LABELS), name
        assert re.fullmatch(r"([TF]\d+)(, [TF]\d+)*|none", cells[-1]), name


def test_the_messages_with_a_row_are_exactly_those_of_the_code() -> None:
    table = rows("The messages")

    assert tuple(table) == SHAPES
    for name, (request, answer, _) in table.items():
        assert any(label in request for label in LABELS), name
        assert any(label in answer for label in LABELS), name


def test_the_faults_with_a_row_are_exactly_the_kinds_of_fault() -> None:
    assert tuple(rows("The faults")) == tuple(kind.value for kind in FaultKind)


def test_the_classes_with_a_row_are_exactly_those_named_in_the_code() -> None:
    literal = re.compile(r'"((?:CCM|SMS|Win32|MSFT|CIM)_\w+|StdRegProv)"|FROM (\w+)')
    other_names = {"MSFT_WmiError", "CIM_DateTime"}  # a fault and a value
    named: set[str] = set()
    for folder in ("provmode", "facts", "operations", "deploys"):
        for path in (ROOT / folder).rglob("*.py"):
            if "lab" not in path.relative_to(ROOT).parts:
                named |= {one or other for one, other in literal.findall(path.read_text(encoding="utf-8"))}

    listed = {name for cell in rows("The classes") for name in re.findall(r"\w+", cell)}
    assert listed == named - other_names


def test_every_command_and_script_that_runs_on_a_pc_has_a_row() -> None:
    named = " ".join(rows("What is run on the PC"))
    files = {path.name for path in Path(scripts.__file__).parent.glob("*.ps1")}

    assert "`type` line" in named
    assert set(re.findall(r"provmode/windows/scripts/(\w+\.ps1)", named)) == files


def test_every_named_recording_exists_and_every_recording_of_windows_is_named() -> None:
    named = set(re.findall(r"`((?:[a-z0-9]+-?[A-Za-z0-9]+)/[\w.-]+\.(?:xml|yml|erb))`", DOCUMENT))

    assert len(named) > 30
    assert [name for name in sorted(named) if not (RECORDINGS / name).is_file()] == []
    for folder in ("pypsrp", "cloudsoft-winrm4j", "ianclegg-winrmlib", "openwsman"):
        kept = {f"{folder}/{path.name}" for path in (RECORDINGS / folder).glob("*.*ml")}
        assert kept - named <= {"pypsrp/_template.yml", "ianclegg-winrmlib/empty_response.xml"}


def test_every_other_named_file_exists() -> None:
    for name in re.findall(r"`((?:provmode|tests)/[\w./]+)`", DOCUMENT):
        assert (ROOT / name).exists(), name


def test_every_trial_in_a_table_is_described_once() -> None:
    described = re.findall(r"^\*\*([TF]\d+)\. ", DOCUMENT, flags=re.MULTILINE)
    tables = "\n".join(line for line in DOCUMENT.splitlines() if line.startswith("|"))

    assert len(described) == len(set(described))
    assert set(re.findall(r"\b[TF]\d+\b", tables)) == set(described)


@pytest.mark.parametrize("operation", QUESTIONS, ids=format_operation)
def test_every_question_to_a_pc_can_be_pasted_from_the_document(operation: Operation) -> None:
    assert format_operation(operation) in DOCUMENT


def test_the_type_line_is_in_the_document_as_it_is_sent() -> None:
    assert client.tcf_command().line.split(" & ")[0] in DOCUMENT


def test_the_lines_of_the_claim_are_in_the_document_as_they_are_sent() -> None:
    token = lease.Token(datetime(2026, 3, 2, 8, tzinfo=timezone.utc), "0123456789abcdef")
    sent: list[CommandLine] = []
    new = lease.Token(token.since + timedelta(minutes=1), token.run)
    for conversation in (lease.take(token.run), lease.renew(token, new), lease.release(token)):
        asked = next(conversation)
        if not isinstance(asked, CommandLine):
            now = Instance("XmlFragment", {"LocalDateTime": token.since.isoformat(), "CurrentTimeZone": "0"})
            asked = conversation.send([now])
        assert isinstance(asked, CommandLine)
        sent.append(asked)

    for line in (*sent, lease.LOOK):
        assert line.line in DOCUMENT.splitlines()


def test_the_document_says_that_nothing_was_run_against_windows() -> None:
    assert "Nothing here was run against a real Windows PC." in DOCUMENT
