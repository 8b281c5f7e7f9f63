"""A waiver more in a file: what was there stays as it was, byte for byte."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provmode.errors import Mistakes, UsageError
from provmode.waivers.adding import added
from provmode.waivers.words import parse

Written = Callable[..., str]
NOW = datetime(2026, 11, 26, 12, 0, tzinfo=timezone.utc)
VALUES: dict[str, str | date] = {
    "host": "PC-7",
    "rule": "armed",
    "owner": "Zoë",
    "reason": 'so-called "known"',
    "ticket": "CHG7",
    "created": date(2026, 11, 26),
    "expires": date(2026, 12, 24),
}


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize("tail", ["", "# the end, without a line break"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_what_was_there_stays_byte_for_byte(written: Written, ends: str, tail: str, mark: bytes) -> None:
    text = "# Ours.  \n" + written().replace("PC-1", "PC-1") + "  # odd\t\n\n" + tail
    data = mark + text.replace("\n", ends).encode()

    new, waiver = added(data, VALUES, "waivers.toml", now=NOW)

    assert new.startswith(data)
    assert (b"\n" in new.replace(b"\r\n", b"")) is (ends == "\n")
    found = parse(new, "waivers.toml", now=NOW).waivers
    assert len(found) == 2
    assert found[1] == waiver
    assert (waiver.host, waiver.owner, waiver.reason) == ("PC-7", "Zoë", 'so-called "known"')


def test_a_file_that_is_not_there_is_begun_with_its_zone() -> None:
    new, _ = added(None, VALUES, "waivers.toml", zone="Europe/Berlin", now=NOW)

    assert parse(new, "waivers.toml", now=NOW).zone == "Europe/Berlin"


def test_a_new_file_without_a_zone_is_refused() -> None:
    with pytest.raises(UsageError, match="names no time zone"):
        added(None, VALUES, "waivers.toml", now=NOW)


def test_nothing_is_added_to_a_file_with_mistakes(written: Written) -> None:
    with pytest.raises(Mistakes, match=r"waiver 1 \(line 3\): it has no owner"):
        added(written(owner=None).encode(), VALUES, "waivers.toml", now=NOW)


def test_a_waiver_with_mistakes_is_not_added(written: Written) -> None:
    with pytest.raises(Mistakes, match=r"waiver 2 .*: it expires 397 days after it was created"):
        added(written().encode(), {**VALUES, "expires": date(2027, 12, 28)}, "waivers.toml", now=NOW)


def test_nothing_is_written_behind_waivers_in_brackets() -> None:
    with pytest.raises(
        UsageError, match=r"no waiver can be written behind its end .*; write its waivers as \[\[waiver"
    ):
        added(b'zone = "UTC"\nwaiver = []\n', VALUES, "waivers.toml", now=NOW)


@given(st.dictionaries(st.sampled_from(["host", "owner", "reason", "ticket", "rule"]), st.text(max_size=30)))
def test_any_words_are_one_waiver_or_refused(words: dict[str, str]) -> None:
    data = b'zone = "UTC"\n# kept\n'

    refused = ""
    try:
        new, waiver = added(data, {**VALUES, **words}, "waivers.toml", now=NOW)
    except UsageError as error:
        refused = str(error)

    if refused:
        assert refused.isprintable()
        return
    assert new.startswith(data)
    assert [waiver] == list(parse(new, "waivers.toml", now=NOW).waivers)
    assert waiver.reason == str({**VALUES, **words}["reason"]).strip()
