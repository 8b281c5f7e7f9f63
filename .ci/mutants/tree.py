"""A copy of the project in which one module at a time has a fault, and a process that runs tests there."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

HERE = Path(__file__).parent
PROJECT = HERE.parent.parent


class Tree:
    """A copy of the tracked and new files, in a folder of its own that `close` removes."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="provmode-mutants-"))
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=PROJECT,
            check=True,
            capture_output=True,
        )
        for name in filter(None, listed.stdout.decode().split("\0")):
            if (PROJECT / name).is_file():
                (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(PROJECT / name, self.folder / name)
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Tree:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment in which this copy is the project."""
        path = os.pathsep.join([str(self.folder), str(HERE)])
        return {**os.environ, "PYTHONPATH": path, **more}

    def read(self, module: str) -> str:
        """Return a module's source."""
        return (self.folder / module).read_text("utf-8")

    def write(self, module: str, source: str) -> None:
        """Replace a module; the byte code of the one before is removed, as its time and size can be the same."""
        path = self.folder / module
        path.write_text(source, "utf-8")
        Path(importlib.util.cache_from_source(str(path))).unlink(missing_ok=True)

    def run(self, tests: Iterable[str], seconds: float) -> str:
        """Run tests until one fails, for at most *seconds*; return what noticed: a test's name, or ``""``."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, str(HERE / "warm.py")],
                cwd=self.folder,
                env=self.environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("the process that runs tests has no pipes")
        self._process.stdin.write(json.dumps({"tests": list(tests), "seconds": seconds}) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError("the process that runs tests has ended; its last words are above")
        return str(json.loads(answer)["noticed"])

    def close(self) -> None:
        """End the process and remove the copy."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
