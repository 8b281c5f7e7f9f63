"""The files that a run writes beside its report: all of them or as many as can be written."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from provmode.ccm.verdict import Assessment, Verdict
from provmode.errors import UsageError
from provmode.fleet.audit import Audit
from provmode.fleet.export import FORMATS, Export
from provmode.report.document import document
from provmode.report.exports import MOST_BYTES_KEPT, TEXTS, Exports, kept_text
from provmode.report.prometheus import LAST_COMPLETE, metrics

HEALTHY = Assessment(Verdict.HEALTHY, "fine", "healthy")


def exports(*texts: str, **options: Any) -> Exports:
    return Exports(tuple(map(Export.parse, texts)), **options)


def test_every_format_that_can_be_named_can_be_written() -> None:
    assert tuple(TEXTS) == FORMATS


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("csv", "--write csv is not FORMAT=FILE; write it as in prometheus=FILE"),
        ("csv=", "--write csv= is not FORMAT=FILE; write it as in prometheus=FILE"),
        ("xml=a.xml", "--write xml=a.xml: there is no format xml; use json, junit, csv or prometheus"),
        ("CSV=a.csv", "--write CSV=a.csv: there is no format CSV; use json, junit, csv or prometheus"),
        ("=a.csv", "--write =a.csv is not FORMAT=FILE; write it as in prometheus=FILE"),
    ],
)
def test_what_names_no_format_and_file_is_one_line(text: str, said: str) -> None:
    with pytest.raises(UsageError) as error:
        Export.parse(text)

    assert str(error.value) == said


def test_a_file_may_have_any_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")

    assert Export.parse("csv=a=b.csv") == Export("csv", Path("a=b.csv"))
    assert str(Export.parse("csv=~/a.csv")) == "csv=/home/somebody/a.csv"


def test_one_file_for_two_is_refused_whatever_it_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to("a")

    for other in ("./a", f"{tmp_path}/a", "link"):
        with pytest.raises(UsageError, match=r"^--write csv=\S+: the file is that of --write json=a too; give each"):
            exports("json=a", f"csv={other}").check({})
    with pytest.raises(UsageError, match=r"^--write csv=a: the file is that of --output too"):
        exports("csv=a").check({"--output": tmp_path / "a"})
    exports("json=a", "csv=b").check({"--output": tmp_path / "c"})


@pytest.mark.parametrize(
    ("path", "why"), [("nosuch/a", "there is no such folder"), (".", "a folder"), ("x" * 300, "File name too long")]
)
def test_a_file_that_cannot_be_written_is_refused_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, why: str
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(UsageError, match=f"^cannot write {path}: .*{why}"):
        exports("json=a", f"csv={path}").check({})


def test_junit_all_without_junit_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^--junit-all is about --write junit=FILE; give that too$"):
        exports("csv=/dev/null", every_host=True).check({})


def test_each_file_has_its_format(audit_of: Callable[..., Audit], tmp_path: Path) -> None:
    audit = audit_of(HEALTHY, HEALTHY)

    assert exports(*(f"{word}={tmp_path / word}" for word in FORMATS), every_host=True).write(audit) == []

    begin = {word: (tmp_path / word).read_text("utf-8-sig").splitlines() for word in FORMATS}
    assert json.loads((tmp_path / "json").read_text()) == document(audit)
    assert begin["junit"][1] == "<testsuites>"
    assert (tmp_path / "junit").read_text().count("<testcase ") == 2
    assert begin["csv"][0].startswith("host,verdict,")
    assert begin["prometheus"][1] == "# HELP provmode_hosts Hosts with this verdict."


def test_one_that_cannot_be_written_keeps_no_other_from_it(audit_of: Callable[..., Audit], tmp_path: Path) -> None:
    wanted = exports(f"json={tmp_path / 'a'}", "csv=/dev/full", f"prometheus={tmp_path / 'b'}")
    wanted.check({})

    failed = wanted.write(audit_of(HEALTHY))

    assert [str(error) for error in failed] == ["cannot write /dev/full: No space left on device"]
    assert [path.stat().st_size > 0 for path in (tmp_path / "a", tmp_path / "b")] == [True, True]


# -- what is taken over from the file before ------------------------------------------------------------------------


def test_the_time_of_the_last_complete_run_is_kept_in_the_file(audit_of: Callable[..., Audit], tmp_path: Path) -> None:
    path = tmp_path / "provmode.prom"
    wanted = exports(f"prometheus={path}")

    wanted.write(audit_of(HEALTHY))
    first = [line for line in path.read_text().splitlines() if line.startswith(LAST_COMPLETE)]
    wanted.write(audit_of(HEALTHY, HEALTHY, interrupted=True))

    assert first
    assert [line for line in path.read_text().splitlines() if line.startswith(LAST_COMPLETE)] == first
    assert 'verdict="healthy"} 2' in path.read_text()


def test_a_file_of_somebody_else_is_not_read(
    audit_of: Callable[..., Audit], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "provmode.prom"
    path.write_text("".join(metrics(audit_of(HEALTHY))))
    assert kept_text(path)

    status = path.stat()
    of_a_stranger = os.stat_result((*status[:4], os.geteuid() + 4242, *status[5:]))
    monkeypatch.setattr(os, "fstat", lambda descriptor: of_a_stranger)

    assert kept_text(path) == ""


def test_what_is_no_file_of_figures_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"#" * (MOST_BYTES_KEPT + 1))
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    os.mkfifo(tmp_path / "pipe")

    assert [kept_text(tmp_path / name) for name in ("large", "pipe", "nosuch", ".")] == ["", "", "", ""]
    assert kept_text(tmp_path / "bytes") == "\ufffd\ufffd"
