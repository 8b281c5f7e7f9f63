"""The reference is complete: its tables have what the code has, and nothing else."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from dataclasses import replace
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

import facts
import operations
from facts.base import ConversationFact
from provmode import api
from provmode.ccm import client
from provmode.ccm.rules import RULES
from provmode.ccm.verdict import NEXT_STEP, SEVERITY, Assessment, Verdict
from provmode.cli.main import cli
from provmode.connector.host_data import WINRM_DATA
from provmode.fleet.configuration import TABLES, WORDS, toml
from provmode.fleet.export import FORMATS
from provmode.fleet.looking import HostReport
from provmode.fleet.results import EXIT_CODES, HostOutcome
from provmode.fleet.results import MEANINGS as OUTCOMES
from provmode.history.drift import MEANINGS as MEANINGS_OF_WORDS
from provmode.history.drift import Word
from provmode.packages.findings import FINDINGS as PACKAGES
from provmode.remediation.traces import PLACES, SAYS
from provmode.report.prometheus import CHANGES, METRICS
from provmode.report.table import COLUMNS
from provmode.report.terminal import MEANINGS
from provmode.waivers.model import Waiver
from provmode.windows import system
from provmode.wsman.codes import CODES

ROOT = Path(__file__).parent.parent
REFERENCE = (ROOT / "docs" / "reference.md").read_text("utf-8")
SECTIONS = {
    section.partition("\n")[0]: section for section in re.split(r"^##+ ", REFERENCE, flags=re.MULTILINE) if section
}
"""Each section by its heading, without those below it."""


def rows(heading: str, head: str) -> list[list[str]]:
    """Return the cells of the table in a section that begins with *head*, without its head."""
    section = SECTIONS[heading]
    table = section[section.index(f"| {head} |") :].split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]


def table(heading: str, head: str) -> dict[str, str]:
    """Return first and second column of a table; no row stands in it twice."""
    found = {row[0]: row[1] for row in rows(heading, head)}
    assert len(found) == len(rows(heading, head))
    return found


def names(heading: str, head: str) -> set[str]:
    """Return the names in the first column of a table."""
    return {cell.split("`")[1] for cell in table(heading, head)}


def test_an_account_that_only_looks_gets_the_rights_for_everything_that_is_asked() -> None:
    section = SECTIONS["An account that only looks"]
    code = "\n".join(
        path.read_text("utf-8")
        for folder in ("provmode", "facts")
        for path in (ROOT / folder).rglob("*.py")
        if "lab" not in path.parts
    )
    namespaces = {name.replace("/", "\\") for name in re.findall(r'"(root/[\w/]+)"', code)}
    services = set(re.findall(r'service\("(\w+)"\)', code))
    keys = set(re.findall(r'"HKLM", r"([\w\\]+)"', code))

    assert namespaces > {"root\\ccm", "root\\cimv2"}
    assert [name for name in namespaces if f"`{name}`" not in section] == []
    assert services == {"CcmExec", "smstsmgr"}
    assert [name for name in services if f"`{name}`" not in section] == []
    assert {"SOFTWARE\\Microsoft\\CCM\\CcmExec", "SYSTEM\\Setup"} <= keys
    assert [
        key for key in keys if not any(key.startswith(top) for top in re.findall(r"`HKLM\\([\w\\]+)`", section))
    ] == []


def test_what_an_audit_says_without_a_right_is_what_it_can_say() -> None:
    said = " ".join(row[3] for row in rows("An account that only looks", "right"))
    words = set(re.findall(r"`([a-z]+(?:-[a-z]+)*)`", said))
    known_words = {*NEXT_STEP, *(verdict.value for verdict in Verdict), *(rule.name for rule in RULES)}

    assert {"access-denied", "auth"} <= words
    assert words - known_words == set()
    assert set(re.findall(r"`([A-Z_]{6,})`", said)) <= set(CODES.values())
    assert '"exists but cannot be read"' in said
    assert "exists but cannot be read" in inspect.getsource(client)
    assert '"service CcmExec exists, but the account is not shown it"' in said
    assert "but the account is not shown it" in inspect.getsource(system.service)
    assert "was not\ntried on a PC" in SECTIONS["An account that only looks"]


def test_every_command_is_listed() -> None:
    assert names("Commands", "command") == set(cli.commands)


def test_every_exit_code_of_every_command_is_listed() -> None:
    listed = {
        command: [(int(row[0]), row[1]) for row in rows(heading, "exit code")]
        for heading in SECTIONS
        if heading.startswith("`")
        for command in re.findall(r"`([a-z]+)`", heading)
    }

    assert listed == {command: list(codes.meanings.items()) for command, codes in EXIT_CODES.items()}


def test_every_verdict_is_listed() -> None:
    assert table("Verdicts", "verdict") == {f"`{verdict.value}`": MEANINGS[verdict] for verdict in SEVERITY}


def test_every_key_of_inventory_data_is_listed_with_its_default() -> None:
    assert [tuple(row) for row in rows("Inventory data", "key")] == [
        (f"`{key}`", meta.description, "" if meta.default is None else f"`{meta.default}`")
        for key, meta in WINRM_DATA.items()
    ]


def test_every_key_of_the_configuration_file_is_listed_with_its_default() -> None:
    assert [tuple(row) for row in rows("The configuration file", "key")] == [
        (
            f"`{name}.{key.name}`" if name else f"`{key.name}`",
            key.says,
            "" if key.default is None else f"`{toml(key.default)}`",
        )
        for name, each in TABLES.items()
        if name != "data"  # its keys are those of inventory data
        for key in each.keys().values()
    ]


def test_every_cause_is_listed_with_what_to_do() -> None:
    listed = names("When it does not work", "what you see")

    assert set(NEXT_STEP) <= listed
    assert all(row[1] and row[2] for row in rows("When it does not work", "what you see"))
    for words in listed - set(NEXT_STEP):  # what errors say
        assert any(words in path.read_text("utf-8") for path in (ROOT / "provmode" / "transport").glob("*.py")), words


def test_every_fact_is_listed() -> None:
    assert names("Facts", "fact") == {
        f"facts.{module.name}.{name}"
        for module in pkgutil.iter_modules(facts.__path__)
        for name, item in vars(importlib.import_module(f"facts.{module.name}")).items()
        if inspect.isclass(item) and issubclass(item, ConversationFact) and item.__module__ == f"facts.{module.name}"
        if module.name != "base"
    }


def test_every_operation_is_listed_with_its_arguments() -> None:
    found = set()
    for module in pkgutil.iter_modules(operations.__path__):
        for name, item in vars(importlib.import_module(f"operations.{module.name}")).items():
            if hasattr(item, "_inner") and item.__module__ == f"operations.{module.name}":
                arguments = ", ".join(inspect.signature(item._inner).parameters)
                found.add(f"`operations.{module.name}.{name}`" + (f" ({arguments})" if arguments else ""))
    assert set(table("Operations", "operation")) == found


WAIVER = Waiver("Anna", "known", date(2026, 11, 20), date(2026, 12, 31), timezone.utc)


def test_every_field_of_a_host_in_a_report_is_listed() -> None:
    listed = [(row[0].strip("`"), row[2]) for row in rows("Formats", "field")]
    plain = Assessment(Verdict.HEALTHY, "a reason", "healthy")
    full = replace(
        plain, age=timedelta(hours=1), leaves_at=datetime(2026, 8, 20, tzinfo=timezone.utc), cause="tls", next_step="do"
    )

    assert [name for name, _ in listed] == list(HostReport("PC-1", full, tries=2, waived=WAIVER).to_json())
    assert [name for name, only_if in listed if not only_if] == list(HostReport("PC-1", plain).to_json())


def test_every_outcome_of_a_host_is_listed() -> None:
    assert table("Formats", "`ended`") == {f"`{outcome.value}`": OUTCOMES[outcome] for outcome in HostOutcome}


def test_every_format_column_and_metric_of_the_other_files_is_listed() -> None:
    section = "Other files of a run"

    assert [row[0] for row in rows(section, "format")] == [f"`{word}`" for word in FORMATS]
    assert rows(section, "column") == [[f"`{column.name}`", column.says] for column in COLUMNS]
    assert rows(section, "metric") == [
        [f"`{metric.name}`", ", ".join(f"`{label}`" for label in ("inventory", metric.label) if label), metric.says]
        for metric in (*METRICS, *CHANGES)
    ]


def test_every_public_name_is_listed_with_what_it_is() -> None:
    assert names("The public names", "name") == set(api.__all__)
    assert all(table("The public names", "name").values())


def test_everything_that_stays_on_a_pc_is_listed_with_its_place_and_what_it_is() -> None:
    listed = {row[0].strip("`"): (row[1], row[2]) for row in rows("What stays on a PC", "kind")}

    assert listed == {kind: (PLACES[kind], SAYS[kind]) for kind in PLACES}


def test_every_finding_of_a_package_is_listed_with_what_it_means_and_what_to_do() -> None:
    listed = [tuple(row) for row in rows("Provisioning packages", "finding of a package")]

    assert listed == [(f"`{code}`", kind.weight.value, kind.means, kind.to_do) for code, kind in PACKAGES.items()]


def test_every_word_of_a_drift_is_listed() -> None:
    assert table("History", "word") == {f"`{word}`": meaning for word, meaning in MEANINGS_OF_WORDS.items()}
    assert [word.value for word in Word] == list(WORDS)
