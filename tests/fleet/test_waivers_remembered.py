"""What the history keeps of waivers: each use with its run, on the host, in the drift, and on the page."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

DAY = 86400.0
TELL = "import pathlib, sys; pathlib.Path('told.json').write_bytes(sys.stdin.buffer.read())"
COMMON = 'owner = "Anna"\nreason = "known"\nticket = "CHG1"\ncreated = 2026-11-20\n'
WORDS = "Anna, CHG1, until 2026-12-31: known"
KNOWN = {"owner": "Anna", "reason": "known", "ticket": "CHG1", "expires": "2026-12-31", "effect": "report"}


class Nights:
    """A fleet whose complete audits are remembered, with a file of waivers that the configuration names."""

    def __init__(self, commands: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.commands, self.bench, self.folder = commands, commands.bench, commands.bench.folder
        monkeypatch.chdir(self.folder)
        monkeypatch.delenv("PROVMODE_PLAN_KEY", raising=False)
        self.folder.chmod(0o755)
        command = json.dumps([sys.executable, "-c", TELL])
        Path("named.toml").write_text(
            "[history]\nurl = 'sqlite:///history.sqlite'\n[waivers]\nfile = 'waivers.toml'\n"
            f"[notify]\ncommand = {command}\n"
        )
        monkeypatch.setenv("PROVMODE_CONFIG", "named.toml")
        self.told = Path("told.json")
        self.waive()

    def fleet(self, *personas: str) -> list[Any]:
        return [self.bench.pc(persona, f"PC-{number}", seed=number) for number, persona in enumerate(personas, 1)]

    def waive(self, *hosts: str, expires: str = "2026-12-31") -> None:
        tables = "".join(f'[[waiver]]\nhost = "{host}"\nexpires = {expires}\n{COMMON}' for host in hosts)
        Path("waivers.toml").write_text('zone = "Europe/Berlin"\n' + tables)

    def night(self, *options: object, days: float = 1) -> Any:
        """Look at all, and let the time until the next night pass."""
        ran = self.commands.run("audit", self.commands.inventory, *options)
        self.bench.wait(days * DAY)
        return ran

    def json(self, *arguments: object) -> dict[str, Any]:
        ran = self.commands.run(*arguments, "--format", "json")
        assert ran.out, ran.err
        document: dict[str, Any] = json.loads(ran.out)
        return document

    def drift(self) -> tuple[int, list[dict[str, Any]]]:
        ran = self.commands.run("drift", "--format", "json")
        return ran.code, json.loads(ran.out)["hosts"]


@pytest.fixture
def nights(commands: Any, monkeypatch: pytest.MonkeyPatch) -> Nights:
    return Nights(commands, monkeypatch)


# -- the history ------------------------------------------------------------------------------------------------------


def test_a_run_names_the_waivers_that_it_used(nights: Nights) -> None:
    nights.fleet("armed", "healthy")
    nights.waive("PC-1")
    nights.night()

    text = nights.commands.run("history", "show", "last").out
    document = nights.json("history", "show", "last")

    assert f"waived  1 host\n  PC-1: {WORDS}\n" in text
    assert document["waived"] == [{**KNOWN, "hosts": ["PC-1"]}]
    assert [(each["host"], each["covered"], each["state"]) for each in document["waivers"]] == [("PC-1", 1, "used")]


def test_a_host_shows_every_waiver_that_was_used_and_in_how_many_runs(nights: Nights) -> None:
    nights.fleet("half-exited", "healthy")
    nights.waive("PC-1")
    for _ in range(3):
        nights.night()
    nights.waive("PC-1", expires="2026-12-24")
    nights.night()

    text = nights.commands.run("history", "host", "pc-1").out
    document = nights.json("history", "host", "PC-1")

    assert f"  waived in 3 runs, from 2026-11-26 12:00 UTC to 2026-11-28 12:00 UTC: {WORDS}\n" in text
    assert [(each["expires"], each["runs"]) for each in document["waived"]] == [("2026-12-31", 3), ("2026-12-24", 1)]
    assert "waived" not in nights.json("history", "host", "PC-2")


def test_a_plan_and_a_push_remember_what_they_knew_of(nights: Nights) -> None:
    nights.fleet("armed")
    nights.waive("PC-1")
    nights.commands.run("plan", nights.commands.inventory)
    nights.bench.wait(60)
    nights.commands.run("push", nights.commands.inventory, "--yes", "--unsigned")

    found = [nights.json("history", "show", str(number)) for number in (1, 2)]

    assert [(run["kind"], run["waived"][0]["hosts"]) for run in found] == [("plan", ["PC-1"]), ("push", ["PC-1"])]


def test_a_report_that_is_imported_brings_its_waivers(nights: Nights) -> None:
    nights.fleet("armed")
    nights.waive("PC-1")
    nights.commands.run("audit", nights.commands.inventory, "--output", "kept.json", "--format", "json")
    Path("history.sqlite").unlink()

    nights.commands.run("history", "import", "kept.json")

    assert nights.json("history", "show", "last")["waived"] == [{**KNOWN, "hosts": ["PC-1"]}]


@pytest.mark.parametrize("odd", [7, [], {"owner": 1}, {**KNOWN, "owner": "\x1b[31m" + "x" * 999}])
def test_an_imported_report_with_odd_waivers_does_no_harm(nights: Nights, odd: object) -> None:
    nights.fleet("armed")
    nights.commands.run("audit", nights.commands.inventory, "--output", "kept.json", "--format", "json")
    Path("history.sqlite").unlink()
    document = json.loads(Path("kept.json").read_text())
    document["hosts"][0]["waived"] = odd
    document["waivers"] = [odd, {**KNOWN, "state": "used"}, {**KNOWN, "state": []}]
    Path("kept.json").write_text(json.dumps(document))

    imported = nights.commands.run("history", "import", "kept.json")
    shown = nights.commands.run("history", "show", "last")
    page = nights.commands.run("report", "--output", "page.html", "--run", "last")

    assert (imported.code, shown.code, page.code) == (0, 0, 0), (imported.err, shown.err, page.err)
    assert "\x1b" not in shown.out
    assert len(shown.out) < 3000


# -- drift ------------------------------------------------------------------------------------------------------------


def test_what_is_new_and_waived_keeps_its_word_and_tells_nobody(nights: Nights) -> None:
    nights.fleet("healthy", "healthy")
    nights.waive("PC-1")
    nights.night()
    nights.bench.pc("half-exited", "PC-1")

    ran = nights.night("--notify")

    code, hosts = nights.drift()
    assert (ran.code, code, nights.told.exists()) == (0, 0, False)
    assert [(each["host"], each["word"], each["waived"]) for each in hosts] == [("PC-1", "new", KNOWN)]
    assert f"waived by {WORDS}" in nights.commands.run("drift").out


def test_another_host_that_is_new_is_told_and_the_waived_one_is_marked(nights: Nights) -> None:
    nights.fleet("healthy", "healthy")
    nights.waive("PC-1")
    nights.night()
    nights.bench.pc("half-exited", "PC-1")
    nights.bench.pc("half-exited", "PC-2")

    assert nights.night("--notify").code == 2

    hosts = json.loads(nights.told.read_text())["hosts"]
    assert {each["host"]: "waived" in each for each in hosts} == {"PC-1": True, "PC-2": False}
    assert nights.drift()[0] == 2


def test_the_night_after_a_waiver_ended_its_finding_is_told_as_if_it_were_new(nights: Nights) -> None:
    nights.fleet("half-exited")
    nights.waive("PC-1", expires="2026-11-27")
    for _ in range(2):
        assert nights.night("--notify").code == 0
        assert not nights.told.exists()

    ran = nights.night("--notify")

    code, hosts = nights.drift()
    assert (ran.code, code) == (2, 2)
    assert [(each["word"], each.get("waiver_ended"), "waived" in each) for each in hosts] == [("still", True, False)]
    assert json.loads(nights.told.read_text())["hosts"] == hosts
    assert "its waiver has ended" in nights.commands.run("drift").out


def test_it_is_told_once_and_not_every_night(nights: Nights) -> None:
    nights.fleet("half-exited")
    nights.waive("PC-1", expires="2026-11-26")
    nights.night("--notify")
    nights.night("--notify")
    nights.told.unlink()

    nights.night("--notify")

    assert not nights.told.exists()


def test_a_waived_host_that_goes_away_is_lost_as_any_other(nights: Nights) -> None:
    pc, _ = nights.fleet("half-exited", "healthy")
    nights.waive("PC-1")
    nights.night()
    pc.error = TimeoutError("off")

    nights.night()

    assert [(each["word"], "waived" in each, "waiver_ended" in each) for each in nights.drift()[1]] == [
        ("lost", False, False)
    ]


def test_two_people_of_one_history_see_the_same_end(nights: Nights, monkeypatch: pytest.MonkeyPatch) -> None:
    nights.fleet("half-exited")
    nights.waive("PC-1", expires="2026-11-26")
    evening = nights.night(days=0.25).code
    monkeypatch.setenv("TZ", "America/Los_Angeles")
    other = nights.night(days=0.25).code
    monkeypatch.setenv("TZ", "Asia/Tokyo")

    morning = nights.night().code

    assert (evening, other, morning) == (0, 0, 2)
    assert [run["exit_code"] for run in nights.json("history", "runs")["runs"]] == [2, 0, 0]


# -- the page ---------------------------------------------------------------------------------------------------------


def test_the_page_lists_every_waiver_with_its_uses_and_those_first_that_need_a_look(nights: Nights) -> None:
    nights.fleet("half-exited", "healthy", "half-exited")
    nights.waive("PC-1", "PC-2", "PC-3")
    nights.night()
    text = Path("waivers.toml").read_text()
    Path("waivers.toml").write_text(text[::-1].replace("2026-12-31"[::-1], "2026-11-26"[::-1], 1)[::-1])
    nights.night()

    nights.commands.run("report", "--output", "page.html")

    section = Path("page.html").read_text().partition('id="waivers"')[2].partition("</section>")[0]
    rows = [row.partition("</tr>")[0] for row in section.split('<tr><th scope="row">')[1:]]
    assert [row[5:9] for row in rows] == ["PC-3", "PC-2", "PC-1"]
    assert ["expired" in rows[0], "matches nothing" in rows[1], "in use" in rows[2]] == [True] * 3
    assert '<td class="number">1</td><td class="number">2</td>' in rows[2]
    assert "2 of 3 PCs need something, 1 of them waived" in Path("page.html").read_text()


def test_the_page_of_a_report_alone_has_its_waivers_and_no_uses(nights: Nights) -> None:
    nights.fleet("armed", "healthy")
    nights.waive("PC-1")
    nights.commands.run("audit", nights.commands.inventory, "--output", "kept.json", "--format", "json")

    ran = nights.commands.run("report", "--output", "page.html", "--from", "kept.json")

    page = Path("page.html").read_text()
    assert ran.code == 0
    assert "1 of 2 PCs needs something, 1 of them waived" in page
    assert '<span class="none">not known</span>' in page.partition('id="waivers"')[2].partition("</section>")[0]


def test_a_run_without_waivers_says_so_on_its_page(nights: Nights) -> None:
    nights.fleet("armed")
    nights.night()

    nights.commands.run("report", "--output", "page.html")

    assert "The run knew no waivers." in Path("page.html").read_text()
