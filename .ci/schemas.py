"""Write what the code's tables say into the schemas of plan, journal, inventory, package and what audit shares."""

from __future__ import annotations

import json
from pathlib import Path

from provmode.fleet.asked import schema
from provmode.fleet.journal_events import line_schema
from provmode.fleet.plan_file import step_schema
from provmode.report.packages import files_document
from provmode.report.packages.fleet_document import schema as package_fleet_schema

DOCS = Path(__file__).parent.parent / "docs"
ONLY_AUDIT = {"tries"}
"""What an audit says of a host and a plan does not."""


def main() -> None:
    """Replace the steps of a plan, the lines of a journal and what an audit shares; the rest is written by people."""
    plan = json.loads((DOCS / "plan.schema.json").read_text("utf-8"))
    plan["$defs"]["step"] = step_schema()
    journal = json.loads((DOCS / "journal.schema.json").read_text("utf-8"))
    journal.update(line_schema())
    audit = json.loads((DOCS / "audit.schema.json").read_text("utf-8"))
    audit["$defs"].update({name: plan["$defs"][name] for name in audit["$defs"] if name != "host"})
    host = audit["$defs"]["host"]["properties"]
    host.update({name: plan["$defs"]["host"]["properties"][name] for name in host if name not in ONLY_AUDIT})
    documents = {"plan": plan, "journal": journal, "audit": audit, "inventory": schema()}
    documents["package"] = files_document.schema()
    documents["package-fleet"] = package_fleet_schema()
    for name, document in documents.items():
        (DOCS / f"{name}.schema.json").write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
