"""Write what the code's tables say into ``docs/plan.schema.json`` and ``docs/journal.schema.json``."""

from __future__ import annotations

import json
from pathlib import Path

from provmode.fleet.journal_events import line_schema
from provmode.fleet.plan_file import step_schema

DOCS = Path(__file__).parent.parent / "docs"


def main() -> None:
    """Replace the steps of a plan and the lines of a journal; the rest of both files is written by people."""
    plan = json.loads((DOCS / "plan.schema.json").read_text("utf-8"))
    plan["$defs"]["step"] = step_schema()
    journal = json.loads((DOCS / "journal.schema.json").read_text("utf-8"))
    journal.update(line_schema())
    for name, document in (("plan", plan), ("journal", journal)):
        (DOCS / f"{name}.schema.json").write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
