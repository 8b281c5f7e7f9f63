"""What runs remember: every command writes to the history, and the commands that show it tell what happened."""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from pathlib import Path
from typing import Any

import pytest

from provmode.cli.notify import NotTold, run_command
from provmode.errors import AuthenticationFailed, Unreachable, UsageError
from provmode.history.database import HistoryError

DAY = 86400.0


class Remembering:
    """A fleet of near PCs whose runs are remembered, and a night that passes."""

    def __init__(self, commands: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.commands, self.bench, self.folder = commands, commands.bench, commands.bench.folder
        monkeypatch.chdir(self.folder)
        monkeypatch.delenv("PROVMODE_PLAN_KEY", raising=False)
        self.folder.chmod(0o755)
        self.configure("[history]\nurl = 'sqlite:///history.sqlite'\n")

    def configure(self, text: str) -> None:
        Path("provmode.toml").write_text(text)

    def fleet(self, *personas: str) -> list[Any]:
        return [self.bench.pc(persona, f"PC-{number}", seed=number) for number, persona in enumerate(personas, 1)]

    def night(self, days: float = 1) -> None:
        self.bench.wait(days * DAY)

    def mend(self, pc: Any) -> None:
        """Somebody else mends a PC."""
        self.bench.pc("healthy", pc.name)

    def run(self, *arguments: object) -> Any:
        return self.commands.run(*arguments)

    def audit(self, *options: object) -> Any:
        return self.run("audit", self.commands.inventory, *options)

    def json(self, *arguments: object) -> Any:
        ran = self.run(*arguments, "--format", "json")
        assert ran.out, ran.err
        return json.loads(ran.out)

    def words(self, *options: object) -> list[tuple[str, str, bool]]:
        return [(each["host"], each["word"], each["by_us"]) for each in self.json("drift", *options)["hosts"]]

    @property
    def kinds(self) -> list[str]:
        return [run["kind"] for run in self.json("history", "runs")["runs"]][::-1]


@pytest.fixture
def remembering(commands: Any, monkeypatch: pytest.MonkeyPatch) -> Remembering:
    return Remembering(commands, monkeypatch)


def test_without_a_url_nothing_is_remembered_and_nothing_else_changes(remembering: Remembering) -> None:
    remembering.fleet("healthy")
    remembering.configure("")

    ran = remembering.audit("--format", "json")

    assert (ran.code, ran.err) == (0, "")
    assert "run" not in json.loads(ran.out)
    assert not list(remembering.folder.glob("history*"))
    for command in (("history", "runs"), ("drift",)):
        ran = remembering.run(*command)
        assert (ran.code, ran.out) == (1, "")
        assert ran.err.strip() == (
            "runs are not remembered: there is no history; write url under [history] in provmode.toml "
            "(provmode init makes one)"
        )


def test_every_command_that_asks_pcs_is_remembered(remembering: Remembering) -> None:
    remembering.fleet("armed", "armed", "healthy")

    assert remembering.audit().code == 2
    assert remembering.run("plan", remembering.commands.inventory, "--output", "p.json", "--unsigned").code == 2
    inventory = ("--inventory", remembering.commands.inventory, "--unsigned")
    assert remembering.run("apply", "p.json", *inventory, "--limit", "PC-1").code == 0
    assert remembering.run("undo", "p.json.journal", *inventory, "--yes").code == 0
    assert remembering.run("push", remembering.commands.inventory, "--unsigned", "--yes").code == 0

    assert remembering.kinds == ["audit", "plan", "apply", "undo", "push", "push"]
    runs = {run["number"]: run for run in remembering.json("history", "runs")["runs"]}
    assert runs[1]["summary"] == {"armed": 2, "healthy": 1}
    assert [runs[number]["summary"] for number in (3, 4, 6)] == [{"changed": 1}, {"restored": 1}, {"changed": 2}]
    assert [runs[number]["exit_code"] for number in range(1, 7)] == [2, 2, 0, 0, 0, 0]
    assert runs[2]["plan"] == runs[3]["plan"] == json.loads(Path("p.json").read_text())["id"]


def test_a_second_apply_of_a_journal_adds_only_what_it_did(remembering: Remembering) -> None:
    remembering.fleet("armed")
    remembering.run("plan", remembering.commands.inventory, "--output", "p.json", "--unsigned")
    inventory = ("--inventory", remembering.commands.inventory, "--unsigned")
    remembering.run("apply", "p.json", *inventory)
    remembering.run("undo", "p.json.journal", *inventory, "--yes")
    remembering.run("undo", "p.json.journal", *inventory, "--yes")

    changes = remembering.json("history", "host", "pc-1")["changes"]

    assert [(change["ended"], change["changed"]) for change in changes] == [
        ("changed", True),
        ("restored", True),
    ]


def test_drift_says_what_is_new_fixed_by_us_fixed_by_others_and_still_there(remembering: Remembering) -> None:
    _, second, *_ = remembering.fleet("half-exited", "half-exited", "healthy", "half-exited")
    remembering.audit()
    remembering.night()
    remembering.run("push", remembering.commands.inventory, "--unsigned", "--yes", "--limit", "PC-1")
    remembering.mend(second)
    remembering.bench.pc("half-exited", "PC-3", seed=3)
    remembering.audit()

    ran = remembering.run("drift")

    assert remembering.words() == [
        ("PC-3", "new", False),
        ("PC-4", "still", False),
        ("PC-1", "fixed", True),
        ("PC-2", "fixed", False),
    ]
    assert ran.code == 2
    assert "PC-1: half-exited, now healthy (by us, plan " in ran.out
    assert "PC-2: half-exited, now healthy (not by us)" in ran.out
    assert ran.out.rstrip().endswith("1 new, 1 still, 2 fixed")


def test_a_pc_that_is_away_keeps_what_was_last_known_of_it_and_is_found_again(remembering: Remembering) -> None:
    armed, _ = remembering.fleet("half-exited", "healthy")
    remembering.audit()
    remembering.night()
    armed.error = Unreachable("PC-1 does not answer")
    remembering.audit()

    shown = remembering.run("history", "show", "last").out

    assert remembering.words() == [("PC-1", "lost", False)]
    assert "PC-1: connect-timeout: PC-1 does not answer" in shown
    assert "since 2026-11-27 12:00 UTC; last known half-exited, seen 1 day 0 h ago" in " ".join(shown.split())
    remembering.night(3)
    armed.error = None
    remembering.audit()
    assert remembering.words() == [("PC-1", "still", False), ("PC-1", "found", False)]
    spans = remembering.json("history", "host", "PC-1")["spans"]
    assert [(span["verdict"], span["since"][:10], (span["until"] or "")[:10]) for span in spans] == [
        ("half-exited", "2026-11-26", ""),
        ("unassessed", "2026-11-27", "2026-11-30"),
    ]


def test_the_hosts_that_are_away_are_shown_alone(remembering: Remembering) -> None:
    _, gone = remembering.fleet("half-exited", "healthy")
    gone.error = Unreachable("PC-2 does not answer")
    remembering.audit()

    hosts = remembering.json("history", "show", "last", "--only", "unassessed")["hosts"]

    assert [(host["host"], host["away"]["cause"], host["last_known"]) for host in hosts] == [
        ("PC-2", "connect-timeout", None)
    ]
    text = remembering.run("history", "show", "last", "--only", "unassessed").out
    assert "PC-1: " not in text
    assert "never assessed" in text


def test_a_limited_run_makes_nobody_vanish_and_a_whole_one_does(remembering: Remembering) -> None:
    remembering.fleet("healthy", "healthy", "healthy")
    every = remembering.commands.inventory
    Path("pcs.txt").write_text("PC-1\nPC-2\nPC-3\n")
    remembering.run("audit", "pcs.txt")
    remembering.night()
    remembering.run("audit", "pcs.txt", "--limit", "PC-1")
    remembering.night()
    Path("pcs.txt").write_text("PC-1\nPC-2\n")
    remembering.run("audit", "pcs.txt")

    assert remembering.words("--inventory", "pcs.txt") == [("PC-3", "vanished", False)]
    assert remembering.words("--since", "1", "--to", "2") == []
    ran = remembering.run("drift", "--inventory", every)
    assert (ran.code, ran.err.split(";")[0]) == (1, f"the history has no complete audit of {every}")


def test_what_returns_is_said_with_how_often_it_was_there_before(remembering: Remembering) -> None:
    (pc,) = remembering.fleet("half-exited")
    remembering.audit()
    remembering.night()
    remembering.mend(pc)
    remembering.audit()
    remembering.night()
    remembering.bench.pc("half-exited", "PC-1")
    remembering.audit()

    assert remembering.words() == [("PC-1", "returned", False)]
    ran = remembering.run("drift")
    assert "it needed something once before, until 2026-11-27 12:00 UTC" in " ".join(ran.out.split())


@pytest.mark.parametrize("since", ["1", "#1", "2026-11-26", "2026-11-27T11:59:59+00:00"])
def test_drift_begins_at_a_run_or_a_date(remembering: Remembering, since: str) -> None:
    (pc,) = remembering.fleet("half-exited")
    for night in range(3):
        remembering.audit()
        remembering.night()
        if night == 0:
            remembering.mend(pc)

    assert remembering.words("--since", since) == [("PC-1", "fixed", False)]
    assert remembering.words() == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--since", "77"), "no run of the history begins with 77"),
        (("--since", "2020-01-01"), "the history has no complete audit of"),
        (("--since", "2"), "run 2 did not begin before run 2"),
        (("--since", "0001-01-01T00:00+23:00"), "no run of the history begins with 0001-01-01T00:00+23:00"),
        (("--since", "9999-12-31T23:59-05:00"), "no run of the history begins with 9999-12-31T23:59-05:00"),
        (("--inventory", "x" * 300), "the history has no complete audit of xxx"),
        (("--to", "1"), "the history has no complete audit of"),
        (("--notify",), "nobody can be told: there is no command; write command under [notify]"),
    ],
)
def test_a_drift_that_cannot_be_is_one_clear_line(
    remembering: Remembering, options: tuple[str, ...], words: str
) -> None:
    remembering.fleet("healthy")
    remembering.audit()
    remembering.night()
    remembering.audit()

    ran = remembering.run("drift", *options)

    assert (ran.code, ran.out) == (1, "")
    assert words in ran.err
    assert len(ran.err.splitlines()) == 1


