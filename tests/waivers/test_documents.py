"""``docs/waivers.md`` says what the code does."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from pathlib import Path

from provmode.waivers.model import MAX_DAYS, SOON, Effect
from provmode.waivers.words import KEYS, parse

GUIDE = (Path(__file__).parents[2] / "docs" / "waivers.md").read_text("utf-8")


def test_the_guide_lists_every_key() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*) \| (yes|) \|$", GUIDE, re.MULTILINE)

    assert rows == [(key.name, key.says, "yes" if key.needed else "") for key in KEYS]


def test_the_file_of_the_guide_can_be_read() -> None:
    text = re.findall(r"```toml\n(.*?)```", GUIDE, re.DOTALL)[0]

    found = parse(text.encode(), "waivers.toml", now=datetime(2026, 11, 26, 12, 0, tzinfo=timezone.utc))

    assert [waiver.effect for waiver in found.waivers] == [Effect.REPORT, Effect.HOLD]


def test_the_guide_has_the_times_of_the_code() -> None:
    assert f"at most {MAX_DAYS} days" in GUIDE
    assert f"end within {SOON.days} days" in GUIDE
