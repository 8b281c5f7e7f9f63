"""`audit --only unassessed`: those are asked that could not be assessed when they were looked at last."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from provmode.errors import AuthenticationFailed, Cause, Unreachable
from provmode.history.database import Database, url_of
from provmode.history.reader import History


class Nights:
    """Audits that are remembered."""

    def __init__(self, commands: Any) -> None:
        self._commands, self.pcs = commands, commands.bench.pcs
        self.file = commands.bench.folder / "provmode.toml"
        self.file.write_text('[history]\nurl = "sqlite:///history.sqlite"\n')
        for number in (1, 2, 3):
            commands.bench.pc("healthy", f"PC-{number}", seed=number)

    def audit(self, *options: str, read: bool = True) -> Any:
        """Run an audit, with the JSON report in `report` unless it ended before."""
        inventory = self._commands.inventory
        ended = self._commands.run("audit", inventory, "--config", self.file, "--format", "json", *options)
        self.report = json.loads(ended.out) if ended.out and read else None
        return ended

    def history(self, *arguments: object) -> None:
        """Run a command about the history."""
        ended = self._commands.run("history", *arguments, "--config", self.file)
        assert ended.code == 0, ended.err

    def hosts(self) -> list[str]:
        return [host["host"] for host in self.report["hosts"]]


@pytest.fixture
def nights(commands: Any) -> Nights:
    return Nights(commands)


def test_only_those_are_asked_that_could_not_be_assessed_before(nights: Nights) -> None:
    one, two, _ = nights.pcs.values()
    two.error = Unreachable("no answer")
    first = nights.audit()
    before = len(one.actions)
    two.heal()

    second = nights.audit("--only", "unassessed")

    assert (first.code, second.code) == (8, 0)
    assert nights.hosts() == ["PC-2"]
    assert nights.report["hosts"][0]["verdict"] == "healthy"
    assert (nights.report["only"], nights.report["summary"]["total"]) == ("unassessed", 1)
    assert len(one.actions) == before


def test_the_last_look_of_a_limited_run_counts_too(nights: Nights) -> None:
    for pc in nights.pcs.values():
        pc.error = Unreachable("no answer")
    nights.audit()
    nights.pcs["PC-1"].heal()
    nights.audit("--only", "unassessed")

    nights.audit("--only", "unassessed", "--exclude", "PC-2")

    assert nights.hosts() == ["PC-3"]


def test_if_everybody_was_assessed_nobody_is_asked_and_that_is_a_success(nights: Nights) -> None:
    nights.audit()
    before = [len(pc.actions) for pc in nights.pcs.values()]

    ended = nights.audit("--only", "unassessed")

    assert (ended.code, nights.hosts()) == (0, [])
    assert ended.err == "provmode: every host was assessed when it was looked at last: no PC was asked\n"
    as_text = nights.audit("--only", "unassessed", "--retry-until", "06:00", "--format", "text", read=False)
    assert (as_text.code, as_text.out) == (0, "no host\n")
    assert [len(pc.actions) for pc in nights.pcs.values()] == before


def test_who_refused_the_account_is_left_out_and_asked_if_one_says_so(nights: Nights) -> None:
    one, two, _ = nights.pcs.values()
    one.error, two.error = AuthenticationFailed("refused"), Unreachable("no answer")
    nights.audit()

    without = nights.audit("--only", "unassessed")
    asked = nights.hosts()
    nights.audit("--only", "unassessed", "--retry-refused-logons")

    assert asked == ["PC-2"]
    left_out = "left out because they refused the account: 1 host; --retry-refused-logons asks them"
    assert f"provmode: {left_out}\n" in without.err
    assert nights.hosts() == ["PC-1", "PC-2"]


def test_names_that_still_do_not_resolve_are_no_sign_that_dns_is_down(nights: Nights) -> None:
    for pc in list(nights.pcs.values())[:2]:
        pc.error = Unreachable("no such name", cause=Cause.NAME_RESOLUTION)
    nights.audit()

    ended = nights.audit("--only", "unassessed")

    assert (ended.code, nights.hosts()) == (8, ["PC-1", "PC-2"])


def test_without_a_history_one_line_says_so(commands: Any) -> None:
    pc = commands.bench.pc("healthy")

    ended = commands.run("audit", commands.inventory, "--only", "unassessed")

    assert ended.code == 1
    assert "runs are not remembered: there is no history; write url under [history]" in ended.err
    assert pc.actions == []


def test_a_history_without_this_inventory_says_what_to_do_first(nights: Nights) -> None:
    nights.audit()
    nights.pcs.pop("PC-3")

    ended = nights.audit("--only", "unassessed")

    assert ended.code == 1
    assert "the history has no look at @winrm/PC-1,@winrm/PC-2; audit all of it once, without --only" in ended.err


def test_a_run_of_some_is_not_taken_for_one_of_all(nights: Nights, tally: Callable[[], list[bool]]) -> None:
    nights.pcs["PC-2"].error = Unreachable("no answer")
    nights.audit()
    nights.audit("--only", "unassessed")

    report = nights.file.with_name("some.json")
    report.write_text(json.dumps({**nights.report, "run": "imported"}))
    nights.history("import", report)

    assert sorted(tally()) == [False, False, True]


@pytest.fixture
def tally(nights: Nights) -> Callable[[], list[bool]]:
    """Return whether each run that is remembered was complete, the first one first."""

    def complete() -> list[bool]:
        with (
            Database(url_of("sqlite:///history.sqlite", nights.file.parent)) as database,
            database.reading() as connection,
        ):
            return [run.complete for run in History(connection).runs()][::-1]

    return complete
