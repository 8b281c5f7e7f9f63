"""Read provisioning packages, and say what it cost: one line of JSON for all the files that are named.

Arguments: ``read`` (all that `read_package` tells but whether the package is intact) or ``signature`` (every byte), and
files.
"""

from __future__ import annotations

import json
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import cryptography.x509  # noqa: F401 - what signatures need, imported before the clock starts

from provmode.packages.container import open_container
from provmode.packages.read import read_package
from provmode.reading import Known


@dataclass(frozen=True)
class FileSource:
    """A file, of which ranges are read."""

    path: Path

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self.path.stat().st_size

    def read(self, offset: int, count: int) -> bytes:
        """Return a range."""
        with self.path.open("rb") as stream:
            stream.seek(offset)
            return stream.read(count)


def main() -> None:
    """Read each file once."""
    what, paths = sys.argv[1], [Path(name) for name in sys.argv[2:]]
    seconds, cpu, told = time.perf_counter(), time.process_time(), 0
    for path in paths:
        told += signature(path) if what == "signature" else read(path)
    result = {
        "seconds": time.perf_counter() - seconds,
        "cpu": time.process_time() - cpu,
        "memory": _most_memory(),
        "told": told,
    }
    sys.stdout.write(json.dumps(result) + "\n")


def _most_memory() -> int:
    """Return the most bytes that this process had. (`resource` would count those of the process that started it.)"""
    found = re.search(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) << 10


def read(path: Path) -> int:
    """Return how many settings a package has."""
    return len(read_package(FileSource(path), signature=False).settings)


def signature(path: Path) -> int:
    """Return whether a package is intact."""
    return open_container(FileSource(path)).signature().intact == Known(True)


if __name__ == "__main__":
    main()
