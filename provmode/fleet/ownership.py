"""Who can change a program of the user before it is run: an inventory, or group data.

They run with the user's rights and can have the password. So a file is refused if others can write to it, or to its
folder, or to the folder of a link on the way. Folders above that one are not looked at.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from pathlib import Path

from provmode.errors import UsageError

LINKS = 40
"""How many links in a row are followed, as in the Linux kernel."""


RUNS = "is run as a program, or holds one"


def refuse_foreign(path: Path, does: str = RUNS) -> None:
    """Refuse a file or a folder that others can change; *does* says why that matters.

    Raises:
        UsageError: names the path and the cure.
        OSError: it cannot be looked at.
    """
    for _ in range(LINKS):
        folder = _check(path.parent, does if does == RUNS else f"holds a file that {does}")
        entry = path.lstat()
        _check_owner(path, entry, does)
        if not stat.S_ISLNK(entry.st_mode):
            if folder.st_mode & (stat.S_IXGRP | stat.S_IXOTH):  # else nobody else can get at what is in it
                _check(path, does)
            return
        path = path.parent / os.readlink(path)
    raise UsageError(f"{path} is in a circle of links")


def _check(path: Path, does: str) -> os.stat_result:
    status = path.stat()
    _check_owner(path, status, does)
    sticky = stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX  # there, all can change only their own
    others = status.st_mode & stat.S_IWOTH or (status.st_mode & stat.S_IWGRP and not _private_group(status))
    if others and not sticky:
        raise UsageError(
            f"{path} {does}, and others can write to it",
            next_step=f"take that from them: chmod go-w {path}",
        )
    return status


def _check_owner(path: Path, status: os.stat_result, does: str) -> None:
    if status.st_uid not in (0, os.geteuid()):
        raise UsageError(
            f"{path} {does}, and belongs to user {status.st_uid}, not to you or root",
            next_step=f"read it, and copy it or take it over: chown {os.geteuid()} {path}",
        )


def _private_group(status: os.stat_result) -> bool:
    """Return whether the group is that of its owner alone, as many systems make one for each user."""
    try:
        owner, group = pwd.getpwuid(status.st_uid), grp.getgrgid(status.st_gid)
    except KeyError:
        return False
    alone = not set(group.gr_mem) - {owner.pw_name}
    return owner.pw_gid == status.st_gid and owner.pw_name == group.gr_name and alone
