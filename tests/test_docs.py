"""The documents say what the code does."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from provmode.ccm.policy import LEGITIMATE_PROCESSES, Policy
from provmode.ccm.rules import RULES
from provmode.ccm.verdict import NEXT_STEP, SEVERITY, outcome
from provmode.cli.main import cli
from provmode.fleet.results import EXIT_CODES
from provmode.report.terminal import MEANINGS

ROOT = Path(__file__).parent.parent
DOCS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
VERDICTS = (ROOT / "docs" / "verdicts.md").read_text("utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text("utf-8")


def rows(text: str, heading: str) -> list[list[str]]:
    """Return the cells of the table under a heading, without its head."""
    section = text[text.index(f"## {heading}") :]
    table = [line for line in section[3:].split("\n## ")[0].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]


def test_every_rule_is_listed_in_order_with_its_verdict_and_source() -> None:
    assert [(name, verdict, source) for name, verdict, _, source in rows(VERDICTS, "The rules")] == [
        (f"`{rule.name}`", f"`{rule.verdict.value}`", rule.source) for rule in RULES
    ]
    assert all(when for _, _, when, _ in rows(VERDICTS, "The rules"))


def test_every_verdict_is_listed_worst_first() -> None:
    assert rows(VERDICTS, "The ten verdicts") == [
        [f"`{verdict.value}`", MEANINGS[verdict], outcome(verdict).value] for verdict in SEVERITY
    ]


def test_every_cause_is_listed_with_what_to_do() -> None:
    assert rows(VERDICTS, "Why a host") == [[f"`{cause}`", step] for cause, step in NEXT_STEP.items()]


def test_every_finding_is_listed() -> None:
    paths = [path for path in (ROOT / "provmode").rglob("*.py") if "packages" not in path.parts]  # these have a table
    source = "\n".join(path.read_text("utf-8") for path in paths)

    assert {row[0].strip("`") for row in rows(VERDICTS, "Findings")} == set(
        re.findall(r'Finding\(\s*"([a-z-]+)"', source)
    )


def test_every_policy_key_is_listed_with_its_default() -> None:
    listed = {row[0].strip("`"): row[1].strip("`") for row in rows(VERDICTS, "Policy")}

    for field in dataclasses.fields(Policy):
        assert listed[field.name] == ("none" if field.default == () else str(field.default))
    assert {name: what for name, what in listed.items() if name.endswith(".exe")} == LEGITIMATE_PROCESSES


def test_the_exit_codes_of_the_guide_are_those_of_the_code() -> None:
    guide = (ROOT / "docs" / "running.md").read_text("utf-8").split("\n## ")[0]
    audit, apply = EXIT_CODES["audit"].meanings, EXIT_CODES["apply"].meanings
    table = [line for line in guide.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]

    assert cells[0] == ["exit code", "`audit`, `plan`", "`apply`"]
    assert cells[2:] == [[str(code), audit.get(code, ""), meaning] for code, meaning in apply.items()]
    assert set(audit) <= set(apply)
    assert EXIT_CODES["plan"] is EXIT_CODES["audit"]


@pytest.mark.parametrize("command", EXIT_CODES)
def test_help_says_what_every_exit_code_means(command: str) -> None:
    help_text = " ".join(CliRunner().invoke(cli, [command, "--help"]).output.split())

    for code, meaning in EXIT_CODES[command].meanings.items():
        assert f"{code} {meaning}" in help_text


def anchors(document: Path) -> set[str]:
    """Return the anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", document.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links_lead_somewhere() -> None:
    links = [
        (document, target, anchor)
        for document in DOCS
        for target, anchor in re.findall(r"\]\(([^)#\s]*)#?([^)\s]*)\)", document.read_text("utf-8"))
        if "://" not in target
    ]

    assert len(links) > 50
    for document, target, anchor in links:
        led_to = document.parent / target if target else document
        assert led_to.exists(), f"{document.name}: {target}"
        assert not anchor or anchor in anchors(led_to), f"{document.name}: {target}#{anchor}"


def test_no_link_is_broken_over_two_lines() -> None:
    for document in DOCS:
        text = document.read_text("utf-8")
        assert len(re.findall(r"\]\(", text)) == len(re.findall(r"\]\([^)\s]+\)", text)), document.name


def test_every_document_is_in_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text("utf-8")
    linked = set(re.findall(r"^\* \[[^\]]+\]\(([^)]+)\): .+", index, re.MULTILINE))

    assert {path.name for path in (ROOT / "docs").iterdir()} - {"README.md"} <= linked


def test_lines_of_prose_have_at_most_120_columns() -> None:
    for document in DOCS:
        prose = re.sub(r"^```.*?^```$", "", document.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
        for line in prose.splitlines():
            assert len(line) <= 120 or line.startswith("|"), f"{document.name}: {line}"


def test_what_contributing_names_exists() -> None:
    table = rows(CONTRIBUTING, "To add")
    assert len(table) > 10
    for wanted, touch, noticed in table:
        files = [ROOT / name for name in re.findall(r"`([\w./-]+/[\w./-]*|[\w-]+\.(?:md|toml))`", f"{touch} {noticed}")]
        assert files, wanted
        assert all(path.exists() for path in files), f"{wanted}: {[path for path in files if not path.exists()]}"
        code = "\n".join(path.read_text("utf-8") for path in files if path.is_file())
        for name in re.findall(r"`(\w+)`", touch):
            assert re.search(rf"\b{name}\b", code), f"{wanted}: {name}"
