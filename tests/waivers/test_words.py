"""The file of waivers: what may stand in it, and that every mistake is said at once, with its place and its cure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provmode.ccm.verdict import Outcome, Verdict, outcome
from provmode.errors import Mistakes, UsageError
from provmode.waivers.model import RULES_OF, Effect, Waivers
from provmode.waivers.words import KEYS, parse

Reading = Callable[..., Waivers]
Written = Callable[..., str]
NOW = datetime(2026, 11, 26, 12, 0, tzinfo=timezone.utc)


def lines_of(read: Reading, *texts: str, **options: object) -> list[str]:
    with pytest.raises(Mistakes) as raised:
        read(*texts, **options)
    return raised.value.lines


def test_a_waiver_has_what_its_table_says(reading: Reading, written: Written) -> None:
    found = reading(written(rule='"overdue"', effect='"hold"'))

    (waiver,) = found.waivers
    assert (waiver.host, waiver.rule, waiver.owner, waiver.ticket) == ("PC-1", "overdue", "Anna", "CHG1")
    assert waiver.effect is Effect.HOLD
    assert waiver.place == "waiver 1 (line 3)"
    assert found.zone == "Europe/Berlin"


def test_an_empty_file_has_no_waivers_and_needs_no_zone(reading: Reading) -> None:
    assert reading("# none yet\n").waivers == ()


def test_the_default_effect_is_to_report(reading: Reading, written: Written) -> None:
    assert reading(written()).waivers[0].effect is Effect.REPORT


@pytest.mark.parametrize("key", [key.name for key in KEYS if key.needed])
def test_what_is_needed_is_said_if_it_is_missing(reading: Reading, written: Written, key: str) -> None:
    (line,) = lines_of(reading, written(**{key: None}))

    assert line.startswith(f"waivers.toml: waiver 1 (line 3): it has no {key}; write {key}: ")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"host": None}, "it names no PC; write one of host, hosts, group"),
        ({"reason": '""'}, "reason is empty; write what it is, or take the key out"),
        ({"reason": '"  "'}, "reason is empty"),
        ({"owner": "7"}, "owner is not a text; write it in quotes"),
        ({"reason": '"one\\ntwo"'}, "reason is not a line of printable text"),
        ({"reason": f'"{"x" * 501}"'}, "reason is too long; write at most 500 characters"),
        ({"host": '"@winrm/PC-1"'}, "host @winrm/PC-1 is not a name; write PC-1"),
        ({"host": '"PC-*"'}, 'host PC-* is a pattern; write hosts = "PC-*" instead'),
        ({"host": '"PC\u200b-1"'}, "host is not a line of printable text"),
        ({"host": '"P\u0421-1"'}, "is of another script than the letters beside it"),
        ({"host": None, "hosts": '"*"'}, 'hosts = "*" without a rule or a verdict waives everything'),
        ({"host": None, "hosts": '"?*[a-z]-*"'}, "waives everything; name the rule or the verdict, or fewer PCs"),
        ({"rule": '"overdu"'}, "rule overdu cannot be waived; did you mean overdue?"),
        ({"rule": '"unreached"'}, "rule unreached cannot be waived"),
        ({"verdict": '"unassessed"'}, "verdict unassessed cannot be waived; "),
        ({"verdict": '"broken"'}, "verdict broken is no verdict; did you mean client-broken?"),
        ({"rule": '"armed"', "verdict": '"stuck"'}, "rule armed has the verdict armed, never stuck"),
        ({"effect": '"ignore"'}, "effect ignore is neither report nor hold"),
        ({"created": "2026-11-27"}, "created is 2026-11-27, and there it is 2026-11-26 today"),
        ({"created": '"2026-11-20"'}, "created is not a date; write it as 2026-12-31, without quotes"),
        ({"expires": "2026-12-31T12:00:00Z"}, "expires is not a date"),
        ({"expires": "2026-11-19"}, "it expires on 2026-11-19, before it was created"),
        ({"expires": "2027-05-20"}, "it expires 181 days after it was created, and at most 180 are allowed"),
        ({"expires": "9999-12-31"}, "and at most 180 are allowed"),
        ({"ownr": '"Anna"'}, "there is no key ownr; did you mean owner?"),
    ],
)
def test_each_mistake_is_one_line_with_its_place_and_its_cure(
    reading: Reading, written: Written, changed: dict[str, str | None], said: str
) -> None:
    (line,) = lines_of(reading, written(**changed))

    assert line.startswith("waivers.toml: waiver 1 (line 3): ")
    assert said in line


def test_all_mistakes_of_all_waivers_are_said_at_once(reading: Reading, written: Written) -> None:
    lines = lines_of(reading, written(owner=None, colour='"red"'), written(), written(verdict='"healthy"'))

    assert [line.split(": ")[1] for line in lines] == ["waiver 1 (line 3)", "waiver 1 (line 3)", "waiver 3 (line 17)"]


def test_without_a_time_zone_no_waiver_counts(reading: Reading, written: Written) -> None:
    (line,) = lines_of(reading, written(zone=None))

    assert "names no time zone" in line
    assert 'write zone = "Europe/Berlin"' in line


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../../etc/passwd", "/etc/localtime", "Europe", ""])
def test_a_time_zone_that_is_none_is_refused(reading: Reading, written: Written, zone: str) -> None:
    (line,) = lines_of(reading, written(zone=zone))

    assert "there is no time zone" in line


@pytest.mark.parametrize("verdict", list(Verdict))
def test_only_what_somebody_has_to_do_something_about_can_be_waived(
    reading: Reading, written: Written, verdict: Verdict
) -> None:
    text = written(verdict=f'"{verdict.value}"')

    if outcome(verdict) in (Outcome.PENDING, Outcome.FAILED):
        assert reading(text).waivers[0].verdict == verdict.value
    else:
        assert "cannot be waived" in lines_of(reading, text)[0]


def test_no_rule_that_can_be_waived_is_about_a_pc_that_was_not_assessed_or_is_at_work() -> None:
    assert {rule: verdict for rule, verdict in RULES_OF.items() if outcome(verdict) is Outcome.UNASSESSED} == {}
    assert "live" not in RULES_OF
    assert "healthy" not in RULES_OF


def test_more_days_can_be_allowed(reading: Reading, written: Written) -> None:
    assert reading(written(expires="2027-11-20"), max_days=365).waivers


def test_today_is_today_in_the_zone_of_the_file(reading: Reading, written: Written) -> None:
    late = datetime(2026, 11, 26, 23, 30, tzinfo=timezone.utc)  # the 27th in Berlin

    assert reading(written(created="2026-11-27"), now=late).waivers


# -- where a day ends -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "last_day", "end"),
    [
        ("Europe/Berlin", "2026-12-31", "2026-12-31T23:00:00+00:00"),
        ("Europe/Berlin", "2026-03-29", "2026-03-29T22:00:00+00:00"),  # 23 hours long
        ("Europe/Berlin", "2026-10-25", "2026-10-25T23:00:00+00:00"),  # 25 hours long
        ("America/New_York", "2026-03-08", "2026-03-09T04:00:00+00:00"),
        ("America/New_York", "2026-11-01", "2026-11-02T05:00:00+00:00"),
        ("Africa/Cairo", "2026-04-23", "2026-04-23T22:00:00+00:00"),  # the next day begins at 1:00
        ("America/Havana", "2026-10-31", "2026-11-01T04:00:00+00:00"),  # the next day begins twice: the first counts
        ("Pacific/Kiritimati", "2026-12-31", "2026-12-31T10:00:00+00:00"),
    ],
)
def test_a_waiver_counts_to_the_end_of_its_last_day_in_the_zone_of_the_file(
    reading: Reading, written: Written, zone: str, last_day: str, end: str
) -> None:
    (waiver,) = reading(written(zone=zone, created="2026-01-01", expires=last_day), max_days=365).waivers

    moment = datetime.fromisoformat(end)
    assert waiver.until == moment
    assert not waiver.expired(moment - timedelta(microseconds=1))
    assert waiver.expired(moment)


# -- files that nobody meant ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\xff\xfez\x00", "it is UTF-16; save it as UTF-8"),
        (b"# fine\n\xff\n", "line 2 is not UTF-8"),
        (b"[[waiver\n", "cannot read the waivers waivers.toml"),
        (b'zone = "UTC"\nwaiver = 7\n', "waiver is not a list of tables; write [[waiver]] above each"),
        (b'zone = "UTC"\nwaiver = [1]\n', "waiver is not a list of tables"),
        (b"[waivers]\nfile = 1\n", "there is no key waivers; did you mean waiver?"),
        (b'owner = "Anna"\n', "there is no key owner; it belongs below a [[waiver]]"),
        (b"x = " + b"[" * 5000 + b"]" * 5000, "nested too deeply"),
        (b'zone = "Europe/Berlin"\n' + b"[[waiver]]\n" * 2001, "it has 2,001 waivers, and at most 2,000 are read"),
    ],
)
def test_a_file_that_is_something_else_is_one_line(data: bytes, said: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse(data, "waivers.toml", now=NOW)

    assert said in str(raised.value)


def test_a_byte_order_mark_is_no_part_of_the_file(written: Written) -> None:
    assert parse(b"\xef\xbb\xbf" + written().encode(), "waivers.toml", now=NOW).waivers


def test_a_line_in_a_text_is_not_taken_for_a_heading(reading: Reading, written: Written) -> None:
    odd = written(reason='"""\n[[waiver]]\n"""')

    (line,) = lines_of(reading, odd)

    assert line.startswith("waivers.toml: waiver 1: ")  # its line is not known, so none is said


VALUES = st.one_of(
    *(st.text(max_size=20), st.integers(), st.booleans(), st.dates(), st.datetimes(), st.none()),
    st.lists(st.integers(), max_size=2),
)


@given(
    st.lists(st.dictionaries(st.sampled_from([*(key.name for key in KEYS), "other"]), VALUES), max_size=3),
    st.sampled_from(["Europe/Berlin", "", "Nowhere", "a\0b"]),
)
def test_any_values_are_waivers_or_one_line_for_each_mistake(tables: list[dict[str, object]], zone: str) -> None:
    def toml(value: object) -> str:
        if isinstance(value, str):
            return quoted(value)
        if isinstance(value, (date, datetime)):
            return value.isoformat()
        return str(value).lower()

    def quoted(text: str) -> str:
        return '"' + "".join(f"\\U{ord(c):08x}" if ord(c) < 0xD800 or ord(c) > 0xDFFF else "?" for c in text) + '"'

    text = f"zone = {quoted(zone)}\n"
    for table in tables:
        text += "[[waiver]]\n" + "".join(f"{k} = {toml(v)}\n" for k, v in table.items() if v is not None)

    try:
        parse(text.encode(), "waivers.toml", now=NOW)
    except Mistakes as error:
        lines = error.lines
    except UsageError as error:
        lines = [str(error)]
    else:
        lines = []

    assert all(line.isprintable() and line.startswith(("waivers.toml: ", "cannot read")) for line in lines)


@given(st.binary(max_size=200))
def test_any_bytes_are_waivers_or_one_line(data: bytes) -> None:
    said = ""
    try:
        parse(data, "waivers.toml", now=NOW)
    except UsageError as error:
        said = str(error)

    assert said.isprintable()
