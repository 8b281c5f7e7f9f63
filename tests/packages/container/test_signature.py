"""Signatures of packages: by whom, intact, when, trusted; and what is made to look like one."""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given
from hypothesis import strategies as st

from provmode.lab.packages import signer as lab
from provmode.lab.packages.image import Zeros
from provmode.lab.packages.signer import Signer, self_signed, signed
from provmode.lab.packages.writer import Asset, Description, package, write_package
from provmode.packages.container import Signature, der, of_bytes, open_container, signature, signed_data
from provmode.packages.container.header import read_header
from provmode.packages.container.signature import signature_of, trusted
from provmode.packages.errors import PackageUnreadable
from provmode.reading import Absent, Known, Reading, Unknown

PLAIN = package(Description("{0b7a5a3e-0d2f-4b0b-a5be-6d6a6b7f2c11}", "plain"))
SIGNER = self_signed("Package signing of the lab")
ELLIPTIC = self_signed(elliptic=True)
SIGNED = signed(PLAIN, SIGNER)
MAY = dt.datetime(2026, 5, 4, 3, 2, 1, tzinfo=dt.timezone.utc)


def signature_in(data: bytes, *, every_byte: bool = True) -> Signature:
    """Return the signature of the package *data*, whatever else is wrong with it."""
    source = of_bytes(data)
    return signature_of(source, read_header(source), every_byte=every_byte)


def codes(found: Signature) -> set[str]:
    """Return the codes of its remarks."""
    return {each.code for each in found.remarks}


def cause(reading: Reading[Any]) -> str:
    """Return why a reading could not be told."""
    assert isinstance(reading, Unknown), reading
    return reading.cause


def changed(at: int, by: bytes, data: bytes = SIGNED) -> bytes:
    """Return *data* with other bytes at a place."""
    return data[:at] + by + data[at + len(by) :]


# -- who, intact, trusted ---------------------------------------------------------------------------------------------


def test_a_package_without_a_signature_is_known_not_to_have_one(recorded: dict[str, Path]) -> None:
    for data in (PLAIN, *(path.read_bytes() for path in recorded.values())):
        found = open_container(of_bytes(data)).signature()
        assert (found.signer, found.intact, found.stamped, found.remarks) == (Absent(), Absent(), Absent(), ())
        assert trusted(found, Known(["AB"])) == Absent()


@pytest.mark.parametrize(("signer", "digest"), [(SIGNER, "sha256"), (SIGNER, "sha384"), (ELLIPTIC, "sha256")])
def test_a_signed_package_is_intact_and_names_its_signer(signer: Signer, digest: str) -> None:
    container = open_container(of_bytes(signed(PLAIN, signer, digest=digest, when=MAY)))
    found = container.signature()

    assert found.intact == Known(True)
    assert isinstance(found.signer, Known)
    assert found.signer.value.sha1 == signer.thumbprint
    assert found.signer.value.sha256 == signer.certificate.fingerprint(hashes.SHA256()).hex().upper()
    assert found.signer.value.subject == found.signer.value.issuer == signer.certificate.subject.rfc4514_string()
    assert (found.stamped, found.claimed_at, found.remarks) == (Absent(), MAY, ())
    assert container.trailing == 0


def test_a_signer_is_trusted_if_the_pc_has_the_thumbprint_however_it_is_written() -> None:
    found = signature_in(SIGNED)
    spaced = " ".join(SIGNER.thumbprint[at : at + 2] for at in range(0, 40, 2)).lower()

    assert trusted(found, Known([])) == Known(False)
    assert trusted(found, Absent()) == Known(False)
    assert trusted(found, Known([ELLIPTIC.thumbprint])) == Known(False)
    assert trusted(found, Known([ELLIPTIC.thumbprint, SIGNER.thumbprint])) == Known(True)
    assert trusted(found, Known([spaced])) == Known(True)
    assert trusted(found, Unknown("access-denied")) == Unknown("access-denied")


def test_a_changed_package_is_not_trusted_even_if_its_signer_is() -> None:
    found = signature_in(changed(400, bytes([SIGNED[400] ^ 1])))

    assert found.intact == Known(False)
    assert trusted(found, Known([SIGNER.thumbprint])) == Known(False)


