"""``provmode systemd``: what it writes and refuses to write, and its units' command lines run as systemd runs them."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from provmode.lab.process import Host, LabProcess

Run = Callable[..., Any]
NAMES = {
    *("provmode-audit.service", "provmode-audit.timer", "provmode-retry.service", "provmode-retry.timer"),
    "provmode-failed@.service",
}


# -- what it says and refuses ------------------------------------------------------------------------------------------


@pytest.fixture
def configured(tmp_path: Path) -> Path:
    """A folder with a configuration file, an inventory and an empty folder for units."""
    tmp_path.chmod(0o755)
    (tmp_path / "provmode.toml").write_text("inventory = 'pcs.csv'\n[history]\nurl = 'sqlite:///history.sqlite'\n")
    (tmp_path / "pcs.csv").write_text("name\nPC-1\n")
    (tmp_path / "units").mkdir(mode=0o755)
    return tmp_path


def test_it_says_how_to_enable_them_and_the_cron_lines(provmode: Run, configured: Path) -> None:
    ran = provmode("systemd", "--write", "units", "--user", "nobody-yet", "--at", "22:30", "--retry-every", "15m")

    lines = [line.strip() for line in ran.stdout.splitlines()]
    assert {f"written: units/{name}" for name in NAMES} <= set(lines)
    assert "useradd --system --home-dir /var/lib/provmode --shell /usr/sbin/nologin nobody-yet" in lines
    assert "systemctl daemon-reload" in lines
    assert "systemctl enable --now provmode-audit.timer provmode-retry.timer" in lines
    assert [line.split()[:6] for line in lines if " nobody-yet  cd " in line] == [
        ["30", "22", "*", "*", "*", "nobody-yet"],
        ["7-59/15", "*", "*", "*", "*", "nobody-yet"],
    ]


def test_it_says_what_would_stop_the_service_every_night(provmode: Run, configured: Path) -> None:
    (configured / "pcs.csv").chmod(0o600)
    (configured / "kept").mkdir(mode=0o700)
    (configured / "waivers.toml").touch(0o600)
    (configured / "kept" / "provmode.toml").write_text(
        f"inventory = '@csv/{configured / 'pcs.csv'}'\n[waivers]\nfile = '../waivers.toml'\n"
    )

    ran = provmode("systemd", "--write", "units", "--user", "nobody-yet", "--config", "kept/provmode.toml")

    said = ran.stdout.partition("Before that:\n")[2].splitlines()
    assert f"  nobody-yet cannot enter the folder {configured}/kept: chmod o+x {configured}/kept" in said
    assert f"  nobody-yet cannot read {configured}/pcs.csv: chmod o+r {configured}/pcs.csv" in said
    assert any("nobody-yet cannot read" in line and "waivers.toml: chmod o+r" in line for line in said)
    assert any(f"does not see {configured}/pcs.csv" in line for line in said)
    interpreter = Path(sys.executable).resolve()
    shut = [folder for folder in interpreter.parents if not folder.stat().st_mode & 1]
    assert all(any(f"enter the folder {folder}: chmod o+x" in line for line in said) for folder in shut)
    assert "  there is no history, and so no retry: set url under [history], and write the units again" in said
    me = provmode("systemd", "--write", "units", "--user", "root", "--config", "kept/provmode.toml")
    assert ("cannot enter" in me.stdout) is (os.geteuid() != 0)


def test_a_history_that_the_service_could_not_write_is_said(provmode: Run, configured: Path) -> None:
    command = ("systemd", "--write", "units", "--user", "nobody-yet", "--config", "provmode.toml")
    elsewhere = provmode(*command)
    text = (configured / "provmode.toml").read_text()
    (configured / "provmode.toml").write_text(text.replace("///history", "////var/lib/provmode/history"))
    in_its_folder = provmode(*command)

    assert (elsewhere.returncode, in_its_folder.returncode) == (0, 0)
    line = f"nobody-yet cannot write to {configured}, where the history is: write url = "
    assert f'  {line}"sqlite:////var/lib/provmode/history.sqlite" under [history]' in elsewhere.stdout.splitlines()
    assert "where the history is" not in in_its_folder.stdout
    assert "ReadWritePaths" not in (configured / "units" / "provmode-audit.service").read_text()


def test_the_service_has_to_be_able_to_run_who_is_told(provmode: Run, configured: Path) -> None:
    text = (configured / "provmode.toml").read_text()
    command = [str(configured / "tell"), "--drift"]
    (configured / "tell").write_text("#!/bin/sh\n")
    (configured / "tell").chmod(0o700)
    (configured / "provmode.toml").write_text(f"{text}[notify]\ncommand = {command}\n")

    ran = provmode("systemd", "--write", "units", "--user", "nobody-yet", "--config", "provmode.toml")

    said = ran.stdout.partition("Before that:\n")[2].splitlines()
    assert f"  nobody-yet cannot run {configured}/tell: chmod o+rx {configured}/tell" in said


def test_the_service_may_write_the_files_of_the_configuration_and_what_its_user_may_not_is_said(
    provmode: Run, configured: Path, settings_of: Callable[[str], dict[str, list[str]]]
) -> None:
    text = (configured / "provmode.toml").read_text().replace("///history", "////var/lib/provmode/history")
    names = ("metrics/now.prom", "metrics/open.csv", "/var/lib/provmode/audit.csv")
    files = [f"{name.rpartition('.')[2].replace('prom', 'prometheus')}={name}" for name in names]
    (configured / "provmode.toml").write_text(f"{text}[report]\nwrite = {files}\n")
    (configured / "metrics").mkdir(mode=0o755)
    (configured / "metrics" / "open.csv").touch()
    (configured / "metrics" / "open.csv").chmod(0o666)

    ran = provmode("systemd", "--write", "units", "--user", "nobody-yet", "--config", "provmode.toml")

    file = configured / "metrics" / "now.prom"
    lines = [line for line in ran.stdout.splitlines() if "[report]" in line]
    assert lines == [
        f"  nobody-yet cannot write {file}, which [report] names: install -m 644 -o nobody-yet /dev/null {file}"
    ]
    for name in ("audit", "retry"):
        unit = (configured / "units" / f"provmode-{name}.service").read_text()
        assert settings_of(unit)["ReadWritePaths"] == [f'"-{file.parent}"']


CALENDAR = """BEGIN:VCALENDAR\r
VERSION:2.0\r
PRODID:-//x//x//EN\r
BEGIN:VEVENT\r
UID:1\r
DTSTAMP:20260101T000000Z\r
DTSTART:{begins}\r
DURATION:PT5H\r
RRULE:FREQ=DAILY\r
END:VEVENT\r
END:VCALENDAR\r
"""
NIGHTLY = """[signing]
plan_keys = ["alice.pub"]
[windows]
window = "windows.ics"
zone = "UTC"
[change]
plans = "plans"
at = "22:00"
"""


@pytest.fixture
def at_night(configured: Path) -> Callable[..., None]:
    """Ask for plans that are applied at night; each *without* is a line that is left out."""

    def ask(*without: str, begins: str = "20260101T210000", at: str = "22:00") -> None:
        lines = [line for line in NIGHTLY.splitlines() if not line.startswith(without or "-")]
        text = (configured / "provmode.toml").read_text().partition("[signing]")[0] + "\n".join(lines) + "\n"
        (configured / "provmode.toml").write_text(text.replace("22:00", at))
        (configured / "windows.ics").write_text(CALENDAR.format(begins=begins))

    return ask


def test_plans_are_applied_at_night_if_the_configuration_says_so_and_what_is_in_the_way_is_said(
    provmode: Run, configured: Path, at_night: Callable[..., None], settings_of: Callable[[str], dict[str, list[str]]]
) -> None:
    command = ("systemd", "--write", "units", "--user", "nobody-yet", "--config", "provmode.toml")
    without = provmode(*command)
    at_night()

    ran = provmode(*command, environment={"TZ": "UTC"})

    assert (without.returncode, ran.returncode) == (0, 0), ran.stderr
    assert "provmode-change" not in without.stdout
    names = {path.name for path in (configured / "units").iterdir()}
    assert names == {*NAMES, "provmode-change.service", "provmode-change.timer"}
    lines = [line.strip() for line in ran.stdout.splitlines()]
    assert "systemctl enable --now provmode-audit.timer provmode-retry.timer provmode-change.timer" in lines
    (cron,) = (line for line in lines if line.startswith("0 22 * * *  nobody-yet"))
    assert f"timeout {5 * 3600 + 900 + 900} " in cron
    assert cron.endswith(f" apply --config {configured}/provmode.toml {configured}/plans")
    folder = f"nobody-yet needs the folder {configured}/plans for plans and their journals (No such file or directory)"
    assert f"{folder}: install -d -m 700 -o nobody-yet {configured}/plans" in lines
    (configured / "plans").mkdir(mode=0o755)
    again = provmode(*command, environment={"TZ": "UTC"}).stdout
    assert f"  nobody-yet cannot write to {configured}/plans, where plans and their journals are: install" in again
    (configured / "windows.ics").chmod(0o600)
    assert (
        f"  nobody-yet cannot read {configured}/windows.ics: " in provmode(*command, environment={"TZ": "UTC"}).stdout
    )


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"without": ["window"]}, "plans are applied at night only inside windows, and the configuration names none; "),
        ({"without": ["plans"]}, "provmode.toml: [change] names no folder; set plans under [change]"),
        ({"without": ["plan_keys"]}, "plans of a folder have to be signed, and nobody says with which keys; name the "),
        ({"begins": "20260101T010000"}, "no window is open at 22:00, when plans are to be applied; set at under "),
        ({"begins": "20260101T170000"}, "no window is open at 22:00, when plans are to be applied; set at under "),
        ({"at": "25:00"}, "change.at is not a time of day such as "),
        ({"at": "daily"}, "change.at is not a time of day such as "),
        ({"begins": "nonsense"}, "windows.ics"),
    ],
)
def test_no_unit_is_written_that_could_not_apply_anything(
    provmode: Run, configured: Path, at_night: Callable[..., None], how: dict[str, Any], said: str
) -> None:
    at_night(*how.pop("without", ()), **how)

    ran = provmode("systemd", "--write", "units", "--config", "provmode.toml", environment={"TZ": "UTC"})

    assert (ran.returncode, ran.stdout, ran.stderr.count("\n")) == (1, "", 1), ran.stderr
    assert said in ran.stderr
    assert list((configured / "units").iterdir()) == []


def test_the_time_is_that_of_this_computer(provmode: Run, configured: Path, at_night: Callable[..., None]) -> None:
    at_night(begins="20260101T050000")  # until 10:00 UTC: in Los Angeles from 21:00 to 02:00, or an hour later

    utc, there = (
        provmode("systemd", "--write", "units", "--config", "provmode.toml", environment={"TZ": zone})
        for zone in ("UTC", "America/Los_Angeles")
    )

    assert (utc.returncode, there.returncode) == (1, 0)


def test_what_it_wrote_it_writes_again_and_nothing_else(provmode: Run, configured: Path) -> None:
    def write(*options: str) -> Any:
        return provmode("systemd", "--write", "units", *options)

    first, again = write(), write("--at", "03:00")
    timer, service = configured / "units" / "provmode-audit.timer", configured / "units" / "provmode-retry.service"
    edited = service.read_text().replace("User=provmode", "User=me")
    service.write_text(edited)
    refused = write("--at", "04:00")

    assert (first.returncode, again.returncode, refused.returncode) == (0, 0, 1)
    assert (refused.stdout, refused.stderr.count("\n")) == ("", 1)
    assert "units/provmode-retry.service was not written by provmode systemd, or was changed since" in refused.stderr
    assert service.read_text() == edited
    assert "OnCalendar=*-*-* 03:00\n" in timer.read_text(), "nothing was written, the others neither"
    assert not [path for path in (configured / "units").iterdir() if path.name not in NAMES]


@pytest.mark.parametrize("how", ["another's", "a link to another's", "a folder", "not UTF-8"])
def test_a_file_that_it_did_not_write_stays(provmode: Run, configured: Path, how: str) -> None:
    other, unit = configured / "other", configured / "units" / "provmode-audit.service"
    other.write_bytes(b"[Service]\nExecStart=/bin/true\n" + (b"\xff" if how == "not UTF-8" else b""))
    if how == "a folder":
        unit.mkdir()
    elif how == "a link to another's":
        unit.symlink_to(other)
    else:
        unit.write_bytes(other.read_bytes())

    ran = provmode("systemd", "--write", "units")

    assert (ran.returncode, ran.stdout, ran.stderr.count("\n")) == (1, "", 1)
    assert [path.name for path in (configured / "units").iterdir()] == ["provmode-audit.service"]
    assert other.read_bytes().startswith(b"[Service]\nExecStart=/bin/true\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--write", "units", "--at", "25:00"), "25:00 is not a time of day; write it as 02:00 or 22:30"),
        (("--write", "units", "--retry-every", "7m"), "7m is not an interval of a schedule"),
        (("--write", "units", "--user", "a b"), "a b is not the name of a user"),
        (("--write", "nowhere"), "there is no folder nowhere"),
        (("--write", "open"), "open decides what systemd runs, and others can write to it"),
        ((), "Missing option '--write'"),
        (("--write", "units", "--config", "empty.toml"), "empty.toml names no inventory; set its key inventory"),
        (("--write", "units", "--config", "it's/provmode.toml"), "a unit cannot name "),
    ],
)
def test_what_cannot_be_done_is_one_line(
    provmode: Run, configured: Path, arguments: tuple[str, ...], said: str
) -> None:
    (configured / "open").mkdir()
    (configured / "open").chmod(0o777)
    (configured / "empty.toml").touch()
    (configured / "it's").mkdir(mode=0o755)
    (configured / "it's" / "provmode.toml").write_text("inventory = '@winrm/PC-1'\n")

    ran = provmode("systemd", *arguments)

    assert (ran.returncode, ran.stdout, ran.stderr.count("\n")) == (1, "", 1)
    assert ran.stderr.startswith(f"provmode: {said}")
    assert list((configured / "units").iterdir()) == []


def test_without_a_configuration_file_it_says_how_to_get_one(provmode: Run, configured: Path) -> None:
    (configured / "provmode.toml").unlink()

    ran = provmode("systemd", "--write", "units")

    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith(
        "provmode: there is no configuration file to make units from; write one with provmode init"
    )


# -- what they start ---------------------------------------------------------------------------------------------------


@pytest.fixture
def of_lab(lab: LabProcess, tmp_path: Path, healthy: Host, of_persona: Callable[..., Host]) -> Path:
    """A configuration file that reaches a healthy PC and one that is away; its password file is not there."""
    tmp_path.chmod(0o755)
    hosts = (healthy, of_persona(lab, "refused"))
    rows = "".join(f"{host.name},{host.address},{host.port}\n" for host in hosts)
    (tmp_path / "pcs.csv").write_text(f"name,address,winrm_port\n{rows}")
    (tmp_path / "provmode.toml").write_text(
        "inventory = 'pcs.csv'\n[history]\nurl = 'sqlite:///provmode/history.sqlite'\n"
        f"[data]\nwinrm_user = '{lab.user}'\nwinrm_password_file = 'only-root-reads-it'\n"
    )
    (tmp_path / "units").mkdir(mode=0o755)
    return tmp_path


@pytest.fixture
def as_systemd_does(settings_of: Run, words_of: Run, of_lab: Path, lab: LabProcess) -> Run:
    """Run the command line of a unit as systemd does: its words, its folders, its credentials, and little else."""

    def run(text: str, *before: str) -> subprocess.CompletedProcess[str]:
        settings, folder = settings_of(text), of_lab
        (folder / "credentials").mkdir(exist_ok=True)
        for credential in settings["LoadCredential"]:
            (folder / "credentials" / credential.partition(":")[0]).write_bytes(lab.password_file.read_bytes())
        (folder / "provmode").mkdir(mode=int(settings["StateDirectoryMode"][0], 8), exist_ok=True)
        return subprocess.run(
            [*before, *words_of(text, str(folder))],
            cwd=settings["WorkingDirectory"][0].replace("%%", "%"),
            umask=int(settings["UMask"][0], 8),
            env={
                **{"PATH": "/usr/bin:/bin", "LANG": "C", "PYTHONPATH": os.environ.get("PYTHONPATH", "")},
                **{"STATE_DIRECTORY": str(folder / "provmode"), "CREDENTIALS_DIRECTORY": str(folder / "credentials")},
            },
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_the_nightly_look_finds_what_the_configuration_says(provmode: Run, of_lab: Path, as_systemd_does: Run) -> None:
    assert provmode("systemd", "--write", "units").returncode == 0

    ran = as_systemd_does((of_lab / "units" / "provmode-audit.service").read_text())

    assert (ran.returncode, ran.stdout) == (8, ""), ran.stderr
    report = of_lab / "provmode" / "audit.json"
    verdicts = [host["verdict"] for host in json.loads(report.read_text())["hosts"]]
    assert sorted(verdicts) == ["healthy", "unassessed"]
    assert stat.S_IMODE(report.stat().st_mode) == 0o600
    assert [path.name.partition("-")[0] for path in (of_lab / "provmode").glob("*.lock")] == ["audit"]
    assert (of_lab / "provmode" / "history.sqlite").stat().st_size


def test_a_retry_asks_only_those_that_were_away_and_finds_who_has_come_back(
    provmode: Run, lab: LabProcess, of_lab: Path, as_systemd_does: Run, healthy: Host
) -> None:
    assert provmode("systemd", "--write", "units", "--config", "provmode.toml").returncode == 0
    audit, retry = ((of_lab / "units" / f"provmode-{name}.service").read_text() for name in ("audit", "retry"))
    text = (of_lab / "pcs.csv").read_text()
    back = next(host for host in lab.hosts if host.persona == "healthy" and host != healthy)
    (of_lab / "pcs.csv").write_text(f"{text}{back.name},{back.address},1\n")  # nothing is there
    configuration = of_lab / "provmode.toml"
    configuration.write_text(f"max_unassessed = '70%'\n{configuration.read_text()}")
    nightly, all_away = as_systemd_does(audit), as_systemd_does(retry)
    (of_lab / "pcs.csv").write_text(f"{text}{back.name},{back.address},{back.port}\n")
    before = lab.counters(healthy.name)

    ran = as_systemd_does(retry)

    assert (nightly.returncode, all_away.returncode) == (8, 8), "how many may be away is said of the whole inventory"
    assert (ran.returncode, ran.stdout, ran.stderr) == (8, "", "")
    hosts = json.loads((of_lab / "provmode" / "retry.json").read_text())["hosts"]
    assert sorted(host["verdict"] for host in hosts) == ["healthy", "unassessed"]
    assert [host["host"] for host in hosts if host["verdict"] == "healthy"] == [back.name]
    assert lab.counters(healthy.name) == before


def members(analyze: Run, name: str) -> Iterator[str]:
    """Yield the system calls of one of systemd's sets."""
    lines = analyze("--no-pager", "syscall-filter", name).stdout.splitlines()[1:]
    for word in filter(None, (line.partition("#")[0].strip() for line in lines)):
        yield from members(analyze, word) if word.startswith("@") else (word,)


