"""Kerberos in words: how an account is written, and what each refusal means. Pure.

The numbers are those of MIT Kerberos (its ``krb5_err.et``), which are RFC 4120's (section 7.5.9) counted from a base.
"""

from __future__ import annotations

from dataclasses import dataclass

from provmode.errors import UsageError

_BASE = -1765328384
"""ERROR_TABLE_BASE_krb5: RFC 4120's number 0."""

C_UNKNOWN, S_UNKNOWN, POLICY, NO_ETYPE = _BASE + 6, _BASE + 7, _BASE + 12, _BASE + 14
REVOKED, KEY_EXPIRED, PREAUTH_FAILED, BAD_INTEGRITY = _BASE + 18, _BASE + 23, _BASE + 24, _BASE + 31
EXPIRED, NOT_YET_VALID, NOT_US, BAD_MATCH, SKEW = _BASE + 32, _BASE + 33, _BASE + 35, _BASE + 36, _BASE + 37
MODIFIED, BAD_KEY_VERSION, NO_KEY = _BASE + 41, _BASE + 44, _BASE + 45
NO_REALM, NO_KDC, WRONG_PRINCIPAL, KDC_SKEW = _BASE + 154, _BASE + 156, _BASE + 144, _BASE + 150
NO_CACHE, NO_CREDENTIAL, NOT_IN_KEYTAB = _BASE + 195, _BASE + 141, _BASE + 181
NO_SUCH_FILE, NO_ACCESS = 2, 13


@dataclass(frozen=True)
class Refusal:
    """What a refusal of Kerberos means: *what* in a sentence about it, *next_step* what to do."""

    what: str
    next_step: str


def principal_of(user: str) -> str:
    r"""Return the principal of an account as it is written in an inventory.

    ``user@REALM`` stays; of ``user@dns.domain`` the domain becomes the realm, in upper case, as in Active Directory.
    A bare name belongs to the default realm of ``krb5.conf``. ``domain.dns\user`` names a realm as well.

    Raises:
        UsageError: it is ``DOMAIN\user``: the short name of a domain tells no realm.
    """
    domain, backslash, account = user.partition("\\")
    if backslash:
        if "." not in domain.strip(".") or not account:
            raise UsageError(
                f"winrm_transport kerberos needs the realm, and {user} has the short name of a domain",
                next_step=f"write {account or 'user'}@REALM (the domain's DNS name), or leave winrm_user out to use "
                "your ticket",
            )
        return f"{account}@{domain.upper()}"
    name, at, realm = user.rpartition("@")
    return f"{name}@{realm.upper()}" if at else user


