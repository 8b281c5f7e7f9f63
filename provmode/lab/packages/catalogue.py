"""The packages of a lab fleet. They are the same bytes in every lab, so that a fleet holds few distinct ones.

All passwords and tokens in them are made up. `SIGNER` has a key that is public: it is for lab PCs alone.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from provmode.lab.packages.signer import Signer, signed
from provmode.lab.packages.writer import Asset, Condition, Description, Setting, Variant, command, package

CANARY = "Canary-7f3b1c"
"""Is in every secret of the lab's packages: nothing that provmode writes may hold it."""
_PRIMES = (
    "ef45dcc7d36edf6b40b4fc53b97039795967c03927c5102bf41f5179d5ed6f335f62bea06e0a2294ff10a5aca15cf66d"
    "e1b05a755596600c44d39e9710c41b15bd454f19165551ef0583806af0f9a3c04ce1ec56ee327f68dba03b2a85809cc8"
    "54795ac3abf5085d442e8ab0ad14cd5cb49e97e791231caa3ce94ea372da6f7d",
    "d9b51c8a1ce7ff744666ca9a8caffff5d4c00e87f30cb61562501474ce11fa1b6b569880e91f072ed162aa7751470bac"
    "940031bec1a0a4064a1bd533f5515a84cf584f3cec501273bec8b7b2a90f4b58d741c1dde24638a96a57bd00b6661813"
    "4139b3140d4c36188229a6bff421c09762204df6df384574c5b02718c40b7ae5",
)


@cache
def signer() -> Signer:
    """Return the one who signs the lab's packages: the same key and certificate in every lab."""
    p, q = (int(digits, 16) for digits in _PRIMES)
    exponent = 65537
    d = pow(exponent, -1, (p - 1) * (q - 1))
    public = rsa.RSAPublicNumbers(exponent, p * q)
    numbers = rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), public)
    key = numbers.private_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Contoso Device Provisioning")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(0x0C0FFEE)
        .not_valid_before(dt.datetime(2025, 1, 1, tzinfo=dt.timezone.utc))
        .not_valid_after(dt.datetime(2035, 1, 1, tzinfo=dt.timezone.utc))
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Signer(key, certificate)


@dataclass(frozen=True)
class Made:
    """One package of the catalogue."""

    name: str
    """By which the kinds of PC name it."""
    id: str
    title: str
    version: str
    data: bytes
    secrets: int = 0
    """How many secrets it holds that can be read."""
    token_ends: dt.date | None = None
    """The day on which its bulk token is dead at the latest: 180 days after the package was made."""
    encrypted: bool = False
    """It says so of itself."""

    @property
    def sha256(self) -> str:
        """The hash of the file."""
        return hashlib.sha256(self.data).hexdigest()

    @property
    def provider(self) -> str:
        """Its id as PolicyManager writes it."""
        return self.id.strip("{}").lower()


_BASE, _OEM, _KIOSK, _APPS, _JOIN, _TOKEN, _SIGNED, _SECURE, _CELLULAR, _RIVAL = (
    f"{{{digits}0f2d6a-5c1b-4e7a-9d3f-{number:012x}}}"
    for number, digits in enumerate(("a1", "b2", "c3", "d4", "e5", "f6", "17", "28", "39", "4a"), 0xC0FFEE)
)


def _start(value: str, compiled: str) -> Setting:
    return Setting("Policies/Start/HidePowerButton", value, compiled)


def _base(version: str) -> Description:
    settings = [_start("Yes", "1"), Setting("Policies/Experience/AllowCortana", "No", "0")]
    return Description(_BASE, "Contoso Base", version, notes="Made by the desk for clients", settings=settings)


def _join() -> Description:
    """Return a package with a password to join the domain, the key of a wireless network and one in a command."""
    computer = "Accounts/ComputerAccount"
    network = "ConnectivityProfiles/WLAN/WLANSetting/WLANConfig[SSID=Contoso]/WLANXmlSettings"
    return Description(
        _JOIN,
        "Contoso Join",
        settings=[
            Setting(f"{computer}/Account", "LAB\\joiner"),
            Setting(f"{computer}/DomainName", "corp.example"),
            Setting(f"{computer}/Password", f"{CANARY}-join"),
            Setting(f"{network}/SecurityKey", f"{CANARY}-wlan"),
            *command("admin", f"net user helpdesk {CANARY}-desk /add"),
        ],
    )