@given(st.integers(0, len(PLAIN) - 1).filter(lambda at: not 180 <= at < 188 and at >= 208), st.integers(1, 255))
def test_no_byte_before_the_signature_can_be_changed(at: int, mask: int) -> None:
    assert signature_in(changed(at, bytes([SIGNED[at] ^ mask]))).intact == Known(False)


@pytest.mark.parametrize("at", [24, 39, 120, 150, 200])
def test_no_byte_of_the_header_can_be_changed_either(at: int) -> None:
    assert signature_in(changed(at, bytes([SIGNED[at] ^ 1]))).intact == Known(False)


def test_the_signature_is_not_believed_elsewhere() -> None:
    """Moved behind other bytes, with a header that points there."""
    blob = SIGNED[len(PLAIN) :]
    moved = changed(188, struct.pack("<Q", len(PLAIN) + 8), PLAIN + bytes(8))
    moved = changed(180, struct.pack("<II", len(blob), lab.KIND), moved + blob)

    assert signature_in(moved).intact == Known(False)


@given(st.integers(0, len(SIGNED) - len(PLAIN) - 1), st.integers(1, 255))
def test_whatever_is_changed_in_a_signature_its_names_are_right_or_said_to_prove_nothing(at: int, mask: int) -> None:
    found = signature_in(changed(len(PLAIN) + at, bytes([SIGNED[len(PLAIN) + at] ^ mask])))

    if found.intact == Known(True) and "no-issuer" not in codes(found):
        assert isinstance(found.signer, Known)
        assert found.signer.value.sha1 == SIGNER.thumbprint


def test_every_byte_is_read_in_small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    class Watched:
        size = len(SIGNED)
        largest = 0

        def read(self, offset: int, count: int) -> bytes:
            self.largest = max(self.largest, count)
            return SIGNED[offset : offset + count]

    monkeypatch.setattr(signature, "PIECE", 100)
    source = Watched()

    assert signature_of(source, read_header(source)).intact == Known(True)
    assert source.largest == len(SIGNED) - len(PLAIN), "the signature itself"


def test_who_signed_is_told_without_reading_the_whole_package(
    file_source: Callable[[Path], Any], tmp_path: Path
) -> None:
    path = tmp_path / "large.ppkg"
    write_package(path, Description("{1}", "large", assets=[Asset("A/B", "large.msi", Zeros(64 << 20))]))
    with path.open("r+b") as stream:
        lab.sign(stream, SIGNER)
    source = file_source(path)
    container = open_container(source)

    found = container.signature(every_byte=False)

    assert source.total < 16_000
    assert isinstance(found.signer, Known)
    assert cause(found.intact) == "not-read"
    assert cause(trusted(found, Known([SIGNER.thumbprint]))) == "not-read"
    assert container.signature().intact == Known(True)


def test_a_signature_that_does_not_hold_needs_no_other_byte() -> None:
    broken = signed(PLAIN, replace(SIGNER, key=self_signed().key))

    assert signature_in(broken, every_byte=False).intact == Known(False)


# -- what is no signature ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (SIGNED[:-100], "would end at byte"),
        (changed(184, b"\x02\0\x01\0"), "kind"),
        (changed(180, struct.pack("<I", 0)), "0 bytes"),
        (changed(180, struct.pack("<I", 1 << 30)), "at most"),
        (changed(188, struct.pack("<Q", 100)), "header"),
        (changed(188, struct.pack("<Q", 1 << 63)), "would end at byte"),
        (changed(len(PLAIN), b"\x31"), "tag"),
        (changed(len(PLAIN) + 1, b"\x80"), "length"),
    ],
)
def test_a_signature_that_cannot_be_read_could_not_be_told(data: bytes, says: str) -> None:
    found = signature_in(data)

    for reading in (found.signer, found.intact, found.stamped, trusted(found, Known([SIGNER.thumbprint]))):
        assert cause(reading) == "malformed"
        assert isinstance(reading, Unknown)
        assert says in reading.detail


def test_a_signature_that_the_header_was_made_to_forget_leaves_bytes_that_belong_to_nothing() -> None:
    container = open_container(of_bytes(changed(180, bytes(16))))

    assert container.signature().intact == Absent()
    assert container.trailing == len(SIGNED) - len(PLAIN)


