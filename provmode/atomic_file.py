"""Files that a command writes whole or not at all, so that a full disk never destroys the previous file.

The file is first written under a name that nobody can guess, in the same folder, and then takes its place. What others
prepare in a folder that everybody can write to (a link, a pipe, a file of theirs) is refused.
"""

from __future__ import annotations

import errno
import os
import secrets
import select
import stat
from collections.abc import Iterable
from pathlib import Path

from provmode.errors import UsageError

LINKS = 40
"""How many links in a row are followed, as in the Linux kernel."""
PATIENCE = 60.0
"""Seconds for the reader of a pipe, or a device, to take something."""


def check_output(path: Path) -> None:
    """Refuse an output file that cannot be written, before the run starts.

    Raises:
        UsageError: the folder does not exist, or the file is not writable.
    """
    try:
        if path.is_dir() or not path.parent.is_dir():
            raise UsageError(f"cannot write {path}: {'it is a folder' if path.is_dir() else 'there is no such folder'}")
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            raise UsageError(f"cannot write {path}: permission denied")
        _destination(path)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from None


def write_output(path: Path, text: str | Iterable[str], *, private: bool = False) -> None:
    """Write *text*, or its parts one after another, as UTF-8 to a temporary file, which then replaces *path*.

    The mode and, as far as allowed, the owner of a previous file are kept. A new file gets the umask's mode, or can be
    read by its owner only if it is *private*. Write directly to a pipe, to a device, or to a file in a folder in which
    we cannot create files.

    Raises:
        UsageError: the file cannot be written; the previous file is still there.
    """
    parts = [text] if isinstance(text, str) else text
    data = (part.encode("utf-8", "surrogatepass") for part in parts)
    try:
        destination = _destination(path)
        previous = _status(destination)
        if previous is None or (stat.S_ISREG(previous.st_mode) and os.access(destination.parent, os.W_OK)):
            _replace(destination, data, previous, private=private)
        else:
            _write_in_place(destination, data)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from None


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _destination(path: Path) -> Path:
    """Follow links to the file that is to be replaced: a link stays. What is not a file is left to the system.

    Raises:
        UsageError: somebody else prepared it, or a link on the way, in a folder that everybody can write to.
        OSError: a link cannot be followed.
    """
    target = path
    for _ in range(LINKS):
        _refuse_prepared(target)
        status = _status(target)
        if not target.is_symlink() or (status is not None and not stat.S_ISREG(status.st_mode)):
            return target
        target = target.parent / os.readlink(target)
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))


def _refuse_prepared(path: Path) -> None:
    """Refuse what belongs to somebody else in a folder like ``/tmp``, as Linux does with ``fs.protected_regular``."""
    try:
        entry, folder = path.lstat(), path.parent.stat()
    except FileNotFoundError:
        return
    shared = folder.st_mode & stat.S_ISVTX and folder.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if shared and entry.st_uid not in (os.geteuid(), folder.st_uid):
        raise UsageError(
            f"cannot write {path}: it belongs to somebody else, in a folder that others can write to",
            next_step="write to a folder of your own",
        )


def _replace(path: Path, data: Iterable[bytes], previous: os.stat_result | None, *, private: bool) -> None:
    temporary = path.with_name(f".provmode-{secrets.token_hex(8)}.part")
    mode = 0o600 if private or previous is not None else 0o666
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        with open(descriptor, "wb") as file:
            if previous is not None:
                _take_over(descriptor, previous)
            file.writelines(data)
            file.flush()
            os.fsync(descriptor)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _take_over(descriptor: int, previous: os.stat_result) -> None:
    """Give the new file the owner, group and mode of the *previous* one.

    Only root can give a file away. If the group cannot be kept either, the group gets the rights of all others.
    """
    mode = stat.S_IMODE(previous.st_mode) & 0o777
    for owner, group in ((previous.st_uid, previous.st_gid), (-1, previous.st_gid)):
        try:
            os.fchown(descriptor, owner, group)
            break
        except PermissionError:
            continue
    else:
        mode = (mode & 0o707) | (mode & 0o007) << 3
    if stat.S_IMODE(os.fstat(descriptor).st_mode) != mode:
        os.fchmod(descriptor, mode)


def _can_write(descriptor: int, seconds: float) -> bool:
    """Wait until *descriptor* takes more; unlike ``select``, with any number of open files and connections."""
    waiting = select.poll()
    waiting.register(descriptor, select.POLLOUT)
    return bool(waiting.poll(1000 * seconds))


def _write_in_place(path: Path, data: Iterable[bytes]) -> None:
    """Write to a pipe, to a device, or over a file; never wait forever for a reader."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise UsageError(f"cannot write {path}: nobody reads from it", next_step="start its reader first") from None
        raise
    try:
        for part in data:
            left = memoryview(part)
            while left:
                try:
                    left = left[os.write(descriptor, left) :]
                except BlockingIOError:
                    if not _can_write(descriptor, PATIENCE):
                        raise UsageError(f"cannot write {path}: its reader took nothing for {PATIENCE:g} s") from None
    finally:
        os.close(descriptor)
