"""The bytes that steps of a plan need, from files of this computer; each file is read once for all hosts."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from provmode.errors import UsageError
from provmode.regular_file import RegularFile, opened
from provmode.remediation.steps import Step
from provmode.windows.files import MAX_SIZE, sha256


class StepFiles:
    """The files, by the hash that a plan has of them."""

    def __init__(self) -> None:
        self._bytes: dict[str, bytes] = {}

    def check(self, steps: Iterable[Step]) -> None:
        """Read every file that *steps* need.

        Raises:
            UsageError: one cannot be read, or is not the file that was planned.
        """
        for step in steps:
            self.bytes_of(step)

    def bytes_of(self, step: Step) -> bytes | None:
        """Return the bytes that a step needs; ``None`` if it needs no file.

        Raises:
            UsageError: the file cannot be read, or is not the file that was planned.
        """
        if step.source is None:
            return None
        path, digest = step.source
        if digest not in self._bytes:
            data = read_whole(Path(path))
            if sha256(data) != digest:
                raise UsageError(
                    f"{path} is not the file that was planned: it was changed since", next_step="plan anew"
                )
            self._bytes[digest] = data
        return self._bytes[digest]


def read_whole(path: Path) -> bytes:
    """Return the bytes of a file that is put on a PC.

    Raises:
        UsageError: it is no file, cannot be read, or is too large to be put on a PC.
    """
    try:
        with opened(path) as file:
            _check_size(path, file)
            return file.read(0, file.size)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None


def check_size(path: Path) -> None:
    """Check that a file is small enough to be put on a PC, without reading it.

    Raises:
        UsageError: as `read_whole`.
    """
    with opened(path) as file:
        _check_size(path, file)


def _check_size(path: Path, file: RegularFile) -> None:
    if file.size > MAX_SIZE:
        raise UsageError(
            f"{path} has {file.size:,} bytes, and over {MAX_SIZE:,} are not put on a PC over WinRM",
            next_step="distribute it in another way",
        )