def test_bytes_behind_a_signature_are_remarked() -> None:
    assert codes(signature_in(SIGNED + b"more")) == {"bytes-behind"}
    blob = SIGNED[len(PLAIN) :]
    inside = changed(180, struct.pack("<I", len(blob) + 100), SIGNED + b"\1" * 100)
    assert codes(signature_in(inside)) == {"bytes-behind"}
    assert signature_in(inside).intact == Known(True), "what was signed is as it was"


def test_files_that_lie_behind_the_signature_are_not_intact() -> None:
    found = signature_of(of_bytes(SIGNED), read_header(of_bytes(SIGNED)), content_end=len(SIGNED))

    assert found.intact == Known(False)
    assert "not-covered" in codes(found)


def with_attributes(*attributes: bytes) -> Signature:
    """Return the signature of a package whose signed attributes are these, and signed."""
    return signature_in(signed(PLAIN, SIGNER, attributes=attributes))


def right_attributes() -> list[bytes]:
    """Return the signed attributes that `SIGNED` has."""
    read = signed_data.read_signed_data(SIGNED[len(PLAIN) :], signature.INDIRECT_DATA)
    return lab.right_attributes(read.content.body, "sha256")


def test_signed_attributes_have_to_be_those_of_the_content() -> None:
    kind, digest = right_attributes()
    of_data = lab.der(0x30, lab.object_id(lab.CONTENT_TYPE), lab.der(0x31, lab.object_id("1.2.840.113549.1.7.1")))
    other = lab.der(0x04, hashlib.sha256(b"other").digest())
    of_other = lab.der(0x30, lab.object_id(lab.MESSAGE_DIGEST), lab.der(0x31, other))

    assert with_attributes(kind, digest).intact == Known(True)
    assert with_attributes(kind, of_other).intact == Known(False)
    assert cause(with_attributes(of_data, digest).intact) == "malformed"
    assert cause(with_attributes(kind).intact) == "malformed"
    assert cause(with_attributes(digest).intact) == "malformed"
    assert cause(with_attributes(kind, digest, of_other).intact) == "malformed"
    assert cause(with_attributes().intact) == "malformed"


def test_a_signature_of_something_that_is_no_image_is_refused() -> None:
    other = lab.object_id("1.3.6.1.4.1.311.2.1.15")  # of a program
    assert len(other) == len(lab.object_id(lab.SIP_INFO))

    for was, now in ((lab.object_id(lab.SIP_INFO), other), (lab.SIP, bytes(16))):
        assert SIGNED.count(was) == 1
        found = signature_in(SIGNED.replace(was, now))
        assert cause(found.intact) == "malformed"
        assert "image" in str(found.intact)


def with_kind(last: int) -> Signature:
    """Return the signature of `SIGNED` whose kind of signature is another: the last number of its identifier."""
    kind = lab.object_id(lab.RSA)
    return signature_in(changed(SIGNED.rindex(kind) + len(kind) - 1, bytes([last])))


def test_a_kind_of_signature_has_to_fit_its_digest_and_be_known() -> None:
    assert with_kind(1).intact == with_kind(11).intact == Known(True)
    assert "two digest algorithms" in str(with_kind(5).intact)
    for last in (10, 99):  # PSS, none
        assert cause(with_kind(last).intact) == "unsupported"
        assert isinstance(with_kind(last).signer, Known), "who signed is told all the same"


def test_two_signers_are_refused() -> None:
    found = signature_in(signed(PLAIN, SIGNER, more_signers=[ELLIPTIC]))

    assert cause(found.signer) == "malformed"
    assert "2 signers" in str(found.intact)


def test_a_signer_whose_certificate_is_not_there_could_not_be_told() -> None:
    for others in ([], [ELLIPTIC.certificate]):
        found = signature_in(signed(PLAIN, SIGNER, certificates=others))
        assert cause(found.signer) == cause(found.intact) == "no-certificate"


def test_two_certificates_of_one_number_are_refused() -> None:
    twin = issued("Package signing of the lab", serial=SIGNER.certificate.serial_number)
    found = signature_in(signed(PLAIN, SIGNER, certificates=[SIGNER.certificate, twin.certificate]))

    assert cause(found.signer) == "malformed"