def allowed(analyze: Run, filters: Sequence[str]) -> set[str]:
    """Return the system calls that the lines ``SystemCallFilter=`` of a unit allow."""
    calls = {*members(analyze, "@default"), "execve"}
    for line in filters:
        named = {call for name in line.removeprefix("~").split() for call in members(analyze, name)}
        calls = calls - named if line.startswith("~") else calls | named
    return calls


CONFINE = """
import ctypes, json, os, sys
seccomp, libc = ctypes.CDLL("libseccomp.so.2"), ctypes.CDLL(None)
seccomp.seccomp_init.restype = ctypes.c_void_p
filter = ctypes.c_void_p(seccomp.seccomp_init(ctypes.c_uint32(0x00050001)))  # EPERM
for name in json.loads(sys.argv[1]):
    number = seccomp.seccomp_syscall_resolve_name(name.encode())
    if number >= 0:
        allow, always = ctypes.c_uint32(0x7FFF0000), ctypes.c_uint(0)
        assert seccomp.seccomp_rule_add(filter, allow, ctypes.c_int(number), always) == 0
libc.prctl(65, 1, 0, 0, 0)  # no memory that is written and run; Linux before 6.3 does not know this
assert libc.prctl(38, 1, 0, 0, 0) == 0  # no new privileges
assert seccomp.seccomp_load(filter) == 0
os.execv(sys.argv[2], sys.argv[2:])
"""
"""Confines itself as the unit would be, and then is the program that it names."""