def break_by_another_writer(file: Path) -> Any:
    writer = sqlite3.connect(file, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    return writer


@pytest.mark.parametrize("broken", ["locked", "other", "later", "folder"])
@pytest.mark.parametrize("command", ["audit", "apply"])
def test_a_history_that_cannot_be_written_costs_one_line_and_the_exit_code_and_nothing_else(
    remembering: Remembering, monkeypatch: pytest.MonkeyPatch, broken: str, command: str
) -> None:
    (pc,) = remembering.fleet("half-exited")
    monkeypatch.setattr("provmode.history.database.PATIENCE", 0.1)
    remembering.run("plan", remembering.commands.inventory, "--output", "p.json", "--unsigned")
    file, held = Path("history.sqlite"), None
    if broken == "locked":
        held = break_by_another_writer(file)
    elif broken == "later":
        with sqlite3.connect(file) as database:
            database.execute("UPDATE alembic_version SET version_num = '9999'")
        database.close()
    else:
        file.unlink()
        file.write_text("not a database" * 100) if broken == "other" else file.mkdir()

    if command == "audit":
        ran = remembering.audit("--output", "report.txt")
        assert (ran.code, "PC-1" in Path("report.txt").read_text()) == (6, True)
    else:
        ran = remembering.run("apply", "p.json", "--inventory", remembering.commands.inventory, "--unsigned")
        assert (ran.code, bool(pc.changes), "1 changed" in ran.out) == (4, True, True)

    lines = [line for line in ran.err.splitlines() if "history" in line]
    assert len(lines) == 1
    assert lines[0].startswith("provmode: the run is not in the history: the history ")
    if held is not None:
        held.close()


def test_reports_that_were_kept_count_once_in_whatever_order_they_come(remembering: Remembering) -> None:
    (pc,) = remembering.fleet("half-exited")
    remembering.configure("")
    for night in range(4):
        remembering.audit("--format", "json", "--output", f"{night}.json")
        remembering.night()
        if night == 1:
            remembering.mend(pc)
    remembering.configure("[history]\nurl = 'sqlite:///history.sqlite'\n")
    remembering.audit()

    first = remembering.run("history", "import", "3.json")
    rest = remembering.run("history", "import", "2.json", "0.json", "1.json", "3.json")

    assert (first.code, rest.code) == (0, 0)
    assert [line.rsplit(", ")[1] for line in rest.out.splitlines()] == ["imported"] * 3 + ["there already"]
    spans = remembering.json("history", "host", "PC-1")["spans"]
    assert [(span["verdict"], span["since"][:10], (span["until"] or "")[:10]) for span in spans] == [
        ("half-exited", "2026-11-26", "2026-11-28"),
        ("healthy", "2026-11-28", ""),
    ]


def test_a_run_that_was_written_and_its_report_are_one_run(remembering: Remembering) -> None:
    remembering.fleet("half-exited")
    remembering.audit("--format", "json", "--output", "a.json")
    remembering.run("plan", remembering.commands.inventory, "--output", "p.json", "--unsigned")
    remembering.run("apply", "p.json", "--inventory", remembering.commands.inventory, "--unsigned")

    ran = remembering.run("history", "import", "a.json", "p.json", "p.json.journal")

    assert ran.out.count("there already") == 3
    assert remembering.kinds == ["audit", "plan", "apply"]


def test_a_file_that_is_no_report_does_not_keep_the_others_out(remembering: Remembering) -> None:
    remembering.fleet("healthy")
    remembering.audit("--format", "json", "--output", "good.json")
    report = json.loads(Path("good.json").read_text())
    report.pop("run")
    Path("good.json").write_text(json.dumps(report))
    wrong: dict[str, Any] = {
        "text.json": "hello",
        "list.json": [],
        "other.json": {"format": "x"},
        "later.json": {**report, "version": 2},
        "verdict.json": {**report, "hosts": [{**report["hosts"][0], "verdict": "fine"}]},
        "facts.json": {**report, "hosts": [{**report["hosts"][0], "facts": {"tcf": 5}}]},
        "list-verdict.json": {**report, "hosts": [{**report["hosts"][0], "verdict": []}]},
        "object-cause.json": {**report, "hosts": [{**report["hosts"][0], "verdict": "unassessed", "cause": {}}]},
        "rule.json": {**report, "hosts": [{**report["hosts"][0], "rule": "x" * 1000}]},
        "deep.json": "[" * 100_000,
    }
    for name, value in wrong.items():
        Path(name).write_text(value if isinstance(value, str) else json.dumps(value))

    ran = remembering.run("history", "import", "none.json", *wrong, "good.json")

    assert ran.code == 1
    assert ran.out == "good.json: audit of 2026-11-26 12:00 UTC, imported\n"
    assert len(ran.err.splitlines()) == len(wrong) + 1
    assert "verdict.json: host 1: verdict is not what a report has there" in ran.err


def test_what_never_ends_or_is_no_file_is_refused(remembering: Remembering) -> None:
    os.mkfifo("pipe")
    remembering.fleet("healthy")
    remembering.audit()

    for name in ("/dev/zero", "pipe"):
        said = f"{name} is not a file; give the path of a file\n"
        assert remembering.run("history", "import", name).err == f"provmode: {said}"
        ran = remembering.run("report", "--from", name, "--output", "page.html")
        assert (ran.code, ran.err) == (1, said)


def test_a_report_of_before_reports_said_when_they_were_made_is_placed_by_its_facts(remembering: Remembering) -> None:
    remembering.fleet("healthy")
    remembering.audit("--format", "json", "--output", "old.json")
    report = json.loads(Path("old.json").read_text())
    for name in ("run", "began", "ended"):
        report.pop(name)
    Path("old.json").write_text(json.dumps(report))

    ran = remembering.run("history", "import", "old.json")

    assert ran.out == "old.json: audit of 2026-11-26 12:00 UTC, imported\n"


def test_old_runs_are_forgotten_and_what_was_last_known_stays(remembering: Remembering) -> None:
    armed, _ = remembering.fleet("half-exited", "healthy")
    remembering.audit()
    remembering.night()
    armed.error = Unreachable("off")
    for _ in range(3):
        remembering.audit()
        remembering.night()

    assert remembering.run("history", "prune").code == 1
    dry = remembering.run("history", "prune", "--older-than", "2", "--dry")
    assert dry.out == "older than 2 days: 2 runs would be forgotten, 0 spans, 0 hosts\n"
    assert len(remembering.kinds) == 4
    assert remembering.run("history", "prune", "--older-than", "2").code == 0

    assert len(remembering.kinds) == 2
    (known, away) = remembering.json("history", "host", "PC-1")["spans"]
    assert (known["verdict"], known["since"][:10], away["since"][:10]) == ("half-exited", "2026-11-26", "2026-11-27")
    (state,) = (host for host in remembering.json("history", "show", "last")["hosts"] if host["host"] == "PC-1")
    assert state["last_known"]["seen"][:10] == "2026-11-26"
    assert remembering.run("history", "prune", "--older-than", "1").code == 0
    remembering.night(400)
    remembering.run("history", "prune", "--older-than", "1")
    assert remembering.kinds == ["audit"]  # the last complete one stays


def test_runs_that_are_older_than_keep_days_go_after_a_complete_audit(remembering: Remembering) -> None:
    remembering.configure("[history]\nurl = 'sqlite:///history.sqlite'\nkeep_days = 3\n")
    remembering.fleet("healthy")
    for _ in range(6):
        remembering.audit()
        remembering.night()

    assert len(remembering.kinds) == 4
    remembering.audit("--limit", "PC-1")
    assert len(remembering.kinds) == 5


TELL = "import sys; open('told.json', 'w').write(sys.stdin.read())"


@pytest.fixture
def told(remembering: Remembering, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that the command writes which is told; the configuration is named, because it has a command."""
    command = json.dumps([sys.executable, "-c", TELL])
    Path("named.toml").write_text(f"[history]\nurl = 'sqlite:///history.sqlite'\n[notify]\ncommand = {command}\n")
    monkeypatch.setenv("PROVMODE_CONFIG", "named.toml")
    return Path("told.json")


def test_nothing_new_nothing_sent_and_what_is_new_is_handed_over_as_json(remembering: Remembering, told: Path) -> None:
    remembering.fleet("healthy", "half-exited")
    for _ in range(2):
        assert remembering.audit("--notify").code == 2
        remembering.night()
        assert not told.exists()
    remembering.bench.pc("half-exited", "PC-1")

    assert remembering.audit("--notify").code == 2

    drift = json.loads(told.read_text())
    assert [(each["host"], each["word"]) for each in drift["hosts"]] == [("PC-1", "new"), ("PC-2", "still")]
    assert drift["format"] == "provmode-drift"
    told.unlink()
    remembering.night()
    assert remembering.audit("--notify").code == 2
    assert not told.exists()


def test_a_run_of_some_hosts_tells_nobody(remembering: Remembering, told: Path) -> None:
    remembering.fleet("healthy", "healthy")
    remembering.audit("--notify")
    remembering.night()
    remembering.bench.pc("half-exited", "PC-1")

    ran = remembering.audit("--notify", "--limit", "PC-1")

    assert (ran.code, ran.err, told.exists()) == (2, "", False)


def test_who_is_told_and_does_not_end_is_ended() -> None:
    command = [sys.executable, "-c", "import signal; signal.pause()"]

    with pytest.raises(NotTold, match="took longer than 1 s"):
        run_command(command, {}, limit=1)


def test_who_is_told_gets_no_secret(remembering: Remembering, told: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = ("PROVMODE_PASSWORD", "PROVMODE_PLAN_KEY", "CREDENTIALS_DIRECTORY")
    command = json.dumps([sys.executable, "-c", "import json, os; json.dump(dict(os.environ), open('told.json', 'w'))"])
    Path("named.toml").write_text(f"[history]\nurl = 'sqlite:///history.sqlite'\n[notify]\ncommand = {command}\n")
    for name in (*secrets, "OF_THE_ADMIN"):
        monkeypatch.setenv(name, "a secret of 16 bytes or more")
    remembering.fleet("healthy")
    remembering.audit("--notify")
    remembering.night()
    remembering.bench.pc("half-exited", "PC-1")

    assert remembering.audit("--notify").code == 2

    assert {*secrets, "OF_THE_ADMIN"} & set(json.loads(told.read_text())) == {"OF_THE_ADMIN"}


@pytest.mark.parametrize("command", ["audit", "plan"])
def test_a_report_that_cannot_be_written_does_not_keep_the_run_out(
    remembering: Remembering, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise UsageError("cannot write report.json: No space left on device")

    remembering.fleet("healthy")
    monkeypatch.setattr("provmode.cli.audit.write_output", refuse)
    monkeypatch.setattr("provmode.fleet.plan_file.write_output", refuse)
    unsigned = ("--unsigned",) if command == "plan" else ()

    ran = remembering.run(command, remembering.commands.inventory, "--output", "report.json", *unsigned)

    assert (ran.code, ran.err) == (1, "provmode: cannot write report.json: No space left on device\n")
    assert remembering.kinds == [command]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["/nowhere/tell"], "/nowhere/tell cannot be run: No such file or directory"),
        ([sys.executable, "-c", "raise SystemExit(3)"], "ended with exit code 3"),
    ],
)
def test_who_cannot_be_told_is_one_line_and_the_exit_code(
    remembering: Remembering, told: Path, command: list[str], words: str
) -> None:
    Path("named.toml").write_text(
        f"[history]\nurl = 'sqlite:///history.sqlite'\n[notify]\ncommand = {json.dumps(command)}\n"
    )
    remembering.fleet("healthy")
    remembering.audit("--notify")
    remembering.night()
    remembering.bench.pc("half-exited", "PC-1")

    ran = remembering.audit("--notify")

    assert ran.code == 6
    (line,) = ran.err.splitlines()
    assert words in line


def test_a_configuration_in_the_working_directory_may_keep_its_history_only_there(remembering: Remembering) -> None:
    remembering.fleet("healthy")
    for url in (
        *("sqlite:////tmp/history.sqlite", "sqlite:///../history.sqlite", "sqlite:///a/../../history.sqlite"),
        *("sqlite:///~/history.sqlite", "sqlite:///~root/history.sqlite", "sqlite:///%2e%2e/history.sqlite"),
        *("sqlite:///%7eroot/history.sqlite", "sqlite:///%2ftmp/history.sqlite", "postgresql://somewhere/provmode"),
    ):
        remembering.configure(f"[history]\nurl = '{url}'\n")

        ran = remembering.audit()

        assert ran.code == 1
        assert "history.url leads out of the working directory" in ran.err
    remembering.configure("[history]\nurl = 'postgresql://me:secret@server/provmode'\n")
    ran = remembering.run("audit", "--config", "provmode.toml", remembering.commands.inventory)
    assert (ran.code, "secret" in ran.err) == (1, False)
    assert "put it into ~/.pgpass" in ran.err


def test_a_run_that_is_named_is_compared_with_runs_of_its_own_inventory(remembering: Remembering) -> None:
    remembering.fleet("healthy", "healthy")
    remembering.audit()
    remembering.night()
    remembering.audit()
    remembering.night()
    remembering.run("audit", "@winrm/PC-1")
    remembering.configure("inventory = '@winrm/PC-1'\n[history]\nurl = 'sqlite:///history.sqlite'\n")

    found = remembering.json("drift", "--since", "1")

    assert (found["before"]["number"], found["after"]["number"]) == (1, 2)


def test_what_could_not_be_forgotten_is_said_of_a_run_that_is_in_the_history(
    remembering: Remembering, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise HistoryError("the history is locked", next_step="wait")

    remembering.fleet("healthy")
    remembering.configure("[history]\nurl = 'sqlite:///history.sqlite'\nkeep_days = 30\n")
    monkeypatch.setattr("provmode.history.pruning.prune", refuse)

    ran = remembering.audit()

    assert (ran.code, remembering.kinds) == (4, ["audit"])
    trouble = "the run is in the history, but old runs were not forgotten: the history is locked; wait"
    assert ran.err == f"provmode: {trouble}\n"


def test_hosts_that_the_history_does_not_know_are_asked_about_in_one_line(remembering: Remembering) -> None:
    pc, _ = remembering.fleet("healthy", "healthy")
    pc.error = AuthenticationFailed("no")
    remembering.audit()

    ran = remembering.run("history", "host", "PC-")

    assert (ran.code, ran.err) == (1, "the history knows no host PC-; did you mean PC-1, PC-2?\n")
