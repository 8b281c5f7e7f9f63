"""Files with keys: who may read a private one, who may have written a public one, and writing a new pair."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from provmode.errors import UsageError
from provmode.fleet.ownership import refuse_foreign
from provmode.signing.key_text import MOST_BYTES, key_of, private_pem, public_pem
from provmode.signing.keys import Key, PrivateKey, PublicKey

TRUSTS = "says whose plans and journals are believed"


def read_key(path: Path) -> Key:
    """Return the key in a file.

    Raises:
        UsageError: it cannot be read or used, others can read a private key, or change a public one.
    """
    try:
        with path.open("rb") as file:
            key, status = key_of(file.read(MOST_BYTES + 1), str(path)), os.fstat(file.fileno())
        if isinstance(key, PrivateKey):
            _refuse_readable(path, status)
        elif isinstance(key, PublicKey):
            refuse_foreign(path, TRUSTS)
    except OSError as error:
        raise UsageError(f"cannot read the key file {path}: {error.strerror}") from None
    return key


def read_private(path: Path) -> PrivateKey:
    """Return the private key in a file.

    Raises:
        UsageError: as `read_key`, or it is another kind of key.
    """
    key = read_key(path)
    if not isinstance(key, PrivateKey):
        raise UsageError(
            f"{path} is a {key.kind}, and this takes a private one", next_step="make one: provmode key new FILE"
        )
    return key


def read_public(paths: Iterable[str | Path]) -> tuple[PublicKey, ...]:
    """Return the public keys in files, each once.

    Raises:
        UsageError: as `read_key`, or it is another kind of key.
    """
    found = {}
    for path in map(Path, paths):
        key = read_key(path)
        if not isinstance(key, PublicKey):
            cure = f"give {path}.pub" if isinstance(key, PrivateKey) else "make a pair: provmode key new FILE"
            raise UsageError(f"{path} is a {key.kind}, and this takes a public one", next_step=cure)
        found[key] = path
    return tuple(found)


def write_pair(path: Path, key: PrivateKey) -> Path:
    """Write a pair: the private key to *path*, for its owner alone, and the public one beside it, whose path returns.

    Raises:
        UsageError: one of the files is there already, or cannot be written. Then neither is written.
    """
    public = path.with_name(path.name + ".pub")
    if os.path.lexists(public):
        raise UsageError(f"there is a file {public} already", next_step="give another name: a key is never overwritten")
    _write_new(path, private_pem(key), 0o600)
    try:
        _write_new(public, public_pem(key.public), 0o644)
    except BaseException:
        path.unlink()
        raise
    return public


def _write_new(path: Path, text: str, mode: int) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    except FileExistsError:
        raise UsageError(
            f"there is a file {path} already", next_step="give another name: a key is never overwritten"
        ) from None
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from None
    try:
        with open(descriptor, "w", encoding="ascii") as file:
            os.fchmod(descriptor, mode)  # whatever the umask
            file.write(text)
            file.flush()
            os.fsync(descriptor)
    except OSError as error:
        path.unlink()
        raise UsageError(f"cannot write {path}: {error.strerror}") from None


def _refuse_readable(path: Path, status: os.stat_result) -> None:
    """Refuse a private key that others can read.

    One of root's may be readable for a group: systemd hands files over so, with an access list for the service's user.

    Raises:
        UsageError: names the path and the cure.
    """
    if status.st_uid not in (0, os.geteuid()):
        raise UsageError(
            f"the private key {path} belongs to user {status.st_uid}, not to you or root",
            next_step="use a key of your own: provmode key new FILE",
        )
    allowed = stat.S_IRGRP if status.st_uid == 0 else 0
    if stat.S_IMODE(status.st_mode) & 0o077 & ~allowed:
        raise UsageError(
            f"others can read the private key {path}",
            next_step=f"make a new one (provmode key new), and if nobody has read this one: chmod 600 {path}",
        )
