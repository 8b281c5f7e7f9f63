"""``provmode inventory show``: what a run would ask, and what it would leave out and why; no PC is asked."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from provmode.connector.sources import reading
from provmode.errors import UsageError
from provmode.fleet.asked import schema, would_ask

DOCS = Path(__file__).parents[2] / "docs"
TABLE = (
    "name;address;groups;winrm_scheme;winrm_transport;winrm_user;winrm_read_only\n"
    "PC-1;10.0.0.1;office;;;;\n"
    "PC-2;2001:db8::2;office,pilot;https;;LAB\\bob;yes\n"
    "#PC-3;;;;;;\n"
)


pytestmark = pytest.mark.usefixtures("programs")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(reading, "_read_once", {})
    for name in ("USER", "PASSWORD"):
        monkeypatch.delenv(f"PROVMODE_{name}", raising=False)
    Path("pcs.csv").write_text(TABLE)


def test_each_host_is_shown_as_it_would_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROVMODE_USER", "LAB\\auditor")

    asked = would_ask("pcs.csv")

    assert [host.to_json() for host in asked.hosts] == [
        {
            **{"host": "PC-1", "address": "10.0.0.1", "port": 5985, "scheme": "http", "transport": "ntlm"},
            **{"user": "LAB\\auditor", "computer": "PC-1", "read_only": False, "groups": ["pcs", "office"]},
        },
        {
            **{"host": "PC-2", "address": "2001:db8::2", "port": 5986, "scheme": "https", "transport": "ntlm"},
            **{"user": "LAB\\bob", "computer": "PC-2", "read_only": True, "groups": ["pcs", "office", "pilot"]},
        },
    ]
    assert asked.groups == {"office": 2, "pcs": 2, "pilot": 1}
    assert [item.to_json() for item in asked.left_out] == [
        {"what": "PC-3", "why": "commented out", "place": "pcs.csv, line 4"}
    ]
    assert asked.notes == ("pcs.csv: 1 left out, commented out",)


def test_what_limit_and_exclude_leave_out_is_said_with_the_reason() -> None:
    Path("pcs.txt").write_text("PC-1\nPC-2\nLAPTOP-3\n")

    asked = would_ask("pcs.txt", limit=("PC-*",), exclude=("PC-2",))

    assert [host.host for host in asked.hosts] == ["PC-1"]
    assert [(item.what, item.why) for item in asked.left_out] == [
        ("PC-2", "by --exclude"),
        ("LAPTOP-3", "not in --limit"),
    ]


def test_no_password_is_needed_looked_up_or_shown(monkeypatch: pytest.MonkeyPatch, commands: Any) -> None:
    Path("fleet.py").write_text(
        "pcs = (['@winrm/PC-1'], {'winrm_user': 'u', 'winrm_password': 's3cret'})\n"
        "more = (['@winrm/PC-2'], {'winrm_password_file': '/no/such/s3cret'})\n"
        "most = (['@winrm/PC-3'], {'winrm_password_keyring': 's3cret'})\n"
    )
    monkeypatch.delenv("PROVMODE_USER")
    monkeypatch.setattr("provmode.connector.host_data._from_keyring", lambda *_: pytest.fail("it was looked up"))

    for form in ("text", "json"):
        ran = commands.run("inventory", "show", "fleet.py", "--format", form)
        assert ran.code == 0, ran.err
        assert "s3cret" not in ran.out + ran.err
    assert [host.user for host in would_ask("fleet.py").hosts] == ["u", "", ""]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"winrm_port": 99999}, "winrm_port is 99999"),
        ({"winrm_port": "many"}, "winrm_port is 'many', of the wrong type"),
        ({"winrm_user": "LAB\\"}, "a part is missing"),
        ({"provmode_policy": {"grace_minutes": -5}}, "grace_minutes is -5"),
        ({"winrm_pasword": "x"}, "there is no key winrm_pasword"),
    ],
)
def test_what_would_end_a_run_ends_this_too(data: dict[str, Any], says: str) -> None:
    Path("fleet.py").write_text(f"pcs = (['@winrm/PC-1'], {data!r})\n")

    with pytest.raises(UsageError, match=says.replace("\\", "\\\\")):
        would_ask("fleet.py")


def test_text_has_a_line_for_each_host_and_counts(commands: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROVMODE_USER")

    ran = commands.run("inventory", "show", "pcs.csv", "--exclude", "PC-1")
    all_of_them = commands.run("inventory", "show", "pcs.csv")

    assert ran.out.splitlines() == [
        "PC-2  [2001:db8::2]:5986  ntlm over https, read-only  LAB\\bob  pcs, office, pilot",
        "",
        "1 host: 1 by ntlm over https",
        "groups: office 1, pcs 1, pilot 1",
        "left out, commented out: 1 (PC-3: pcs.csv, line 4)",
        "left out, by --exclude: 1 (PC-1)",
    ]
    assert ran.err == "provmode: pcs.csv: 1 left out, commented out\n"
    assert all_of_them.out.splitlines()[0] == (
        "PC-1  10.0.0.1:5985       ntlm over http              no user yet  pcs, office"
    )


def test_nothing_in_it_steers_the_terminal(commands: Any) -> None:
    Path("fleet.py").write_text("pcs = (['@winrm/PC-1'], {'winrm_user': 'u'})\n")
    Path("pcs.csv").write_bytes(b"name\n#\x1b[31mPC-2\nPC-1\n")

    for form in ("text", "json"):
        ran = commands.run("inventory", "show", "pcs.csv", "--format", form)
        assert "\x1b" not in ran.out + ran.err


def test_json_is_as_its_schema_says(commands: Any) -> None:
    spec = importlib.util.spec_from_file_location("test_plan", Path(__file__).with_name("test_plan.py"))
    assert spec is not None
    assert spec.loader is not None
    validator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(validator)

    documents = [
        json.loads(commands.run("inventory", "show", "pcs.csv", *arguments).out)
        for arguments in (("--json",), ("--format", "json"))
    ]

    assert documents[0] == documents[1]
    assert documents[0]["groups"] == {"office": 2, "pcs": 2, "pilot": 1}
    assert validator.misfits(schema(), documents[0], "inventory") == []
    assert validator.misfits(schema(), {**documents[0], "hosts": [{"host": "PC-1"}]}, "inventory") != []


def test_the_schema_in_the_documents_is_that_of_the_code() -> None:
    assert json.loads((DOCS / "inventory.schema.json").read_text("utf-8")) == schema()