def test_a_certificate_of_another_key_proves_nothing() -> None:
    twin = issued("Package signing of the lab", serial=SIGNER.certificate.serial_number)
    found = signature_in(signed(PLAIN, replace(SIGNER, key=twin.key)))

    assert signature_in(signed(PLAIN, twin)).intact == Known(True)
    assert found.intact == Known(False)


# -- remarks ----------------------------------------------------------------------------------------------------------


def issued(
    name: str,
    by: Signer | None = None,
    *,
    serial: int = 0,
    key: rsa.RSAPrivateKey | None = None,
    usages: Sequence[x509.ObjectIdentifier] = (ExtendedKeyUsageOID.CODE_SIGNING,),
    more: Sequence[x509.ExtensionType] = (),
) -> Signer:
    """Return a key with a certificate that *by* issued, or itself."""
    key = key or rsa.generate_private_key(65537, 2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(key.public_key())
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(dt.datetime(2026, 1, 1, tzinfo=dt.timezone.utc))
        .not_valid_after(dt.datetime(2126, 1, 1, tzinfo=dt.timezone.utc))
    )
    if usages:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=True)
    for each in more:
        builder = builder.add_extension(each, critical=False)
    return Signer(key, builder.sign(by.key if by else key, hashes.SHA256()))


def test_a_weak_digest_is_said() -> None:
    found = signature_in(signed(PLAIN, SIGNER, digest="sha1"))

    assert found.intact == Known(True)
    assert codes(found) == {"weak-digest"}
    assert "SHA1" in found.remarks[0].text


def test_a_short_key_is_said() -> None:
    """The bytes of the signer's key."""
    short = issued("short", key=rsa.generate_private_key(65537, 1024))

    assert codes(signature_in(signed(PLAIN, short))) == {"weak-key"}


def test_a_certificate_for_something_else_is_said() -> None:
    server = issued("server", usages=[ExtendedKeyUsageOID.SERVER_AUTH])
    anything = issued("anything", usages=())

    assert codes(signature_in(signed(PLAIN, server))) == {"wrong-usage"}
    assert codes(signature_in(signed(PLAIN, anything))) == set()


def test_a_signature_made_when_the_certificate_was_not_valid_is_said() -> None:
    early = dt.datetime(2025, 12, 31, tzinfo=dt.timezone.utc)

    assert codes(signature_in(signed(PLAIN, SIGNER, when=early))) == {"out-of-time"}


def test_who_issued_the_certificate_is_told_only_if_it_is_proved() -> None:
    root = issued("Root")
    leaf, impostor = issued("Leaf", root), issued("Root")
    chain = [leaf.certificate, impostor.certificate, root.certificate]
    found = signature_in(signed(PLAIN, leaf, certificates=chain))

    assert [each.sha1 for each in found.issuers] == [root.thumbprint]
    assert trusted(found, Known([leaf.thumbprint])) == Known(True)
    assert cause(trusted(found, Known([root.thumbprint]))) == "issuer"
    assert trusted(found, Known([impostor.thumbprint])) == Known(False)
    assert codes(found) == set()
    assert codes(signature_in(signed(PLAIN, leaf, certificates=chain[:2]))) == {"no-issuer"}


def test_something_else_among_the_certificates_does_not_matter_but_many_are_refused() -> None:
    class Other:
        def public_bytes(self, encoding: Encoding) -> bytes:
            return lab.der(0x30, lab.der(0x02, b"\1"))

    other: Any = Other()
    found = signature_in(signed(PLAIN, SIGNER, certificates=[other, SIGNER.certificate, other]))
    assert (found.intact, codes(found)) == (Known(True), set())

    many = signature_in(signed(PLAIN, SIGNER, certificates=[SIGNER.certificate, *[other] * 40]))
    assert cause(many.intact) == "malformed"


def test_a_certificate_whose_extensions_cannot_be_read_is_made_for_nothing() -> None:
    broken = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.19"), b"no constraints")
    signer = issued("broken", more=[broken])
    found = signature_in(signed(PLAIN, signer))

    assert found.intact == Known(True)
    assert codes(found) == {"wrong-usage"}


