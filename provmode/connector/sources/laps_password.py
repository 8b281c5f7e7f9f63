"""A password that LAPS keeps in the directory, and that is read anew if a PC refuses it.

LAPS changes passwords by itself, also between the reading of the directory and the logon. So a PC that refuses is asked
once more, and only if the directory has another password by then: a refusal that stands is never repeated, because
accounts lock.
"""

from __future__ import annotations

from dataclasses import dataclass

from gevent.lock import BoundedSemaphore
from sansldap import FilterPresent

from provmode.connector.sources import laps, ldap
from provmode.connector.sources.domain_controllers import opened
from provmode.connector.sources.wanted import Wanted
from provmode.connector.winrm import Masked
from provmode.errors import UsageError
from provmode.transport.base import NotRenewed

SECONDS = 20.0
"""For one reading, from the search for a domain controller to its answer."""
_READING = BoundedSemaphore(2)
"""How many are read at a time: after a rotation of all, many PCs refuse at once."""


@dataclass
class PasswordsAnew:
    """The directory that was asked, to read single passwords from it anew."""

    wanted: Wanted
    failed: str = ""
    """Why it could not be asked again. Then it is not asked any more: each PC would wait for that."""

    def read(self, place: str) -> laps.LocalAccount:
        """Return what LAPS keeps now for the computer with the distinguished name *place*.

        Raises:
            NotRenewed: it cannot be read.
        """
        with _READING:
            if self.failed:
                raise NotRenewed(self.failed)
            try:
                with opened(self.wanted, seconds=SECONDS) as directory:
                    wire = directory.wire
                    found = directory.carry_out(
                        ldap.search(wire, place, ldap.BASE, FilterPresent("objectClass"), laps.ATTRIBUTES)
                    )
            except UsageError as error:
                self.failed = f"its LAPS password could not be read anew: {error.what}"
                raise NotRenewed(self.failed) from None
            except ldap.Refused:  # it was moved, or is gone
                raise NotRenewed("the directory no longer has it where it was") from None
        return laps.local_account(found[0]) if found else laps.LocalAccount(why_not=laps.NONE)


class LapsPassword(Masked):
    """The local administrator's password of one PC; *place* is its distinguished name."""

    def __init__(self, local: laps.LocalAccount, place: str, anew: PasswordsAnew) -> None:
        super().__init__(local.password)  # type: ignore[no-untyped-call]
        self.user = local.logon_name
        self._user, self._place, self._anew, self._asked = self.user, place, anew, False

    @property
    def logon(self) -> tuple[str, str]:
        """The user and the password, as they were read the last time."""
        return self._user, self.unmask()

    def renew(self) -> tuple[str, str]:
        """Read both anew, once a run.

        Raises:
            NotRenewed: there is no other one, or it cannot be read.
        """
        if self._asked:
            raise NotRenewed("its LAPS password was read anew before")
        self._asked = True
        local = self._anew.read(self._place)
        if local.why_not:
            raise NotRenewed(local.why_not)
        if (local.logon_name, local.password) == self.logon:
            raise NotRenewed("LAPS has no other password for it")
        self._user, self.raw_value = local.logon_name, local.password
        return self.logon