@pytest.mark.systemd
@pytest.mark.parametrize("processes", [1, 2])
def test_a_look_needs_no_more_of_the_system_than_its_unit_allows(
    provmode: Run, analyze: Run, settings_of: Run, of_lab: Path, as_systemd_does: Run, processes: int
) -> None:
    with (of_lab / "provmode.toml").open("r+") as file:
        text = file.read()
        file.seek(0)
        file.write(f"processes = {processes}\n{text}")
    assert provmode("systemd", "--write", "units").returncode == 0
    unit = (of_lab / "units" / "provmode-audit.service").read_text()
    calls = allowed(analyze, settings_of(unit)["SystemCallFilter"])
    confine = (sys.executable, "-c", CONFINE, json.dumps(sorted(calls)))
    probe = "import os; os.sched_setaffinity(0, {0})"

    refused = subprocess.run([*confine, sys.executable, "-c", probe], capture_output=True, text=True, check=False)
    ran = as_systemd_does(unit, *confine)

    assert "Operation not permitted" in refused.stderr, "it is confined"
    assert (ran.returncode, ran.stdout, ran.stderr) == (8, "", "")
    verdicts = [host["verdict"] for host in json.loads((of_lab / "provmode" / "audit.json").read_text())["hosts"]]
    assert sorted(verdicts) == ["healthy", "unassessed"]