def about_ticket(code: int, text: str, *, account: str, service: str, seconds: float) -> Refusal:
    """Return what it means that no ticket could be got here.

    *code* and *text* are the library's; *account* is whose ticket, *service* the principal of the PC.
    """
    realm = account.rpartition("@")[2] if "@" in account else ""
    whose = f" of {account}" if account else ""
    known = {
        C_UNKNOWN: Refusal(
            f"the domain knows no account {account}", "check winrm_user: user@REALM, with the domain's DNS name"
        ),
        S_UNKNOWN: Refusal(
            f"the domain knows no service {service}",
            "connect by the PC's full DNS name (winrm_address), or set winrm_kerberos_host to it; check that the PC is "
            "joined to the domain",
        ),
        POLICY: Refusal(
            f"the domain's policy gives {account or 'the account'} no ticket",
            "look at its logon hours and workstations, and at authentication policies",
        ),
        NO_ETYPE: Refusal(
            "this computer and the domain have no encryption type in common",
            "allow AES for the account and the PC (msDS-SupportedEncryptionTypes), and look at permitted_enctypes in "
            "krb5.conf",
        ),
        REVOKED: Refusal(
            f"the account {account} is disabled, expired or locked", "not tried again in this run; look at the account"
        ),
        KEY_EXPIRED: Refusal(f"the password of {account} has expired", "set a new one"),
        PREAUTH_FAILED: Refusal(
            f"the domain refused the password of {account}",
            "correct it; it was tried once and is not tried again in this run, accounts lock",
        ),
        EXPIRED: Refusal(
            f"the Kerberos ticket{whose} has expired",
            "run kinit; for nightly runs give a keytab (winrm_kerberos_keytab)",
        ),
        NOT_YET_VALID: Refusal(f"the Kerberos ticket{whose} is not valid yet", "set this computer's clock"),
        SKEW: Refusal(
            "the clock of this computer and that of the domain controller differ too much",
            "set this computer's clock (timedatectl)",
        ),
        NO_REALM: Refusal(
            f"no KDC is known for the realm{' ' + realm if realm else ''}",
            "name it in /etc/krb5.conf, or set dns_lookup_kdc = true there; a realm is written in upper case",
        ),
        NO_KDC: Refusal(
            f"no KDC{' of ' + realm if realm else ''} answers",
            "look at DNS (_kerberos._udp), at port 88 of the domain controllers, and at /etc/krb5.conf",
        ),
        NO_CREDENTIAL: Refusal(
            f"there is no Kerberos ticket{whose} here",
            f"run kinit{' ' + account if account else ''}, or give a keytab (winrm_kerberos_keytab) or a password",
        ),
        NOT_IN_KEYTAB: Refusal(
            f"the keytab has no key of {account or 'this account'}",
            "look with klist -k; a keytab is made anew when the password changes",
        ),
        NO_ACCESS: Refusal("the keytab or the ticket cache may not be read", "give a file that you can read"),
        NO_SUCH_FILE: Refusal("there is no such keytab", "give winrm_kerberos_keytab a file that is there"),
        SILENCE: Refusal(
            f"no KDC{' of ' + realm if realm else ''} answered within {seconds:g} s (connect deadline)",
            "look at DNS (_kerberos._udp), at port 88 of the domain controllers, and at /etc/krb5.conf",
        ),
    }
    same = {NO_CACHE: NO_CREDENTIAL, BAD_INTEGRITY: PREAUTH_FAILED, KDC_SKEW: SKEW}
    return known.get(same.get(code, code)) or Refusal(
        f"Kerberos failed here ({text})", "try `kinit` and `kvno` by hand, and look at /etc/krb5.conf"
    )


SILENCE = 1
"""Our own number: nothing was answered in time."""


def about_pc(code: int, text: str, *, service: str) -> Refusal:
    """Return what it means that the PC refused the ticket and said why in an error token."""
    other_key = Refusal(
        f"it has another key than the domain has for {service}",
        "DNS leads to another PC, or the PC has lost its trust with the domain (Test-ComputerSecureChannel there)",
    )
    known = {
        SKEW: Refusal(
            "its clock and this computer's differ too much", "set the PC's clock (w32tm /resync), or this computer's"
        ),
        EXPIRED: Refusal("it takes the ticket for expired", "compare the PC's clock with the domain's, and run kinit"),
        NOT_YET_VALID: Refusal(
            "it takes the ticket for not yet valid", "compare the PC's clock with the domain's (w32tm /resync)"
        ),
        NO_ETYPE: Refusal(
            "it does not support the ticket's encryption", "compare msDS-SupportedEncryptionTypes with the PC's policy"
        ),
        **dict.fromkeys(
            (NOT_US, MODIFIED, BAD_KEY_VERSION, NO_KEY, BAD_MATCH, WRONG_PRINCIPAL, BAD_INTEGRITY), other_key
        ),
    }
    return known.get(code) or Refusal(
        f"it refused the Kerberos ticket ({text})" if text else "it refused the Kerberos ticket",
        "check the ticket (klist), the PC's clock, that HTTP/ and the name it is connected by is its service principal "
        "(winrm_kerberos_host), and its System event log (Security-Kerberos)",
    )
