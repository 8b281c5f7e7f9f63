"""Keys: which file is which kind, what each signs and checks, and the same by openssl, both ways."""

from __future__ import annotations

import base64
import hashlib
import hmac
import subprocess
from pathlib import Path

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from provmode.errors import UsageError
from provmode.signing.canonical import KeyTwice, canonical, each_key_once
from provmode.signing.key_text import key_of, private_pem, public_line, public_pem, shared
from provmode.signing.keys import APPROVAL, JOURNAL, PLAN, Keys, PrivateKey, PublicKey, SharedKey

ALICE, BOB = PrivateKey(bytes(range(32))), PrivateKey(bytes(range(1, 33)))
SECRET = SharedKey(b"0123456789abcdef0123456789abcdef")


def openssl(*arguments: str | Path, data: bytes = b"") -> bytes:
    ran = subprocess.run(["openssl", *map(str, arguments)], input=data, capture_output=True, check=False)
    assert ran.returncode == 0, ran.stderr.decode()
    return ran.stdout


# -- files ------------------------------------------------------------------------------------------------------------


def test_a_pair_is_written_as_openssl_writes_it(tmp_path: Path) -> None:
    (tmp_path / "alice.key").write_text(private_pem(ALICE))

    assert openssl("pkey", "-in", tmp_path / "alice.key").decode() == private_pem(ALICE)
    assert openssl("pkey", "-in", tmp_path / "alice.key", "-pubout").decode() == public_pem(ALICE.public)


def test_a_pair_that_openssl_made_is_read(tmp_path: Path) -> None:
    made = openssl("genpkey", "-algorithm", "ed25519")
    public = openssl("pkey", "-pubout", data=made)

    key = key_of(made, "made.key")

    assert isinstance(key, PrivateKey)
    assert key_of(public, "made.pub") == key.public
    assert private_pem(key).encode() == made


def test_the_fingerprint_is_what_openssl_and_sha256sum_say() -> None:
    der = openssl("pkey", "-pubin", "-outform", "DER", data=public_pem(ALICE.public).encode())

    assert ALICE.fingerprint == ALICE.public.fingerprint == hashlib.sha256(der).hexdigest()


@pytest.mark.parametrize(
    "data",
    [
        public_pem(ALICE.public).encode(),
        public_pem(ALICE.public).replace("\n", "\r\n").encode(),
        b"\xef\xbb\xbf" + public_pem(ALICE.public).encode(),
        b"Alice, since 2026\n" + public_pem(ALICE.public).encode(),
        public_line(ALICE.public).encode(),
        public_line(ALICE.public).encode() + b"\n",
    ],
)
def test_a_public_key_is_read_however_an_editor_saved_it(data: bytes) -> None:
    assert key_of(data, "alice.pub") == ALICE.public


@pytest.mark.parametrize("secret", [b"0123456789abcdef", b"  a passphrase of ssh-keys\n", b"\xff" * 16, b"k" * 4000])
def test_any_other_text_of_sixteen_bytes_is_a_shared_key(secret: bytes) -> None:
    assert key_of(secret, "plan.key") == shared(secret) == SharedKey(secret.strip())


_FORMS = {
    "PEM in UTF-16": public_pem(ALICE.public).encode("utf-16"),
    "PEM in UTF-16, big-endian and without its mark": public_pem(ALICE.public).encode("utf-16-be"),
    "PEM that was cut": public_pem(ALICE.public).encode()[:-10],
    "the DER": base64.b64decode(public_line(ALICE.public)),
    "the DER in hexadecimal": base64.b64decode(public_line(ALICE.public)).hex().upper().encode(),
    "the line in UTF-16": public_line(ALICE.public).encode("utf-16-le"),
    "the line in two": public_line(ALICE.public).encode()[:20] + b"\n " + public_line(ALICE.public).encode()[20:-1],
    "the line with a name behind it": public_line(ALICE.public).encode() + b" alice@example.com",
    "two keys": (public_pem(ALICE.public) + public_pem(BOB.public)).encode(),
    "a private line": private_pem(ALICE).splitlines()[1].encode(),
    "OpenSSH's": b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK alice@example.com",
    "OpenSSH's private one": b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n",
    "a certificate": b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
}


@pytest.mark.parametrize("form", _FORMS)
def test_no_form_of_a_key_of_a_pair_is_taken_for_a_shared_secret(form: str) -> None:
    with pytest.raises(UsageError):
        key_of(_FORMS[form], "some.key")
    with pytest.raises(UsageError):
        shared(_FORMS[form])


