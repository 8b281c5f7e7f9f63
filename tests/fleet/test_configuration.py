"""What may stand in a configuration file, and what is said of everything else."""

from __future__ import annotations

import dataclasses
import re
import string
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provmode.ccm.policy import Policy
from provmode.cli.main import cli
from provmode.connector.host_data import WINRM_DATA
from provmode.errors import Mistakes, UsageError
from provmode.fleet.configuration import COMMAND, TABLES, Configuration, Key, Table, checked, commented

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE = Path("/etc/provmode/provmode.toml")


def config(text: str, path: Path = FILE, **options: Any) -> Configuration:
    return checked(tomllib.loads(text), path=path, **options)


def mistakes(text: str, **options: Any) -> list[str]:
    with pytest.raises(Mistakes) as error:
        config(text, **options)
    return [line.removeprefix(f"{FILE}: ") for line in error.value.lines]


def test_the_key_of_the_journal_is_a_secret_that_a_service_can_be_handed() -> None:
    found = config("[signing]\njournal_key = 'bob.key'\nplan_keys = ['alice.pub']\n")

    handed = found.handed_over("CREDENTIALS_DIRECTORY", {"journal_key": "/run/credentials/apply/journal_key"})

    assert found.secrets["signing"] == {"journal_key": "/etc/provmode/bob.key"}
    assert handed.options == {"journal_key": "/run/credentials/apply/journal_key"}
    assert handed.table("signing")["plan_keys"] == ["/etc/provmode/alice.pub"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "plan_keys = 'alice.pub'",
            'signing.plan_keys is not a list of paths; write it as in ["alice.pub", "bob.pub"]',
        ),
        ("approvers = [1]", "signing.approvers is not a list of paths"),
        ("approvals = -1", "signing.approvals is not a whole number from 0 to 9"),
        ("approvals = true", "signing.approvals is not a whole number from 0 to 9"),
        ("approvals = 1", "[signing]: 1 approvals are needed, and approvers names 0; name more approvers"),
        ("approvers = ['b']\napprovals = 2", "[signing]: 2 approvals are needed, and approvers names 1"),
    ],
)
def test_what_is_wrong_with_the_keys_is_said(text: str, said: str) -> None:
    (line,) = mistakes(f"[signing]\n{text}\n")

    assert line.startswith(said)


def test_an_empty_file_says_nothing() -> None:
    assert config("") == config("[policy]\n[limits]\n[data]\n")
    assert (config("").options, config("").host_data) == ({}, {})


def test_values_stand_for_options_and_for_data_of_every_host() -> None:
    found = config(
        'parallel = 8\nmax_unassessed = 5\n[limits]\nwave = 10\nsoak = 60\nmax_failures = "none"\n'
        '[policy]\ngrace_minutes = 90\n[data]\nwinrm_user = "auditor@EXAMPLE.COM"\nwinrm_read_deadline = 60\n'
    )

    assert found.options == {
        **{"parallel": 8, "max_unassessed": "5"},
        **{"wave": "10", "soak": 60.0, "max_failures": "none"},
    }
    assert found.host_data == {
        "winrm_user": "auditor@EXAMPLE.COM",
        "winrm_read_deadline": 60,
        "provmode_policy": {"grace_minutes": 90},
    }


