"""The channel binding of certificates as they are found."""

from __future__ import annotations

import hashlib
import ssl
from pathlib import Path

from cryptography import x509

from provmode.lab.server.certificates import CertificateAuthority
from provmode.transport.tls import channel_binding


def test_a_serial_number_that_is_not_positive_says_nothing_on_the_terminal(tmp_path: Path) -> None:
    """The certificate that Samba makes for itself can have one; pytest makes errors of warnings."""
    made = CertificateAuthority(tmp_path).path.read_text()
    serial = x509.load_pem_x509_certificate(made.encode()).serial_number
    number = serial.to_bytes((serial.bit_length() + 8) // 8, "big")
    certificate = ssl.PEM_cert_to_DER_cert(made)
    negative = certificate.replace(number, bytes([number[0] | 0x80]) + number[1:])
    assert negative != certificate

    assert channel_binding(negative) == b"tls-server-end-point:" + hashlib.sha256(negative).digest()
