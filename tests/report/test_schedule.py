"""A schedule as units and as lines for cron: systemd itself accepts the units, and both mean the same times."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from provmode.errors import UsageError
from provmode.fleet.night import Change, When, time_of_day
from provmode.fleet.results import EXIT_CODES
from provmode.report.cron import crontab
from provmode.report.schedule import DAY, Schedule, interval
from provmode.report.systemd_units import units

Run = Callable[..., Any]
INTERVALS = ("5m", "10m", "12m", "15m", "20m", "30m", "1h", "2h", "3h", "4h", "6h", "8h", "12h")
SERVICES = ("provmode-audit.service", "provmode-retry.service")
CHANGE = ("provmode-change.service", "provmode-change.timer")
NAMES = {*SERVICES, *CHANGE, "provmode-audit.timer", "provmode-retry.timer", "provmode-failed@.service"}
AT_NIGHT = Change("/var/lib/provmode/plans", When.parse("22:00"), window=5 * 3600, drain=900)
CALENDAR = """BEGIN:VCALENDAR\r
VERSION:2.0\r
PRODID:-//x//x//EN\r
BEGIN:VEVENT\r
UID:1\r
DTSTAMP:20260101T000000Z\r
DTSTART:20260101T213000\r
DURATION:PT5H\r
RRULE:FREQ=DAILY\r
END:VEVENT\r
END:VCALENDAR\r
"""


def schedule(**changes: Any) -> Schedule:
    usual: dict[str, Any] = {"program": ("/opt/provmode/bin/provmode",), "user": "provmode", "at": 120, "every": 60}
    usual |= {"configuration": Path("/etc/provmode/provmode.toml"), "remembers": True, "change": AT_NIGHT}
    return Schedule(**{**usual, **changes})


# -- what systemd says of them -----------------------------------------------------------------------------------------


@pytest.fixture
def odd_folder(tmp_path: Path) -> Path:
    """A folder whose name means something to systemd, to cron and to a shell."""
    tmp_path.chmod(0o755)
    folder = tmp_path / "a b%h$HOME;&é"
    folder.mkdir(mode=0o755)
    return folder


@pytest.fixture
def written(provmode: Run, odd_folder: Path, tmp_path: Path) -> dict[str, str]:
    """Units for a configuration file in that folder, by their names."""
    (odd_folder / "windows.ics").write_text(CALENDAR)
    (odd_folder / "provmode.toml").write_text(
        "inventory = '@winrm/PC-1'\nkey_file = 'plan.key'\n[signing]\njournal_key = 'bob.key'\n"
        "[windows]\nwindow = 'windows.ics'\nzone = 'UTC'\n[change]\nplans = 'p l%ns'\n"
        "[history]\nurl = 'sqlite:///history.sqlite'\n[notify]\ncommand = ['/bin/cat']\n"
        "[data]\nwinrm_password_file = 'pass word'\nwinrm_kerberos_keytab = '/etc/k%t'\n"
    )
    (tmp_path / "units").mkdir(mode=0o755)

    ran = provmode(
        *("systemd", "--write", "units", "--config", str(odd_folder / "provmode.toml")),
        environment={"PROVMODE_PASSWORD": "never-in-a-unit"},
    )

    assert (ran.returncode, ran.stderr) == (0, "")
    assert "never-in-a-unit" not in ran.stdout
    found = {path.name: path.read_text("utf-8") for path in (tmp_path / "units").iterdir()}
    assert set(found) == NAMES
    return found


@pytest.mark.systemd
def test_systemd_analyze_verify_finds_nothing(analyze: Run, written: dict[str, str], tmp_path: Path) -> None:
    ran = analyze("verify", "--man=no", "--recursive-errors=no", *sorted((tmp_path / "units").iterdir()))

    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


@pytest.mark.systemd
@pytest.mark.parametrize("there", [True, False])
def test_systemd_finds_the_program_in_a_folder_with_an_odd_name(
    analyze: Run, odd_folder: Path, tmp_path: Path, there: bool
) -> None:
    program = odd_folder / "provmode"
    if there:
        program.symlink_to(sys.executable)
    (tmp_path / "units").mkdir()
    for name, text in units(schedule(program=(str(program),))).items():
        (tmp_path / "units" / name).write_text(text)

    ran = analyze("verify", "--man=no", *(tmp_path / "units" / name for name in SERVICES))

    assert (ran.returncode, f"{program} is not executable" in ran.stderr) == ((0, False) if there else (1, True))


@pytest.mark.systemd
@pytest.mark.parametrize("name", [*SERVICES, CHANGE[0], "provmode-failed@.service"])
def test_systemd_counts_little_exposure(analyze: Run, written: dict[str, str], tmp_path: Path, name: str) -> None:
    ran = analyze("security", "--offline=true", "--no-pager", "--threshold=17", tmp_path / "units" / name)

    assert ran.returncode == 0, ran.stdout


def test_the_units_name_files_with_secrets_and_hold_none(
    settings_of: Run, written: dict[str, str], odd_folder: Path
) -> None:
    for name in SERVICES:
        found = settings_of(written[name])
        folder = str(odd_folder).replace("%", "%%")
        assert found["LoadCredential"] == [
            "winrm_kerberos_keytab:/etc/k%%t",
            f"winrm_password_file:{folder}/pass word",
        ], "and no key: who looks signs nothing"
        assert found["WorkingDirectory"] == [folder]
        assert found["ReadWritePaths"] == [f'"-{folder}"'], "the history is there"
        assert (found["User"], found["StateDirectory"], found["UMask"]) == (["provmode"], ["provmode"], ["0077"])
    change = settings_of(written[CHANGE[0]])
    assert change["LoadCredential"] == [
        f"journal_key:{folder}/bob.key",
        f"key_file:{folder}/plan.key",
        "winrm_kerberos_keytab:/etc/k%%t",
        f"winrm_password_file:{folder}/pass word",
    ]
    assert change["ReadWritePaths"] == [f'"-{folder}" "-{folder}/p l%%ns"'], "the journals lie beside the plans"
    assert (change["WorkingDirectory"], change["User"], change["UMask"]) == ([folder], ["provmode"], ["0077"])
    assert not [text for text in written.values() if "PASSWORD" in text or "Environment" in text]


def test_the_command_lines_are_those_that_were_meant(words_of: Run, written: dict[str, str], odd_folder: Path) -> None:
    program = str(Path(sys.executable).parent / "provmode")
    begin = [program, "audit", "--config", str(odd_folder / "provmode.toml")]

    assert words_of(written["provmode-audit.service"]) == [
        *begin,
        *("--notify", "--format", "json", "--output", "/var/lib/provmode/audit.json"),
    ]
    assert words_of(written["provmode-retry.service"]) == [
        *begin,
        *("--only", "unassessed", "--max-unassessed", "100%"),
        *("--format", "json", "--output", "/var/lib/provmode/retry.json"),
    ]


def test_the_unit_that_applies_takes_its_windows_from_the_configuration(
    words_of: Run, written: dict[str, str], odd_folder: Path
) -> None:
    program = str(Path(sys.executable).parent / "provmode")

    assert words_of(written[CHANGE[0]]) == [
        *(program, "apply", "--config", str(odd_folder / "provmode.toml"), str(odd_folder / "p l%ns"))
    ]


def test_a_night_that_was_missed_is_over_and_a_run_that_hangs_is_ended_after_its_window(
    settings_of: Run, written: dict[str, str]
) -> None:
    service, timer = (settings_of(written[name]) for name in CHANGE)

    assert (timer["Persistent"], timer["OnCalendar"]) == (["false"], ["*-*-* 22:00"])
    assert "RandomizedDelaySec" not in timer
    assert service["Type"] == ["exec"], "RuntimeMaxSec= means nothing to a oneshot"
    window, drain, report = 5 * 3600, 900, 900
    assert service["RuntimeMaxSec"] == [str(window + drain + report)]
    assert service["TimeoutStopSec"] == [str(drain + report)], "hosts in progress are finished"
    assert set(service["SuccessExitStatus"][0].split()) == {"2", "8"}
    assert service["OnFailure"] == ["provmode-failed@%n.service"]


@pytest.mark.systemd
@pytest.mark.parametrize("text", ["22:30", "Tue,Thu 01:05", "Sun 00:00", "Mon,Sun *-*-* 23:59"])
def test_cron_and_systemd_apply_on_the_same_days_at_the_same_time(analyze: Run, text: str) -> None:
    when = When.parse(text)
    ran = analyze("calendar", "--iterations=7", "--base-time=2026-11-25 23:59:59", when.systemd)
    times = [
        datetime.strptime(found, "%Y-%m-%d %H:%M") for found in re.findall(r"(2026-1\d-\d\d \d\d:\d\d):00", ran.stdout)
    ]
    minute, hour, *rest, days = when.cron.split()

    assert ran.returncode == 0, ran.stderr
    assert rest == ["*", "*"]
    assert {(each.hour, each.minute) for each in times} == {(int(hour), int(minute))}
    assert {each.isoweekday() % 7 for each in times} == ({*range(7)} if days == "*" else set(map(int, days.split(","))))
    assert When.parse(str(when)) == when


@pytest.mark.parametrize("text", ["Tue", "Xyz 22:00", "22", "Tue,22:00", "Tue 25:00", "*-*-01 22:00", "Tue..Thu 22:00"])
def test_what_cron_and_systemd_could_not_both_keep_to_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"not a time of day|not days of the week"):
        When.parse(text)


def test_every_exit_code_of_an_audit_is_an_answer_or_fails_the_unit(settings_of: Run, written: dict[str, str]) -> None:
    accepted = {name: set(map(int, settings_of(written[name])["SuccessExitStatus"][0].split())) for name in SERVICES}

    assert accepted == {"provmode-audit.service": {2, 8}, "provmode-retry.service": {2, 3, 8}}
    assert set(EXIT_CODES["audit"].meanings) == {0, 2, 8} | {1, 3, 4, 6, 130}
    assert {*settings_of(written[SERVICES[0]])["OnFailure"], *settings_of(written[SERVICES[1]])["OnFailure"]} == {
        "provmode-failed@%n.service"
    }
    assert "%i" in written["provmode-failed@.service"]
    assert "provmode-retry.service" in settings_of(written["provmode-audit.service"])["After"][0]


def test_without_a_history_there_is_no_retry_and_nothing_else_is_written_to() -> None:
    it = schedule(remembers=False, change=None)

    texts = units(it)

    assert set(texts) == {name for name in NAMES if "retry" not in name and name not in CHANGE}
    assert not [text for text in texts.values() if "retry" in text or "ReadWritePaths" in text or "--notify" in text]
    assert [line.split()[-1] for line in crontab(it)] == ["XDG_STATE_HOME=/var/lib", "/var/lib/provmode/audit.json"]


def test_a_program_in_a_home_is_not_hidden_from_its_own_service(settings_of: Run) -> None:
    for program, configuration, reads, seen in (
        ("/opt/p/bin/provmode", "/etc/provmode/provmode.toml", (), "yes"),
        ("/home/a/p/bin/provmode", "/etc/provmode/provmode.toml", (), "read-only"),
        ("/opt/p/bin/provmode", "/root/provmode.toml", (), "read-only"),
        ("/opt/p/bin/provmode", "/etc/provmode/provmode.toml", ("/root/.pyenv/bin/python",), "read-only"),
        ("/homes/p/bin/provmode", "/rooted/provmode.toml", ("/usr/bin/python",), "yes"),
    ):
        texts = units(schedule(program=(program,), configuration=Path(configuration), reads=reads))
        assert [settings_of(texts[name])["ProtectHome"] for name in SERVICES] == [[seen], [seen]]


# -- the times ---------------------------------------------------------------------------------------------------------


def cron_minutes(line: str) -> set[int]:
    """Return the minutes of a day at which a line of cron runs: five fields, as crontab(5) has them."""
    minutes, hours, *rest = line.split()[:5]
    assert rest == ["*", "*", "*"]

    def field(text: str, end: int) -> set[int]:
        span, slash, step = text.partition("/")
        first, dash, last = ("0", "-", str(end)) if span == "*" else span.partition("-")
        assert text.isascii()
        assert 0 <= int(first) <= end
        return set(range(int(first), (int(last) if dash else int(first)) + 1, int(step) if slash else 1))

    return {60 * hour + minute for hour in field(hours, 23) for minute in field(minutes, 59)}


def systemd_minutes(analyze: Run, when: str, runs: int) -> set[int]:
    """Return the minutes of the first *runs* times after the midnight before a day, as systemd counts them."""
    ran = analyze("calendar", f"--iterations={runs}", "--base-time=2026-11-25 23:59:59", when)
    times = re.findall(r"(2026-11-2\d) (\d\d):(\d\d):00", ran.stdout)
    assert ran.returncode == 0, ran.stderr
    assert {day for day, _, _ in times} == {"2026-11-26"}
    return {60 * int(hour) + int(minute) for _, hour, minute in times}


@pytest.mark.systemd
@pytest.mark.parametrize("every", INTERVALS)
@pytest.mark.parametrize("at", ["02:00", "23:59", "00:07"])
def test_timers_and_cron_lines_mean_the_same_times_and_a_retry_never_begins_with_the_nightly_look(
    analyze: Run, settings_of: Run, at: str, every: str
) -> None:
    it = schedule(at=time_of_day(at), every=interval(every))
    texts, (_, nightly, retry, _) = units(it), crontab(it)

    look = systemd_minutes(analyze, settings_of(texts["provmode-audit.timer"])["OnCalendar"][0], 1)
    retries = systemd_minutes(analyze, settings_of(texts["provmode-retry.timer"])["OnCalendar"][0], DAY // it.every)

    assert look == cron_minutes(nightly) == {it.at}
    assert retries == cron_minutes(retry)
    assert len(retries) == DAY // it.every
    assert not look & retries


@pytest.mark.parametrize("text", ["2:00", "24:00", "02:60", "0200", "02:00:00", "noon", "", "٠2:00"])
def test_what_is_no_time_of_day_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a time of day; write it as 02:00"):
        time_of_day(text)


@pytest.mark.parametrize("text", ["7m", "90m", "1m", "0m", "60s", "24h", "5h", "1.5h", "h", "", "1 h", "120m", "٣h"])
def test_an_interval_to_which_cron_could_not_keep_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not an interval of a schedule; give 5m, 10m"):
        interval(text)


# -- cron --------------------------------------------------------------------------------------------------------------


def as_cron_runs(line: str) -> str:
    """Return the command of a line: cron takes a backslash before ``%`` away, and a bare ``%`` would end it."""
    command = line.split(None, 6)[6]
    assert not re.search(r"(?<!\\)%", command)
    return command.replace("\\%", "%")


def test_a_shell_gets_the_words_that_were_meant_from_cron(odd_folder: Path) -> None:
    program = odd_folder / "provmode"
    program.write_text('#!/bin/sh\nfor word in "$PWD" "$(umask)" "$@"; do printf "%s\\n" "$word"; done\n')
    program.chmod(0o755)
    it = schedule(program=(str(program),), configuration=odd_folder / "provmode.toml")

    environment, *lines = crontab(it)
    said = [
        subprocess.run(["sh", "-c", as_cron_runs(line)], capture_output=True, text=True, check=True).stdout.splitlines()
        for line in lines
    ]

    assert environment == "XDG_STATE_HOME=/var/lib"
    assert [line.split()[5] for line in lines] == ["provmode"] * 3
    assert said == [
        [str(odd_folder), "0077", *it.audit("/var/lib")[1:]],
        [str(odd_folder), "0077", *it.retry("/var/lib")[1:]],
        [str(odd_folder), "0077", *it.apply(AT_NIGHT)[1:]],
    ]


def test_the_guide_has_these_units_and_lines() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "running.md").read_text("utf-8")
    listed = {line.split("`")[1] for line in guide.splitlines() if line.startswith("| `provmode-")}

    assert listed == NAMES == set(units(schedule()))
    assert "\n".join(["# /etc/cron.d/provmode", *crontab(schedule()), "```"]) in guide