@pytest.mark.parametrize(
    ("written", "means"),
    [
        ("fleet.py", "/etc/provmode/fleet.py"),
        ("../fleet.py", "/etc/provmode/../fleet.py"),
        ("/srv/fleet.py", "/srv/fleet.py"),
        ("~/fleet.py", "/home/somebody/fleet.py"),
        ("@csv/pcs.csv", "@csv//etc/provmode/pcs.csv"),
        ("@winrm/PC-1,@list/pcs.txt,@list/-", "@winrm/PC-1,@list//etc/provmode/pcs.txt,@list/-"),
        ("@csv//srv/pcs.csv", "@csv//srv/pcs.csv"),
        ("@ad/corp.example/OU=PCs", "@ad/corp.example/OU=PCs"),
    ],
)
def test_a_relative_path_begins_in_the_folder_of_the_file(
    written: str, means: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")

    assert config(f'inventory = "{written}"').options == {"inventory": means}


def test_the_files_of_host_data_begin_there_too() -> None:
    found = config('key_file = "plan.key"\n[data]\nwinrm_ca = "ca.pem"\nwinrm_password_file = "/run/password"\n')

    assert found.options == {"key_file": "/etc/provmode/plan.key"}
    assert found.host_data == {"winrm_ca": "/etc/provmode/ca.pem", "winrm_password_file": "/run/password"}


def test_in_the_working_directory_an_inventory_is_named_as_one_types_it() -> None:
    assert config('inventory = "fleet.py"', Path("provmode.toml")).options == {"inventory": "fleet.py"}


def test_every_mistake_is_said_at_once_with_its_key_and_the_cure() -> None:
    assert mistakes(
        'parrallel = 8\nprocesses = 0\nmax_unassessed = "many"\nwave = "all"\n'
        "[limit]\nsoak = 1\n[histroy]\n[policy]\ngrace_minute = 1\ncheck_tcf = 1\nparallel = 8\n"
        '[data]\nwinrm_port = "5985"\nwinrm_transport = "kerberous"\nprovmode_policy = {}\n'
        "[limits]\nsoak = nan\nmax_failures = [5]\n"
    ) == [
        "there is no key parrallel; did you mean parallel?",
        "processes is not a whole number from 1 to 64",
        'max_unassessed is not a number of hosts, or a share of them such as "40%"; write it as in 5,2%',
        "there is no key wave; it belongs under [limits]",
        "there is no key limit; did you mean [limits]?",
        "there is no key histroy; did you mean [history]?",
        "there is no key policy.grace_minute; did you mean grace_minutes?",
        "policy.check_tcf is not true or false",
        "there is no key policy.parallel; it belongs at the top, before the first [table]",
        "data.winrm_port is not a whole number",
        "there is no key data.provmode_policy; write its keys under [policy]",
        "[data]: winrm_transport is 'kerberous'; use one of ntlm, kerberos, credssp, certificate, basic",
        "limits.soak is not a number from 0 to 604800",
        'limits.max_failures is not a number of hosts, a share such as "5,20%", or "none"',
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("policy = 5", "policy is not a table; write [policy], and its keys below it"),
        ("[[limits]]", "limits is not a table; write [limits], and its keys below it"),
        ('inventory = ["a", "b"]', "inventory is not an inventory, in quotes"),
        ('inventory = " "', "inventory is not an inventory, in quotes"),
        ('inventory = "~a\\u0000b"', "inventory is not an inventory, in quotes"),
        ("parallel = true", "parallel is not a whole number from 1 to 1000"),
        ("parallel = 8.0", "parallel is not a whole number from 1 to 1000"),
        ("max_unassessed = true", 'max_unassessed is not a number of hosts, or a share of them such as "40%"'),
        ("[limits]\nwave = 0", 'limits.wave is not numbers of hosts or shares such as "10,100,25%", or "all"; write'),
        ("[data]\nwinrm_validate = 1", "data.winrm_validate is not true or false"),
        ("[data]\nwinrm_read_only = 'yes'", "data.winrm_read_only is not true or false"),
        ("[data]\nwinrm_read_deadline = nan", "[data]: winrm_read_deadline is nan; give seconds, more than 0"),
        ("[data]\nprovmode_guard = true", "there is no key data.provmode_guard; it is for pyinfra's deploys"),
        ("[policy]\nlegitimate_processes = []", "[policy]: legitimate_processes is empty, which says nothing"),
        ("[history]\nurl = 'postgresql://me@server:port/provmode'", "history.url is not the url of a history"),
        (
            "[policy]\nlegitimate_processes = ['TSManager.exe']\nnot_legitimate_processes = ['TSManager.exe']",
            "[policy]: TSManager.exe is in legitimate_processes and in not_legitimate_processes: take it out of one",
        ),
    ],
)
def test_a_value_that_cannot_be_used_is_one_line(text: str, line: str) -> None:
    (said,) = mistakes(text)

    assert said.startswith(line)


def test_a_password_is_refused_and_not_repeated() -> None:
    for text in (
        '[data]\nwinrm_password = "s3cret"',
        'winrm_password = "s3cret"',
        '[data]\nwinrm_password_env = "s3cret!"',
        "[data]\nwinrm_password_file = ['s3cret']",
        "[history]\nurl = 'postgresql://me:s3cret@server/provmode'",
        "[history]\nurl = 'postgresql://me@server/provmode?password=s3cret'",
        "[history]\nurl = 'postgresql://me@server/provmode?sslpassword=s3cret'",
    ):
        assert "s3cret" not in " ".join(mistakes(text))


def test_a_stop_file_is_not_taken_from_the_working_directory() -> None:
    (said,) = mistakes('[limits]\nstop_file = "elsewhere"', from_working_directory=True)

    assert "limits.stop_file is not taken from the working directory" in said


def test_the_key_of_plans_is_not_taken_from_the_working_directory() -> None:
    (said,) = mistakes('key_file = "plan.key"', from_working_directory=True)

    assert said.startswith("key_file is not taken from the working directory, because whoever prepared it would")
    assert config('key_file = "plan.key"').options


NOTIFY = {**TABLES, "notify": Table(lambda: {"command": Key("command", COMMAND, "a program to tell")})}
"""The tables with one more, which has a command."""


def test_a_new_table_is_one_entry() -> None:
    found = config('[notify]\ncommand = ["/usr/bin/mail", "-s", "drift"]', tables=NOTIFY)

    assert found.table("notify") == {"command": ["/usr/bin/mail", "-s", "drift"]}
    assert mistakes("[notfy]\n", tables=NOTIFY) == ["there is no key notfy; did you mean [notify]?"]