def _token() -> Description:
    return Description(
        _TOKEN,
        "Contoso Enrolment",
        settings=[
            Setting("Accounts/Azure/Authority", "https://login.microsoftonline.com/common"),
            Setting("Accounts/Azure/BPRT", f"0.{CANARY}-token"),
        ],
        made=dt.datetime(2025, 1, 10, 8, 0, tzinfo=dt.timezone.utc),
    )


def _apps() -> Description:
    """Return a package with two commands, one of them a script that it brings along."""
    script = Asset(
        "ProvisioningCommands/DeviceContext/CommandFiles", "install.cmd", b"@echo off\r\nmsiexec /i a.msi\r\n"
    )
    settings = [*command("agent", "cmd /c install.cmd", file="install.cmd"), *command("report", "cmd /c ver", number=1)]
    return Description(_APPS, "Contoso Apps", "2.0", settings=settings, assets=[script])


def _cellular() -> Description:
    settings = [Setting("Policies/Cellular/ShowAppCellularAccessUI", "No", "0")]
    variant = Variant("Carrier", [[Condition("Mcc", "311"), Condition("Mnc", "480")]], settings)
    return Description(_CELLULAR, "Fabrikam Cellular", owner="MobileOperator", rank=3, variants=[variant])


def _oem() -> Description:
    settings = [_start("No", "0"), Setting("Policies/Camera/AllowCamera", "Yes", "1")]
    return Description(_OEM, "Fabrikam Defaults", "3.1", owner="OEM", rank=99, settings=settings)


def _kiosk() -> Description:
    return Description(_KIOSK, "Contoso Kiosk", rank=7, settings=[_start("No", "0")])


def _rival() -> Description:
    """Return a package of the same altitude as the base that wants another value."""
    return Description(_RIVAL, "Contoso Front Desk", settings=[_start("No", "0")])


def _secure() -> Description:
    return Description(_SECURE, "Contoso Secure", settings=[_start("Yes", "1")], designer={"EncryptPackage": "True"})


def _signed() -> bytes:
    description = Description(_SIGNED, "Contoso Signed", settings=[Setting("Policies/Camera/AllowCamera", "No", "0")])
    return signed(package(description), signer(), when=dt.datetime(2026, 1, 15, 12, 0, tzinfo=dt.timezone.utc))


def _tampered() -> bytes:
    """Return the signed package with another day of its making: its files are as they were."""
    data, place = _signed(), "<CREATIONTIME><HIGHPART>0x".encode("utf-16-le")
    at = data.index(place) + len(place) + 2 * 7
    return data[:at] + (b"0" if data[at : at + 1] != b"0" else b"1") + data[at + 1 :]


_CATALOGUE: dict[str, tuple[Callable[[], Description], int]] = {
    "base": (lambda: _base("1.2"), 0),
    "base-old": (lambda: _base("1.1"), 0),
    "base-new": (lambda: _base("1.10"), 0),
    "oem": (_oem, 0),
    "kiosk": (_kiosk, 0),
    "apps": (_apps, 0),
    "join": (_join, 3),
    "token": (_token, 1),
    "secure": (_secure, 0),
    "cellular": (_cellular, 0),
    "rival": (_rival, 0),
}
_SIGNED_ONES: dict[str, Callable[[], bytes]] = {"signed": _signed, "tampered": _tampered}
NAMES = (*_CATALOGUE, *_SIGNED_ONES)
"""The packages of the catalogue."""


@cache
def made(name: str) -> Made:
    """Return a package of the catalogue."""
    if name in _SIGNED_ONES:
        return Made(name, _SIGNED, "Contoso Signed", "1.0", _SIGNED_ONES[name]())
    make, secrets = _CATALOGUE[name]
    description = make()
    return Made(
        name,
        description.id,
        description.name,
        description.version,
        package(description),
        secrets,
        description.made.date() + dt.timedelta(days=180) if name == "token" else None,
        encrypted=name == "secure",
    )