@given(st.binary(max_size=60), st.binary(max_size=60), st.sampled_from([public_line, public_pem]))
def test_whatever_stands_around_a_public_key_it_is_no_shared_secret(before: bytes, after: bytes, form: object) -> None:
    text = (public_line if form is public_line else public_pem)(ALICE.public).encode()
    for data in (text, text.decode().encode("utf-16-le")):
        try:
            assert key_of(before + data + after, "some.key") == ALICE.public
        except UsageError:
            pass


@pytest.mark.parametrize("kind", [["RSA", "-pkeyopt", "rsa_keygen_bits:2048"], ["ED448"], ["X25519"]])
def test_a_pair_of_another_kind_is_refused(kind: list[str]) -> None:
    made = openssl("genpkey", "-algorithm", *kind)
    for data in (made, openssl("pkey", "-pubout", data=made)):
        with pytest.raises(UsageError, match=r"some\.key holds a .* key that is not of Ed25519"):
            key_of(data, "some.key")


@pytest.mark.parametrize("form", [[], ["-traditional"]])
def test_an_encrypted_key_is_refused_with_the_command_that_decrypts_it(tmp_path: Path, form: list[str]) -> None:
    encrypted = tmp_path / "encrypted.key"
    made = openssl("genpkey", *(["-algorithm", "ed25519"] if not form else ["-algorithm", "RSA"]))
    encrypted.write_bytes(openssl("pkey", *form, "-aes256", "-passout", "pass:s3cret", data=made))

    with pytest.raises(UsageError) as refused:
        key_of(encrypted.read_bytes(), str(encrypted))

    assert str(refused.value).endswith(f"(umask 077; openssl pkey -in {encrypted} -out NEW)")


def test_a_file_that_is_too_short_or_too_long_for_a_key_is_refused() -> None:
    with pytest.raises(UsageError, match="the plan key has 15 bytes, under 16"):
        key_of(b"0123456789abcde\n", "plan.key")
    with pytest.raises(UsageError, match=r"plan\.key has over 100,000 bytes"):
        key_of(b"k" * 100_001, "plan.key")


def test_a_key_shows_no_secret() -> None:
    assert ALICE.seed.hex() not in repr(ALICE).lower()
    assert repr(ALICE.seed) not in repr(ALICE)
    assert repr(SECRET.secret) not in repr(SECRET)


# -- signatures -------------------------------------------------------------------------------------------------------


def test_openssl_finds_our_signature_good_and_we_find_its(tmp_path: Path) -> None:
    data, message = b"what is signed", tmp_path / "message"
    message.write_bytes(PLAN.encode() + b"\0" + data)
    (tmp_path / "alice.key").write_text(private_pem(ALICE))
    (tmp_path / "alice.pub").write_text(public_pem(ALICE.public))
    (tmp_path / "ours").write_bytes(bytes.fromhex(ALICE.sign(PLAN, data)))
    checked = ["pkeyutl", "-verify", "-rawin", "-in", message, "-pubin", "-inkey", tmp_path / "alice.pub"]

    theirs = openssl("pkeyutl", "-sign", "-rawin", "-in", message, "-inkey", tmp_path / "alice.key")

    assert openssl(*checked, "-sigfile", tmp_path / "ours").strip() == b"Signature Verified Successfully"
    assert ALICE.public.verify(PLAN, data, theirs.hex())


def test_a_signature_is_of_one_key_for_one_text_and_one_purpose() -> None:
    signature = ALICE.sign(PLAN, b"text")

    assert ALICE.verify(PLAN, b"text", signature)
    assert ALICE.public.verify(PLAN, b"text", signature)
    assert not BOB.verify(PLAN, b"text", signature)
    assert not ALICE.verify(PLAN, b"texT", signature)
    for purpose in (APPROVAL, JOURNAL):
        assert not ALICE.verify(purpose, b"text", signature)


@pytest.mark.parametrize(
    "edit", [str.upper, lambda text: text + " ", lambda text: text[:-1], lambda text: "٠" + text[1:]]
)
def test_a_signature_is_written_in_one_way(edit: object) -> None:
    assert not ALICE.verify(PLAN, b"text", edit(ALICE.sign(PLAN, b"text")))  # type: ignore[operator]


@pytest.mark.parametrize("value", [None, 1, "", "00" * 64, ["00" * 64], {"value": "00"}])
def test_what_is_no_signature_is_none(value: object) -> None:
    for key in (ALICE, ALICE.public, SECRET):
        assert not key.verify(PLAN, b"text", value)


