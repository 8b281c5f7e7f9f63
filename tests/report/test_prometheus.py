"""An audit as figures for Prometheus, read by the parser of its own client."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from provmode.ccm.verdict import NEXT_STEP, Assessment, Verdict, unassessed
from provmode.fleet.audit import Audit
from provmode.report.prometheus import HEADER, LAST_COMPLETE, METRICS, last_complete, metrics

HEALTHY = Assessment(Verdict.HEALTHY, "fine", "healthy")
NIGHT = 1_795_658_940
"""When the runs of these tests end: 2026-11-26, nine minutes past two."""


def written(audit: Audit, previous: str = "") -> str:
    return "".join(metrics(audit, previous=lambda: previous))


def figures(text: str) -> dict[str, dict[str, float]]:
    """Return the figures of each metric by their second label, which may be none."""
    return {
        family.name: {
            next((value for label, value in sample.labels.items() if label != "inventory"), ""): sample.value
            for sample in family.samples
        }
        for family in text_string_to_metric_families(text)
    }


def test_a_run_is_counted_by_verdict_and_by_cause(audit_of: Callable[..., Audit]) -> None:
    stuck = Assessment(Verdict.STUCK, "x", "stuck", age=timedelta(hours=50))
    overdue = Assessment(Verdict.OVERDUE, "x", "overdue", age=timedelta(hours=51))
    waiting = Assessment(Verdict.SELF_HEALING, "x", "self-healing", age=timedelta(hours=90))

    found = figures(written(audit_of(HEALTHY, HEALTHY, stuck, overdue, waiting, unassessed("tls", "x"))))

    assert found["provmode_hosts"] == {
        **{verdict.value: 0 for verdict in Verdict},
        **{"healthy": 2, "stuck": 1, "overdue": 1, "self-healing": 1, "unassessed": 1},
    }
    assert found["provmode_hosts_unassessed"] == {**dict.fromkeys(NEXT_STEP, 0), "tls": 1}
    assert found["provmode_hosts_missing"] == {"": 0}
    assert found["provmode_oldest_stuck_seconds"] == {"": 51 * 3600}
    assert found["provmode_last_run_timestamp_seconds"] == found[LAST_COMPLETE] == {"": NIGHT}


def test_every_metric_is_a_gauge_with_help_and_the_labels_it_says(audit_of: Callable[..., Audit]) -> None:
    families = list(text_string_to_metric_families(written(audit_of(HEALTHY))))

    assert [(each.name, each.documentation, each.type) for each in families] == [
        (metric.name, metric.says, "gauge") for metric in METRICS
    ]
    for family, metric in zip(families, METRICS, strict=True):
        labels = {"inventory", metric.label} - {""}
        assert all(set(sample.labels) == labels for sample in family.samples)
        assert all(sample.timestamp is None for sample in family.samples), "node_exporter refuses times"


def test_the_oldest_is_0_if_nothing_is_stuck_or_no_time_is_known(audit_of: Callable[..., Audit]) -> None:
    unknown = Assessment(Verdict.STUCK, "x", "stuck")
    ahead = Assessment(Verdict.STUCK, "x", "stuck", age=timedelta(hours=-2))

    for audit in (audit_of(), audit_of(HEALTHY), audit_of(unknown), audit_of(ahead)):
        assert figures(written(audit))["provmode_oldest_stuck_seconds"] == {"": 0}


def test_an_interrupted_run_says_how_many_hosts_it_lacks(audit_of: Callable[..., Audit]) -> None:
    audit = audit_of(HEALTHY, interrupted=True)
    audit.selected += ["PC-2", "PC-3"]

    assert figures(written(audit))["provmode_hosts_missing"] == {"": 2}


# -- the last complete run ------------------------------------------------------------------------------------------


def later(audit_of: Callable[..., Audit], **fields: Any) -> Audit:
    """Return the audit of the next night."""
    audit = audit_of(HEALTHY, **fields)
    assert audit.ended is not None
    audit.ended += timedelta(days=1)
    return audit


@pytest.mark.parametrize("why", [{"interrupted": True}, {"limit": ("PC-1",)}, {"exclude": ("kiosk-*",)}])
def test_a_run_that_is_not_complete_keeps_the_time_of_the_last_that_was(
    audit_of: Callable[..., Audit], why: dict[str, Any]
) -> None:
    before = written(audit_of(HEALTHY))

    second = written(later(audit_of, **why), before)
    third = written(later(audit_of, **why), second)

    for text in (second, third):
        found = figures(text)
        assert found["provmode_last_run_timestamp_seconds"] == {"": NIGHT + 86400}
        assert found[LAST_COMPLETE] == {"": NIGHT}
    assert figures(written(later(audit_of), third))[LAST_COMPLETE] == {"": NIGHT + 86400}


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "",
        lambda text: text.removeprefix(HEADER),
        lambda text: text.replace(HEADER, f"{HEADER} "),
        lambda text: text.replace('"fleet.py"', '"other.py"'),
        lambda text: f"{text}{text}",
        lambda text: text.replace(f" {NIGHT}\n", f" {NIGHT + 86401}\n"),
        lambda text: text.replace(f" {NIGHT}\n", f" -{NIGHT}\n"),
        lambda text: text.replace(f" {NIGHT}\n", " 1.79e9\n"),
        lambda text: text.replace(f" {NIGHT}\n", f" {'9' * 5000}\n"),
        lambda text: text.replace(f" {NIGHT}\n", " \u0661\n"),
        lambda text: text.replace(f" {NIGHT}\n", f" {NIGHT} 5\n"),
    ],
)
def test_nothing_is_taken_over_from_a_file_that_we_did_not_write_like_that(
    audit_of: Callable[..., Audit], change: Callable[[str], str]
) -> None:
    before = written(audit_of(HEALTHY))

    text = written(later(audit_of, interrupted=True), change(before))

    assert change(before) != before
    assert LAST_COMPLETE not in figures(text)
    assert HEADER in text


@given(st.data())
def test_any_inventory_is_one_label_and_is_known_again(audits: st.SearchStrategy[Audit], data: Any) -> None:
    audit = data.draw(audits)

    text = written(audit, data.draw(st.text()))

    text.encode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    inventories = {sample.labels["inventory"] for family in families.values() for sample in family.samples}
    assert len(inventories) == 1
    assert inventories.pop().isprintable()
    assert sum(sample.value for sample in families["provmode_hosts"].samples) == len(audit.reports)
    audit.interrupted, audit.limit = False, ()
    assert last_complete(written(audit), audit) == NIGHT


@given(st.text(st.characters()))
def test_no_file_makes_reading_it_fail(audit_of: Callable[..., Audit], text: str) -> None:
    assert last_complete(f"{HEADER}\n{text}", audit_of(HEALTHY)) is None