def test_a_certificate_whose_name_was_changed_is_refused() -> None:
    forged = SIGNED.replace(b"Package signing", b"Prefect signing")

    assert SIGNED.count(b"Package signing") == 3, "subject, issuer, and who signed"
    assert cause(signature_in(forged).signer) == "malformed"
    assert "changed after it was made" in str(signature_in(forged).signer)


# -- other programs ---------------------------------------------------------------------------------------------------


def pem(signer: Signer, folder: Path, name: str) -> tuple[Path, Path]:
    """Write a certificate and its key for other programs."""
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    certificate.write_bytes(signer.certificate.public_bytes(Encoding.PEM))
    key.write_bytes(signer.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return certificate, key


@pytest.mark.authenticode
def test_openssl_says_the_same_of_our_signatures(run: Callable[..., str], tmp_path: Path) -> None:
    """It checks the digest of the content and the key's signature; of packages it knows nothing."""
    for signer in (SIGNER, ELLIPTIC):
        blob = signed(PLAIN, signer, when=MAY)[len(PLAIN) :]
        (tmp_path / "signature").write_bytes(blob)
        body = signed_data.read_signed_data(blob, signature.INDIRECT_DATA).content.body
        check = ("openssl", "smime", "-verify", "-inform", "DER", "-in", tmp_path / "signature", "-noverify", "-binary")
        for content, fails in ((body, False), (body + b"1", True)):
            (tmp_path / "content").write_bytes(content)
            said = run(*check, "-content", tmp_path / "content", "-out", "/dev/null", fails=fails)
            assert ("Verification successful" in said) is not fails


@pytest.fixture
def osslsigncode(run: Callable[..., str], tmp_path: Path) -> bytes:
    """Authenticode of a script with a time stamp, by osslsigncode."""
    script = tmp_path / "script.ps1"
    script.write_text("Write-Host 1\r\n")
    certificate, key = pem(SIGNER, tmp_path, "signer")
    stamping, stamping_key = pem(issued("Stamps", usages=[ExtendedKeyUsageOID.TIME_STAMPING]), tmp_path, "stamps")
    stamps = ("-TSA-certs", stamping, "-TSA-key", stamping_key, "-TSA-time", str(int(MAY.timestamp())))
    sign = ("osslsigncode", "sign", "-certs", certificate, "-key", key, "-h", "sha256", *stamps)
    run(*sign, "-in", script, "-out", tmp_path / "signed.ps1")
    run("osslsigncode", "extract-signature", "-in", tmp_path / "signed.ps1", "-out", tmp_path / "signature.p7")
    return (tmp_path / "signature.p7").read_bytes()


@pytest.mark.authenticode
def test_authenticode_that_is_not_ours_holds_and_so_does_its_time_stamp(osslsigncode: bytes) -> None:
    read = signed_data.read_signed_data(osslsigncode, signature.INDIRECT_DATA)

    assert read.holds()
    assert read.signer.sha1 == SIGNER.thumbprint
    assert signature._stamp(read) == Known(signature.Stamp(MAY, "CN=Stamps"))
    broken = replace(read, signature=bytes([read.signature[0] ^ 1]) + read.signature[1:])
    assert not broken.holds()
    assert cause(signature._stamp(broken)) == "other"


@pytest.mark.authenticode
def test_a_signature_of_a_script_is_none_of_a_package(osslsigncode: bytes) -> None:
    head = changed(180, struct.pack("<IIQ", len(osslsigncode), lab.KIND, len(PLAIN)), PLAIN)

    assert cause(signature_in(head + osslsigncode).intact) == "malformed"


TSA = """
[tsa]
default_tsa = own
[own]
serial = {folder}/serial
crypto_device = builtin
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha384
accuracy = secs:1
ess_cert_id_alg = sha256
"""


@pytest.fixture
def stamped(run: Callable[..., str], tmp_path: Path) -> Callable[..., bytes]:
    """Sign `PLAIN` with a time stamp that openssl makes."""

    def stamp(over: bytes = b"", *, usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.TIME_STAMPING) -> bytes:
        bare = signed_data.read_signed_data(signed(PLAIN, SIGNER)[len(PLAIN) :], signature.INDIRECT_DATA)
        (tmp_path / "over").write_bytes(over or bare.signature)
        (tmp_path / "serial").write_text("01")
        (tmp_path / "tsa.conf").write_text(TSA.format(folder=tmp_path))
        certificate, key = pem(issued("Stamps", usages=[usage]), tmp_path, "stamps")
        ask = ("openssl", "ts", "-query", "-data", tmp_path / "over", "-sha256", "-cert", "-out", tmp_path / "query")
        run(*ask)
        reply = ("openssl", "ts", "-reply", "-config", tmp_path / "tsa.conf", "-queryfile", tmp_path / "query")
        run(*reply, "-signer", certificate, "-inkey", key, "-token_out", "-out", tmp_path / "token")
        token = (tmp_path / "token").read_bytes()
        attribute = lab.der(0x30, lab.object_id(signature.TIME_STAMP), lab.der(0x31, token))
        return signed(PLAIN, SIGNER, unsigned_attributes=attribute)

    return stamp


@pytest.mark.authenticode
def test_a_time_stamp_over_the_signature_says_when(stamped: Callable[..., bytes]) -> None:
    before = dt.datetime.now(dt.timezone.utc)
    found = signature_in(stamped())

    assert found.intact == Known(True)
    assert isinstance(found.stamped, Known)
    assert found.stamped.value.by == "CN=Stamps"
    assert abs(found.stamped.value.when - before) < dt.timedelta(minutes=5)


@pytest.mark.authenticode
def test_a_time_stamp_over_something_else_says_nothing(stamped: Callable[..., bytes]) -> None:
    found = signature_in(stamped(b"something else"))

    assert found.intact == Known(True)
    assert cause(found.stamped) == "other"


@pytest.mark.authenticode
def test_a_time_stamp_that_was_changed_says_nothing(stamped: Callable[..., bytes]) -> None:
    data = stamped()
    year = f"{dt.datetime.now(dt.timezone.utc):%Y}".encode()
    forged = changed(data.rindex(b"\x18\x0f" + year), b"\x18\x0f2024", data)

    assert signature_in(forged).intact == Known(True), "nobody signs the time stamp but its maker"
    assert cause(signature_in(forged).stamped) == "tampered"


def token(over: bytes, by: Signer, when: dt.datetime = MAY, digest: str = "sha256") -> bytes:
    """Return a time stamp over *over*, as RFC 3161 has it."""
    imprint = lab.der(0x30, algorithm("sha256"), lab.der(0x04, hashlib.sha256(over).digest()))
    time = lab.der(0x18, when.strftime("%Y%m%d%H%M%S.5Z").encode())
    one = lab.der(0x02, b"\1")
    info = lab.der(0x30, one, lab.object_id("1.2.3.4.1"), imprint, one, time)
    attributes = [
        lab.der(0x30, lab.object_id(lab.CONTENT_TYPE), lab.der(0x31, lab.object_id(signature.STAMP_INFO))),
        lab.der(
            0x30, lab.object_id(lab.MESSAGE_DIGEST), lab.der(0x31, lab.der(0x04, hashlib.new(digest, info).digest()))
        ),
    ]
    certificate = by.certificate.public_bytes(Encoding.DER)
    signed_info = lab._signer_info(by, digest, attributes, b"")
    content = lab.der(0x30, lab.object_id(signature.STAMP_INFO), lab.der(0xA0, lab.der(0x04, info)))
    data = lab.der(0x30, one, lab.der(0x31), content, lab.der(0xA0, certificate), lab.der(0x31, signed_info))
    return lab.der(0x30, lab.object_id(lab.SIGNED_DATA), lab.der(0xA0, data))


def algorithm(digest: str) -> bytes:
    """Return a digest algorithm."""
    return lab.der(0x30, lab.object_id(lab.DIGESTS[digest][0]), lab.der(0x05))


STAMPING = self_signed("Stamps", usage=ExtendedKeyUsageOID.TIME_STAMPING)


@pytest.mark.parametrize(
    ("by", "when", "says"),
    [
        (STAMPING, MAY, ""),
        (SIGNER, MAY, "wrong-usage"),
        (STAMPING, dt.datetime(2025, 1, 1, tzinfo=dt.timezone.utc), "out-of-time"),
        (replace(STAMPING, key=SIGNER.key), MAY, "tampered"),
    ],
)
def test_a_time_stamp_is_believed_only_of_a_certificate_for_time_stamps_that_was_valid(
    by: Signer, when: dt.datetime, says: str
) -> None:
    bare = signed_data.read_signed_data(SIGNED[len(PLAIN) :], signature.INDIRECT_DATA)
    attribute = lab.der(0x30, lab.object_id(signature.TIME_STAMP), lab.der(0x31, token(bare.signature, by, when)))
    found = signature_in(signed(PLAIN, SIGNER, unsigned_attributes=attribute))

    assert found.intact == Known(True)
    if says:
        assert cause(found.stamped) == says
    else:
        assert found.stamped == Known(signature.Stamp(when, "CN=Stamps"))


def test_a_stamped_time_counts_before_the_one_that_the_signer_claims() -> None:
    outside = dt.datetime(2025, 6, 1, tzinfo=dt.timezone.utc)
    early = self_signed("Stamps", usage=ExtendedKeyUsageOID.TIME_STAMPING, valid_from=dt.datetime(2020, 1, 1))
    bare = signed_data.read_signed_data(signed(PLAIN, SIGNER, when=MAY)[len(PLAIN) :], signature.INDIRECT_DATA)
    stamp = token(bare.signature, early, outside)
    attribute = lab.der(0x30, lab.object_id(signature.TIME_STAMP), lab.der(0x31, stamp))
    found = signature_in(signed(PLAIN, SIGNER, when=MAY, unsigned_attributes=attribute))

    assert codes(found) == {"out-of-time"}


def test_a_time_stamp_that_is_none_says_nothing() -> None:
    for value in (lab.der(0x30), lab.der(0x30, lab.object_id(lab.SIGNED_DATA), lab.der(0xA0, lab.der(0x30)))):
        attribute = lab.der(0x30, lab.object_id(signature.TIME_STAMP), lab.der(0x31, value))
        found = signature_in(signed(PLAIN, SIGNER, unsigned_attributes=attribute))
        assert (found.intact, cause(found.stamped)) == (Known(True), "malformed")


def test_a_time_stamp_of_the_old_kind_is_named() -> None:
    attribute = lab.der(0x30, lab.object_id(signature.OLD_TIME_STAMP), lab.der(0x31, lab.der(0x30)))

    assert cause(signature_in(signed(PLAIN, SIGNER, unsigned_attributes=attribute)).stamped) == "unsupported"


# -- any bytes --------------------------------------------------------------------------------------------------------


@given(st.binary(max_size=300))
def test_any_bytes_as_a_signature_are_one_answer(data: bytes) -> None:
    found = signature_in(changed(180, struct.pack("<IIQ", len(data), lab.KIND, len(PLAIN)), PLAIN) + data)

    assert isinstance(found.intact, Unknown)


@given(st.lists(st.tuples(st.integers(0, 5_000), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_signature_with_any_bytes_changed_is_one_answer(changes: list[tuple[int, int]]) -> None:
    data = bytearray(SIGNED)
    for at, value in changes:
        data[len(PLAIN) + at % (len(SIGNED) - len(PLAIN))] = value
    with suppress(PackageUnreadable):
        signature_in(bytes(data))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x30",
        b"\x30\x80\0\0",
        b"\x30\x81\x01\0",
        b"\x30\x82\0\x81" + bytes(129),
        b"\x30\x85\0\0\0\0\1\0",
        b"\x1f\x81\0",
    ],
)
def test_what_is_not_der_is_malformed(data: bytes) -> None:
    with pytest.raises(der.Malformed):
        der.value_at(data, 0, len(data))


def test_an_object_identifier_is_read_as_it_is_written() -> None:
    for text in ("1.2.840.113549.1.7.2", "2.5.29.37.0", "0.9.2342", "2.999.3"):
        raw = lab.object_id(text) if text != "2.999.3" else bytes.fromhex("0603883703")
        assert der.filling(raw).object_id() == text


def test_the_lab_signs_a_stream_as_it_signs_bytes() -> None:
    stream = io.BytesIO(PLAIN)
    lab.sign(stream, SIGNER)

    assert stream.getvalue() == SIGNED
