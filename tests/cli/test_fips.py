"""A controller whose OpenSSL refuses what NTLM is made of: one line, before anything is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from provmode.lab.process import Host, LabProcess
from provmode.transport import handshakes, security
from provmode.transport.base import LogonNotSent


@pytest.mark.parametrize("what", ["HMAC-MD5", "RC4"])
@pytest.mark.parametrize(
    ("transport", "cure"),
    [
        ("ntlm", "use winrm_transport kerberos"),
        ("credssp", "set winrm_credssp_mechanism kerberos, or use winrm_transport kerberos"),
    ],
)
def test_ntlm_that_is_not_allowed_here_ends_the_run_with_one_line(
    lab: LabProcess,
    healthy: Host,
    provmode: Any,
    fips_mode: dict[str, str],
    tmp_path: Path,
    transport: str,
    cure: str,
    what: str,
) -> None:
    place = {"winrm_address": healthy.address, "winrm_port": healthy.port}
    data = {"winrm_user": lab.user, "winrm_password_file": str(lab.password_file), "winrm_transport": transport}
    (tmp_path / "fleet.py").write_text(f"pcs = ([('@winrm/PC', {place!r})], {data!r})\n")
    refusing = {"HMAC-MD5": fips_mode, "RC4": {"CRYPTOGRAPHY_OPENSSL_NO_LEGACY": "1"}}
    before = lab.counters(healthy.name)["connections"]

    ran = provmode("audit", "fleet.py", environment=refusing[what])

    assert ran.returncode == 1
    assert ran.stderr == (
        f"provmode: winrm_transport {transport} cannot be used here: this computer's OpenSSL allows no {what}, which "
        f"NTLM needs (FIPS mode, or a policy like it); {cure}\n"
    )
    assert ran.stdout == ""
    assert lab.counters(healthy.name)["connections"] == before


def test_a_program_that_opens_a_session_gets_the_same_reason(
    lab: LabProcess, healthy: Host, connect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handshakes, "ntlm_lacks", lambda: "HMAC-MD5")

    with pytest.raises(LogonNotSent, match=r"was sent no logon: this computer's OpenSSL allows no HMAC-MD5"):
        connect(lab, healthy).connect()


def test_nothing_is_lacking_elsewhere() -> None:
    assert security.ntlm_lacks() == ""
