"""A package that cannot be read, and why."""

from __future__ import annotations

from enum import Enum

from provmode.errors import ProvmodeError


class Unreadable(str, Enum):
    """Why a package cannot be read."""

    NOT_A_PACKAGE = "not-a-package"
    """It does not begin as a Windows image does: another kind of file, or wholly encrypted."""
    ENCRYPTED = "encrypted"
    """It says that its content is encrypted."""
    COMPRESSION = "compression"
    """It is packed in a way that Windows Configuration Designer does not use: LZX, LZMS, solid, pipable."""
    SPLIT = "split"
    """It is one of several parts."""
    DAMAGED = "damaged"
    """It ends too early, contradicts itself, or its content does not match its hash."""
    TOO_LARGE = "too-large"
    """A part that has to be read whole is larger than any real package's."""

    def __str__(self) -> str:
        """Return the value, so that it prints as in JSON."""
        return self.value


class PackageUnreadable(ProvmodeError, OSError):
    """A package cannot be read: what is in it could not be told. It is never taken for an empty or a clean one.

    An ``OSError``, because pyinfra keeps those to the host they concern.
    """

    def __init__(self, cause: Unreadable, what: str, *, next_step: str = "") -> None:
        super().__init__(what, next_step=next_step)
        self.cause = cause
        """Why, as one word."""


def damaged(what: str) -> PackageUnreadable:
    """Return the error of a package that is damaged: *what* is wrong with it."""
    return PackageUnreadable(
        Unreadable.DAMAGED, f"the package is damaged: {what}", next_step="copy it again, or export it again"
    )


def too_large(what: str, size: int, limit: int) -> PackageUnreadable:
    """Return the error of a package of which *what* has *size*, over *limit*."""
    return PackageUnreadable(
        Unreadable.TOO_LARGE,
        f"the package is not read: {what} {size:,}, over {limit:,}",
        next_step="ask who made it; no real package is known to have as much",
    )


class Budget:
    """How much of something a package may have in all. What it spends is checked before the work is done."""

    def __init__(self, what: str, limit: int) -> None:
        self._what, self._limit, self._spent = what, limit, 0

    def spend(self, amount: int) -> None:
        """Count *amount*.

        Raises:
            PackageUnreadable: it is too much.
        """
        self._spent += amount
        if self._spent > self._limit:
            raise too_large(self._what, self._spent, self._limit)

    def allows(self, amount: int) -> bool:
        """Return whether *amount* is left, and count it if so."""
        if self._spent + amount > self._limit:
            return False
        self._spent += amount
        return True