@pytest.mark.parametrize(
    "value", ['"mail -s drift"', "[]", '[""]', '["mail", 5]', "{ run = 'mail' }", '["mail", "a\\u0000b"]']
)
def test_a_command_is_a_list_of_strings_and_never_a_line_for_a_shell(value: str) -> None:
    assert mistakes(f"[notify]\ncommand = {value}", tables=NOTIFY) == [
        "notify.command is not a list of strings: the program, and each of its arguments; no shell reads it; "
        'write it as in ["/usr/bin/program", "--option", "value"]'
    ]


def test_no_command_is_taken_from_the_working_directory() -> None:
    (said,) = mistakes('[notify]\ncommand = ["mail"]', tables=NOTIFY, from_working_directory=True)

    assert said.startswith("notify.command is not taken from the working directory")


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.dates()
    | st.times()
    | st.datetimes()
    | st.sampled_from(["all", "none", "5,20%", "0x", "@csv/", "@list/a,@list/b", "~nobody", "@", "ntlm", "kerberos"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
names = st.text(string.printable, max_size=12)
known = {
    name: st.dictionaries(st.sampled_from(sorted(table.keys())) | names, values, max_size=4)
    for name, table in TABLES.items()
}


@given(
    known[""],
    st.dictionaries(st.sampled_from(sorted(filter(None, TABLES))) | names, values, max_size=3),
    st.fixed_dictionaries({}, optional={name: keys for name, keys in known.items() if name}),
    st.booleans(),
)
def test_any_table_is_a_configuration_or_mistakes(
    top: dict[str, Any], other: dict[str, Any], tables: dict[str, Any], here: bool
) -> None:
    said, found = "", Configuration()
    try:
        found = checked({**other, **top, **tables}, path=FILE, from_working_directory=here)
    except UsageError as error:
        said = str(error)

    assert bool(said) != bool(found.path)
    assert said.startswith(f"{FILE}: ") or Policy.from_mapping(found.host_data.get("provmode_policy", {}), where="")


# -- the file that is written ---------------------------------------------------------------------------------------

WRITTEN = re.findall(r"^#(\w+) = (.*)$|^\[(\w+)\]$", commented(), re.MULTILINE)


def test_the_written_file_says_nothing_until_a_line_is_taken_out_of_its_comment() -> None:
    found = config(commented())

    assert (found.options, found.host_data) == ({}, {})


def test_every_commented_line_is_a_known_key_with_its_default() -> None:
    table, seen = "", []
    for name, value, heading in WRITTEN:
        if heading:
            table = heading
            continue
        key = TABLES[table].keys()[name]
        seen.append((table, name))
        assert tomllib.loads(f"it = {value}")["it"] == (key.default if key.example is None else key.example)

    for name, each in TABLES.items():
        if name != "data":
            assert [key for there, key in seen if there == name] == list(each.keys())


def test_with_all_its_comments_taken_away_it_is_valid() -> None:
    found = config(re.sub(r"^#(?=\w+ = )", "", commented(), flags=re.MULTILINE))

    assert len(found.options) == 23
    usual = Policy.from_mapping(found.host_data["provmode_policy"], where="")
    added = dataclasses.replace(usual, legitimate_processes=usual.legitimate_processes[:-1])
    assert (usual.legitimate_processes[-1], added) == ("OurUpgrade.exe", Policy())


def test_no_line_of_it_has_over_120_columns() -> None:
    assert max(map(len, commented().splitlines())) <= 120


# -- it is about what there is --------------------------------------------------------------------------------------


def test_every_key_is_an_option_of_a_command_or_data_of_a_host() -> None:
    options = {each.name: each for command in cli.commands.values() for each in command.params}
    keys = [key for table in TABLES.values() for key in table.keys().values()]

    assert {key.name for key in keys if not key.option} == {
        *(field.name for field in dataclasses.fields(Policy)),
        *(set(WINRM_DATA) - {"winrm_password"}),
        *("url", "keep_days", "command", "words", "max_days"),
        *("plan_keys", "journal_keys", "approvers", "approvals"),
        *("zone", "plans", "at"),
    }
    for key in keys:
        if key.option:
            assert key.option in options
            default = options[key.option].default
            assert key.default is None or default == key.default


@pytest.mark.parametrize(("table", "name"), [("", "parallel"), ("", "processes"), ("limits", "soak")])
def test_a_number_may_go_as_far_as_its_option(table: str, name: str) -> None:
    kind: Any = next(each.type for each in cli.commands["config"].params if each.name == name)
    fits = TABLES[table].keys()[name].kind.fits

    assert fits(kind.min)
    assert fits(kind.max)
    assert not fits(kind.min - 1)
    assert not fits(kind.max + 1)
