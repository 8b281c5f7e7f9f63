"""The fuse of one account and password: whether the password may be tried on one more PC. Pure.

A domain counts refused logons of an account over all PCs and locks it after a few. So:

* Until the first success, the refusals in a row and the logons in flight are together at most `MOST_REFUSED`. A wrong
  password is therefore refused `MOST_REFUSED` times and not once more.
* `MOST_REFUSED` refusals in a row blow the fuse, after a success too (somebody changed the password). A fuse that has
  blown stays blown.
* A success ends the row. After the first one the number of logons in flight is not limited.
* A logon without an answer counts neither way.
"""

from __future__ import annotations

from provmode.transport.target import Credentials, Endpoint

MOST_REFUSED = 3
"""Refusals in a row that blow the fuse; a domain locks an account after 5 to 10."""
WITH_PASSWORD = frozenset({"ntlm", "basic", "credssp"})
"""Authentications that try a password. Kerberos takes a ticket, in CredSSP too; a certificate has no password."""


class LogonFuse:
    """The fuse of one account and password. *refused*: the PCs of the refusals in a row so far."""

    def __init__(self, refused: tuple[str, ...] = ()) -> None:
        self.refused = refused
        """The PCs that refused in a row, the last one last."""
        self.accepted = False
        """Whether a PC has accepted the password."""
        self.in_flight = 0
        self.blown = len(refused) >= MOST_REFUSED

    @property
    def may_begin(self) -> bool:
        """Whether one more logon may begin now."""
        return not self.blown and (self.accepted or len(self.refused) + self.in_flight < MOST_REFUSED)

    def begin(self) -> None:
        """Count a logon as in flight."""
        self.in_flight += 1

    def end(self) -> None:
        """Count a logon as no longer in flight, however it ended."""
        self.in_flight -= 1

    def accept(self) -> None:
        """Count a success."""
        self.accepted = True
        if not self.blown:
            self.refused = ()

    def refuse(self, pc: str) -> None:
        """Count a refusal by *pc*."""
        self.refused = (*self.refused, pc)
        self.blown = self.blown or len(self.refused) >= MOST_REFUSED


def has_fuse(endpoint: Endpoint, credentials: Credentials) -> bool:
    """Return whether the refusals of these credentials count over all PCs.

    A local account is another account on each PC. A bare name can be either, so it counts over all PCs.
    """
    by_ticket = credentials.authentication == "credssp" and credentials.credssp_mechanism == "kerberos"
    tries = credentials.authentication in WITH_PASSWORD and not by_ticket
    return tries and not is_local(endpoint, credentials.user)


def is_local(endpoint: Endpoint, user: str) -> bool:
    r"""Return whether *user* is a local account of the PC: ``.\name``, ``localhost\name`` or ``ITSNAME\name``."""
    domain, separator, _ = user.partition("\\")
    own = {name.partition(".")[0].casefold() for name in (endpoint.name, endpoint.address)}
    names = {".", "localhost"} | own | {name[:15] for name in own}  # a NetBIOS name has 15 characters at most
    return bool(separator) and domain.casefold() in names - {""}


def refused_by(pcs: tuple[str, ...]) -> str:
    """Return in words who refused: ``3 PCs refused this account``."""
    if len(set(pcs)) == len(pcs):
        return f"{len(pcs)} PCs refused this account"
    return f"{len(pcs)} logons in a row of this account were refused"