def test_a_number_that_is_added_to_a_signature_makes_it_bad() -> None:
    """S plus the order of the group is congruent to S: a second signature for the same text, if it were taken."""
    value = bytes.fromhex(ALICE.sign(PLAN, b"text"))
    order = 2**252 + 27742317777372353535851937790883648493
    twin = value[:32] + (int.from_bytes(value[32:], "little") + order).to_bytes(32, "little")

    assert not ALICE.verify(PLAN, b"text", twin.hex())


def test_a_public_key_cannot_sign() -> None:
    with pytest.raises(UsageError, match="a public key cannot sign; give the private key"):
        ALICE.public.sign(PLAN, b"text")


def test_the_bytes_of_a_public_key_make_no_signature_that_it_finds_good() -> None:
    for secret in (ALICE.public.raw, public_pem(ALICE.public).encode(), public_line(ALICE.public).encode()):
        forged = hmac.new(secret, b"text", hashlib.sha256).hexdigest()

        assert not ALICE.public.verify(PLAN, b"text", forged)
        assert not ALICE.public.verify(PLAN, b"text", forged * 2)


def test_where_openssl_does_no_ed25519_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(data: bytes) -> None:
        raise UnsupportedAlgorithm("ed25519 is not supported by this version of OpenSSL.")

    signature = ALICE.sign(PLAN, b"text")
    for kind in (Ed25519PrivateKey, Ed25519PublicKey):
        for name in ("from_private_bytes", "from_public_bytes"):
            monkeypatch.setattr(kind, name, refuse, raising=False)

    with pytest.raises(UsageError, match="the OpenSSL of this computer does no Ed25519"):
        PrivateKey(ALICE.seed).sign(PLAN, b"text")
    with pytest.raises(UsageError, match="the OpenSSL of this computer does no Ed25519"):
        PublicKey(ALICE.public.raw).verify(PLAN, b"text", signature)


def test_a_shared_key_makes_the_hmac_that_openssl_makes() -> None:
    made = openssl("dgst", "-sha256", "-hmac", SECRET.secret.decode(), "-r", data=b"text").split()[0].decode()

    assert SECRET.sign(PLAN, b"text") == made
    assert SECRET.verify(PLAN, b"text", made)


# -- what somebody is given -------------------------------------------------------------------------------------------


def test_keys_are_what_they_are_given_as() -> None:
    assert Keys.of(None) is None
    assert Keys.of(Keys()) is None
    assert Keys.of(SECRET.secret) == Keys(SECRET, (SECRET,))
    assert Keys.of(ALICE) == Keys(ALICE, (ALICE,))
    assert Keys.of(ALICE.public) == Keys(None, (ALICE.public,))
    assert Keys(ALICE, (ALICE,)).and_trusted([BOB.public, ALICE]) == Keys(ALICE, (ALICE, BOB.public))


def test_a_key_is_found_only_if_a_signature_says_exactly_what_it_says() -> None:
    keys = Keys(SECRET, (SECRET, ALICE.public))

    assert keys.named({"algorithm": "HMAC-SHA256"}) == [SECRET]
    assert keys.named({"algorithm": "Ed25519", "key": ALICE.fingerprint}) == [ALICE.public]
    for header in (
        {"algorithm": "Ed25519"},
        {"algorithm": "Ed25519", "key": BOB.fingerprint},
        {"algorithm": "HMAC-SHA256", "key": ALICE.fingerprint},
        {"algorithm": "none"},
        {"algorithm": "ed25519", "key": ALICE.fingerprint},
        {},
        None,
        "HMAC-SHA256",
    ):
        assert keys.named(header) == []


def test_the_bytes_that_are_signed_do_not_depend_on_order_and_blanks() -> None:
    assert canonical({"b": [1, {"d": True, "c": None}], "a": "ä"}) == '{"a":"ä","b":[1,{"c":null,"d":true}]}'.encode()


def test_a_key_that_stands_twice_is_refused() -> None:
    assert each_key_once([("a", 1), ("b", 2)]) == {"a": 1, "b": 2}
    with pytest.raises(KeyTwice, match="twice"):
        each_key_once([("a", 1), ("a", 1)])


def test_public_keys_of_one_pair_are_equal() -> None:
    assert PublicKey(ALICE.public.raw) == ALICE.public
    assert len({PublicKey(ALICE.public.raw), ALICE.public}) == 1
