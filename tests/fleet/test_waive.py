"""``provmode waive``: a waiver more in the file, and nothing else in it changes."""

from __future__ import annotations

import multiprocessing
import os
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from provmode.fleet.waivers_file import Rereading, add, read

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=timezone.utc)
NEW = ("--host", "PC-7", "--rule", "armed", "--owner", "Anna", "--reason", "known", "--ticket", "CHG7")
TEXT = """\
# Ours. Ask Anna before you change this.
zone = "Europe/Berlin"   # the head office

[[waiver]]  # the lab
hosts = 'LAB-*'
verdict = "armed"
owner = "Anna"
reason = "rebuilt"
ticket = "CHG1"
created = 2026-11-01
expires = 2026-12-01
"""


@pytest.fixture
def waive(commands: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run the command in a folder of its own, with ``waivers.toml`` there."""
    monkeypatch.chdir(commands.bench.folder)
    commands.bench.folder.chmod(0o755)
    return lambda *options: commands.run("waive", "--waivers", "waivers.toml", *options)


@pytest.fixture
def file(waive: Any) -> Path:
    Path("waivers.toml").write_text(TEXT)
    return Path("waivers.toml")


def test_a_waiver_is_added_at_the_end_and_all_else_stays_byte_for_byte(waive: Any, file: Path) -> None:
    ran = waive(*NEW, "--expires", "2026-12-24", "--hold")

    assert (ran.code, ran.err.count("\n")) == (0, 1)
    assert ran.out == (
        "waivers.toml: added waiver 2 (line 13): PC-7, rule armed: Anna, CHG7, until 2026-12-24: known; "
        "nothing is changed there\n"
    )
    assert file.read_text() == TEXT + (
        '\n[[waiver]]\nhost = "PC-7"\nrule = "armed"\nowner = "Anna"\nreason = "known"\nticket = "CHG7"\n'
        'created = 2026-11-26\nexpires = 2026-12-24\neffect = "hold"\n'
    )


def test_it_says_how_runs_know_of_the_file_unless_the_configuration_does(
    waive: Any, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("named.toml").write_text("[waivers]\nfile = 'waivers.toml'\n")

    without = waive(*NEW, "--expires", "2026-12-24")
    with_it = waive(*NEW, "--expires", "2026-12-25", "--config", "named.toml")

    assert "runs know of it with --waivers waivers.toml, or file under [waivers]" in without.err
    assert with_it.err == ""


def test_the_configured_file_is_added_to_if_none_is_named(commands: Any, waive: Any, file: Path) -> None:
    Path("named.toml").write_text("[waivers]\nfile = 'waivers.toml'\nmax_days = 30\n")

    too_long = commands.run("waive", *NEW, "--expires", "2027-01-10", "--config", "named.toml")
    ran = commands.run("waive", *NEW, "--expires", "2026-12-24", "--config", "named.toml")

    assert (too_long.code, ran.code) == (1, 0)
    assert "at most 30 are allowed" in too_long.err
    assert file.read_text().count("[[waiver]]") == 2


def test_a_file_is_begun_with_its_zone_and_nobody_else_may_write_to_it(waive: Any) -> None:
    mask = os.umask(0o002)
    try:
        without = waive(*NEW, "--expires", "2026-12-24")
        ran = waive(*NEW, "--expires", "2026-12-24", "--zone", "Europe/Berlin")
    finally:
        os.umask(mask)

    assert without.code == 1
    assert "the file names no time zone, so that no day has an end; give --zone Europe/Berlin" in without.err
    assert ran.code == 0
    assert Path("waivers.toml").stat().st_mode & 0o022 == 0
    assert waive("--check").code == 0


def test_a_file_of_comments_alone_gets_its_zone(waive: Any) -> None:
    Path("waivers.toml").write_text("# nothing yet")

    assert waive(*NEW, "--expires", "2026-12-24", "--zone", "Asia/Tokyo").code == 0
    assert Path("waivers.toml").read_text().startswith('# nothing yet\nzone = "Asia/Tokyo"\n\n[[waiver]]\n')


def test_another_zone_than_that_of_the_file_is_refused(waive: Any, file: Path) -> None:
    ran = waive(*NEW, "--expires", "2026-12-24", "--zone", "UTC")

    assert (ran.code, file.read_text()) == (1, TEXT)
    assert "days end in Europe/Berlin in waivers.toml, not in UTC; leave --zone out" in ran.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--host", "PC-7"), "waivers.toml: waiver 2 (line 13): it has no owner"),
        ((*NEW, "--expires", "2026-11-25"), "it expires on 2026-11-25, before it was created"),
        ((*NEW, "--expires", "2028-01-01"), "and at most 180 are allowed"),
        ((*NEW, "--expires", "tomorrow"), "--expires tomorrow is not a date; write it as 2026-12-31"),
        ((*NEW, "--expires", "20261231"), "--expires 20261231 is not a date"),
        ((*NEW[2:], "--hosts", "*", "--rule", "healthy", "--expires", "2026-12-24"), "rule healthy cannot be waived"),
        ((*NEW, "--reason", "two\nlines", "--expires", "2026-12-24"), "is not a line of printable text"),
        ((*NEW, "--reason", "", "--expires", "2026-12-24"), "it has no reason"),
    ],
)
def test_a_waiver_with_a_mistake_leaves_the_file_as_it_was(
    waive: Any, file: Path, options: tuple[str, ...], said: str
) -> None:
    ran = waive(*options)

    assert (ran.code, ran.out, file.read_text()) == (1, "", TEXT)
    assert said in ran.err


def test_nothing_is_added_to_a_file_with_a_mistake(waive: Any, file: Path) -> None:
    broken = TEXT.replace('owner = "Anna"', 'ownr = "Anna"')
    file.write_text(broken)

    ran = waive(*NEW, "--expires", "2026-12-24")

    assert (ran.code, file.read_text()) == (1, broken)
    assert "waiver 1 (line 4): there is no key ownr (and 1 more mistake); did you mean owner?" in ran.err


def test_a_file_that_others_can_write_to_is_not_added_to(waive: Any, file: Path) -> None:
    file.chmod(0o666)

    ran = waive(*NEW, "--expires", "2026-12-24")

    assert (ran.code, file.read_text()) == (1, TEXT)
    assert "others can write to it" in ran.err


def test_a_folder_that_others_can_write_to_gets_no_file(waive: Any) -> None:
    Path("open").mkdir()
    Path("open").chmod(0o777)

    ran = waive(*NEW, "--expires", "2026-12-24", "--zone", "UTC", "--waivers", "open/waivers.toml")

    assert (ran.code, list(Path("open").iterdir())) == (1, [])
    assert "others can write to it" in ran.err


def test_a_link_stays_and_leads_to_the_new_file(waive: Any, file: Path) -> None:
    Path("link.toml").symlink_to("waivers.toml")

    assert waive(*NEW, "--expires", "2026-12-24", "--waivers", "link.toml").code == 0
    assert Path("link.toml").is_symlink()
    assert file.read_text().count("[[waiver]]") == 2


def test_the_check_says_how_each_waiver_stands_and_changes_nothing(waive: Any, file: Path) -> None:
    ran = waive("--check")

    assert (ran.code, ran.err, file.read_text()) == (0, "", TEXT)
    assert ran.out == (
        "waiver 1 (line 4): ends soon: LAB-*, verdict armed: Anna, CHG1, until 2026-12-01: rebuilt\n"
        "waivers.toml: 1 waiver; days end in Europe/Berlin\n"
    )


def test_the_check_says_every_mistake_and_takes_no_other_option(waive: Any, file: Path) -> None:
    file.write_text(TEXT.replace("2026-11-01", "2026-13-01"))

    assert waive("--check").code == 1
    assert "--check adds nothing" in waive("--check", "--host", "PC-1").err


def test_without_a_file_it_says_how_to_name_one(commands: Any, waive: Any) -> None:
    ran = commands.run("waive", *NEW, "--expires", "2026-12-24")

    assert ran.err == "there is no file of waivers; give --waivers FILE, or write file under [waivers]\n"


def test_what_was_added_waives(commands: Any, waive: Any) -> None:
    commands.bench.pc("half-exited", "PC-7")
    waive("--host", "pc-7", *NEW[4:], "--expires", "2026-12-24", "--zone", "UTC")

    assert commands.run("audit", commands.inventory, "--waivers", "waivers.toml").code == 0


# -- several at once --------------------------------------------------------------------------------------------------


def _add_many(path: str, who: str) -> None:
    for number in range(10):
        values = {"host": f"{who}-{number}", "owner": who, "reason": "r", "ticket": "t", "expires": date(2026, 12, 24)}
        add(Path(path), values, now=NOW)


def test_of_waivers_that_several_add_at_the_same_time_none_is_lost(file: Path) -> None:
    context = multiprocessing.get_context("spawn")
    people = [context.Process(target=_add_many, args=(str(file.absolute()), who)) for who in ("anna", "ben", "cyd")]

    for each in people:
        each.start()
    for each in people:
        each.join()

    assert [each.exitcode for each in people] == [0, 0, 0]
    assert len(read(file, now=NOW).waivers) == 1 + 30
    assert file.read_text().startswith(TEXT)
    assert [path.name for path in file.absolute().parent.glob(".provmode-*")] == []


def test_a_file_is_read_again_only_if_it_changed(file: Path) -> None:
    reading = Rereading(file, now=lambda: NOW)
    first = reading()

    same = reading()
    add(file, {"host": "PC-7", "owner": "A", "reason": "r", "ticket": "t", "expires": date(2026, 12, 24)}, now=NOW)

    assert same is first
    assert len(reading().waivers) == 2
