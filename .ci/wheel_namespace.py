"""Build hook: the wheel carries ``facts``, ``operations`` and ``deploys`` inside ``provmode``.

In the checkout everyone writes pyinfra's idiom, ``from facts.client import ClientState``. Names that generic
must not reach anybody's site-packages (PyPI has packages called ``facts`` and ``deploys``, and pip overwrites
without a word), so the wheel holds them as ``provmode.facts`` and so on, with their imports rewritten.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SURFACES = ("facts", "operations", "deploys")
IMPORT = re.compile(rf"^(\s*from )(?=(?:{'|'.join(SURFACES)})[. ])", re.MULTILINE)


class NamespaceHook(BuildHookInterface[Any]):
    """Copy each surface under ``provmode/``, rewriting ``from facts`` to ``from provmode.facts``."""

    staging: tempfile.TemporaryDirectory[str] | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Stage the rewritten folders; an editable install uses the checkout as it is."""
        if version == "editable":
            return
        self.staging = tempfile.TemporaryDirectory()
        for surface in SURFACES:
            for source in sorted(Path(self.root, surface).rglob("*.py")):
                relative = source.relative_to(self.root)
                staged = Path(self.staging.name, relative)
                staged.parent.mkdir(parents=True, exist_ok=True)
                staged.write_text(IMPORT.sub(r"\1provmode.", source.read_text("utf-8")), "utf-8")
                build_data["force_include"][str(staged)] = f"provmode/{relative.as_posix()}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what was staged."""
        if self.staging is not None:
            self.staging.cleanup()
