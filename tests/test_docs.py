"""The documents say what the code does."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from provmode.ccm.policy import LEGITIMATE_PROCESSES, Policy
from provmode.ccm.rules import RULES
from provmode.ccm.verdict import NEXT_STEP, SEVERITY, outcome
from provmode.report.terminal import MEANINGS

ROOT = Path(__file__).parent.parent
DOCS = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
VERDICTS = (ROOT / "docs" / "verdicts.md").read_text("utf-8")


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
    source = (ROOT / "provmode" / "ccm" / "judge.py").read_text("utf-8")

    assert {row[0].strip("`") for row in rows(VERDICTS, "Findings")} == set(
        re.findall(r'Finding\(\s*"([a-z-]+)"', source)
    )


def test_every_policy_key_is_listed_with_its_default() -> None:
    listed = {row[0].strip("`"): row[1].strip("`") for row in rows(VERDICTS, "Policy")}

    for field in dataclasses.fields(Policy):
        assert listed[field.name] == ("the list below" if isinstance(field.default, tuple) else str(field.default))
    assert {process for process in listed if process.endswith(".exe")} == set(LEGITIMATE_PROCESSES)


def test_links_lead_somewhere() -> None:
    for document in DOCS:
        for target in re.findall(r"\]\(([^)#]+)", document.read_text("utf-8")):
            if "://" not in target:
                assert (document.parent / target).exists(), f"{document.name}: {target}"
